"""The folder of 32 photos against `rembg p`, both with the same ONNX file fed in the same way.

rembg takes any file as its model `u2net_custom`; bgrd has a row that feeds it so. The files are U-2-Netp's topology
with random weights, whose heads give masks with the pictures' structure, and bgrd's own model; what both make of the
photos is held against each other. bgrd's lanes are warm, as a daemon's are, and it writes, fsyncs and holds each result
against what it must be, as ever; rembg's time is that of its command, and what it takes to start is beside it. The
same work is one without bgrd's edge (`refine = "none"`); with it, as bgrd comes, stands in the facts.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.environment import rembg_is_there, rembg_python
from bench.speed.figures import NotRun, Outcome, Setting, outcome
from bench.speed.folder import ONE_LANE
from bench.speed.machine import cores
from bench.speed.networks import u2netp
from bench.speed.pictures import photo_folder
from bench.speed.stand import Drain, commanded, drained, fresh_house, running
from bgrd.models.catalogue import BUILT_IN
from bgrd.models.store import find
from tests.houses.houses import House

__all__ = ["run"]

_NOT_FASTER = 1
"""With what `bgrd models quantize` ends where it is not worth it."""
_FARTHEST = 2.0
"""How far both programs' opacity may be apart on average, in steps of 255, to count as the same work."""
_CONFIGURATION = """
{lanes}
[defaults]
min_free = 0
model = "{model}"
refine = "{refine}"
[[model]]
name = "same"
path = "~/same.onnx"
like = "compat-rembg-320"
"""
_TIMES = """
import importlib.metadata, json, os, sys
print(json.dumps({name: importlib.metadata.version(name) for name in ("rembg", "onnxruntime", "pillow")}))
"""


def run(setting: Setting) -> Outcome:
    """Measure both files, and the first one's int8 variant."""
    if not (rembg_is_there() or setting.make_peer):
        reason = "rembg's environment is not there; `python -m bench.speed --only peer` makes it"
        raise NotRun(reason)
    try:
        rembg_python()
    except subprocess.CalledProcessError as error:
        reason = "rembg's environment cannot be made: it comes from the package index, once"
        raise NotRun(reason) from error
    pictures = photo_folder(quick=setting.quick)
    networks = {
        "u2netp": u2netp(narrow=setting.pick(1, quick=4)),
        "lite": find(BUILT_IN, custom={}, directory=Path()).path.read_bytes(),
    }
    figures, facts = {}, {}
    for name, network in networks.items():
        found = _compared(setting, pictures, network, int8=name == "u2netp")
        figures[f"peer.{name}"] = found["rembg_seconds"] / found["bgrd_seconds"]
        if "int8_seconds" in found:
            figures["peer.int8"] = found["rembg_seconds"] / found["int8_seconds"]
        facts[name] = found
        setting.tell(f"{name}: rembg {found['rembg_seconds']:.1f} s, bgrd {found['bgrd_seconds']:.1f} s")
    return outcome(figures, versions=_versions(), pictures=len(pictures), **facts)


def _compared(setting: Setting, pictures: Mapping[str, bytes], network: bytes, *, int8: bool) -> dict[str, Any]:
    """Give the seconds of everyone over the same pictures with the same file."""
    with fresh_house(setting) as house:
        (house.home / "same.onnx").write_bytes(network)
        found: dict[str, Any] = _by_rembg(house, pictures)
        plain = _by_daemon(house, pictures, "same", prefix="plain-")
        found |= {"bgrd_seconds": plain.wall_seconds, "bgrd_processor_seconds": plain.processor_seconds}
        found["mean_distance"] = _distance(house, pictures)
        assert found["mean_distance"] <= _FARTHEST, f"they do not do the same: {found['mean_distance']:.2f} of 255"
        alone = _by_daemon(house, pictures, "same", prefix="alone-", lanes=ONE_LANE)
        found["bgrd_share_of_limit"] = alone.work_seconds / cores() / plain.wall_seconds
        edge = _by_daemon(house, pictures, "same", prefix="edge-", refine="guided")
        found["bgrd_with_edge_seconds"] = edge.wall_seconds
        if int8 and _quantised(house):
            small = _by_daemon(house, pictures, "same:int8", prefix="int8-")
            found |= {"int8_seconds": small.wall_seconds, "int8_processor_seconds": small.processor_seconds}
    return found


def _by_rembg(house: House, pictures: Mapping[str, bytes]) -> dict[str, float]:
    """Give the seconds of `rembg p` on the folder, and on an empty one: what it takes to start."""
    full, empty, output = house.root / "photos", house.root / "none", house.root / "rembg"
    for place in (full, empty, output):
        place.mkdir()
    _rembg(house, empty, output)  # the first start of all compiles
    before = _rembg(house, empty, output)
    for name, data in pictures.items():
        (full / name).write_bytes(data)
    used = _used_seconds()
    seconds = _rembg(house, full, output)
    used = _used_seconds() - used
    assert len(list(output.iterdir())) == len(pictures)
    return {"rembg_seconds": seconds, "rembg_processor_seconds": used, "rembg_start_seconds": before}


def _used_seconds() -> float:
    """Give the processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _rembg(house: House, pictures: Path, output: Path) -> float:
    extras = json.dumps({"model_path": str(house.home / "same.onnx")})
    program = str(rembg_python().with_name("rembg"))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(house.home),
        "U2NET_HOME": str(house.home),
        "NUMBA_CACHE_DIR": str(rembg_python().parents[1] / "numba"),
    }
    started = time.perf_counter()
    subprocess.run(
        [program, "p", "-m", "u2net_custom", "-x", extras, str(pictures), str(output)],
        env=environment,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - started


def _by_daemon(
    house: House,
    pictures: Mapping[str, bytes],
    model: str,
    *,
    prefix: str,
    refine: str = "none",
    lanes: str = "",
) -> Drain:
    """Work the pictures off."""
    house.configure(_CONFIGURATION.format(model=model, refine=refine, lanes=lanes))
    with running(house) as (daemon, log):
        drained(daemon, log, dict(list(pictures.items())[: 2 * cores()]), prefix=f"first-{prefix}")
        return drained(daemon, log, pictures, prefix=prefix)


def _quantised(house: House) -> bool:
    """Make the int8 variant by bgrd's own command; False where that finds it no faster here."""
    house.configure(_CONFIGURATION.format(model="same", refine="none", lanes=""))
    words = ("models", "quantize", "same", "--calibrate", house.root / "photos", "--accept")
    code, _seconds = commanded(house, *words, may_end=(0, _NOT_FASTER))
    return code == 0


def _distance(house: House, pictures: Mapping[str, bytes]) -> float:
    """Give how far both programs' opacity is apart on average, in steps of 255."""
    found = []
    for name in pictures:
        with (
            Image.open((house.outbox / f"plain-{name}").with_suffix(".png")) as ours,
            Image.open((house.root / "rembg" / name).with_suffix(".png")) as theirs,
        ):
            one, other = (np.asarray(image.getchannel("A"), np.int16) for image in (ours, theirs))
        found.append(float(np.abs(one - other).mean()))
    return float(np.mean(found))


def _versions() -> dict[str, str]:
    told = subprocess.run([str(rembg_python()), "-c", _TIMES], check=True, capture_output=True, text=True).stdout
    versions: dict[str, str] = json.loads(told)
    return versions
