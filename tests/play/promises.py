"""The promise as a small model: what a user did, what lies where, and what may never be seen. Knows of no journal.

`Promise` is told what the user does and is shown inbox, outbox and archive after every step. It fails where a source
is lost, a result is wrong, torn or in place of what is not bgrd's, or work is done twice; `keep` fails where, after
everything came to rest, something is still owed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bgrd.job import Policy
from tests.houses.played_lanes import fate, result_of

__all__ = ["Places", "Promise", "coming_names"]

HIDDEN = ".bgrd-"
NOTES = "_failed/"


def coming_names(path: str) -> list[str]:
    """Give the first names that a result of this source may take, best first."""
    stem = path.rpartition(".")[0]
    return [f"{stem}.png", f"{path}.png", *(f"{path}-{number}.png" for number in range(2, 8))]


def _put_back_names(path: str) -> list[str]:
    stem, _, suffix = path.rpartition(".")
    return [path, *(f"{stem}-{number}.{suffix}" for number in range(2, 8))]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Every file below inbox, outbox and archive with its bytes, hidden ones too."""

    inbox: Mapping[str, bytes]
    outbox: Mapping[str, bytes]
    archive: Mapping[str, bytes]

    @property
    def results(self) -> dict[str, bytes]:
        """What a user sees in the outbox, without the failure notes."""
        return {name: data for name, data in self.outbox.items() if HIDDEN not in name and not name.startswith(NOTES)}

    @property
    def notes(self) -> set[str]:
        """The names of the failure notes."""
        return {name for name in self.outbox if name.startswith(NOTES) and HIDDEN not in name}

    @property
    def hidden(self) -> list[str]:
        """Names that no user chose."""
        return sorted(name for place in (self.inbox, self.outbox, self.archive) for name in place if HIDDEN in name)


