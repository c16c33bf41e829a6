"""The house: who may import whom."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "bgrd"

LAYERS = """
__main__
cli.main
cli.bench | cli.check | cli.models | cli.once | cli.run | cli.status
cli.train
cli.bench_tables | cli.exporting | cli.train_fit | cli.train_prepare
cli.evaluation | cli.flags | train.begin | train.calibrate | train.origin | train.prepare
train.manifest
cli.train_progress
cli.train_evaluate
cli.evaluation_tables
train.ancestor
train.regain
cli.train_export | train.pack
train.export
train.fit
train.curves | train.learner
train.log
train.options | train.shards | train.validate
train.networks.grow | train.networks.rows
train.networks.lite | train.networks.mirrored | train.networks.nested | train.networks.residual
train.checkpoint | train.feed | train.losses | train.networks.parts | train.schedule
train.average | train.folding | train.progress | train.stop
train.sampler
train.scenes.drawings
train.scenes.creatures | train.scenes.screens | train.scenes.thin | train.scenes.vehicles | train.scenes.vessels
train.scenes.cards | train.scenes.cutouts | train.scenes.figures | train.scenes.flutter | train.scenes.pairs
train.scenes.portraits | train.scenes.shapes | train.scenes.solids
train.scenes.beside
train.scenes.placing | train.scenes.subjects
train.scenes.grounds | train.scenes.parts | train.scenes.rays
train.augment | train.scenes.materials
train.corrections | train.scenes.textures | train.taking
train.candidates | train.scenes.layers | train.scenes.outlines | train.scenes.palette | train.scenes.stage
train.sheets | train.verdict
train.chart | train.evaluate | train.sources | train.stock
train.entry | train.raster
cli.install | cli.installed | cli.model_arguments
daemon
benchmark
trialrun
once | roster
train.draft | train.split
train.holding | train.shrink
train.alike | train.judge
train.bootstrap
train.measures
pulse | signals | station
engine.dispatch
crew | engine.rota
check | config.example | confined | engine.desk | engine.mailbox | lessons | service
committer | engine.lane | intake.walker
allotment | engine.stock | library | outputs
engine.device
config.load | delivery.leftovers | delivery.recall | engine.inline | intake.rounds | models.quantize
config.words | engine.caller | engine.pipeline | engine.remote
config.plan | models.add | models.inventory | models.pull
models.shelf
config.arrangement
config.complaints | config.idle | delivery.commit | delivery.failure | delivery.premises | engine.pool | examine
engine.devices
engine.shared
intake.survey
config.recipe | delivery.claim | engine.blame | engine.scrutiny | journal.journal | journal.repair
delivery.probe | delivery.source | imaging.given | imaging.verify
imaging.decode | intake.admission | models.store
engine.starter | journal.arrivals | journal.origins | journal.outcomes | journal.soundness | journal.turns
delivery.archive | delivery.notes | delivery.outbox | engine.slot | imaging.png | imaging.sound
intake.ears | intake.scan | lock
delivery.replace | imaging.compose | imaging.encode
imaging.ground | imaging.matte | imaging.prepare | imaging.refine | imaging.strips | imaging.tiff
imaging.deep
engine.loading | engine.niceness | intake.attended | intake.guard | intake.lease
config.settings | delivery.beneath | delivery.ladder | engine.birth | engine.events | engine.listener | engine.process
engine.supply | imaging.frame | imaging.shadow | models.several
config.delivery | config.edge | config.intake | config.output | engine.verdict | imaging.damage | models.session
engine.region | imaging.foreground
config.table | imaging.complete | intake.protocol | intake.settle | intake.watch | journal.ledger | journal.patience
engine.demand | models.catalogue
engine.experience | models.fetch | models.index | models.row | models.trial
models.runner | models.widen
models.connection
journal.database | telemetry.log
journal.file
config.values | delivery.naming | delivery.ownership | engine.capacity | engine.loop | engine.wire | intake.mounts
models.address | models.anatomy | models.partial | models.spec
imaging.colour | imaging.deflate | imaging.means | imaging.metadata | imaging.parts | imaging.picture
imaging.quiet | imaging.resample | imaging.tiles
engine.requests
imaging.specimens
intake.ignore | intake.limit | intake.pace | models.providers
engine.cage | engine.shape | engine.trace | imaging.jpeg | imaging.room | journal.diagnosis | journal.salvage
telemetry.notify | telemetry.status
engine.batch | engine.gauge | engine.landlock | engine.request | engine.seccomp | engine.slate | errors | escape | job
kernel | product | question | steps
cli.counting
"""
"""A line may import from lines below it, never from above, and within a line never sideways. Every module is here."""

OWNERS = {
    "cv2": {"train.raster"},
    "isal": {"imaging.deflate"},
    "watchdog": {"intake.watch"},
    "sqlite3": {"journal.database", "journal.file", "journal.repair", "journal.salvage"},
    "onnx": {"models.quantize", "models.widen", "train.export", "train.folding", "train.pack", "train.regain"},
    "onnxruntime": {"models.quantize", "models.session"},
    "pydantic": {
        f"config.{name}"
        for name in ("complaints", "delivery", "edge", "intake", "load", "output", "settings", "table", "words")
    },
    "pydantic_settings": {"config.load", "config.settings"},
    "scipy": {"train.measures"},
    "structlog": {"telemetry.log"},
    "urllib3": {"models.connection"},
    "rich": {
        f"cli.{name}"
        for name in (
            "bench",
            "bench_tables",
            "check",
            "counting",
            "evaluation",
            "evaluation_tables",
            "install",
            "models",
            "once",
            "status",
            "train_progress",
        )
    },
    "matplotlib": {"train.chart", "train.curves"},
    "torch": {
        f"train.{name}"
        for name in (
            "ancestor",
            "average",
            "checkpoint",
            "export",
            "feed",
            "fit",
            "learner",
            "losses",
            "networks.grow",
            "networks.lite",
            "networks.mirrored",
            "networks.nested",
            "networks.parts",
            "networks.residual",
            "networks.rows",
            "origin",
            "regain",
            "shards",
            "validate",
        )
    },
}
"""The only modules that may import a heavy library."""

MODELS = (ROOT / "models" / "__init__.py").read_text()

PIXELS = {"PIL", "isal", "numpy", "pillow_heif", "onnxruntime"}
"""What the parent never loads."""


@cache
def modules() -> dict[str, Path]:
    """Give every module below bgrd by its dotted name; packages are left out, they hold only their docstring."""
    found = {}
    for path in ROOT.rglob("*.py"):
        if path.name != "__init__.py":
            found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = path
    return found


@cache
def imported(name: str) -> frozenset[str]:
    """Give what a module imports, wherever in the file: our own modules without `bgrd.`, others by their top name."""
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {_ours(f"{node.module}.{alias.name}") or _ours(node.module) or node.module for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {_ours(alias.name) or alias.name.partition(".")[0] for alias in node.names}
    return frozenset(entry if entry in modules() else entry.partition(".")[0] for entry in found)


def _ours(dotted: str) -> str:
    name = dotted.removeprefix("bgrd.")
    return name if name in modules() else ""


def rows() -> list[list[str]]:
    """Give the table's lines."""
    return [line.replace("|", " ").split() for line in LAYERS.strip().splitlines()]


