"""Whatever a file is called and whatever is said of it: nobody's terminal, log or note is steered by it."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bgrd.check import Finding
from bgrd.cli import check as cli_check
from bgrd.cli import once as cli_once
from bgrd.cli import status as cli_status
from bgrd.cli.main import main
from bgrd.delivery.notes import note_text
from bgrd.escape import line, shown
from bgrd.telemetry import status
from bgrd.telemetry.log import Format, configure, logger
from bgrd.telemetry.notify import Notifier
from tests.houses.daemons import Daemon, Notices
from tests.houses.houses import House
from tests.houses.inboxes import until
from tests.pictures.making import UNHURRIED

NASTY = st.sampled_from(
    [
        "\n",
        "\r",
        "\t",
        "\x1b[31m",
        "\x1b]0;t\x07",
        "\x00",
        "\x9b",
        "\u202e",
        "\u2028",
        "\u200b",
        "[red]",
        "[/]",
        "\\",
        ":bomb:",
        "STATUS=",
        "<3>",
        "{",
        '"',
        "\x1c",
        "a b",
        "é",
        "\U000e0001",
    ]
)
WORDS = st.lists(NASTY | st.text(max_size=4), max_size=8).map("".join)
NAMES = st.lists(NASTY.map(str.encode) | st.binary(max_size=4), min_size=1, max_size=8).map(
    lambda parts: b"".join(parts).replace(b"\0", b"").replace(b"/", b"")
)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give tables room, and logging back as it was."""
    monkeypatch.setenv("COLUMNS", "1000")
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def printed(print_it: Callable[[], object]) -> str:
    """Give what is printed; fail where a line of it could steer a terminal."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        print_it()
    text = stream.getvalue()
    assert all(each.isprintable() for each in text.split("\n")), text
    return text


def facts(name: bytes, reason: str) -> dict[str, Any]:
    """Give what `bgrd status` would print of a folder and a job."""
    folder = {
        "inbox": cli_status._name(name),
        "outbox": cli_status._name(name),
        "state": "blocked",
        "reason": line(reason),
        "watch": "inotify",
        "watch_reason": line(reason),
        "writing": [cli_status._name(name)],
        "jobs": {},
    }
    job = {"state": "failed", "folder": "default", "path": cli_status._name(name), "reason": line(reason)}
    return {
        "running": True,
        "pid": 1,
        "host": "",
        "version": "1",
        "lanes": [],
        "models": {reason: {"providers": [reason], "notes": [reason]}},
        "journal": "",
        "folders": {"default": folder},
        "troubled": [job],
    }


@UNHURRIED
@given(NAMES, WORDS)
def test_terminals(name: bytes, reason: str) -> None:
    """`bgrd status`, `once` and `check` print names as they are shown everywhere, whatever markup is in them."""
    text = printed(lambda: cli_status._print(facts(name, reason)))
    assert f"failed: default/{shown(name)}: {line(reason)}".rstrip() in text
    row = cli_once._Row(name, "failed", reason)
    text = printed(lambda: cli_once._table(Console(stderr=True, highlight=False, emoji=False), [row]))
    assert shown(name).strip() in text
    finding = Finding(level="warn", subject="model x", text=reason, advice=reason)
    assert line(reason).strip() in printed(lambda: cli_check._print([finding]))


@UNHURRIED
@given(NAMES, WORDS)
def test_logs(name: bytes, reason: str) -> None:
    """An event is one line, and for people no less than for machines; nested values and keys too."""
    styles: tuple[Format, ...] = ("json", "text")
    for style in styles:
        stream = io.StringIO()
        configure(log_format=style, log_level="info", stream=stream, environ={})
        logger().warning("job.failed", path=name, reason=reason, facts={reason: [name, Path(os.fsdecode(name))]})
        text = stream.getvalue()
        assert text.endswith("\n")
        assert text[:-1].isprintable()
        if style == "json":
            assert json.loads(text)["path"] == shown(name)


@UNHURRIED
@given(NAMES, WORDS)
def test_notes_and_status_files(name: bytes, reason: str) -> None:
    """A note has the lines it always has; the status file is plain JSON that gives names back exactly."""
    text = note_text(name, reason=reason, when=0.0, advice="advice")
    assert len(text.splitlines()) == len(note_text(b"a", reason="b", when=0.0, advice="advice").splitlines())
    assert all(each.isprintable() for each in text.splitlines())
    plain = json.dumps(status._plain({"writing": [name], "reason": reason}))
    assert plain.isascii()
    assert plain.isprintable()


def test_the_status_line_of_the_service() -> None:
    """What is said to systemd is one assignment, whatever reason is in it."""
    notices = Notices()
    try:
        notifier = Notifier({"NOTIFY_SOCKET": notices.address})
        notifier.status("a\nREADY=1\x1b[31m\u2028b")
        until(lambda: notices.heard)
        notifier.close()
        assert notices.heard == ["STATUS=a READY=1\\x1b[31m b"]
    finally:
        notices.close()


def test_errors_of_commands(tmp_path: Path) -> None:
    """A name on the command line that steers terminals is told harmlessly."""
    nowhere = tmp_path / "a\x1b[31m\nb"
    text = printed(lambda: main(["once", str(nowhere), "-o", str(tmp_path)]))
    assert "there is no file" in text
    (tmp_path / "file").write_text("")
    text = printed(lambda: main(["once", str(tmp_path / "file"), "-o", str(tmp_path / "file/\x1b[31m")]))
    assert "cannot be made" in text


def test_a_daemon_with_hostile_names(tmp_path: Path) -> None:
    """Log, note, status and status file of a real daemon stay harmless; the name can be told from all of them."""
    house = House(tmp_path / "house").folders()
    name = b"a\n\x1b[31m\xff\xe2\x80\xae [red]:bomb:.jpg"
    with Daemon(house) as daemon:
        daemon.ready()
        (Path(os.fsdecode(os.fsencode(house.inbox) + b"/" + name))).write_bytes(b"\x1b[31m no picture \n" * 99)
        daemon.heard("job.failed", path=shown(name))
        said = house.run("status").stdout
        until(lambda: house.status().get("folders", {}).get("default", {}).get("failed_since_start") == 1)
        notes = list(house.failed.iterdir())
        assert daemon.stop() == 0
    assert all(each.isprintable() for each in said.split("\n"))
    assert shown(name) in said.replace("\n", "")
    (note,) = notes
    assert shown(name) in note.read_text()
    assert all(each.isprintable() for each in note.read_text().split("\n"))
    assert time.time() - note.stat().st_mtime < 600
