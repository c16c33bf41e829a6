"""What the main loop waits on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from bgrd.engine.loop import Loop
from tests.kernel.processes import open_files


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Give a loop and close it."""
    made = Loop()
    yield made
    made.close()


def test_a_readable_descriptor_is_given(loop: Loop) -> None:
    """A watched descriptor with something to read ends the wait and is named."""
    reading, writing = os.pipe()
    loop.watch(reading)
    os.write(writing, b"x")
    assert loop.wait(None) == [reading]
    loop.unwatch(reading)
    assert loop.wait(time.monotonic()) == []
    os.close(reading)
    os.close(writing)


def test_a_second_that_is_past_is_not_waited_for(loop: Loop) -> None:
    """What is due already ends the wait at once, with nothing readable."""
    assert loop.wait(0.0) == []


def test_the_bell_rings_from_any_thread(loop: Loop) -> None:
    """A wait without end is ended by another thread; the ring is used up by it."""
    ringer = threading.Thread(target=loop.wake)
    ringer.start()
    assert loop.wait(None) == []
    ringer.join()
    loop.wake()
    loop.wake()
    assert loop.wait(None) == []
    assert loop._selector.select(0) == []


def test_a_bell_that_rang_can_ring_again(loop: Loop) -> None:
    """Rung by many threads at once and again while it is heard: each round of ringing ends a wait, none is lost."""
    rung, heard = 0, 0
    stop = threading.Event()

    def ring() -> None:
        nonlocal rung
        while not stop.is_set():
            rung += 1
            loop.wake()
            answered.acquire(timeout=20)

    answered = threading.Semaphore(0)
    ringer = threading.Thread(target=ring)
    ringer.start()
    while heard < 2000:
        loop.wait(None)  # would never end where a ring is lost
        heard += 1
        answered.release()
    stop.set()
    answered.release()
    ringer.join()
    assert rung >= heard


@pytest.mark.parametrize("until", [float("inf"), 1e12])
def test_what_never_comes_due_is_waited_for_without_complaint(loop: Loop, until: float) -> None:
    """An infinite second, as of lanes that are never let go, or one past what epoll can count is no error."""
    loop.wake()
    assert loop.wait(until) == []


def test_a_signal_ends_the_wait(loop: Loop) -> None:
    """A signal with a Python handler wakes a loop that listens, and its handler has run by then."""
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: seen.append(number))
    try:
        loop.listen()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert loop.wait(None) == []
        assert seen == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_closing_puts_the_signals_bell_back_and_gives_every_descriptor_back() -> None:
    """Nothing of a closed loop is left open, and no signal writes to it."""
    before = set(open_files())
    loop = Loop()
    loop.listen()
    loop.close()
    assert set(open_files()) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_waking_a_closed_loop_does_nothing() -> None:
    """A thread left behind on a dead share may come back after the end; it writes to nobody's descriptor."""
    loop = Loop()
    loop.close()
    loop.wake()
