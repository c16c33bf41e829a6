"""Asks the world about one folder: are its directories there and usable, and what do they lie on.

Looks and tries, changes nothing. Residual risk: where a share's server took a request and never answers, the kernel
keeps the process that asked until the share answers or is aborted: all is said by then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from bgrd.delivery.outbox import Outbox
from bgrd.errors import FolderFault
from bgrd.escape import shown
from bgrd.intake.guard import guarded, identify, mount_at, recorded_for
from bgrd.intake.mounts import is_network, read_mounts, watching
from bgrd.job import Folder
from bgrd.question import Question

__all__ = ["Finding", "RecordedMounts", "examine", "examine_all", "missing", "plain"]

_RUNGS = {
    "unnamed": "results appear whole, nothing half-written is ever seen",
    "hidden+link": "results appear whole, by way of hidden files beside them",
    "hidden+renameat2": "results appear whole, by way of hidden files beside them",
}


_ANSWER_SECONDS = 10.0
_AGAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `text` says what is so, `advice` what to do about it, "" where nothing is to do.

    An *error* keeps pictures from being worked on, a *warn* costs something or may surprise.
    """

    level: Literal["ok", "warn", "error"]
    subject: str
    text: str
    advice: str = ""


class RecordedMounts(Protocol):
    """What of the journal is asked: the mount a folder's directory lay on before, or None."""

    def mount(self, folder: str, role: str) -> str | None:
        """Give what was recorded, see `guard.record`."""


def plain(path: Path) -> str:
    """Give a path as printable text."""
    return shown(os.fsencode(path))


def missing(path: Path) -> Path | None:
    """Give the nearest existing parent of a path that is not there, or None where it is there. Raises OSError."""
    for place in (path, *path.parents):
        try:
            place.stat()
        except FileNotFoundError:
            continue
        return None if place == path else place
    return Path("/")


def examine(folder: Folder, *, recorded: RecordedMounts | None = None) -> Iterator[Finding]:
    """Yield what there is to say about a folder; `recorded` tells where its directories lay before."""
    yield from _inbox(folder)
    yield from _outbox(folder)
    if folder.policy == "archive":
        yield from _archive(folder)
    yield from _corrections(folder)
    yield from _watch(folder)
    if recorded is not None:
        yield from _mounts(folder, recorded)


def examine_all(
    plan: Sequence[Folder], *, recorded: RecordedMounts | None = None
) -> tuple[list[Finding], list[Folder]]:
    """Examine all folders at once; gives the findings, in the plan's order, and the folders that answered in time."""
    asked = [(folder, Question(partial(_listed, folder, recorded))) for folder in plan]
    until = time.monotonic() + _ANSWER_SECONDS
    found: list[Finding] = []
    answering = []
    for folder, question in asked:
        try:
            found += question.answer(max(0.0, until - time.monotonic()))
        except TimeoutError:
            found += _silence(folder)
        except OSError as error:
            text = f"it cannot be looked at: {error.strerror}"
            found.append(Finding(level="error", subject=f"folder {folder.name}", text=text, advice="try again"))
        else:
            answering.append(folder)
    return found, answering


def _listed(folder: Folder, recorded: RecordedMounts | None) -> list[Finding]:
    return list(examine(folder, recorded=recorded))


def _silence(folder: Folder) -> list[Finding]:
    """Say which directories of a folder do not answer."""
    roles = {role: (path, Question(partial(_device, path))) for role, path in guarded(folder).items()}
    until = time.monotonic() + _AGAIN_SECONDS
    silent = []
    for role, (path, question) in roles.items():
        try:
            question.answer(max(0.0, until - time.monotonic()))
        except TimeoutError:
            silent.append((f"folder {folder.name}: {role}", f"the file system of {plain(path)} does not answer"))
        except OSError:
            continue  # no thread could be started to ask
    advice = "see whether the server of the share runs and can be reached, or unmount it"
    return [
        Finding(level="error", subject=subject, text=text, advice=advice)
        for subject, text in silent
        or [(f"folder {folder.name}", f"it took more than {_ANSWER_SECONDS:g} s to look at")]
    ]


def _inbox(folder: Folder) -> Iterator[Finding]:
    """Yield whether the inbox can be read and, where sources are to go, emptied."""
    subject = f"folder {folder.name}: inbox"
    absent = _absent(folder, subject, folder.inbox)
    if absent is not None:
        yield absent
        return
    if not os.access(folder.inbox, os.R_OK | os.X_OK):
        yield Finding(
            level="error",
            subject=subject,
            text=f"{plain(folder.inbox)} may not be read by this user",
            advice=f"give yourself the right, as in: chmod u+rx {plain(folder.inbox)}",
        )
    elif folder.policy != "keep" and not os.access(folder.inbox, os.W_OK):
        yield Finding(
            level="error",
            subject=subject,
            text=f'{plain(folder.inbox)} may not be written, so policy = "{folder.policy}" cannot take sources away',
            advice='use policy = "keep", or give yourself the right to write there',
        )
    else:
        yield Finding(level="ok", subject=subject, text=plain(folder.inbox))


