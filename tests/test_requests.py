"""A thread that serves requests."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from bgrd.engine.requests import Requests
from tests.houses.inboxes import until


class Served:
    """Requests that write down what they do; the first one waits until it is let go."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.go = threading.Event()
        self.requests = Requests(
            "served",
            broken=lambda error: self.said.append(f"broken: {error}"),
            served=lambda: self.said.append("served"),
            ended=lambda: self.said.append("ended"),
        )
        self.requests.put(lambda: self.go.wait(60))

    def saying(self, word: str) -> Callable[[], None]:
        """Give a request that says a word."""
        return lambda: self.said.append(word)

    def words(self) -> list[str]:
        """Give what was said, but for `served`."""
        return [word for word in self.said if word != "served"]


@pytest.fixture
def served() -> Served:
    """Give requests whose thread does not run yet."""
    return Served()


def test_what_a_lane_waits_for_comes_first(served: Served) -> None:
    """Urgent requests overtake the others, and each kind keeps its own order; nothing is lost by it."""
    served.requests.start()
    for number in range(3):
        served.requests.put(served.saying(f"later {number}"))
        served.requests.put(served.saying(f"urgent {number}"), urgent=True)
    served.go.set()
    assert served.requests.stop(60)
    assert served.words() == [f"{kind} {number}" for kind in ("urgent", "later") for number in range(3)] + ["ended"]
    assert served.said.count("served") == 7


def test_a_long_request_lets_the_urgent_ones_in(served: Served) -> None:
    """Those that wait at that moment, and no others; each is served once."""

    def long() -> None:
        served.said.append("begun")
        for word in ("one", "two"):
            served.requests.put(served.saying(word), urgent=True)
        served.requests.serve_urgent()
        served.requests.serve_urgent()
        served.requests.put(served.saying("after"), urgent=True)
        served.said.append("over")

    served.requests.put(long)
    served.requests.put(served.saying("next"))
    served.go.set()
    served.requests.start()
    assert served.requests.stop(60)
    assert served.words() == ["begun", "one", "two", "over", "after", "next", "ended"]
    assert served.requests.waiting == 0


def test_what_was_put_before_the_end_is_served(served: Served) -> None:
    """Urgent or not; what comes after the end is not, and nobody waits for it."""
    served.go.set()
    served.requests.put(served.saying("before"))
    served.requests.put(served.saying("urgent"), urgent=True)
    served.requests.start()
    assert served.requests.stop(60)
    served.requests.put(served.saying("after"))
    assert served.words() == ["urgent", "before", "ended"] or served.words() == ["before", "urgent", "ended"]


def test_a_request_that_raises_ends_the_thread_and_is_told(served: Served) -> None:
    """What follows it is not served: a daemon of which nobody knows how it stands must not look alive."""

    def fail() -> None:
        raise ValueError("odd")

    served.go.set()
    served.requests.put(fail)
    served.requests.put(served.saying("after"))
    served.requests.start()
    until(lambda: "ended" in served.said)
    assert served.requests.stop(60)
    assert served.words() == ["broken: odd", "ended"]


def test_busy_only_while_a_request_is_under_way(served: Served) -> None:
    """The second is that of its beginning, or of its last sign of life; one that does not end is left behind."""
    assert (served.requests.busy_since, served.requests.native_id) == (None, 0)
    served.requests.start()
    until(lambda: served.requests.busy_since is not None)
    since = served.requests.busy_since
    assert since is not None
    served.requests.renewed()
    renewed = served.requests.busy_since
    assert renewed is not None
    assert renewed > since
    assert served.requests.native_id > 0
    assert not served.requests.stop(0)
    served.go.set()
    until(lambda: "ended" in served.said)
    assert served.requests.busy_since is None


def test_requests_that_never_ran_can_be_stopped(served: Served) -> None:
    """Where no thread was started there is none to wait for."""
    assert served.requests.stop(60)
