"""Asks a real lane how well it is shut in: nothing is guessed from versions."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator

from bgrd.engine.cage import weakened
from bgrd.engine.process import LaneProcess, start_lane
from bgrd.engine.wire import Hello
from bgrd.examine import Finding

__all__ = ["confined"]

_ANSWER_SECONDS = 30.0
_END_SECONDS = 10.0
_SHORTAGE = "is there enough memory, and does a limit on processes leave room for one?"


def confined(start: Callable[[], LaneProcess] = start_lane) -> Iterator[Finding]:
    """Yield what a lane that is started for this, and ended, has given up, and what this system let it keep."""
    try:
        lane = start()
        try:
            answers, _, _ = select.select([lane.channel], [], [], _ANSWER_SECONDS)
            if not answers:
                lane.kill()
            received = lane.channel.receive() if answers else None
            unlimited = lane.unlimited()
        finally:
            lane.channel.close()
            ended = lane.wait_or_kill(_END_SECONDS)
    except OSError as error:
        yield _broken(f"no lane can be started: {error.strerror}", _SHORTAGE)
        return
    if not answers:
        yield _broken(
            "the lane that was tried did not answer", "is the disk that Python lies on well, or all very busy?"
        )
        return
    if received is None or not isinstance(hello := received[0], Hello):
        text = f"the lane that was tried {ended}"
        yield _broken(text, "see what it said of it on standard error; is onnxruntime installed for this Python?")
        return
    missing = [name for name in (*hello.missing, unlimited) if name]
    if weakened(missing):
        yield Finding(
            level="warn",
            subject="lanes",
            text=f"not shut in completely, {'; '.join(missing)}",
            advice="with a kernel that lets seccomp be used, a picture that breaks into a decoder gets nowhere",
        )
        return
    walls = ", ".join(name for name in hello.holds if name.startswith(("seccomp", "landlock")))
    if missing:
        walls = "no Landlock here; seccomp holds"
    yield Finding(level="ok", subject="lanes", text=f"no network, no programs, no files of their own ({walls})")


def _broken(text: str, advice: str) -> Finding:
    return Finding(level="error", subject="lanes", text=text, advice=advice)