def _outbox(folder: Folder) -> Iterator[Finding]:
    """Yield whether results can be written, by writing one that is never seen."""
    subject = f"folder {folder.name}: outbox"
    absent = _absent(folder, subject, folder.outbox)
    if absent is not None:
        yield absent
        return
    outbox = Outbox(folder.outbox, mode=folder.mode, group=folder.group, min_free=folder.min_free)
    try:
        outbox.probe()
        rung = outbox.rung
    except FolderFault as fault:
        yield Finding(level="error", subject=subject, text=str(fault), advice="the folder waits until this is mended")
    else:
        yield Finding(level="ok", subject=subject, text=f"{plain(folder.outbox)}: {_RUNGS[rung]}")


def _archive(folder: Folder) -> Iterator[Finding]:
    """Yield whether sources can be archived, and how."""
    subject = f"folder {folder.name}: archive"
    absent = _absent(folder, subject, folder.archive)
    if absent is not None:
        yield absent
        return
    if not os.access(folder.archive, os.W_OK | os.X_OK):
        yield Finding(
            level="error",
            subject=subject,
            text=f"{plain(folder.archive)} may not be written by this user",
            advice="give yourself the right, or choose another archive",
        )
        return
    way = "sources are moved there"
    if _device(folder.archive) != _device(folder.inbox):
        way = "another file system: sources are copied there, compared, and only then removed"
    yield Finding(level="ok", subject=subject, text=f"{plain(folder.archive)}: {way}")


def _corrections(folder: Folder) -> Iterator[Finding]:
    """Yield whether there is something to learn from, where the user made the directory or named one."""
    subject = f"folder {folder.name}: corrections"
    place = folder.corrections
    if place is None:
        return
    if not place.is_dir():
        if place.parent != folder.outbox:
            text = f"{plain(place)} is no directory, so nothing can be corrected there"
            yield Finding(level="warn", subject=subject, text=text, advice=f"make it: mkdir -p {plain(place)}")
    elif folder.policy == "delete":
        yield Finding(
            level="warn",
            subject=subject,
            text=f'{plain(place)}: with policy = "delete" the photos are gone, there is nothing to learn from',
            advice='use policy = "keep" or "archive"',
        )
    else:
        yield Finding(level="ok", subject=subject, text=f"{plain(place)}: what you correct there can be learnt from")


def _watch(folder: Folder) -> Iterator[Finding]:
    """Yield how new files are noticed and why."""
    subject = f"folder {folder.name}: watch"
    mount = mount_at(folder.inbox)
    way, reason = watching(os.fsencode(os.path.realpath(folder.inbox)), folder.watch, read_mounts(), mount=mount)
    if way == "inotify" and mount is not None and is_network(mount):
        yield Finding(
            level="warn",
            subject=subject,
            text=f"inotify, but {mount.fstype} may change without this machine being told",
            advice=f'use watch = "auto" or "poll", else new files are found every {folder.rescan_seconds:g} s only',
        )
        return
    how = "inotify, at once" if way == "inotify" else f"poll, every {folder.poll_seconds:g} s"
    yield Finding(level="ok", subject=subject, text=f"{how} ({reason})")


def _mounts(folder: Folder, recorded: RecordedMounts) -> Iterator[Finding]:
    """Yield each directory that does not lie where it lay before."""
    for role, path in guarded(folder).items():
        before = recorded_for(path, recorded.mount(folder.name, role))
        if before is not None and before != identify(path):
            yield Finding(
                level="error",
                subject=f"folder {folder.name}: {role}",
                text=f"{plain(path)} is not on the mount it used to be on",
                advice="mount it again, or accept the new place with `bgrd check --accept-mounts`",
            )


def _absent(folder: Folder, subject: str, path: Path) -> Finding | None:
    """Say that a directory is not there or is none, or None where it is one."""
    try:
        parent = missing(path)
    except OSError as error:
        text = f"{plain(path)} cannot be reached: {error.strerror}"
        return Finding(level="error", subject=subject, text=text, advice="look at the directories above it")
    if parent is None:
        if path.is_dir():
            return None
        return Finding(
            level="error", subject=subject, text=f"{plain(path)} is no directory", advice="choose another path"
        )
    if not folder.create:
        return Finding(
            level="error",
            subject=subject,
            text=f"{plain(path)} is not there",
            advice=f"mount what it lies on, or make it: mkdir -p {plain(path)}",
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        text = f"{plain(path)} is not there and cannot be made in {plain(parent)}"
        return Finding(level="error", subject=subject, text=text, advice="configure a [[folder]] elsewhere")
    return Finding(level="ok", subject=subject, text=f"{plain(path)} is made when bgrd starts")


def _device(path: Path) -> int | None:
    """Give the device a path lies on, or None where it is not there."""
    try:
        return path.stat().st_dev
    except OSError:
        return None
