"""`bgrd models pull`, `add` and `quantize`: what brings a model into the models' directory."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from bgrd.config.load import custom_models
from bgrd.config.settings import Settings
from bgrd.errors import BusyError, CannotCreateError, ModelFault, NoInputError, UsageError
from bgrd.escape import line
from bgrd.job import ModelChoice
from bgrd.models.catalogue import ROWS
from bgrd.models.index import Entry, note_speeds, read
from bgrd.models.partial import digest, lock
from bgrd.models.shelf import copied, file_name_for, record
from bgrd.models.store import canonical, find

if TYPE_CHECKING:
    from bgrd.models.quantize import Worth

__all__ = ["add", "pull", "quantize"]

_NOT_INSTALLED = 1
_WORTH_IT = 0.95
"""A variant that takes more than this share of the time gives up precision for nothing."""

_TO_USE = 'to use it: model = "{}" under [defaults], or in a [[folder]]'


def pull(options: argparse.Namespace, settings: Settings) -> int:
    """Fetch a model of the catalogue. Raises what `models.pull` raises."""
    from bgrd.models.fetch import Pace, Teller  # noqa: PLC0415 - the network only for those who ask for it
    from bgrd.models.pull import pull as fetched  # noqa: PLC0415 - the same

    name = canonical(options.name)
    if name in custom_models(settings):
        message = f"{name} is described in the configuration: its file is where its [[model]] table says"
        raise UsageError(message)
    console = _console()
    try:
        with _bar(console, wanted=not options.no_progress) as progress:
            task = progress.add_task(escape(line(name)), total=None)
            arrived = fetched(
                name,
                directory=settings.models_directory,
                mirrors=settings.model_mirrors,
                accept_licence=options.accept_licence,
                environ=os.environ,
                pace=Pace(),
                teller=Teller(
                    progress=lambda done, total: progress.update(task, completed=done, total=total),
                    say=lambda sentence: console.print(escape(line(sentence)), soft_wrap=True),
                ),
            )
    except KeyboardInterrupt:
        console.print("stopped; what came so far is kept, and the same command goes on there")
        raise
    if not arrived.url:
        _say(f"{name} is installed already, and its checksum is right: {arrived.path}")
        return os.EX_OK
    _say(f"{name} is installed: {arrived.path}, {arrived.digest.size / 1e6:.1f} MB from {arrived.url}")
    if not arrived.published:
        _say(f"no checksum is published for it: sha256:{arrived.digest.sha256} of what came is held from now on")
    return os.EX_OK


def add(options: argparse.Namespace, settings: Settings) -> int:
    """Install a file. Raises what `models.add` raises."""
    from bgrd.models.add import add as added_from  # noqa: PLC0415 - onnxruntime is loaded where a model is tried

    added = added_from(options.file, name=options.name, directory=settings.models_directory)
    _say(f"{added.name} is installed: {added.path}")
    if not added.tried:
        _say("it was not tried: the first picture does that")
    if not added.licence:
        _say("its file does not say under which licence it comes")
    elif not added.commercial:
        _say(f"its licence, {added.licence}, does not allow commercial use")
    if added.name in custom_models(settings):
        _say(f"the configuration has a [[model]] table of the same name, which comes first: {added.name}")
    else:
        _say(_TO_USE.format(added.name))
    return os.EX_OK


def quantize(options: argparse.Namespace, settings: Settings) -> int:
    """Make and install an int8 variant; 1 where it was not installed. Raises what `models.quantize` raises."""
    name, custom = canonical(options.name), custom_models(settings)
    if ":" in name and name not in custom:
        message = f"{name} is a variant already: name the model itself"
        raise UsageError(message)
    if find_spec("onnx") is None:
        message = "making variants needs the extra `quantize`: pip install 'bgrd[quantize]'"
        raise UsageError(message)
    from bgrd.models import quantize as quantizing  # noqa: PLC0415 - onnx and onnxruntime, for this command alone

    directory = settings.models_directory
    choice = _installed(name, custom, directory)
    photos = quantizing.photos_in(options.calibrate)
    _say(f"calibrating on {len(photos.shown)} photos, measuring on {len(photos.held_back)} others")
    with _workshop(directory) as workshop:
        draft = workshop / "int8.onnx"
        quantizing.quantise(choice, photos, draft)
        worth = quantizing.measure(choice, draft, photos)
        _tell_worth(name, worth, before=sum(path.stat().st_size for path in choice.files), after=draft.stat().st_size)
        if worth.share > _WORTH_IT:
            _say("it is not faster on this machine: not installed")
            return _NOT_INSTALLED
        if not (options.accept or _agreed(f"install it as {name}:int8?")):
            _say("not installed; --accept installs it without asking")
            return _NOT_INSTALLED
        entry = _shelved(f"{name}:int8", draft, choice, directory)
    note_speeds(directory, {name: worth.milliseconds, entry.name: worth.milliseconds_int8})
    _say(f"{entry.name} is installed: {directory / entry.file_name}; {_TO_USE.format(entry.name)}")
    return os.EX_OK


def _installed(name: str, custom: Mapping[str, ModelChoice], directory: Path) -> ModelChoice:
    """Give the model a variant is made of. Raises NoInputError where it is not there, ModelFault for a bad index."""
    read(directory)
    try:
        return find(name, custom=custom, directory=directory)
    except ModelFault as fault:
        raise NoInputError(str(fault)) from fault


def _shelved(name: str, draft: Path, choice: ModelChoice, directory: Path) -> Entry:
    """Put a variant on the shelf."""
    found = digest(draft)
    base = name.partition(":")[0]
    entry = Entry(
        name=name,
        file_name=file_name_for(name, read(directory)),
        sha256=found.sha256,
        size=found.size,
        origin=f"made here of {choice.path.name}",
        licence=ROWS[base].licence if base in ROWS else str((choice.spec or {}).get("licence", "")),
        spec=None if base in ROWS else choice.spec,
    )
    copied(draft, directory / entry.file_name, expected=found)
    record(directory, entry)
    return entry


@contextmanager
def _workshop(directory: Path) -> Iterator[Path]:
    """Give an empty directory for drafts, which is gone afterwards. Raises BusyError, CannotCreateError.

    One at a time: two would spoil each other's measurements. What a killed command left goes with the next.
    """
    place = directory / ".quantize"
    try:
        place.mkdir(parents=True, exist_ok=True)
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        message = f"{directory} cannot be written: {os.strerror(error.errno or 0)}"
        raise CannotCreateError(message) from error
    try:
        _take(fd, place)
        try:
            yield place
        finally:
            rmtree(place, ignore_errors=True)
    finally:
        os.close(fd)


def _take(fd: int, place: Path) -> None:
    """Lock a workshop and clear it. Raises BusyError, CannotCreateError."""
    try:
        lock(fd, wait=False)
        for left in place.iterdir():
            left.unlink()
    except (BlockingIOError, FileNotFoundError) as error:  # the one who had it is at work, or just went
        message = "another bgrd is making a variant right now"
        raise BusyError(message) from error
    except OSError as error:
        message = f"{place} cannot be cleared: {os.strerror(error.errno or 0)}"
        raise CannotCreateError(message) from error


def _tell_worth(name: str, worth: Worth, *, before: int, after: int) -> None:
    _say(
        f"{name}: {worth.milliseconds:.1f} ms a picture, {before / 1e6:.1f} MB; as int8 "
        f"{worth.milliseconds_int8:.1f} ms ({worth.share:.2f} of the time), {after / 1e6:.1f} MB"
    )
    _say(
        f"its opacity differs by {worth.mean:.2f} of 255 on average, and by at most {worth.p99:.1f} in 99 of 100 pixels"
    )


def _agreed(question: str) -> bool:
    """Ask on a terminal; nobody who could answer has not agreed."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        return input(f"{line(question)} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _bar(console: Console, *, wanted: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not (wanted and console.is_terminal))


def _say(sentence: str) -> None:
    Console(highlight=False, emoji=False).print(escape(line(sentence)), soft_wrap=True)


def _console() -> Console:
    return Console(stderr=True, highlight=False, emoji=False)
