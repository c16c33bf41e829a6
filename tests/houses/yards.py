"""Scenes at which a daemon is killed, played on a site that lives from one test to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

from bgrd.job import State
from bgrd.steps import Step
from tests.houses.sites import Picture, Site, pictures

__all__ = ["ALL", "SCENES", "Point", "Yard", "Yards"]

ALL = ("keep", "archive", "far", "delete")
TEXT = b"This is no picture at all.\n" * 40


class Yard:
    """A site with a daemon that lives from one test to the next; each test's files have names of their own."""

    def __init__(self, root: Path, *, rung: str, lanes: int) -> None:
        self.site = Site(root, settings=f"lanes = {lanes}", rung=rung)
        self.pictures = pictures(self.site.house, 4)
        self.longer = pictures(self.site.house, 4, tail=b"\n")
        self._number = 0
        self.name = ""
        self.site.start()

    def begin(self) -> None:
        """Begin a new test: another name, and another picture."""
        self._number += 1
        self.name = f"{self._number}.jpg"

    def picture(self, version: int = 0) -> Picture:
        """Give this test's picture, in some version."""
        return self.pictures[(self._number + version) % len(self.pictures)]

    def results(self, picture: Picture) -> dict[str, bytes]:
        """Give the results a picture has under this test's name."""
        return {f"{self._number}{suffix}": data for suffix, data in picture[1].items()}

    def send(self, policies: tuple[str, ...], *, version: int = 0, hold: bool = False) -> None:
        """Send this test's picture to these folders; with `hold`, each once the one before is held.

        Each held folder keeps what the next one would be fetched with: all at once, they could wait for each other.
        """
        picture = self.picture(version)
        for number, policy in enumerate(self.served(policies), start=1):
            self.site.witnesses[policy].send(self.name, picture[0], self.results(picture))
            if hold:
                self.site.held(number)

    def send_to(self, point: Point, *, version: int = 0) -> None:
        """Send this test's picture to a point's folders, until each is held there."""
        self.send(point.policies, version=version, hold=not point.one)

    def send_bad(self, policies: tuple[str, ...], data: bytes, *, bad: bool = True, hold: bool = False) -> None:
        """Send something of which nothing can be made, now or ever."""
        for number, policy in enumerate(self.served(policies), start=1):
            self.site.witnesses[policy].send(self.name, data, {}, bad=bad)
            if hold:
                self.site.held(number)

    def served(self, policies: tuple[str, ...]) -> list[str]:
        """Give those of the folders that there are: there may be no second file system."""
        return [policy for policy in policies if policy in self.site.witnesses]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One place to be killed at: behind a step taken for so many times, in a scene, in folders of these policies.

    All those folders get there at once, but only `one` need where it is a lane or the main loop. With `newer` the
    file is replaced by another picture while the daemon lies killed.
    """

    step: Step
    scene: str = "new"
    policies: tuple[str, ...] = ALL
    times: int = 1
    one: bool = False
    lanes: int = 4
    before: Step = "commit.linked"
    newer: bool = False
    quick: bool = False

    def __str__(self) -> str:
        again = f"-{self.times}" if self.times > 1 else ""
        before = f"-after-{self.before}" if self.scene == "restarted" else ""
        return f"{self.scene}-{self.step}{again}{before}" + "-newer" * self.newer


def new(yard: Yard, point: Point) -> None:
    """Have a picture arrive."""
    yard.site.stops.order(point.step, times=point.times)
    yard.send_to(point)


def again(yard: Yard, point: Point) -> None:
    """Have the same bytes arrive again under the same name."""
    yard.send(point.policies)
    yard.site.settle()
    yard.site.stops.order(point.step)
    yard.send_to(point)


def newer(yard: Yard, point: Point) -> None:
    """Have other bytes arrive under the name of what is done: its results are replaced."""
    yard.send(point.policies)
    yard.site.settle()
    yard.site.stops.order(point.step, times=point.times)
    yard.send_to(point, version=1)


def touched(yard: Yard, point: Point) -> None:
    """Take the results away and give the source another mode: it is known, and gives no result again."""
    yard.send(point.policies)
    yard.site.settle()
    yard.site.stops.order(point.step)
    for policy in yard.served(point.policies):
        witness = yard.site.witnesses[policy]
        for name in witness.sent[yard.name].results.pop():
            (witness.outbox / name).unlink()
        witness.sent[yard.name].results.append({})
        (witness.inbox / yard.name).chmod(0o600)


def bad(yard: Yard, point: Point) -> None:
    """Have something arrive that is no picture."""
    yard.site.stops.order(point.step)
    yard.send_bad(point.policies, TEXT, hold=True)


def mended(yard: Yard, point: Point) -> None:
    """Replace what was no picture by one."""
    yard.send_bad(point.policies, TEXT)
    yard.site.settle()
    yard.site.stops.order(point.step)
    yard.send_to(point)


def incomplete(yard: Yard, point: Point) -> Callable[[], None]:
    """Have half of a picture arrive; the rest comes later."""
    yard.site.stops.order(point.step)
    data = yard.picture()[0]
    yard.send_bad(point.policies, data[: len(data) // 2], bad=False, hold=True)
    return lambda: yard.send(point.policies)


def removed(yard: Yard, point: Point) -> None:
    """Take the source of what is done away."""
    yard.send(point.policies)
    yard.site.settle()
    yard.site.stops.order(point.step)
    for policy in yard.served(point.policies):
        yard.site.witnesses[policy].withdraw(yard.name)


def replaced(yard: Yard, point: Point) -> None:
    """Replace the source while a lane works on it."""
    yard.site.stops.order("lane.decoded")
    yard.send(point.policies)
    yard.site.held(1)
    yard.send(point.policies, version=1)
    yard.site.stops.order(point.step)


def written_to(yard: Yard, point: Point) -> None:
    """Write to a source that is hidden already, to be taken away: it is put back."""
    yard.site.stops.order("source.hidden")
    yard.send_to(point)
    picture = yard.longer[(int(yard.name[:-4])) % 4]
    for policy in yard.served(point.policies):
        yard.site.witnesses[policy].append(yard.name, b"\n", yard.results(picture))
    yard.site.stops.order(point.step)


def crashed(yard: Yard, point: Point) -> None:
    """Have the lane die of the picture; what the daemon does then is held from before, as it is quick."""
    assert yard.site.daemon is not None
    daemon = yard.site.daemon.pid
    yard.site.stops.order("lane.decoded", point.step)
    yard.send(point.policies)
    yard.site.held(1)
    assert yard.site.lanes()
    yard.site.kill_lanes()
    yard.site.until(lambda: daemon in yard.site.stops.held())


def swollen(yard: Yard, point: Point) -> None:
    """Have the picture need more memory than there is."""
    yard.site.stops.order("lane.decoded")
    yard.send(point.policies)
    yard.site.held(1)
    yard.site.stops.order(point.step, memory_error=True)


def stopped(yard: Yard, point: Point) -> None:
    """Stop the daemon while pictures wait for a lane."""
    assert yard.site.daemon is not None
    yard.site.stops.order("lane.told", point.step)
    yard.send(point.policies)
    yard.site.held(1)
    yard.site.until(lambda: yard.site.running() > 1)
    yard.site.daemon.signal(SIGTERM)
    yard.site.held(2)


def restarted(yard: Yard, point: Point) -> None:
    """Kill the daemon once before, which it takes up."""
    yard.site.stops.order(point.before)
    yard.send(point.policies, hold=True)
    yard.site.kill()
    yard.site.stops.order(point.step)
    yard.site.start(ready=False)


def loaded(yard: Yard, point: Point) -> None:
    """Have the daemon start and try its model."""
    yard.site.kill()
    yard.site.stops.order(point.step)
    yard.site.start(ready=False)
    yard.send(point.policies)


SCENES: dict[str, Callable[[Yard, Point], Callable[[], None] | None]] = {
    scene.__name__: scene
    for scene in (
        new,
        again,
        newer,
        touched,
        bad,
        mended,
        incomplete,
        removed,
        replaced,
        written_to,
        crashed,
        swollen,
        stopped,
        restarted,
        loaded,
    )
}


class Yards:
    """One yard for each rung and number of lanes, made when it is needed, and anew behind a test that failed."""

    def __init__(self, make: Callable[[], Path]) -> None:
        self._make = make
        self._yards: dict[tuple[str, int], Yard] = {}

    def get(self, rung: str, lanes: int) -> Yard:
        """Give a yard, settled."""
        if (rung, lanes) not in self._yards:
            self._yards[rung, lanes] = Yard(self._make(), rung=rung, lanes=lanes)
        return self._yards[rung, lanes]

    def abandon(self, rung: str, lanes: int) -> None:
        """Forget a yard in which something went wrong."""
        if (yard := self._yards.pop((rung, lanes), None)) is not None:
            yard.site.abandon()

    def close(self) -> None:
        """End all, and hold that every job ended, charged for its lane at most once."""
        for yard in self._yards.values():
            yard.site.close()
            jobs = yard.site.house.jobs()
            assert {job.state for job in jobs} <= {State.DONE, State.FAILED, State.WITHDRAWN}
            assert max(job.attempts + job.unclean for job in jobs) <= 2
