"""`bgrd check` from the command line: the journal, the configuration, and who has them."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bgrd import __version__
from bgrd.cli.main import main
from bgrd.intake.guard import identify, recorded_for
from bgrd.job import Version
from bgrd.journal.journal import Journal
from bgrd.lock import hold
from bgrd.telemetry import status
from tests.houses.commands import configure, of_daemon

pytestmark = pytest.mark.usefixtures("home")


def test_the_journal_is_verified_and_mended(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check --journal` says how it is and changes nothing, `--repair` mends it; neither makes one."""
    assert main(["check", "--journal"]) == 0
    assert "not there yet" in capsys.readouterr().out
    assert main(["check", "--repair"]) == 0
    assert not list(state.iterdir())
    journal = Journal(state / "journal.db")
    journal.admit("default", [(b"a.jpg", Version(size=1, mtime_ns=1, ctime_ns=1, inode=1))])
    journal.close()
    assert main(["check", "--journal"]) == 0
    assert "is sound, 1 jobs" in capsys.readouterr().out
    with closing(sqlite3.connect(state / "journal.db")) as connection:
        connection.execute("UPDATE tally SET jobs = 7")
        connection.commit()
    assert main(["check", "--journal"]) == 65
    said = capsys.readouterr().out
    assert "counts of jobs are wrong" in said
    assert "bgrd check --journal --repair" in said
    with hold(state):
        assert main(["check", "--repair"]) == 75
        assert "another bgrd" in capsys.readouterr().err
    assert main(["check", "--journal", "--repair"]) == 0
    said = capsys.readouterr().out
    assert "is kept as" in said
    assert "is sound, 1 jobs" in said


def test_what_is_no_journal_is_65(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no journal is not replaced by one; the sentence says what to do. `status` says it and how bgrd is."""
    (state / "journal.db").write_bytes(b"no journal" * 1000)
    assert main(["check"]) == 65
    assert "move it away" in capsys.readouterr().err
    assert main(["status"]) == 3
    text = capsys.readouterr().out
    assert text.startswith("bgrd is not running\nnothing could be counted: ")
    assert "move it away" in text
    assert (state / "journal.db").read_bytes() == b"no journal" * 1000


def test_another_versions_journal_is_left_alone(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Opening would bring it to our version under the daemon that works with it; its own counts are shown instead."""
    (state / "journal.db").write_bytes(b"of another version")
    of_daemon(state, version="0.0.9")
    with hold(state):
        assert main(["status"]) == 0
        text = capsys.readouterr().out
        assert main(["check"]) == 0
        checked = capsys.readouterr().out
        assert main(["check", "--accept-mounts"]) == 75
    assert text.splitlines()[1].startswith("the counts are what bgrd told last: the journal is left to bgrd 0.0.9")
    assert text.splitlines()[3].split()[:9] == ["default", "ready", *"00000", "2", "7"]
    assert "another version" in checked
    assert (state / "journal.db").read_bytes() == b"of another version"


def test_a_journal_that_its_daemon_has_alone(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network file system: status and check do without it and say so."""
    monkeypatch.setattr("bgrd.journal.file._BUSY_SECONDS", 0.1)
    journal = Journal(state / "journal.db", exclusive=True)
    of_daemon(state, version=__version__)
    with hold(state):
        assert main(["status", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert main(["check"]) == 0
        checked = capsys.readouterr().out
    journal.close()
    assert facts["folders"]["default"]["jobs"] == {"done": 7, "failed": 2}
    assert "held by another program" in facts["journal"]
    assert "held by another program" in checked


def test_a_daemon_that_has_not_spoken_yet_runs(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lock says that it runs, whatever a status file of another process says."""
    status.write(state / "status.json", {"pid": 1, "version": "9"})
    with hold(state):
        assert main(["status"]) == 0
    assert capsys.readouterr().out.startswith(f"bgrd runs as process {os.getpid()}, and has told nothing more\n")


def test_check_says_ok_or_what_to_do(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the defaults everything is in order and the default folders are there; a missing inbox is wrong and 78."""
    assert main(["check"]) == 0
    text = capsys.readouterr().out
    assert "OK" in text
    assert "wrong" not in text
    assert (home / "bgr/inbox").is_dir()
    configure(home, '[[folder]]\nname = "f"\ninbox = "/nowhere/[/in]"\noutbox = "/nowhere/out"\n')
    assert main(["check"]) == 78
    text = capsys.readouterr().out
    assert "wrong" in text
    assert "/nowhere/[/in]" in text, "a name is no markup"
    assert "->" in text


def test_check_accepts_mounts(home: Path, state: Path) -> None:
    """`--accept-mounts` remembers where the folders lie now."""
    assert main(["check", "--accept-mounts"]) == 0
    journal = Journal(state / "journal.db")
    for role in ("inbox", "outbox"):
        place = home / "bgr" / role
        assert recorded_for(place, journal.mount("default", role)) == identify(place)
    journal.close()