@dataclass
class Promise:
    """What was done and seen so far.

    `there`: what the user has in the inbox. `owed`: paths whose present bytes have had no result since they were
    dropped. `may`: paths that may be worked on again because somebody came between. `users`: what the user has in
    the outbox. `adrift`: sources the user dropped something over while bgrd held them hidden. `older`: sources that
    were there before the policy changed, and may have had their result by then.
    """

    there: dict[str, bytes] = field(default_factory=dict)
    owed: set[str] = field(default_factory=set)
    may: set[str] = field(default_factory=set)
    users: dict[str, bytes] = field(default_factory=dict)
    adrift: set[tuple[str, bytes]] = field(default_factory=set)
    older: set[str] = field(default_factory=set)
    policies: set[Policy] = field(default_factory=set)
    hurt: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    set_back: bool = False
    _delivered: set[tuple[str, bytes]] = field(default_factory=set)
    _dropped: set[tuple[str, bytes]] = field(default_factory=set)
    _results: dict[str, bytes] = field(default_factory=dict)
    _archive: dict[str, bytes] = field(default_factory=dict)

    # What the user does

    def drop(self, path: str, data: bytes, *, hidden: bool = False) -> None:
        """Bytes come to lie at a path, by whatever way; `hidden`: what lay there is bgrd's guest at the moment."""
        if hidden and path in self.there:
            self.adrift.add((path, self.there[path]))
        self.there[path] = data
        self.owed.add(path)
        self.may.discard(path)
        self.older.discard(path)
        self._dropped.add((path, data))
        self._delivered.discard((path, data))

    def change_policy(self, policy: Policy) -> None:
        """Have another policy from now on."""
        self.policies.add(policy)
        self.older.update(self.there)

    def take(self, path: str) -> bytes:
        """Have a source leave its path."""
        self.owed.discard(path)
        self.may.discard(path)
        return self.there.pop(path)

    def own(self, name: str, data: bytes) -> None:
        """Have a file of the user in the outbox, in place of what lies there."""
        self._disturb(name)
        self.users[name] = data
        self._results.pop(name, None)

    def clear(self, name: str) -> None:
        """Have a file in the outbox deleted."""
        self._disturb(name)
        self.users.pop(name, None)
        self._results.pop(name, None)

    def excuse(self, paths: Iterable[str] | None = None) -> None:
        """Let what is not finished be done again: a call failed, or a user came between."""
        self.may.update(self.there if paths is None else paths)

    def _disturb(self, name: str) -> None:
        self.excuse(path for path in self.there if name in coming_names(path))

    # What must hold at any moment

    def begin(self, path: str, data: bytes, places: Places) -> None:
        """Have a lane begin on these bytes: nobody may have done that already."""
        if path in self.may or self.there.get(path) != data:
            return
        if any(other != path and same == data for other, same in self._dropped):
            return  # whose result lies there cannot be told from outside
        assert path in self.owed, f"{path} is worked on again though nobody dropped it again"
        for name in coming_names(path):
            assert places.outbox.get(name) != result_of(data), f"{path} is worked on though its result is {name}"

    def look(self, places: Places, *, whole: bool) -> None:
        """Everything is where it may be; `whole` says that no source may be hidden now."""
        self._look_at_results(places)
        for name, data in self._archive.items():
            assert places.archive.get(name) == data, f"{name} in the archive is gone or another"
        self._archive = {name: data for name, data in places.archive.items() if HIDDEN not in name}
        self._adopt(places)
        self._look_at_sources(places, whole=whole)

    def _look_at_results(self, places: Places) -> None:
        results = places.results
        for name, data in self.users.items():
            assert results.get(name) == data, f"the user's {name} is gone or changed"
        makers = {name: self._makers(name, data) for name, data in results.items() if name not in self.users}
        for name, found in makers.items():
            assert found, f"{name} is no whole result of anything that was ever there: {results[name]!r}"
            fresh = self._results.get(name) != results[name]
            assert not fresh or found & self.there.items(), f"{name} is a result of what is not there any more"
            self._delivered |= found
        for name, data in self._results.items():
            assert name in results, f"the result {name} vanished"
            if results[name] != data and name not in self.users:
                before = {path for path, _ in self._makers(name, data)}
                assert before & {path for path, _ in makers[name]}, f"{name} was replaced by another file's result"
        self._results = {name: data for name, data in results.items() if name not in self.users}
        self.owed -= {path for path in self.owed if (path, self.there[path]) in self._delivered}

    def _makers(self, name: str, content: bytes) -> set[tuple[str, bytes]]:
        return {
            (path, data)
            for path, data in self._dropped
            if name in coming_names(path) and result_of(data) == content and fate(data) is None
        }

    def _adopt(self, places: Places) -> None:
        """Take in sources that bgrd gave another name because theirs was taken meanwhile."""
        for name, data in places.inbox.items():
            if name not in self.there and HIDDEN not in name:
                homes = {pair for pair in self.adrift if pair[1] == data and name in _put_back_names(pair[0])}
                assert homes, f"nobody put {name} into the inbox"
                self.adrift -= homes
                self.drop(name, data)

    def _look_at_sources(self, places: Places, *, whole: bool) -> None:
        kept = set(places.inbox.values())
        for path, data in list(self.there.items()):
            if places.inbox.get(path) == data:
                continue
            assert path not in places.inbox, f"{path} is not what the user put there"
            if self._applied(path, data, places):
                self.take(path)
            else:
                assert not whole, f"{path} is gone, and no policy says so"
                assert data in kept, f"{path} is lost"
        for path, data in list(self.adrift):
            if self._applied(path, data, places):
                self.adrift.discard((path, data))
            else:
                assert data in kept, f"{path}, dropped over, is lost"

    def _applied(self, path: str, data: bytes, places: Places) -> bool:
        hidden = any(HIDDEN in name and content == data for name, content in places.inbox.items())
        if (path, data) not in self._delivered or hidden:
            return False
        return "delete" in self.policies or ("archive" in self.policies and data in places.archive.values())

    # What must hold once everything came to rest

    def keep(self, places: Places, *, policy: Policy) -> None:
        """Nothing is owed any more, nothing is hidden, each failure is told."""
        assert not places.hidden, f"left over: {places.hidden}"
        assert not self.adrift
        failed = set()
        for path, data in self.there.items():
            noted = f"{NOTES}{path}.txt" in places.notes
            if noted:
                failed.add(f"{NOTES}{path}.txt")
            if fate(data) is not None:
                excused = path in self.may or (self.set_back and data.startswith(b"half"))
                assert noted or excused, f"{path} should have failed"
            elif noted:
                assert self.hurt[path, data] >= 2, f"{path} failed without a reason"
            else:
                self._keep_source(path, data, places, policy=policy)
        assert places.notes == failed, f"notes of what did not fail: {places.notes - failed}"
        self._count(places)

    def _keep_source(self, path: str, data: bytes, places: Places, *, policy: Policy) -> None:
        assert path not in self.owed, f"{path} has no result"
        assert policy == "keep" or path in self.may | self.older, f"the policy of {path} was not applied"
        if path not in self.may:
            same = [other for other, bytes_there in self.there.items() if bytes_there == data and other not in self.may]
            found = sorted(name for name, content in self._results.items() if content == result_of(data))
            assert len(found) >= len(same), f"{same} have only {found}"

    def _count(self, places: Places) -> None:
        """No more results of the same bytes than paths that ever had them."""
        counted = Counter(self._results.values())
        for content, number in counted.items():
            paths = {path for path, data in self._dropped if result_of(data) == content}
            names = sorted(name for name, data in self._results.items() if data == content)
            assert number <= len(paths), f"{names} are the same result twice"
