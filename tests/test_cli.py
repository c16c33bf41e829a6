"""The command line: help, exit codes, and sentences on standard error."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from bgrd import __version__
from bgrd.cli.main import entry, main, parser
from bgrd.lock import hold
from tests.houses.commands import configure, run
from tests.pictures.making import corners, encoded

JPEG = encoded(corners(), "JPEG")

pytestmark = pytest.mark.usefixtures("home")


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
