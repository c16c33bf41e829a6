"""A damaged journal and the daemon: it ends with a sentence, mending it is one command, and nothing is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bgrd.errors import JournalError
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures.scenes import check_result, phone_photo

pytestmark = pytest.mark.timeout(240)

PAGE = 4096


def drop(house: House, number: int, *, first: int = 0) -> dict[Path, bytes]:
    """Drop pictures into the inbox."""
    sources = {house.inbox / f"{seed}.jpg": phone_photo(seed=seed) for seed in range(first, first + number)}
    for path, data in sources.items():
        path.write_bytes(data)
    return sources


def damage(path: Path, *, first: int = 1) -> None:
    """Write nonsense over the pages of a file from one on, in place, as a failing disk or memory does."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(first * PAGE)
        file.write(random.Random(1).randbytes(max(0, size - first * PAGE)))


def check_kept(house: House, sources: dict[Path, bytes]) -> None:
    """Hold that each source is there and has its result, and that nothing is half-written."""
    for path, data in sources.items():
        assert path.read_bytes() == data
        check_result(house.outbox / f"{path.stem}.png", data)
    assert not [name for name in house.results() if Path(name).name.startswith(".")]


def refused(house: House, *words: str) -> None:
    """Hold that neither `run` nor `once` works with the journal, and that both say what to do."""
    for command in (("run",), ("once", "--no-progress")):
        ended = house.run(*command)
        assert ended.returncode == JournalError.exit_code
        assert all(word in ended.stderr for word in words)
        assert "Traceback" not in ended.stderr


@pytest.mark.long
def test_a_journal_damaged_under_a_running_daemon(tmp_path: Path) -> None:
    """The daemon meets it, says which file and what to do, and ends; mended, it goes on with what was saved."""
    house = House(tmp_path / "house").folders()
    sources = drop(house, 3)
    with Daemon(house) as daemon:
        daemon.done(path.name for path in sources)
        assert daemon.stop() == 0
    with Daemon(house) as daemon:
        daemon.ready()
        for name in ("journal.db", "journal.db-wal"):
            if (house.state / name).exists():
                damage(house.state / name)
        sources |= drop(house, 3, first=3)
        assert daemon.ended() == JournalError.exit_code
        (said,) = daemon.sentences
        assert "bgrd check --journal" in said
    refused(house, "bgrd check --journal")
    assert "is damaged" in house.run("check", "--journal").stdout
    mended = house.run("check", "--repair")
    assert mended.returncode == JournalError.exit_code, "every page was lost"
    assert "move it away" in mended.stderr
    (house.state / "journal.db").rename(house.state / "journal.db.old")
    for log in house.state.glob("journal.db-*"):
        log.unlink()
    with Daemon(house) as daemon:
        daemon.done(path.name for path in sources)
        assert daemon.stop() == 0
    check_kept(house, sources)


@pytest.mark.long
@pytest.mark.parametrize("page", [0, 1, 2, 3])
def test_a_damaged_page(tmp_path: Path, page: int) -> None:
    """A journal with a damaged page is mended by one command; no source is lost and no result replaced."""
    house = House(tmp_path / "house").folders()
    sources = drop(house, 3)
    with Daemon(house) as daemon:
        daemon.done(path.name for path in sources)
        assert daemon.stop() == 0
    before = {name: path.read_bytes() for name, path in house.results().items()}
    journal = house.state / "journal.db"
    data = bytearray(journal.read_bytes())
    data[page * PAGE : (page + 1) * PAGE] = random.Random(page).randbytes(PAGE)
    journal.write_bytes(data)
    verified = house.run("check", "--journal")
    assert verified.returncode == JournalError.exit_code
    assert journal.read_bytes() == data
    if page == 0:
        refused(house, "bgrd check --journal")
    mended = house.run("check", "--repair")
    if mended.returncode:
        assert "move it away" in mended.stderr
        journal.unlink()
    sources |= drop(house, 1, first=3)
    with Daemon(house) as daemon:
        daemon.done(["3.jpg"])
        daemon.until(lambda: not daemon.house.status()["folders"]["default"]["jobs"].get("ready"))
        assert daemon.stop() == 0
    check_kept(house, sources)
    after = {name: path.read_bytes() for name, path in house.results().items()}
    assert {name: data for name, data in after.items() if name in before} == before


@pytest.mark.parametrize(
    "kind",
    ["empty", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("text", "directory", "newer", "log alone"))],
)
def test_a_file_in_its_place(tmp_path: Path, kind: str) -> None:
    """What is no journal of this bgrd is refused with a sentence, never replaced, and no picture is touched."""
    house = House(tmp_path / "house").folders()
    house.state.mkdir(parents=True)
    journal = house.state / "journal.db"
    match kind:
        case "empty":
            journal.touch()
        case "text":
            journal.write_text("notes to myself\n" * 1000)
        case "directory":
            journal.mkdir()
        case "newer":
            assert house.run("once", "--no-progress").returncode == 0
            data = bytearray(journal.read_bytes())
            data[60:64] = (99).to_bytes(4, "big")
            journal.write_bytes(data)
        case "log alone":
            (house.state / "journal.db-wal").write_bytes(b"log")
    before = {path.name: path.is_dir() or path.read_bytes() for path in house.state.iterdir()}
    drop(house, 1)
    refused(house, str(journal), "both" if kind == "log alone" else "move")
    assert not house.results()
    after = {path.name: path.is_dir() or path.read_bytes() for path in house.state.iterdir()}
    assert after | {"lock": b""} == before | {"lock": b""}
