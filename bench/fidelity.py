"""How close bgrd comes to rembg with the same file: `python -m bench.fidelity [FOLDER]`.

rembg runs in an environment of its own below build/, which is made where it is missing. Both go the whole way from the
file's bytes to a mask: rembg's sessions `u2net_custom` and `dis_custom`, and bgrd with the rows compat-rembg-320 and
compat-rembg-1024. The files are networks made here, with random weights whose masks have the pictures' structure, and
the built-in model. Steps of 255; build/fidelity.json has every figure.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.environment import BUILD, rembg_python
from bgrd.engine.pipeline import process
from bgrd.job import Product, Recipe
from bgrd.models.catalogue import BUILT_IN, ROWS
from bgrd.models.session import Session
from bgrd.models.store import find
from tests.pictures.networks import isnet, u2net

__all__ = ["MEAN", "NINETY_NINTH", "Case", "Distance", "cases", "distance", "main"]

MEAN, NINETY_NINTH = 1.0, 3.0
"""How far two masks may be apart, in steps of 255."""

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / ".." / "shared" / "pictures"
SUFFIXES = {".jpg", ".jpeg", ".png"}
ALONE: dict[str, dict[str, Any]] = {
    'stretch = "guarded"': {"stretch": "guarded"},
    "divide_by = 255": {"divide_by": "255"},
    'upscale = "bicubic"': {"upscale": "bicubic"},
    'resample = "bilinear", quick = false': {"resample": "bilinear", "quick": False},
    'resample = "bilinear"': {"resample": "bilinear"},
    'resample = "sampled"': {"resample": "sampled"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One file and the two ways to feed it."""

    name: str
    data: bytes
    session: str
    row: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How far two masks of a picture are apart, in steps of 255."""

    case: str
    picture: str
    mean: float
    ninety_ninth: float

    @property
    def within(self) -> bool:
        """Whether it keeps the bounds."""
        return self.mean <= MEAN and self.ninety_ninth <= NINETY_NINTH


def cases() -> tuple[Case, ...]:
    """Give every file with both sessions' shapes; seeds with calm masks and with busy ones."""
    own = find(BUILT_IN, custom={}, directory=Path()).path.read_bytes()
    small, large = ("u2net_custom", "compat-rembg-320"), ("dis_custom", "compat-rembg-1024")
    files = (
        ("U-2-Net calm", u2net(seed=17), small),
        ("U-2-Net busy", u2net(seed=12), small),
        ("bgrd-lite 320", own, small),
        ("IS-Net calm", isnet(seed=13), large),
        ("IS-Net busy", isnet(seed=11), large),
        ("bgrd-lite 1024", own, large),
    )
    return tuple(Case(name=name, data=data, session=way[0], row=way[1]) for name, data, way in files)


def distance(found: Image.Image, wanted: Image.Image) -> tuple[float, float]:
    """Give the mean and the 99th percentile of the absolute difference of two masks of one size."""
    assert found.size == wanted.size, f"{found.size} and {wanted.size}"
    apart = np.abs(np.asarray(found.convert("L"), np.int16) - np.asarray(wanted.convert("L"), np.int16))
    return float(apart.mean()), float(np.percentile(apart, 99))


def rembg_masks(every: tuple[Case, ...], files: list[Path], place: Path) -> str:
    """Have rembg make all masks below `place`; gives its version."""
    home = place / "models"
    home.mkdir(parents=True, exist_ok=True)
    orders = []
    for number, case in enumerate(every):
        (home / f"{number}.onnx").write_bytes(case.data)
        (place / case.name).mkdir(exist_ok=True)
        model, output = str(home / f"{number}.onnx"), str(place / case.name)
        orders.append({"session": case.session, "model": model, "output": output})
    told = subprocess.run(
        [str(rembg_python()), str(Path(__file__).with_name("fidelity_rembg.py"))],
        input=json.dumps({"cases": orders, "pictures": [str(path.resolve()) for path in files]}),
        env={**os.environ, "U2NET_HOME": str(home), "NUMBA_CACHE_DIR": str(place / "numba")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return told.stdout.strip().splitlines()[-1]


def own_mask(data: bytes, session: Session) -> Image.Image:
    """Give bgrd's soft mask of a file as the daemon makes it with refinement off."""
    recipe = Recipe(threshold=0.5, feather=1.0, refine="none", products=(Product(kind="mask"),))
    stream = io.BytesIO()
    process(data, recipe=recipe, session=session, write=lambda _number: stream)
    return Image.open(stream)


def compared(every: tuple[Case, ...], files: list[Path], place: Path, **changes: Any) -> list[Distance]:
    """Make bgrd's masks, with some keys of the spec changed, and hold them against those below `place`."""
    found = []
    for case in every:
        spec = ROWS[case.row].spec
        assert spec is not None
        session = Session(case.data, spec=replace(spec, **changes), threads=os.cpu_count() or 1, name=case.row)
        session.trial()
        for path in files:
            with Image.open(place / case.name / f"{path.name}.png") as wanted:
                mean, ninety_ninth = distance(own_mask(path.read_bytes(), session), wanted)
            found.append(Distance(case=case.name, picture=path.name, mean=mean, ninety_ninth=ninety_ninth))
    return found


def table(every: tuple[Case, ...], found: list[Distance]) -> str:
    """Give the figures as a table of Markdown: mean and 99th percentile of each photo, then of all."""
    names = [case.name for case in every]
    lines = [f"| photo | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    by = {(each.picture, each.case): each for each in found}
    for picture in dict.fromkeys(each.picture for each in found):
        cells = [f"{by[picture, name].mean:.2f} / {by[picture, name].ninety_ninth:.0f}" for name in names]
        lines.append(f"| {picture} | {' | '.join(cells)} |")
    for word, number in (("all: mean", "mean"), ("all: 99th percentile", "ninety_ninth")):
        every_one = [np.mean([getattr(each, number) for each in found if each.case == name]) for name in names]
        lines.append(f"| {word} | {' | '.join(f'{value:.2f}' for value in every_one)} |")
    kept = [[each.within for each in found if each.case == name] for name in names]
    lines.append(f"| within bounds | {' | '.join(f'{sum(each)} of {len(each)}' for each in kept)} |")
    return "\n".join(lines)


def apart(every: tuple[Case, ...], files: list[Path], place: Path) -> str:
    """Give a table of what each key that bgrd's own rows set otherwise moves by itself."""
    lines = [f"| key | {' | '.join(case.name for case in every)} |", f"|---|{'---|' * len(every)}"]
    for key, changes in ALONE.items():
        found = compared(every, files, place, **changes)
        cells = []
        for case in every:
            ours = [each for each in found if each.case == case.name]
            mean, within = np.mean([each.mean for each in ours]), sum(each.within for each in ours)
            cells.append(f"{mean:.2f}, {within} of {len(ours)} within")
        lines.append(f"| {key} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table; 1 where a photo is beyond the bounds."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        print(f"no pictures in {folder}: name a folder with some", file=sys.stderr)
        return 66
    every = cases()
    release = rembg_masks(every, files, BUILD / "fidelity")
    found = compared(every, files, BUILD / "fidelity")
    facts = {"rembg": release, "bounds": [MEAN, NINETY_NINTH], "distances": [asdict(each) for each in found]}
    (BUILD / "fidelity.json").write_text(json.dumps(facts, indent=1))
    print(f"rembg {release}, {len(files)} photos; mean / 99th percentile in steps of 255\n")
    print(table(every, found))
    print("\neach key alone: mean, photos within bounds\n")
    print(apart((every[0], every[2]), files, BUILD / "fidelity"))
    return 0 if all(each.within for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
