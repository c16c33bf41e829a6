"""Kill -9 behind every step of the flow, of the daemon and of its lanes: nothing is lost, doubled, partial or left."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from bgrd.steps import STEPS, Step
from tests.houses.yards import SCENES, Point, Yard, Yards

pytestmark = pytest.mark.timeout(300)

TAKING = ("archive", "far", "delete")
STORING = ("archive", "far")
TWO = ("archive", "delete")


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
    Point(step="commit.committed", policies=TAKING, quick=True),
    Point(step="source.hidden", policies=TAKING, quick=True),
    Point(step="source.proven", policies=TAKING),
    Point(step="source.copied", policies=("far",), quick=True),
    Point(step="source.stored", policies=STORING, quick=True),
    Point(step="source.archived", policies=STORING),
    Point(step="source.removed", policies=TAKING, quick=True),
    Point(step="job.done"),
    Point(step="job.judged", scene="again"),
    Point(step="job.adopted", scene="again", quick=True),
    Point(step="commit.committed", scene="again", policies=TAKING),
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
