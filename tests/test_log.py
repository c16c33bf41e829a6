"""The log: one event, one line, whatever a file is called and whoever speaks."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from bgrd.telemetry.log import Format, Level, configure, logger


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Give logging back as it was: it belongs to the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def into(stream: TextIO, *, log_format: Format = "json", log_level: Level = "info", **environ: str) -> None:
    """Configure with an environment of the test's own."""
    configure(log_format=log_format, log_level=log_level, stream=stream, environ=environ)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Give the lines as JSON, without the time."""
    return [{k: v for k, v in json.loads(line).items() if k != "time"} for line in stream.getvalue().splitlines()]


class Terminal(io.StringIO):
    """A stream that a person reads."""

    def isatty(self) -> bool:
        return True


def test_an_event_is_a_line_of_json_with_its_keys() -> None:
    """The event comes first, then what was bound, then what belongs to it."""
    stream = io.StringIO()
    into(stream)
    logger(job=7).info("job.done", seconds=0.5, products=(b"a.png", b"b.png"), archive=Path("/a"))
    assert lines(stream) == [
        {
            "level": "info",
            "event": "job.done",
            "job": 7,
            "seconds": 0.5,
            "products": ["a.png", "b.png"],
            "archive": "/a",
        }
    ]
    assert list(json.loads(stream.getvalue()))[:3] == ["time", "level", "event"]


def test_the_time_is_told_in_utc() -> None:
    """Lines of two machines can be compared."""
    stream = io.StringIO()
    into(stream)
    logger().info("x")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", json.loads(stream.getvalue())["time"])


def test_a_terminal_gets_text_and_anything_else_json() -> None:
    """What reads the stream decides, unless the configuration does."""
    terminal, plain, forced = Terminal(), io.StringIO(), io.StringIO()
    into(terminal, log_format="auto")
    logger().info("job.done", seconds=1)
    into(plain, log_format="auto")
    logger().info("job.done", seconds=1)
    into(forced, log_format="text")
    logger().info("job.done", seconds=1)
    assert "\x1b[" in terminal.getvalue()
    assert json.loads(plain.getvalue())["seconds"] == 1
    assert "job.done" in forced.getvalue()
    assert "\x1b[" not in forced.getvalue()


def test_the_journal_gets_priorities_on_every_line(tmp_path: Path) -> None:
    """`journalctl -p warning` works, for each line of a traceback too, and no terminal's colours get in."""
    with (tmp_path / "journal").open("w+") as stream:
        there = os.fstat(stream.fileno())
        into(stream, log_format="auto", JOURNAL_STREAM=f"{there.st_dev}:{there.st_ino}")
        logger().info("a")
        logger().warning("b")
        try:
            raise ValueError("x")
        except ValueError:
            logger().exception("c")
        into(stream, log_format="text", JOURNAL_STREAM=f"{there.st_dev}:{there.st_ino}")
        try:
            raise ValueError("y")
        except ValueError:
            logger().exception("d")
        stream.seek(0)
        written = stream.read().splitlines()
    assert [line[:3] for line in written[:3]] == ["<6>", "<4>", "<3>"]
    assert json.loads(written[0][3:])["event"] == "a"
    assert all(line.startswith("<3>") for line in written[2:])
    assert len(written) > 5


def test_an_inherited_journal_variable_is_not_believed(tmp_path: Path) -> None:
    """A terminal started by the desktop has JOURNAL_STREAM of the desktop; the stream itself is asked."""
    with (tmp_path / "file").open("w+") as stream:
        into(stream, log_format="auto", JOURNAL_STREAM="1:2")
        logger().info("a")
        stream.seek(0)
        assert stream.read().startswith("{")


def test_levels_below_the_set_one_are_silent() -> None:
    """The level holds for our own events and for the libraries'."""
    stream = io.StringIO()
    into(stream, log_level="warning")
    logger().info("a")
    logging.getLogger("watchdog.x").info("b")
    logger().error("c")
    assert [line["event"] for line in lines(stream)] == ["c"]


def test_libraries_and_warnings_speak_in_the_same_stream() -> None:
    """Watchdog's overflow and Python's warnings are events, with the name of who spoke."""
    stream = io.StringIO()
    into(stream)
    logging.getLogger("watchdog.observers.inotify").warning("queue %s", "over\nflow")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    first, second = lines(stream)
    assert first == {
        "level": "warning",
        "event": "library.message",
        "library": "watchdog.observers.inotify",
        "message": "queue over\\nflow",
    }
    assert (second["library"], "DeprecationWarning: old" in second["message"]) == ("py.warnings", True)


def test_a_record_that_cannot_be_formatted_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """A library's broken log call is told on stderr, as the standard library does."""
    into(io.StringIO())
    logging.getLogger("odd").warning("%d", "x")
    assert "Logging error" in capsys.readouterr().err


def test_a_stream_that_is_gone_loses_lines_and_stops_nothing() -> None:
    """A closed stream and a broken pipe cost the line."""
    closed = io.StringIO()
    closed.close()
    into(closed)
    logger().info("a")
    reading, writing = os.pipe()
    os.close(reading)
    pipe = open(writing, "w", buffering=1)  # noqa: SIM115 - its closing fails as well
    into(pipe)
    logger().info("b")
    with suppress(BrokenPipeError):
        pipe.close()


def test_an_exception_is_one_line() -> None:
    """A traceback does not break the rule of one line for each event."""
    stream = io.StringIO()
    into(stream)
    try:
        raise OSError(5, "bad")
    except OSError:
        logger().exception("job.failed")
    (line,) = lines(stream)
    assert line["level"] == "error"
    assert line["exception"].endswith("OSError: [Errno 5] bad")


def test_loggers_made_before_follow() -> None:
    """A module's own logger need not wait for the configuration."""
    early = logger(part="early")
    stream = io.StringIO()
    into(stream)
    early.info("a")
    assert lines(stream)[0]["part"] == "early"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(categories=None)) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(value=VALUES, as_json=st.booleans())
def test_anything_can_be_logged(value: object, *, as_json: bool) -> None:
    """No value, lone surrogates and controls included, raises or breaks out of its line."""
    stream = io.StringIO()
    into(stream, log_format="json" if as_json else "text")
    logger().info("x", value=value, error=ValueError(value))
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert text[:-1].isprintable() or as_json
    text.encode("utf-8")