def test_every_module_has_its_place() -> None:
    """The table names every module once, and nothing else."""
    named = [name for row in rows() for name in row]
    assert sorted(named) == sorted(modules())


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_down(name: str) -> None:
    """No module imports from its own line or from one above."""
    height = {entry: -number for number, row in enumerate(rows()) for entry in row}
    wrong = {entry for entry in imported(name) & modules().keys() if height[entry] >= height[name]}
    assert not wrong


@pytest.mark.parametrize("library", sorted(OWNERS))
def test_a_heavy_library_has_its_owners(library: str) -> None:
    """Only the owners import it."""
    importers = {name for name in modules() if library in imported(name)}
    assert importers <= OWNERS[library]


def test_pixels_stay_in_their_rooms() -> None:
    """Pillow and numpy are imported by imaging, pipeline, sessions here and elsewhere, quantisation and training."""
    importers = {name for name in modules() if imported(name) & PIXELS}
    rooms = {name for name in importers if not name.startswith(("imaging.", "train."))}
    assert rooms <= {
        *(f"engine.{name}" for name in ("caller", "device", "pipeline", "region", "remote")),
        *(f"models.{name}" for name in ("quantize", "runner", "session", "several", "trial", "widen")),
    }


def test_packages_hold_no_code() -> None:
    """An `__init__` below bgrd is its docstring; only the top one has lazy names."""
    for path in ROOT.rglob("__init__.py"):
        if path.parent != ROOT:
            assert len(ast.parse(path.read_text()).body) == 1, path


def test_every_module_of_the_models_is_told() -> None:
    """The room's docstring names each of its modules once, by what it is for."""
    told = re.findall(r"^    (\w+(?:, \w+)*)  ", ast.get_docstring(ast.parse(MODELS), clean=False) or "", re.MULTILINE)
    named = sorted(name for line in told for name in line.split(", "))
    assert named == sorted(name.removeprefix("models.") for name in modules() if name.startswith("models."))


def test_the_daemon_loads_no_pixels_and_no_network() -> None:
    """Importing all that the parent runs brings in neither Pillow nor numpy nor onnxruntime, and nothing to fetch."""
    code = (
        "import sys, bgrd, bgrd.cli.main, bgrd.cli.run, bgrd.cli.once, bgrd.cli.check, bgrd.cli.models,"
        "bgrd.cli.status, bgrd.cli.bench;"
        f"print(sorted({PIXELS | {'urllib3'}!r} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_no_library() -> None:
    """`bgrd --help` comes from the standard library alone, so that it answers at once."""
    libraries = {"pydantic", "rich", "structlog", "urllib3", "watchdog"}
    code = f"import sys, bgrd.cli.main; print(sorted({libraries!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(set(modules()) - {"__main__"}))
def test_each_face_is_declared_sorted_and_true(name: str) -> None:
    """`__all__` is there, in ruff's order, and names what exists."""
    module = import_module(f"bgrd.{name}")
    names = module.__all__
    assert len(set(names)) == len(names)
    assert all(hasattr(module, entry) for entry in names)


def test_files_stay_small() -> None:
    """No source file is longer than 300 lines, of the benchmarks and the tests neither, but for those of the table."""
    places = [path for room in ("bench", "bgrd", "tests") for path in (ROOT.parent / room).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT.parent)): len(path.read_text().splitlines()) for path in places}
    assert lengths
    assert not {name for name, lines in lengths.items() if lines > 300}
