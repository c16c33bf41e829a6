"""Exports a network, holds it against torch, makes it int8 where that is wanted, and puts the file there at once."""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bgrd.errors import CannotCreateError, ConfigError, UsageError
from bgrd.escape import line
from bgrd.models.quantize import Method
from bgrd.models.spec import ModelSpec, parse
from bgrd.train.calibrate import calibrated
from bgrd.train.checkpoint import write_whole
from bgrd.train.export import apart, check, described, graph_of, inputs_for
from bgrd.train.networks.mirrored import Mirrored
from bgrd.train.origin import TORCHVISION, Origin, from_checkpoint, from_torchvision, sources_of
from bgrd.train.pack import packed

__all__ = ["command"]

_METHOD: Method = "average"


def command(options: argparse.Namespace) -> int:
    """Export and tell; gives 0. Raises BgrdError."""
    _check_options(options)
    origin = _origin(options)
    learnt = sources_of(options.data, manifest=origin.provenance.get("manifest_sha256", ""))
    network = Mirrored(origin.network) if options.both_ways else origin.network
    provenance = {**origin.provenance, "data": learnt, "both_ways": options.both_ways}
    data = described(graph_of(network, origin.spec), origin.spec, provenance)
    checked = check(data, network, origin.spec, inputs_for(origin.spec))
    shapes = ", ".join("x".join(map(str, (shape[0], *shape[2:]))) for shape in checked.shapes)
    print(f"at most {checked.difference:.1e} from torch, {checked.bound:.1e} allowed (tried {shapes})")
    if options.pack:
        data = _packed(data, origin.spec, provenance)
    if options.int8:
        data = _int8(options, data, origin.spec, provenance)
    write_whole(options.out, data)
    print(f"{line(str(options.out))}: {len(data) / 1e6:.2f} MB, sha256 {hashlib.sha256(data).hexdigest()}")
    if not options.data and options.what not in TORCHVISION:
        print("it does not say what it learnt from: --data DATASET writes sources and licences into it")
    if not origin.spec.licence:
        print("it does not say under which licence it comes: --licence TEXT")
    return os.EX_OK


def _check_options(options: argparse.Namespace) -> None:
    """Look at what can be told before torch is at work. Raises UsageError, CannotCreateError."""
    said = {"--calibration": options.calibration, "--method": options.method, "--float-ends": options.float_ends}
    idle = [flag for flag, value in said.items() if value]
    asked = {"--both-ways": options.both_ways, "--pack": options.pack, "--blend": options.blend is not None}
    of_a_run = [flag for flag, value in asked.items() if value]
    wrong = ""
    if options.out.suffix != ".onnx":
        wrong = f"--out {options.out}: must end in .onnx"
    elif options.int8 and options.calibration is None:
        wrong = "--int8 takes its ranges from pictures: name a data set with --calibration"
    elif idle and not options.int8:
        wrong = f"{idle[0]} goes with --int8"
    elif options.int8 and options.pack:
        wrong = "--pack and --int8 are two ways to keep weights as bytes: choose one"
    elif options.what in TORCHVISION and of_a_run:
        wrong = f"{of_a_run[0]} goes with a checkpoint"
    elif options.blend is not None and not 0.001 <= options.blend <= 1:
        wrong = f"--blend {options.blend}: must be from 0.001 to 1"
    elif options.weights is not None and options.what not in TORCHVISION:
        wrong = f"--weights goes with a name of torchvision's: {', '.join(TORCHVISION)}"
    if wrong:
        raise UsageError(wrong)
    if options.out.is_dir() or not os.access(options.out.parent, os.W_OK | os.X_OK):
        message = f"{options.out} cannot be written"
        raise CannotCreateError(message)


def _origin(options: argparse.Namespace) -> Origin:
    fed = partial(_fed, options)
    if options.what in TORCHVISION:
        return from_torchvision(options.what, options.weights, fed)
    path = Path(options.what)
    if not path.suffix and not path.exists():
        message = f"there is no file {path}, and torchvision has no such network: {', '.join(TORCHVISION)}"
        raise UsageError(message)
    return from_checkpoint(path, fed, blend=options.blend)


def _fed(options: argparse.Namespace, plain: ModelSpec) -> ModelSpec:
    """Give a spec with what the command line says. Raises UsageError where that contradicts itself."""
    said: dict[str, Any] = {"name": options.name or options.out.stem}
    for key in ("side", "fit", "licence", "version"):
        if getattr(options, key) is not None:
            said[key] = getattr(options, key)
    try:
        return parse(replace(plain, **said).to_json(), where="spec")
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _packed(data: bytes, spec: ModelSpec, provenance: dict[str, Any]) -> bytes:
    """Keep its weights as bytes and say what that costs, on pictures of noise."""
    made = packed(data)
    difference = apart(data, made.data, spec)
    print(f"{made.weights:,} weights packed: opacity differs by {255 * difference:.2f} of 255 on average, on noise")
    return described(made.data, spec, {**provenance, "packed": made.weights})


def _int8(options: argparse.Namespace, data: bytes, spec: ModelSpec, provenance: dict[str, Any]) -> bytes:
    """Make it int8 and say what that costs."""
    with tempfile.TemporaryDirectory(prefix="bgrd-export-") as place:
        made = calibrated(
            data,
            name=spec.name,
            dataset=options.calibration,
            place=Path(place),
            method=options.method or _METHOD,
            float_ends=options.float_ends,
        )
    worth = made.worth
    print(
        f"as int8 ({made.pictures} pictures): opacity differs by {worth.mean:.2f} of 255 on average, by at most "
        f"{worth.p99:.1f} in 99 of 100 pixels; {worth.share:.2f} of the time here"
    )
    told = {"pictures": made.pictures, "method": options.method or _METHOD, "float_ends": options.float_ends}
    return described(made.data, spec, {**provenance, "int8": told})
