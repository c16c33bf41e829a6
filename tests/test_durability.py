"""The order in which things are made durable, as the kernel saw it: what a power cut may not turn round."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.houses.houses import PATIENCE_SECONDS, House
from tests.pictures.scenes import phone_photo

pytestmark = pytest.mark.timeout(240)

CALLS = "fsync,fdatasync,linkat,renameat2,unlinkat,pwrite64"
_LINE = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>)?(?P<text>.*)")


@dataclass(slots=True)
class Call:
    """One system call: between which lines of the record it was under way, and what it said."""

    text: str
    begun: int
    ended: int

    @property
    def name(self) -> str:
        """The call's name."""
        return self.text.partition("(")[0]


def calls(record: Path) -> list[Call]:
    """Read what strace wrote; calls that were interrupted by another thread's stand on two lines."""
    found: list[Call] = []
    open_calls: dict[str, Call] = {}
    for number, line in enumerate(record.read_text().splitlines()):
        match = _LINE.fullmatch(line)
        assert match is not None, line
        if match["resumed"]:
            open_calls.pop(match["pid"]).ended = number
        elif not match["text"].startswith(("+++", "---")):
            found.append(Call(text=match["text"], begun=number, ended=number))
            if "<unfinished" in match["text"]:
                open_calls[match["pid"]] = found[-1]
    return found


class Record:
    """The calls of a whole run, asked for in order."""

    def __init__(self, record: Path) -> None:
        self._calls = calls(record)

    def all(self, pattern: str) -> list[Call]:
        """Give the calls that say this."""
        return [call for call in self._calls if re.search(pattern, call.text)]

    def one(self, pattern: str) -> Call:
        """Give the one call that says this."""
        (call,) = self.all(pattern)
        return call

    def between(self, first: Call, second: Call, pattern: str) -> Call:
        """Give a call that says this and was made behind the one and before the other."""
        inside = [call for call in self.all(pattern) if first.ended < call.begun and call.ended < second.begun]
        assert inside, f"no {pattern} between {first.text} and {second.text}"
        return inside[0]


def recorded(house: House, settings: str) -> Record:
    """Have one picture worked by `bgrd once` on the inbox, with every call of parent and lane on record."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    house.configure(f'[defaults]\nproducts = ["cutout", "mask"]\n{settings}')
    (house.inbox / "p.jpg").write_bytes(phone_photo())
    record = house.root / "record"
    watched = ["strace", "-f", "--seccomp-bpf", "-y", "-qq", "-e", f"trace={CALLS}", "-o", str(record)]
    done = subprocess.run(
        [*watched, sys.executable, "-m", "bgrd", "once"],
        env=house.environment,
        cwd=house.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    if "PTRACE" in done.stderr:
        pytest.skip("strace may not look here")
    assert done.returncode == 0, done.stderr
    return Record(record)


WRITTEN = r"^pwrite64\(\d+<[^>]*journal\.db-wal>"
SYNCED = r"^f(data)?sync\(\d+<[^>]*journal\.db-wal>"


def check_commit(record: Record, hidden: Call) -> None:
    """Hold the order of a commit whose source is taken away by the call `hidden`."""
    drafts = record.all(r"^fsync\(\d+<[^>]*/outbox/#\d+")[-2:]  # before them the outbox is tried
    links = record.all(r'^linkat\(.*"p\.(mask\.)?png"')
    assert (len(drafts), len(links)) == (2, 2)
    last_draft, first_link, last_link = max(drafts, key=lambda call: call.ended), links[0], links[-1]
    record.between(record.between(last_draft, first_link, WRITTEN), first_link, SYNCED)  # the intent
    published = record.between(last_link, hidden, r"^fsync\(\d+<[^>]*/outbox>")
    record.between(record.between(published, hidden, WRITTEN), hidden, SYNCED)  # committed


def test_a_source_goes_after_everything_else_is_on_disk(tmp_path: Path) -> None:
    """Results' bytes, intent, results' names, the commit in the journal: each is on disk before the next begins."""
    house = House(tmp_path / "house").folders()
    record = recorded(house, 'policy = "delete"\n')
    hidden = record.one(r'^renameat2\(.*"p\.jpg".*"\.bgrd-src-')
    check_commit(record, hidden)
    removed = record.one(r'^unlinkat\(.*"\.bgrd-src-')
    assert hidden.ended < removed.begun
    record.between(removed, record.all(SYNCED)[-1], r"^fsync\(\d+<[^>]*/inbox>")


def test_a_source_goes_after_its_copy_is_on_disk(tmp_path: Path, elsewhere: Path) -> None:
    """Across file systems the copy's bytes and then its name are on disk before the source is removed."""
    house = House(tmp_path / "house").folders()
    folder = f'[[folder]]\nname = "f"\ninbox = "{house.inbox}"\noutbox = "{house.outbox}"\narchive = "{elsewhere}"\n'
    record = recorded(house, f'policy = "archive"\n{folder}')
    hidden = record.one(r'^renameat2\(.*/inbox>, "p\.jpg".*"\.bgrd-src-')
    check_commit(record, hidden)
    stored = record.one(rf'^renameat2\(.*<{elsewhere}>, "\.bgrd-src-.*"p\.jpg"')
    removed = record.one(r'^unlinkat\(.*/inbox>, "\.bgrd-src-')
    record.between(hidden, stored, rf"^fsync\(\d+<{elsewhere}/\.bgrd-src-")
    record.between(stored, removed, rf"^fsync\(\d+<{elsewhere}>")
