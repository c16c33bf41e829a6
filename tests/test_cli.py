"""The command line: exit codes, sentences on standard error, tables and JSON."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from bgrd import __version__
from bgrd.cli.main import entry, main, parser
from bgrd.cli.once import _Tally
from bgrd.intake.guard import identify, recorded_for
from bgrd.job import Result, Version, version_of
from bgrd.journal.journal import Journal
from bgrd.lock import hold
from bgrd.telemetry import status
from tests.houses.inboxes import until
from tests.pictures.making import corners, encoded

JPEG = encoded(corners(), "JPEG")
ODD = b"caf\xe9 [red]\n.jpg"
"""A name that is no UTF-8, and has a line break and what rich takes for markup."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a user of its own."""
    for name in [name for name in os.environ if name.startswith(("XDG_", "BGRD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def state(home: Path) -> Path:
    """Give the state directory, made."""
    path = home / ".local/state/bgrd"
    path.mkdir(parents=True)
    return path


def configure(home: Path, text: str) -> None:
    """Write the configuration."""
    path = home / ".config/bgrd/config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bgrd", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=50
    )


def test_help_names_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """`bgrd --help` ends well and tells what there is to know; so does each command's."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for word in (
        "run",
        "once",
        "check",
        "status",
        "bench",
        "~/bgr/inbox",
        " 1 ",
        " 3 ",
        "64",
        "66",
        "70",
        "73",
        "74",
        "75",
        "78",
        "130",
    ):
        assert word in text
    for command in ("run", "once", "check", "status", "bench"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`bgrd --version` gives name and version."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"bgrd {__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    """`bgrd --help` answers without pydantic, watchdog or anything that works on pictures."""
    code = "import sys, bgrd.cli.main as m; m.parser().format_help(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pydantic", "watchdog", "rich", "numpy", "PIL", "onnxruntime", "sqlite3"} & set(loaded)


def test_every_command_has_its_module() -> None:
    """What the parser offers can be imported and has `command`."""
    actions = parser()._subparsers
    assert actions is not None
    (choices,) = [action.choices for action in actions._group_actions]
    assert choices is not None
    for name in choices:
        assert callable(import_module(f"bgrd.cli.{name}").command)


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["status", "--yaml"], ["once", "--model", "x"], ["once", "-o", "."]]
)
def test_a_command_line_that_makes_no_sense_is_64(arguments: list[str]) -> None:
    """Unknown commands and options, and options that do not go together."""
    ended = run(*arguments)
    assert ended.returncode == 64
    assert ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_missing_input_is_66(capsys: pytest.CaptureFixture[str]) -> None:
    """The file is named."""
    assert main(["once", "nowhere.jpg"]) == 66
    assert capsys.readouterr().err == "bgrd: there is no file nowhere.jpg\n"


def test_an_output_that_cannot_be_made_is_73(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file stands where the output folder should be."""
    (tmp_path / "a.jpg").write_bytes(JPEG)
    (tmp_path / "out").write_bytes(b"")
    assert main(["once", "a.jpg", "-o", "out/below"]) == 73
    assert capsys.readouterr().err.startswith("bgrd: the folder out/below cannot be made")


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


def of_daemon(state: Path, *, version: str) -> None:
    """Have the status file say what a daemon, this process, would."""
    folder = {"state": "ready", "jobs": {"done": 7, "failed": 2}}
    facts = {"pid": os.getpid(), "version": version, "ready": True, "lanes": [1], "folders": {"default": folder}}
    status.write(state / "status.json", facts)


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


@pytest.mark.parametrize("arguments", [["once"], ["run"]])
def test_a_second_bgrd_is_75(state: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Whoever holds the state is named; nothing is worked on twice."""
    lock = hold(state)
    assert main(arguments) == 75
    assert str(os.getpid()) in capsys.readouterr().err
    lock.close()


@pytest.mark.parametrize("arguments", [["run"], ["once"], ["once", "a.jpg"], ["check"], ["status"]])
def test_a_wrong_configuration_is_78(home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Every command says which key is wrong."""
    configure(home, "[defaults]\nthreshold = 7\n")
    assert main(arguments) == 78
    error = capsys.readouterr().err
    assert error.startswith("bgrd: ")
    assert "threshold" in error


def test_a_configuration_that_was_named_and_is_missing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`-c FILE` means that file and no other."""
    for arguments in (["-c", "nowhere.toml", "status"], ["status", "-c", "nowhere.toml"]):
        assert main(arguments) in {66, 78}
        assert "nowhere.toml" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "once", "check", "status"])
def test_the_configuration_may_be_named_before_or_after_the_command(command: str) -> None:
    """After it wins, where somebody names two."""
    assert parser().parse_args(["-c", "a", command]).config == Path("a")
    assert parser().parse_args([command, "--config", "b"]).config == Path("b")
    assert parser().parse_args(["-c", "a", command, "-c", "b"]).config == Path("b")
    assert parser().parse_args([command]).config is None


def test_an_unknown_model_is_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The known ones are named."""
    (tmp_path / "a.jpg").write_bytes(JPEG)
    assert main(["once", "--model", "nonesuch", "a.jpg"]) == 78
    assert "bgrd-lite" in capsys.readouterr().err


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


def test_once_on_files_tells_failures_in_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A failing picture is exit 1 with its name and reason; the others are done; a run without failure is 0."""
    (tmp_path / "good.jpg").write_bytes(JPEG)
    with open(os.path.join(os.fsencode(tmp_path), ODD), "wb") as stream:
        stream.write(b"this is no picture")
    files = ["good.jpg", os.fsdecode(ODD)]
    assert main(["once", "--no-progress", *files, "-o", "out"]) == 1
    error = capsys.readouterr().err
    assert "1 done, 1 failed" in error
    (row,) = [line for line in error.splitlines() if line.startswith(r"caf\xe9 [red]\n.jpg")]
    assert "not a picture" in row
    with Image.open(tmp_path / "out/good.png") as image:
        assert image.size == (48, 32)
    assert sorted(os.listdir(tmp_path / "out")) == ["good.png"]
    assert main(["once", "good.jpg", "-o", "out"]) == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["good.jpg.png", "good.png"]
    assert not (tmp_path / "home/.local").exists(), "no journal, no lock"


def test_once_on_the_inboxes(home: Path) -> None:
    """What is there is done and it ends; a failure is exit 1 and in the table."""
    inbox = home / "bgr/inbox"
    inbox.mkdir(parents=True)
    (inbox / "good.jpg").write_bytes(JPEG)
    ended = run("once")
    assert (ended.returncode, "1 done, 0 failed" in ended.stderr) == (0, True), ended.stderr
    (inbox / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is no picture, only said to be" * 10 + b"\xff\xd9")
    ended = run("once")
    assert (ended.returncode, "0 done, 0 failed, 1 left" in ended.stderr) == (1, True), ended.stderr
    assert "bad.jpg" in ended.stderr
    ended = run("once")
    assert (ended.returncode, "bad.jpg" in ended.stderr) == (1, True), "what waits since an earlier run is told too"
    assert (home / "bgr/outbox/good.png").exists()


def test_once_says_what_it_does_without(home: Path, tmp_path: Path) -> None:
    """A provider that is left out, where that is allowed, is told: for files that are named, and for the inboxes."""
    told = "model bgrd-lite: Provider cuda is not in the onnxruntime that is installed"
    (tmp_path / "a.jpg").write_bytes(JPEG)
    (home / "bgr/inbox").mkdir(parents=True)
    configure(home, 'providers = ["cuda"]\n')
    refused = run("once", "a.jpg")
    assert (refused.returncode, "Provider cuda" in refused.stderr) == (1, True), refused.stderr
    configure(home, 'providers = ["cuda"]\nprovider_fallback = true\n')
    for ended in (run("once", "a.jpg"), run("once")):
        assert (ended.returncode, told in ended.stderr) == (0, True), ended.stderr


def test_once_that_is_stopped_is_130_and_says_what_is_left(home: Path) -> None:
    """Ctrl-C in the middle of an inbox is no success; the next run does the rest."""
    inbox, outbox = home / "bgr/inbox", home / "bgr/outbox"
    inbox.mkdir(parents=True)
    for number in range(300):
        (inbox / f"{number}.jpg").write_bytes(JPEG)
    program = [sys.executable, "-m", "bgrd", "once"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as ended:
        until(lambda: outbox.is_dir() and any(outbox.glob("*.png")), seconds=50)
        ended.send_signal(signal.SIGINT)
        _, error = ended.communicate(timeout=50)
    assert ended.returncode == 130, error
    counted = re.search(r"(\d+) done, 0 failed, (\d+) left", error)
    assert counted is not None, error
    assert int(counted[1]) + int(counted[2]) == 300


def test_once_names_the_files_that_are_still_being_written(home: Path) -> None:
    """It does not wait for a writer for ever, and does not call that done."""
    inbox = home / "bgr/inbox"
    inbox.mkdir(parents=True)
    (inbox / "good.jpg").write_bytes(JPEG)
    with (inbox / "open.jpg").open("wb") as stream:
        stream.write(JPEG[:100])
        stream.flush()
        ended = run("once")
    assert ended.returncode == 1, ended.stderr
    assert "1 done, 0 failed, 1 left" in ended.stderr
    (row,) = [line for line in ended.stderr.splitlines() if line.startswith("open.jpg")]
    assert "still being written" in row


def test_once_says_what_it_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pictures that lie where results go are not taken, and nobody has to wonder why."""
    (tmp_path / "in/out").mkdir(parents=True)
    (tmp_path / "in/a.jpg").write_bytes(JPEG)
    (tmp_path / "in/out/b.jpg").write_bytes(JPEG)
    assert main(["once", "in", "-o", "in/out"]) == 0
    error = capsys.readouterr().err
    assert "left out, as results go there: in/out" in error
    assert "1 done" in error


def test_the_tally_of_a_run_is_how_things_stand_at_its_end() -> None:
    """What waited and was done is done; what is in retry, or its folder blocked, is no silent success."""
    shown: list[tuple[int, int]] = []
    tally = _Tally(lambda done, total: shown.append((done, total)))
    tally("intake.admitted", folder="f", count=3)
    tally("job.waiting", folder="f", path=b"a", reason="incomplete")
    tally("job.done", folder="f", path=b"a")
    tally("job.retry", folder="f", path=b"b", reason="it died")
    tally("job.waiting", folder="f", path=b"c", reason="still copying")
    tally("job.withdrawn", folder="f", path=b"c")
    tally("folder.blocked", folder="g", reason="no model")
    tally("folder.unavailable", folder="h", reason="no share")
    tally("folder.available", folder="h")
    tally("watch.mode", folder="f")
    assert tally.done == 1
    assert tally.waiting == {("f", b"b"): "it died", ("g", b""): "no model"}
    assert shown[-1] == (3, 3)
    tally("job.failed", folder="f", path=b"b", reason="it died again")
    tally.expect(4)
    assert shown[-1] == (3, 7), "what the journal has from before counts too"
    rows = [(row.path, row.word, row.reason) for row in tally.rows([])]
    assert rows == [(b"b", "failed", "it died again"), (b"folder g", "waits", "no model")]


def test_a_reader_that_goes_away_is_no_traceback(home: Path) -> None:
    """`bgrd check | head -0`: quiet, and not a success."""
    ended = subprocess.run(
        f"{sys.executable} -m bgrd --help | true; {sys.executable} -m bgrd status --json | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ended.stderr


def test_what_nobody_foresaw_is_70(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Not 1, which says that pictures failed; the traceback is there for a report."""

    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bgrd.cli.status.command", broken)
    monkeypatch.setattr(sys, "argv", ["bgrd", "status"])
    with pytest.raises(SystemExit) as ended:
        entry()
    assert ended.value.code == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in a command that has no end of its own is the shell's usual code."""

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bgrd.cli.status.command", interrupted)
    assert main(["status"]) == 130
