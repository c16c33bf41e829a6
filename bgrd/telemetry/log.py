"""The log: structlog set up once; dotted event names, keys not prose, units in the keys.

One line is one event. JSON for machines, with the priority prefix `<N>` of sd-daemon(3) where the journal reads the
stream; coloured text on a terminal. What other libraries log or warn about comes out of the same stream.
A file's name can hold anything: whatever is logged as bytes or path is written by `shown`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from bgrd.escape import shown, visible

__all__ = ["configure", "level_of", "logger"]

Format = Literal["auto", "json", "text"]
Level = Literal["debug", "info", "warning", "error"]

_WARNINGS = frozenset(
    {
        "daemon.late",
        "daemon.short",
        "folder.blocked",
        "folder.missing",
        "folder.unavailable",
        "intake.broken",
        "intake.stalled",
        "job.failed",
        "journal.network",
        "journal.waiting",
        "lane.loose",
        "lane.lost",
        "model.lost",
        "reload.rejected",
        "watch.limit",
        "watch.lost",
    }
)

# Source: syslog(3), the numbers sd-daemon(3) takes as prefix.
_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}


def level_of(event: str) -> int:
    """Give the level an event deserves, as logging's number."""
    return logging.WARNING if event in _WARNINGS else logging.INFO


def logger(**bound: object) -> FilteringBoundLogger:
    """Give a logger with these keys bound; it follows `configure`, also where that is called later."""
    return cast("FilteringBoundLogger", structlog.get_logger(**bound))


def configure(
    *, log_format: Format, log_level: Level, stream: TextIO, environ: Mapping[str, str] | None = None
) -> None:
    """Send all logging to `stream`: this program's, the standard library's and Python's warnings.

    A stream that cannot be written to any more loses lines and stops nothing.
    """
    to_journal = _is_journal(stream, os.environ if environ is None else environ)
    style = log_format if log_format != "auto" else "text" if _is_terminal(stream) and not to_journal else "json"
    lock = Lock()
    number = logging.getLevelNamesMapping()[log_level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _name_everything,
            *_renderers(style, colours=_is_terminal(stream)),
            *([_with_priority] if to_journal else []),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_names: _Lines(stream, lock),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Foreign()]
    root.setLevel(max(number, logging.INFO))
    logging.captureWarnings(capture=True)


class _Lines:
    """What structlog writes to: one call, one line, never an exception."""

    def __init__(self, stream: TextIO, lock: Lock) -> None:
        self._stream = stream
        self._lock = lock

    def msg(self, line: str) -> None:
        """Write and flush one line; the lock keeps lines of two threads apart."""
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = log = msg


class _Foreign(logging.Handler):
    """Passes what other libraries log on as the event `library.message`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record; a record that cannot be formatted is the library's fault and stops nobody."""
        try:
            logger().log(
                record.levelno,
                "library.message",
                library=record.name,
                message=record.getMessage(),
                exc_info=record.exc_info,
            )
        except Exception:  # noqa: BLE001 - the contract of logging.Handler
            self.handleError(record)


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Say whether the journal reads this very stream; programs started under a desktop inherit the variable alone."""
    with suppress(OSError, ValueError):
        there = os.fstat(stream.fileno())
        return environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"
    return False


def _is_terminal(stream: TextIO) -> bool:
    """Say whether a person reads the stream."""
    with suppress(OSError, ValueError):
        return stream.isatty()
    return False


def _renderers(style: str, *, colours: bool) -> list[Processor]:
    """Give the last steps: from keys to a line."""
    if style == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_dumped)]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain, timestamp_key="time")]


def _dumped(values: Mapping[str, Any], **options: Any) -> str:
    """Give one line of ASCII JSON, the time and the event first."""
    first = {key: values[key] for key in ("time", "level", "event") if key in values}
    return json.dumps({**first, **values}, **options)


def _name_everything(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Turn every value into what may stand in a line."""
    return {key: value if key == "exc_info" else _harmless(value) for key, value in event.items()}


def _harmless(value: object) -> object:
    """Give a value as JSON knows it: names and texts without control characters, paths and bytes by `shown`."""
    match value:
        case bool() | int() | float() | None:
            return value
        case bytes():
            return shown(value)
        case Path():
            return shown(os.fsencode(value))
        case str():
            return value if value.isprintable() else visible(value)
        case Mapping():
            return {str(_harmless(key)): _harmless(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_harmless(item) for item in value]
        case _:
            return _harmless(str(value))


def _with_priority(_logger: WrappedLogger, method: str, line: Any) -> Any:
    """Put sd-daemon's priority before the line, and before each further line of a traceback."""
    prefix = f"<{_PRIORITIES.get(method, 3)}>"
    return prefix + str(line).replace("\n", "\n" + prefix)
