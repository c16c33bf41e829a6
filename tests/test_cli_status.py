"""`bgrd status` from the command line: a table, and JSON that keeps odd names exact."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path

import pytest

from bgrd import __version__
from bgrd.cli.main import main
from bgrd.job import Result, version_of
from bgrd.journal.journal import Journal
from bgrd.lock import hold
from bgrd.telemetry import status
from tests.houses.commands import ODD, of_daemon
from tests.pictures.making import corners, encoded

JPEG = encoded(corners(), "JPEG")

pytestmark = pytest.mark.usefixtures("home")


def failed_job(home: Path, state: Path) -> None:
    """Have the journal hold a failed job with an odd name."""
    inbox = home / "bgr/inbox"
    inbox.mkdir(parents=True)
    file = os.path.join(os.fsencode(inbox), ODD)
    with open(file, "wb") as stream:
        stream.write(b"bad")
    journal = Journal(state / "journal.db")
    journal.admit("default", [(ODD, version_of(os.lstat(file)))])
    job = journal.claim("default", oldest=False, now=0.0)
    assert job is not None
    journal.fail(job.id, kind="input", reason="it is [bold]damaged[/]", note=None)
    journal.close()


def test_status_is_a_table(home: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders with counts, then what failed and why, a line each, odd names harmless; 3: not running."""
    failed_job(home, state)
    assert main(["status"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "bgrd is not running"
    assert lines[1].split() == [
        *("folder", "state", "ready", "running", "committing", "waiting", "retry", "failed", "done")
    ]
    assert lines[2].split() == ["default", "not", "running", *"0000010"]
    assert lines[3] == f"default: {home / 'bgr/inbox'} -> {home / 'bgr/outbox'}"
    assert lines[4] == r"failed: default/caf\xe9 [red]\n.jpg: it is [bold]damaged[/]"
    assert len(lines) == 5


def test_status_as_json_keeps_odd_names_exact(home: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script can find the very file; a plain name has no second form."""
    failed_job(home, state)
    assert main(["status", "--json"]) == 3
    facts = json.loads(capsys.readouterr().out)
    assert (facts["running"], facts["pid"]) == (False, None)
    assert facts["folders"]["default"]["jobs"] == {"failed": 1}
    assert facts["folders"]["default"]["inbox"] == {"name": str(home / "bgr/inbox")}
    (job,) = facts["troubled"]
    assert base64.b64decode(job["path"]["base64"]) == ODD
    assert (job["path"]["name"], job["kind"], job["due"]) == (r"caf\xe9 [red]\n.jpg", "input", None)


def test_status_without_anything_makes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asking is no start: no journal, no folders."""
    assert main(["status"]) == 3
    assert "not running" in capsys.readouterr().out
    assert not (home / ".local").exists()
    assert not (home / "bgr").exists()


def test_status_of_a_running_daemon(home: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While it holds the lock what it says is shown, also what is still being written; exit 0."""
    folder = {"state": "blocked", "reason": "the outbox is full", "writing": [ODD], "watch": "inotify"}
    facts = {"pid": os.getpid(), "version": "9", "ready": True, "lanes": [1, 2], "folders": {"default": folder}}
    status.write(state / "status.json", facts)
    with hold(state):
        assert main(["status"]) == 0
        text = capsys.readouterr().out
        assert main(["status", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
    assert text.startswith(f"bgrd 9 runs as process {os.getpid()}, 2 lanes\n")
    assert "default: the outbox is full\n" in text
    assert r"default: caf\xe9 [red]\n.jpg is still being written" in text
    assert base64.b64decode(told["folders"]["default"]["writing"][0]["base64"]) == ODD
    assert main(["status"]) == 3, "the word of one that ended is not taken"


def test_status_shows_what_is_being_committed(home: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One column for both states; what stands there long is told, what is just passing through is not."""
    inbox = home / "bgr/inbox"
    inbox.mkdir(parents=True)
    times = iter([time.time() - 3600.0] * 4 + [time.time()] * 4)
    journal = Journal(state / "journal.db", clock=lambda: next(times))
    for name in (b"old.jpg", b"new.jpg"):
        (inbox / os.fsdecode(name)).write_bytes(JPEG)
        journal.admit("default", [(name, version_of(os.lstat(inbox / os.fsdecode(name))))])
        job = journal.claim("default", oldest=False, now=0.0)
        assert job is not None
        journal.intend(job.id, [Result(target=b"x.png", size=1, sha256="0")])
        journal.committed(job.id)
        next(times)
    journal.close()
    of_daemon(state, version=__version__)
    with hold(state):
        assert main(["status"]) == 0
        lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:9] == ["default", "ready", "0", "0", "2", *"0000"]
    assert lines[4:] == [
        "committed: default/old.jpg: its result is there; the source policy could not be applied yet",
    ]
