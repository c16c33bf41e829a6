"""Asks a real lane how well it is shut in: nothing is guessed from versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bgrd.engine.process import LaneProcess, start_lane
from bgrd.engine.wire import Hello
from bgrd.examine import Finding

__all__ = ["confined"]

_END_SECONDS = 10.0


def confined(start: Callable[[], LaneProcess] = start_lane) -> Iterator[Finding]:
    """Yield what a lane that is started for this, and ended, has given up, and what this system let it keep."""
    try:
        lane = start()
        try:
            received = lane.channel.receive()
            unlimited = lane.unlimited()
        finally:
            lane.channel.close()
            ended = lane.wait_or_kill(_END_SECONDS)
    except OSError as error:
        yield _broken(f"no lane can be started: {error.strerror}")
        return
    if received is None or not isinstance(hello := received[0], Hello):
        yield _broken(f"the lane that was tried {ended}: its standard error says why, see the log of `bgrd run`")
        return
    if missing := [name for name in (*hello.missing, unlimited) if name]:
        yield Finding(
            level="warn",
            subject="lanes",
            text=f"not shut in completely, {'; '.join(missing)}",
            advice="with a kernel of 5.13 or newer that has seccomp and Landlock, a picture that breaks into a decoder "
            "gets nowhere",
        )
        return
    walls = ", ".join(name for name in hello.holds if name.startswith(("seccomp", "landlock")))
    yield Finding(level="ok", subject="lanes", text=f"no network, no programs, no files of their own ({walls})")


def _broken(text: str) -> Finding:
    advice = "is onnxruntime installed for this Python?"
    return Finding(level="error", subject="lanes", text=text, advice=advice)
