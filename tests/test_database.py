"""The owner of sqlite3: groups, savepoints, full disks and the end."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from bgrd.errors import StateError
from bgrd.journal.database import Database, Tables
from tests.houses.databases import FIRST, WAIT_SECONDS, add, opened, words


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a file in a directory that is not there yet."""
    return tmp_path / "state" / "journal.db"


def setting(held: Database, key: str) -> object:
    """Read a setting of the connection."""
    row = held.read(lambda tables: tables.row(f"PRAGMA {key}"))
    assert row is not None
    return row[key]


@contextlib.contextmanager
def held_up(held: Database) -> Iterator[None]:
    """Keep the database's thread busy, so that requests made meanwhile become one group."""
    started, go = threading.Event(), threading.Event()

    def block(_: Tables) -> None:
        started.set()
        assert go.wait(WAIT_SECONDS)

    blocked = held.submit(block, writes=False)
    assert started.wait(WAIT_SECONDS)
    try:
        yield
    finally:
        go.set()
    blocked.result(WAIT_SECONDS)


class TestGroups:
    def test_answer_means_on_disk(self, path: Path) -> None:
        """What was answered is seen by others and after opening again."""
        with opened(path) as held:
            assert held.write(add("a")) == 1
            with contextlib.closing(sqlite3.connect(path)) as other:
                assert other.execute("SELECT text FROM word").fetchall() == [("a",)]
            assert held.read(words) == ["a"]
        with opened(path) as again:
            assert again.read(words) == ["a"]

    def test_answer_waits_for_commit(self, path: Path) -> None:
        """No request of a group is answered before the last one has run and the group is committed."""
        started, go = threading.Event(), threading.Event()

        def last(tables: Tables) -> None:
            started.set()
            assert go.wait(WAIT_SECONDS)
            add("last")(tables)

        with opened(path) as held:
            with held_up(held):
                first = held.submit(add("first"), writes=True)
                second = held.submit(last, writes=True)
            assert started.wait(WAIT_SECONDS)
            assert not first.done()
            go.set()
            assert (first.result(WAIT_SECONDS), second.result(WAIT_SECONDS)) == (1, None)

    def test_one_that_raises_takes_back_only_itself(self, path: Path) -> None:
        """A request's own error reaches its caller as it is; its changes go, its neighbours' stay."""

        def wrong(tables: Tables) -> None:
            add("lost")(tables)
            raise KeyError("mine")

        with opened(path) as held:
            with held_up(held):
                futures: list[Future[int]] = [held.submit(add("a"), writes=True)]
                failing = held.submit(wrong, writes=True)
                futures.append(held.submit(add("b"), writes=True))
            assert [future.result(WAIT_SECONDS) for future in futures] == [1, 1]
            with pytest.raises(KeyError, match="mine"):
                failing.result(WAIT_SECONDS)
            assert held.read(words) == ["a", "b"]

    def test_statement_that_fails_is_a_state_error(self, path: Path) -> None:
        """What SQLite refuses is told as StateError, to the one who asked only."""
        with opened(path) as held:
            with held_up(held):
                kept = held.submit(add("a"), writes=True)
                twice = held.submit(add("a"), writes=True)
            assert kept.result(WAIT_SECONDS) == 1
            with pytest.raises(StateError, match="UNIQUE"):
                twice.result(WAIT_SECONDS)

    def test_group_falls_together(self, path: Path) -> None:
        """When the transaction is lost, every request of the group fails, nothing is kept, and the next one works."""
        with opened(path) as held:
            with held_up(held):
                futures = [
                    held.submit(add("a"), writes=True),
                    held.submit(lambda tables: tables.run("ROLLBACK"), writes=True),
                    held.submit(add("b"), writes=True),
                ]
            for future in futures:
                with pytest.raises(StateError):
                    future.result(WAIT_SECONDS)
            assert held.read(words) == []
            assert held.write(add("c")) == 1

    def test_cancelled_request_is_not_run(self, path: Path) -> None:
        """A request that was given up while it queued changes nothing."""
        with opened(path) as held:
            with held_up(held):
                given_up = held.submit(add("a"), writes=True)
                assert given_up.cancel()
                kept = held.submit(add("b"), writes=True)
            assert kept.result(WAIT_SECONDS) == 1
            assert held.read(words) == ["b"]

    def test_many_threads(self, path: Path) -> None:
        """Requests of many threads are all done, each once."""
        with opened(path) as held:
            threads = [
                threading.Thread(target=lambda part=part: [held.write(add(f"{part}-{n}")) for n in range(20)])
                for part in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(WAIT_SECONDS)
            assert sorted(held.read(words)) == sorted(f"{part}-{n}" for part in range(8) for n in range(20))


class TestNoRoom:
    def test_commit_that_fails(self, path: Path) -> None:
        """A COMMIT that cannot be written fails its whole group, keeps nothing, and leaves the database usable."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        with opened(path) as held:
            held.write(add("before"))
            wal = path.with_name(path.name + "-wal")
            with held_up(held):
                futures = [held.submit(add(f"{n}" * 3000), writes=True) for n in range(5)]
                resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size, hard))
            try:
                for future in futures:
                    with pytest.raises(StateError, match="journal"):
                        future.result(WAIT_SECONDS)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert held.read(words) == ["before"]
            assert held.write(add("after")) == 1
        with opened(path) as again:
            assert again.read(words) == ["before", "after"]

    def test_commit_that_is_refused(self, path: Path) -> None:
        """A COMMIT that leaves its transaction open, here for a deferred constraint, blocks nothing after it."""
        schema = "CREATE TABLE line (word TEXT REFERENCES word (text) DEFERRABLE INITIALLY DEFERRED)"
        with contextlib.closing(Database(path, exclusive=False, migrations=((*FIRST, schema),))) as held:
            with pytest.raises(StateError, match="FOREIGN KEY"):
                held.write(lambda tables: tables.run("INSERT INTO line VALUES ('never written')"))
            assert held.write(add("a")) == 1
            assert held.read(words) == ["a"]

    def test_reads_survive_a_failing_group(self, path: Path) -> None:
        """What only reads is answered although the writes it was grouped with fail, and sees nothing of them."""
        with opened(path) as held:
            held.write(add("before"))
            held.write(lambda tables: tables.row("PRAGMA max_page_count = 1"))
            with held_up(held):
                before = held.submit(words, writes=False)
                failing = held.submit(add("x" * 100_000), writes=True)
                after = held.submit(words, writes=False)
            with pytest.raises(StateError, match="make room") as caught:
                failing.result(WAIT_SECONDS)
            assert caught.value.transient
            assert before.result(WAIT_SECONDS) == after.result(WAIT_SECONDS) == ["before"]

    def test_full_disk(self, path: Path) -> None:
        """A database that cannot grow says so in a sentence, and goes on once there is room."""
        with opened(path) as held:
            held.write(lambda tables: tables.row("PRAGMA max_page_count = 1"))
            with pytest.raises(StateError, match="make room"):
                held.write(add("x" * 100_000))
            held.write(lambda tables: tables.row("PRAGMA max_page_count = 100000"))
            assert held.write(add("y")) == 1
            assert held.read(words) == ["y"]


class TestClosing:
    def test_close_finishes_what_is_queued(self, path: Path) -> None:
        """What was asked for before the close is done; what comes later is refused; the thread is gone."""
        held = Database(path, exclusive=False, migrations=(FIRST,))
        with held_up(held):
            queued = held.submit(add("a"), writes=True)
            closer = threading.Thread(target=held.close)
            closer.start()
        closer.join(WAIT_SECONDS)
        assert queued.result(WAIT_SECONDS) == 1
        with pytest.raises(StateError, match="closed"):
            held.read(words)
        held.close()
        assert not held._thread.is_alive()
        assert [name.name for name in path.parent.iterdir()] == ["journal.db"]
