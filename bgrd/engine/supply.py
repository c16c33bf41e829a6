"""What a lane has to hold before it can work on a job: a model and the pictures cut-outs stand on, as files."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bgrd.engine.capacity import Limits
from bgrd.engine.wire import Load
from bgrd.errors import SHORTAGES, DaemonFault, Fault, GroundFault, ModelFault
from bgrd.escape import shown
from bgrd.job import GroundChoice, ModelChoice, Recipe
from bgrd.question import ask, dispose

__all__ = ["Need", "files_of", "find_grounds", "ground_fault", "load_of", "open_need"]

Need = ModelChoice | GroundChoice

# A pipe that somebody put there is not waited for.
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def find_grounds(recipe: Recipe, *, max_pixels: int) -> tuple[GroundChoice, ...]:
    """Look the recipe's pictures up, as they are now.

    Raises GroundFault where one is not there, is no file or does not answer, DaemonFault where bgrd is short of what it
    takes to look. Whether it is a picture only a lane can tell.
    """
    return tuple(_found(path, max_pixels) for path in recipe.grounds)


def open_need(need: Need, path: Path) -> int:
    """Open one of the `files` of a model or ground; the receiver closes it.

    Raises ModelFault or GroundFault, DaemonFault.
    """
    if isinstance(need, GroundChoice):
        with _faults(path):
            return ask(path, lambda: _opened(path), unwanted=os.close)
    try:
        return ask(path, lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC), unwanted=os.close)
    except OSError as error:
        raise _short(error) or ModelFault(
            f"the file of model {need.name} cannot be read: {path}: {_reason(error)}"
        ) from error


@contextmanager
def files_of(need: Need) -> Iterator[tuple[int, ...]]:
    """Open all files of a model or ground for as long as they are sent. Raises as `open_need`."""
    with ExitStack() as opened:
        descriptors = []
        for path in need.files:
            descriptor = open_need(need, path)
            # Some file systems ask their server when a file is closed.
            opened.callback(dispose, partial(os.close, descriptor))
            descriptors.append(descriptor)
        yield tuple(descriptors)


def load_of(need: Need, limits: Limits) -> Load:
    """Give the message that has a process take a model or ground."""
    if isinstance(need, GroundChoice):
        return Load(model=need.name, sha256=None, spec=None, threads=limits.threads, ground=need.max_pixels)
    return Load(
        model=need.name,
        sha256=need.sha256,
        spec=need.spec,
        threads=limits.threads,
        external=list(need.external),
        providers=list(limits.providers),
        fallback=limits.provider_fallback,
    )


def ground_fault(path: Path, why: object) -> GroundFault:
    """Say which picture keeps its folder from being worked on, and why."""
    return GroundFault(f"the picture {shown(os.fsencode(path))} of `on` cannot be used: {why}")


def _found(path: Path, max_pixels: int) -> GroundChoice:
    with _faults(path):
        status = ask(path, lambda: _regular(os.stat(path)))
    facts = (os.fspath(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    name = hashlib.sha256(repr(facts).encode(errors="surrogatepass")).hexdigest()[:32]
    # No model's name has a slash in it.
    return GroundChoice(name=f"ground/{name}", path=path, max_pixels=max_pixels)


def _opened(path: Path) -> int:
    descriptor = os.open(path, _OPEN)
    try:
        _regular(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _regular(status: os.stat_result) -> os.stat_result:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "it is no file")
    return status


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _short(error) or ground_fault(path, _reason(error)) from error


def _short(error: OSError) -> Fault | None:
    """Give the fault of a bgrd that is short of what it takes to look, None where the file is to blame."""
    if error.errno not in SHORTAGES:
        return None
    return DaemonFault(f"bgrd is short of system resources: {_reason(error)}")


def _reason(error: OSError) -> str:
    return error.strerror or os.strerror(error.errno or 0)
