"""The journal across its ends, clean, unclean and by kill -9; and what it remembers besides jobs."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bgrd.errors import StateError
from bgrd.job import Job, State
from bgrd.journal.database import Tables
from bgrd.journal.journal import Journal, TransitionError
from tests.houses.journals import RESULT, VERSION, begun, opened

WAIT_SECONDS = 30.0

# Works as the daemon does, and says each step once the journal has answered.
WORKER = """
import sys
from pathlib import Path
from bgrd.job import Result, Version
from bgrd.journal.journal import Journal

journal = Journal(Path(sys.argv[1]))
journal.recover()
start = int(sys.argv[2])
for n in range(start, start + 100_000):
    path = b"%d.jpg" % n
    journal.admit("f", [(path, Version(size=n, mtime_ns=n, ctime_ns=n, inode=n))])
    print(n, "ready", flush=True)
    job = journal.claim("f", oldest=False, now=1.0)
    print(n, "running", flush=True)
    journal.hashed(job.id, sha256=str(n), recipe="r")
    journal.intend(job.id, [Result(target=path, size=n, sha256=str(n))])
    print(n, "committing", flush=True)
    journal.committed(job.id)
    print(n, "committed", flush=True)
    journal.done(job.id, details={})
    print(n, "done", flush=True)
"""
STEPS = ["ready", "running", "committing", "committed", "done"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the journal's place."""
    return tmp_path / "state" / "journal.db"


