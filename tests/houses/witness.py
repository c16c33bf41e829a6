"""An independent witness of the promise: knows the file system and what was sent, and nothing of bgrd.

It imports no part of bgrd. `wrong` may be asked at any moment, also while bgrd lies killed; `unfinished` once all is
said to be done.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["Sent", "Witness"]

Stamp = tuple[int, int, int]


@dataclass(slots=True)
class Sent:
    """What lies, or lay, under one name of the inbox, version after version, and what each has to give.

    `results` maps names in the outbox to their bytes, of a clean run. `overwritten` are the versions that were still
    there when the next one came. `gone` says that its sender took the last one away; where that is `bad` it gives a
    note and no result.
    """

    versions: list[bytes] = field(default_factory=list)
    results: list[dict[str, bytes]] = field(default_factory=list)
    overwritten: set[int] = field(default_factory=set)
    stamp: Stamp = (0, 0, 0)
    bad: bool = False
    gone: bool = False


class Witness:
    """Watches one folder's inbox, outbox and archive."""

    def __init__(
        self, inbox: Path, outbox: Path, archive: Path, *, policy: Literal["keep", "archive", "delete"]
    ) -> None:
        self.inbox = inbox
        self.outbox = outbox
        self.archive = archive
        self.policy = policy
        self.sent: dict[str, Sent] = {}

    def send(self, name: str, data: bytes, results: dict[str, bytes], *, bad: bool = False) -> Path:
        """Put a finished file into the inbox in one step, in place of the version before; `bad` ones give no result."""
        place = self.inbox / name
        aside = place.with_name(f".aside-{name}")
        aside.write_bytes(data)
        sent = self._next(name, data, results, overwrites=place.exists())
        sent.stamp, sent.bad, sent.gone = _stamp(aside), bad, False
        aside.rename(place)
        return place

    def touch(self, name: str) -> None:
        """Give a file another time, as a user does who wants it tried again."""
        os.utime(self.inbox / name)
        self.sent[name].stamp = _stamp(self.inbox / name)

    def append(self, name: str, data: bytes, results: dict[str, bytes]) -> None:
        """Add bytes to a file that was already taken, wherever it is now: hidden, if bgrd is about to take it away."""
        whole = self.sent[name].versions[-1]
        places = [path for path in (self.inbox / name, *self.inbox.rglob(".bgrd-*")) if _read(path) == whole]
        with places[0].open("ab") as file:
            file.write(data)
        self._next(name, whole + data, results, overwrites=True).stamp = _stamp(places[0])

    def _next(self, name: str, data: bytes, results: dict[str, bytes], *, overwrites: bool) -> Sent:
        sent = self.sent.setdefault(name, Sent())
        if overwrites and sent.versions:
            sent.overwritten.add(len(sent.versions) - 1)
        sent.versions.append(data)
        sent.results.append(results)
        return sent

    def withdraw(self, name: str) -> None:
        """Take a file away again."""
        self.sent[name].gone = True
        (self.inbox / name).unlink()

    def wrong(self) -> list[str]:
        """Say what may never be, whenever one looks: a partial or foreign result, a lost or touched source."""
        return [*self._wrong_results(), *self._wrong_archive(), *self._wrong_sources()]

    def unfinished(self) -> list[str]:
        """Say what must not be once all is done, or what is missing: results, policies, leftovers, notes."""
        return [*self.wrong(), *self._missing(), *self._left_over(), *self._odd_notes()]

    def _wrong_results(self) -> Iterator[str]:
        allowed: dict[str, list[bytes]] = {}
        for sent in self.sent.values():
            for results in sent.results:
                for name, data in results.items():
                    allowed.setdefault(name, []).append(data)
        for name, path in _visible(self.outbox):
            if not name.startswith("_failed/") and _read(path) not in [*allowed.get(name, []), None]:
                yield f"result {name} is not that of a clean run"

    def _wrong_archive(self) -> Iterator[str]:
        whole = {data for sent in self.sent.values() for data in sent.versions}
        for name, path in _visible(self.archive):
            if _read(path) not in whole | {None}:
                yield f"archived {name} is not what was sent"

    def _wrong_sources(self) -> Iterator[str]:
        for name, sent in self.sent.items():
            if sent.gone:
                continue
            place = self.inbox / name
            if _read(place) == sent.versions[-1]:
                if self.policy == "keep" and _stamp(place) != sent.stamp:
                    yield f"source {name} was touched"
            elif place.exists():
                yield f"source {name} is not what was sent"
            elif self.policy == "keep" or sent.bad or not self._published(sent):
                if self._hidden_copies(sent) == 0:
                    yield f"source {name} is gone"
            elif self.policy == "archive" and not self._hidden_copies(sent) and not self._archived(sent):
                yield f"source {name} is neither in the inbox nor in the archive"

    def _published(self, sent: Sent) -> bool:
        return all(_read(self.outbox / name) == data for name, data in sent.results[-1].items())

    def _hidden_copies(self, sent: Sent) -> int:
        """Count the hidden files beside the sources that hold the last version: it is on its way, and comes back."""
        return sum(_read(path) == sent.versions[-1] for path in self.inbox.rglob(".bgrd-*"))

    def _archived(self, sent: Sent) -> int:
        return sum(_read(path) == sent.versions[-1] for _, path in _visible(self.archive))

    def _missing(self) -> Iterator[str]:
        wanted: dict[str, bytes] = {}
        for name, sent in self.sent.items():
            wanted |= {} if sent.bad else sent.results[-1]
            stays = not sent.gone and (self.policy == "keep" or sent.bad)
            if (self.inbox / name).exists() != stays:
                yield f"source {name} should {'' if stays else 'not '}be in the inbox"
        found = {name: _read(path) for name, path in _visible(self.outbox) if not name.startswith("_failed/")}
        if found != wanted:
            names = sorted({name for name, _ in found.items() ^ wanted.items()})
            yield f"results missing, wrong or too many: {names}"
        archived = Counter(_read(path) for _, path in _visible(self.archive))
        expected = Counter(data for sent in self.sent.values() for data in self._to_archive(sent))
        if archived != expected:
            yield f"{archived.total()} files are archived where {expected.total()} should be, or others"

    def _to_archive(self, sent: Sent) -> list[bytes]:
        """Give the versions that were worked on to their end."""
        if self.policy != "archive":
            return []
        return [
            data
            for index, (data, results) in enumerate(zip(sent.versions, sent.results, strict=True))
            if results and index not in sent.overwritten
        ]

    def _left_over(self) -> Iterator[str]:
        for root in (self.inbox, self.outbox, self.archive):
            for path in root.rglob(".*"):
                yield f"left over: {path.relative_to(root.parent)}"

    def _odd_notes(self) -> Iterator[str]:
        notes = {name.removeprefix("_failed/") for name, _ in _visible(self.outbox) if name.startswith("_failed/")}
        wanted = {f"{name}.txt" for name, sent in self.sent.items() if sent.bad and not sent.gone}
        if notes != wanted:
            yield f"notes missing or too many: {sorted(notes ^ wanted)}"


def _visible(root: Path) -> Iterator[tuple[str, Path]]:
    """Give every file below a root that has no hidden part in its name."""
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if not path.is_dir() and not any(part.startswith(".") for part in name.split("/")):
            yield name, path


def _read(path: Path) -> bytes | None:
    """Give a file's bytes, None where it is not there (any more)."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _stamp(path: Path) -> Stamp:
    """Give what shows whether anybody touched a file but renamed it."""
    found = os.lstat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns
