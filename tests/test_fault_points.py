"""Kill -9 behind every step of the flow, of the daemon and of its lanes: nothing is lost, doubled, partial or left."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Any, Literal

import pytest

from bgrd.job import State
from bgrd.steps import STEPS, Step
from tests.sites import Picture, Site, pictures

pytestmark = pytest.mark.timeout(300)

TAKING = ("archive", "far", "delete")
STORING = ("archive", "far")
ALL = ("keep", *TAKING)
TWO = ("archive", "delete")
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
    """Have the lane die of the picture."""
    yard.site.stops.order("lane.decoded")
    yard.send(point.policies)
    yard.site.held(1)
    lanes = yard.site.lanes()
    yard.site.kill_lanes()
    assert lanes
    yard.site.stops.order(point.step)


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

_RESUMED: tuple[tuple[Step, tuple[str, ...]], ...] = (
    ("source.proven", TAKING),
    ("source.copied", ("far",)),
    ("source.stored", STORING),
    ("source.archived", STORING),
    ("source.removed", TAKING),
    ("job.done", TAKING),
)
_TWICE: tuple[Step, ...] = ("lane.composed", "lane.encoded", "lane.written")

LANE_POINTS = [
    Point(step="lane.loaded", scene="loaded", one=True),
    *(Point(step=step, one=True, policies=TWO) for step in STEPS if step.startswith("lane.") and step != "lane.loaded"),
    *(Point(step=step, one=True, policies=TWO, times=2) for step in _TWICE),
]
"""Where a lane can be killed, and the daemon with it. All but one happen to each of two products, or once."""

PARENT_POINTS = [
    Point(step="intake.admitted"),
    Point(step="job.claimed"),
    Point(step="job.opened"),
    Point(step="job.drafted"),
    Point(step="job.drafted", times=2),
    Point(step="job.prepared"),
    Point(step="job.begun", one=True),
    Point(step="job.hashed", quick=True),
    Point(step="job.judged"),
    Point(step="commit.intended", quick=True),
    Point(step="commit.compared"),
    Point(step="commit.linked", quick=True),
    Point(step="commit.linked", times=2),
    Point(step="commit.linked", newer=True, quick=True),
    Point(step="commit.linked", times=2, newer=True),
    Point(step="commit.intended", newer=True),
    Point(step="commit.synced", quick=True),
    Point(step="commit.committed", quick=True),
    Point(step="source.hidden", policies=TAKING, quick=True),
    Point(step="source.proven", policies=TAKING),
    Point(step="source.copied", policies=("far",), quick=True),
    Point(step="source.stored", policies=STORING, quick=True),
    Point(step="source.archived", policies=STORING),
    Point(step="source.removed", policies=TAKING, quick=True),
    Point(step="job.done"),
    Point(step="job.judged", scene="again"),
    Point(step="job.adopted", scene="again", quick=True),
    Point(step="commit.committed", scene="again"),
    Point(step="job.done", scene="again"),
    Point(step="job.known", scene="touched", policies=("keep",)),
    Point(step="commit.named", scene="newer"),
    Point(step="commit.exchanged", scene="newer", quick=True),
    Point(step="commit.exchanged", scene="newer", times=2),
    Point(step="commit.replaced", scene="newer", quick=True),
    Point(step="commit.exchanged", scene="newer", policies=("keep",), newer=True),
    Point(step="commit.replaced", scene="newer", policies=("keep",), newer=True),
    Point(step="commit.synced", scene="newer"),
    Point(step="source.stored", scene="newer", policies=STORING),
    Point(step="note.intended", scene="bad"),
    Point(step="note.drafted", scene="bad", quick=True),
    Point(step="note.written", scene="bad"),
    Point(step="note.intended", scene="bad", newer=True),
    Point(step="note.drafted", scene="bad", newer=True),
    Point(step="note.written", scene="bad", newer=True, quick=True),
    Point(step="job.failed", scene="bad", newer=True),
    Point(step="job.failed", scene="bad"),
    Point(step="note.removed", scene="mended", quick=True),
    Point(step="job.waiting", scene="incomplete"),
    Point(step="intake.missing", scene="removed", policies=("keep",)),
    Point(step="job.withdrawn", scene="replaced", one=True),
    Point(step="source.returned", scene="written_to", policies=TAKING),
    Point(step="job.retried", scene="crashed", one=True),
    Point(step="job.alone", scene="swollen", one=True),
    Point(step="job.requeued", scene="stopped", one=True, lanes=1),
    Point(step="start.recovered", scene="restarted", one=True, quick=True),
    Point(step="start.swept", scene="restarted"),
    Point(step="start.requeued", scene="restarted", quick=True),
    Point(step="start.committed", scene="restarted", before="commit.synced"),
    Point(step="source.hidden", scene="restarted", before="commit.committed", policies=TAKING),
    *(Point(step=step, scene="restarted", before="source.hidden", policies=policies) for step, policies in _RESUMED),
]
"""Where the daemon can be killed."""


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


@pytest.fixture(scope="module")
def yards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yards]:
    """Give the yards; a daemon started for one test serves the next."""
    made = Yards(lambda: tmp_path_factory.mktemp("yard"))
    yield made
    made.close()


def strike(yard: Yard, point: Point, *, whom: Literal["daemon", "lane"]) -> None:
    """Play a scene up to a step, look, kill, look, and see that all ends as if nothing had been."""
    if not yard.served(point.policies):
        pytest.skip("there is no second file system")
    yard.begin()
    after = SCENES[point.scene](yard, point)
    number = 1 if point.one else len(yard.served(point.policies))
    yard.site.held(number)
    yard.site.look()
    if whom == "lane":
        yard.site.kill_lanes()
        yard.site.stops.order()
    else:
        yard.site.kill()
        if point.newer:
            yard.send(point.policies, version=2)
        yard.site.start()
    if after is not None:
        after()
    yard.site.settle()


def struck(yards: Yards, rung: str, point: Point, *, whom: Literal["daemon", "lane"]) -> None:
    """Strike in a yard, which does not serve again where that fails."""
    try:
        strike(yards.get(rung, point.lanes), point, whom=whom)
    except BaseException:
        yards.abandon(rung, point.lanes)
        raise


@pytest.mark.parametrize("point", [point for point in PARENT_POINTS if point.quick], ids=str)
def test_the_daemon_killed(yards: Yards, point: Point) -> None:
    """Killed at a step that matters most, whatever the source policy, the daemon goes on as if it had not been."""
    struck(yards, "best", point, whom="daemon")


@pytest.mark.long
@pytest.mark.parametrize("point", [point for point in PARENT_POINTS if not point.quick], ids=str)
def test_the_daemon_killed_at_any_step(yards: Yards, point: Point) -> None:
    """Killed behind any other step of its own, the daemon goes on as if it had not been."""
    struck(yards, "best", point, whom="daemon")


@pytest.mark.long
@pytest.mark.parametrize("point", LANE_POINTS, ids=str)
@pytest.mark.parametrize("whom", ["daemon", "lane"])
def test_killed_while_a_lane_works(yards: Yards, point: Point, whom: Literal["daemon", "lane"]) -> None:
    """Killed behind any step of a lane, that lane or the daemon with it, the picture is done all the same."""
    struck(yards, "best", point, whom=whom)


HIDDEN_POINTS = [
    point
    for point in PARENT_POINTS
    if point.step in {"job.drafted", "job.judged", "job.known", "job.adopted", "job.requeued", "job.withdrawn"}
    or point.step.startswith("commit.")
]
"""Where it matters that a result has a hidden name before it has its own."""


@pytest.mark.long
@pytest.mark.parametrize("point", HIDDEN_POINTS, ids=str)
def test_killed_where_results_are_hidden_files(yards: Yards, point: Point) -> None:
    """The same holds where the file system has no unnamed files, and a kill leaves hidden ones."""
    struck(yards, "hidden+link", point, whom="daemon")


def passed_in_the_source() -> list[str]:
    """Give the step of each call of `passed` in the source."""
    found: list[str] = []
    for path in (Path(__file__).parents[1] / "bgrd").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "passed":
                constants: list[Any] = [each for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)]
                found += [each.value for each in constants if each.value in STEPS]
                assert found, path
    return found


def test_every_step_is_passed() -> None:
    """Each step of the list is taken somewhere in the source, and no other."""
    assert set(passed_in_the_source()) == set(STEPS)


def test_every_step_is_killed_at() -> None:
    """There is no step at which nothing is killed."""
    assert {point.step for point in (*PARENT_POINTS, *LANE_POINTS)} == set(STEPS)