class TestRecover:
    def test_clean_end(self, path: Path) -> None:
        """After a clean end nobody is charged, and what ran is ready again."""
        for _ in range(5):
            journal = Journal(path)
            assert journal.recover().committing == ()
            begun(journal)
            journal.close(clean=True)
        with opened(path) as again:
            recovery = again.recover()
        (job,) = recovery.interrupted
        assert (recovery.requeued, job.state, job.unclean, job.alone) == (1, State.READY, 0, False)

    def test_unclean_ends(self, path: Path) -> None:
        """Decoded at two unclean ends a job runs alone; at a third it fails and says why."""
        found = []
        failed: list[Job] = []
        for _ in range(4):
            with opened(path) as journal:
                recovery = journal.recover()
                failed += recovery.failed
                found.append([(job.state, job.unclean, job.alone) for job in recovery.interrupted])
                assert recovery.requeued == sum(job.state is State.READY for job in recovery.interrupted)
                journal.admit("f", [(b"a.jpg", VERSION)])
                job = journal.claim("f", oldest=True, now=1000.0)
                if job is not None:
                    journal.hashed(job.id, sha256="s", recipe="r")
        assert found == [[], [(State.READY, 1, False)], [(State.READY, 2, True)], [(State.FAILED, 3, True)]]
        assert [(job.kind, job.path) for job in failed] == [("crash", b"a.jpg")]
        assert "3 times" in failed[0].reason
        with opened(path) as journal:
            journal.requeue(failed[0].id)
            (fresh,) = journal.jobs(states=[State.READY], limit=9)
        assert (fresh.unclean, fresh.alone, fresh.attempts) == (0, False, 0)

    def test_a_claim_alone_is_no_guilt(self, path: Path) -> None:
        """A job that only waited for a lane is never charged, were it hashed in an earlier try or not."""
        with opened(path) as journal:
            journal.recover()
            job = begun(journal)
            journal.hashed(job.id, sha256="s", recipe="r")
            journal.requeue(job.id)
        for _ in range(5):
            with opened(path) as journal:
                recovery = journal.recover()
                assert recovery.failed == ()
                again = journal.claim("f", oldest=True, now=1000.0)
                assert again is not None
                assert (again.unclean, again.alone, again.sha256) == (0, False, None)

    def test_an_abandoned_worker(self, path: Path) -> None:
        """While bgrd runs, one folder's jobs are taken back uncharged; the other folders' are left alone."""
        with opened(path) as journal:
            journal.recover()
            jobs = [begun(journal, name) for name in (b"a", b"b", b"c")]
            for job in jobs:
                journal.hashed(job.id, sha256="s", recipe="r")
            for job in jobs[:2]:
                journal.intend(job.id, [RESULT])
            journal.committed(jobs[1].id)
            journal.admit("g", [(b"other", VERSION)])
            other = journal.claim("g", oldest=True, now=1000.0)
            assert other is not None
            recovery = journal.interrupted("f")
            assert [job.id for job in recovery.committing] == [jobs[0].id]
            assert [job.id for job in recovery.committed] == [jobs[1].id]
            assert [(job.id, job.state, job.unclean) for job in recovery.interrupted] == [(jobs[2].id, "ready", 0)]
            assert (recovery.requeued, recovery.failed) == (1, ())
            assert journal.counts()["g"] == {"running": 1}

    def test_commits_to_finish(self, path: Path) -> None:
        """What lay between intent and done is handed over with its results and not charged."""
        with opened(path) as journal:
            journal.recover()
            jobs = [begun(journal, name) for name in (b"a", b"b", b"c")]
            for job in jobs[:2]:
                journal.intend(job.id, [RESULT])
            journal.committed(jobs[1].id)
        with opened(path) as again:
            recovery = again.recover()
        assert [(job.id, job.results) for job in recovery.committing] == [(jobs[0].id, (RESULT,))]
        assert [(job.id, job.results) for job in recovery.committed] == [(jobs[1].id, (RESULT,))]
        assert [job.id for job in recovery.interrupted] == [jobs[2].id]
        assert {job.unclean for job in recovery.committing + recovery.committed} == {0}

    def test_source_gone_meanwhile(self, path: Path) -> None:
        """What ran for a source that is gone is not queued again."""
        with opened(path) as journal:
            begun(journal)
            journal.missing("f", [b"a.jpg"])
            assert journal.recover().requeued == 0
            assert journal.counts() == {"f": {"withdrawn": 1}}

    def test_close_that_cannot_be_recorded(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A clean end that cannot be written is told, and the file is closed all the same."""

        def full(tables: Tables) -> None:
            raise StateError("full")

        journal = Journal(path)
        monkeypatch.setattr("bgrd.journal.journal.turns.end_cleanly", full)
        with pytest.raises(StateError, match="full"):
            journal.close(clean=True)
        with pytest.raises(StateError, match="closed"):
            journal.counts()


class TestKilled:
    def test_every_answer_is_kept(self, path: Path) -> None:
        """After kill -9 at any moment every step that was answered is there, and at most the next one besides."""
        reached: dict[int, str] = {}
        for lives in range(6):
            reached |= _live_and_die(path, start=lives * 1000, after_lines=7 + 37 * lives)
            with opened(path) as journal:
                jobs = {int(job.path[:-4]): job for job in journal.jobs(states=list(State), limit=10_000)}
            for number, step in reached.items():
                allowed = STEPS[STEPS.index(step) :][:2]
                if number < lives * 1000 and step == "running":
                    allowed.append("ready")  # a later life has taken it back
                assert jobs[number].state in allowed
                if jobs[number].state in {"committing", "committed", "done"}:
                    assert jobs[number].results[0].sha256 == str(number)
            assert len(jobs) - len(reached) <= lives + 1


def _live_and_die(path: Path, *, start: int, after_lines: int) -> dict[int, str]:
    """Run a worker, kill it once it has said so much, and give the last step it answered for each file."""
    reached: dict[int, str] = {}
    command = [sys.executable, "-c", WORKER, str(path), str(start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        for count, line in enumerate(worker.stdout):
            if count == after_lines:
                worker.kill()
            if line.endswith("\n"):
                number, step = line.split()
                reached[int(number)] = step
    return reached


class TestLife:
    def test_illegal_steps(self, path: Path) -> None:
        """A step the table does not allow is a programming error and changes nothing."""
        with opened(path) as journal:
            journal.admit("f", [(b"a.jpg", VERSION)])
            (ready,) = journal.jobs(states=[State.READY], limit=1)
            steps: list[Callable[[], object]] = [
                lambda: journal.hashed(ready.id, sha256="s", recipe="r"),
                lambda: journal.intend(ready.id, [RESULT]),
                lambda: journal.committed(ready.id),
                lambda: journal.done(ready.id, details={}),
                lambda: journal.fail(ready.id, kind="k", reason="r", note=None),
                lambda: journal.requeue(ready.id),
                lambda: journal.withdraw(99, reason="r"),
            ]
            for step in steps:
                with pytest.raises(TransitionError):
                    step()
            assert journal.jobs(states=list(State), limit=9) == [ready]

    def test_ping(self, path: Path) -> None:
        """A ping tells whether the journal's thread answers in time; it does not when it is stuck or closed."""
        started, go = threading.Event(), threading.Event()

        def stuck(_: Tables) -> None:
            started.set()
            assert go.wait(WAIT_SECONDS)

        with opened(path) as journal:
            assert journal.ping(WAIT_SECONDS)
            future = journal._database.submit(stuck, writes=False)
            assert started.wait(WAIT_SECONDS)
            assert not journal.ping(0.01)
            go.set()
            future.result(WAIT_SECONDS)
            assert journal.ping(WAIT_SECONDS)
        assert not journal.ping(WAIT_SECONDS)

    def test_network_mode(self, path: Path) -> None:
        """On a network mount the journal works the same."""
        with contextlib.closing(Journal(path, exclusive=True)) as journal:
            begun(journal)
        with opened(path) as again:
            assert again.counts() == {"f": {"running": 1}}


class TestFacts:
    def test_notes(self, path: Path) -> None:
        """A failure note is remembered until it is cleared, and stale once its file is no failure any more."""
        with opened(path) as journal:
            job = begun(journal)
            journal.fail(job.id, kind="input", reason="r", note=b"_failed/a.jpg.txt")
            assert journal.note_of("f", b"a.jpg") == b"_failed/a.jpg.txt"
            assert journal.stale_notes("f") == []
            journal.missing("f", [b"a.jpg"])
            assert journal.stale_notes("f") == [b"a.jpg"]
            journal.clear_note("f", b"a.jpg")
            assert (journal.note_of("f", b"a.jpg"), journal.stale_notes("f")) == (None, [])

    def test_mounts_and_flags(self, path: Path) -> None:
        """Mounts and flags are kept per folder, whatever bytes their names have."""
        with opened(path) as journal:
            assert (journal.mount("f", "inbox"), journal.flag("f", "walked")) == (None, False)
            journal.set_mount("f", "inbox", "/mnt/\udcff ext4")
            journal.set_flag("f", "walked")
        with opened(path) as journal:
            assert (journal.mount("f", "inbox"), journal.flag("f", "walked")) == ("/mnt/\udcff ext4", True)
            assert (journal.mount("g", "inbox"), journal.flag("g", "walked")) == (None, False)
            journal.set_flag("f", "walked", value=False)
            assert not journal.flag("f", "walked")

    def test_jobs(self, path: Path) -> None:
        """Jobs are listed newest first over all folders, or of one."""
        with opened(path) as journal:
            for n in range(4):
                journal.admit("fg"[n % 2], [(b"%d" % n, VERSION)])
            states = [State.READY, State.READY, State.DONE]
            assert [job.path for job in journal.jobs(states=states, limit=3)] == [b"3", b"2", b"1"]
            assert [job.path for job in journal.jobs(states=states, folder="f", limit=3)] == [b"2", b"0"]
            assert journal.jobs(states=[], limit=3) == []
