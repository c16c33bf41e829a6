"""The promise under random interleavings, and under every single kill and failing call of one file's way.

The world is `tests.play.worlds.World`: only lanes, ears and clocks are played, and thousands of steps take seconds.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from bgrd.errors import CrashFault
from bgrd.job import Policy
from tests.kernel.kernels import Kernel, Killed
from tests.play.worlds import World

pytestmark = pytest.mark.timeout(300)

REPRODUCIBLE = settings(
    max_examples=60,
    stateful_step_count=80,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


@pytest.mark.timeout(600)  # only where it fails: to find the shortest way there
def test_random_interleavings() -> None:
    """Create, append, rename, delete, overwrite, edit, kill, restart, reload, failing calls, time: nothing is lost."""
    run_state_machine_as_test(World, settings=REPRODUCIBLE)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_many_more_random_interleavings() -> None:
    """The same, ten times as long, and other ways each time."""
    run_state_machine_as_test(World, settings=settings(REPRODUCIBLE, max_examples=600, derandomize=False))


def with_a_file(policy: Policy) -> World:
    """Give a world in which one file is about to be taken, and its name is the user's in the outbox."""
    world = World()
    world.begin(policy)
    world.own_a_name(path="d/a.jpg", index=0)
    world.write(path="d/a.jpg", kind=b"good", heard=True, keep_time=False)
    world.parent.feet.round()
    world.parent.clock.now += 1
    return world


def at_every_call(policy: Policy, act: Callable[[World, int], Kernel]) -> int:
    """Act on a new world at the first call, the second and so on; gives their number."""
    at, reached = 0, True
    while reached:
        at += 1
        world = with_a_file(policy)
        reached = act(world, at).reached
        world.teardown()
    return at


@pytest.mark.parametrize("policy", ["keep", "archive", "delete"])
def test_a_kill_at_every_call(policy: Policy) -> None:
    """Killed at whichever system call or transaction and started again: one result, the policy applied, all tidy."""

    def kill(world: World, at: int) -> Kernel:
        kernel = Kernel(at, how="before")
        with suppress(Killed):
            world.run_on(kernel, "hands")
        world.parent.die()
        world.disturbed = True
        world.nothing_is_lost()
        return kernel

    assert at_every_call(policy, kill) > 50


@pytest.mark.parametrize("policy", ["keep", "archive", "delete"])
@pytest.mark.parametrize(
    ("number", "wheel"),
    [
        (errno.EIO, "hands"),
        pytest.param(errno.EIO, "all", marks=pytest.mark.long),
        pytest.param(errno.ESTALE, "all", marks=pytest.mark.long),
    ],
)
def test_any_call_may_fail(policy: Policy, number: int, wheel: str) -> None:
    """Whichever single call fails, bgrd goes on by itself, keeps no descriptor and everything gets done."""

    def fail(world: World, at: int) -> Kernel:
        kernel = Kernel(at, how="error", number=number)
        world.run_on(kernel, wheel)
        world.promise.excuse()
        world.disturbed = True
        world.nothing_is_lost()
        return kernel

    assert at_every_call(policy, fail) > 50


ONE_BY_ONE = ("main loop", "committer", "first lane")
INTERRUPTIONS: dict[str, Callable[[World], None]] = {
    "written in place": lambda world: world.write(path="d/a.jpg", kind=b"good", heard=True, keep_time=True),
    "replaced": lambda world: world.move_in(path="d/a.jpg", kind=b"good", heard=False),
    "deleted": lambda world: world.delete(pick=0, heard=False),
    "renamed": lambda world: world.rename(pick=0, to="a.png", heard=True),
    "touched": lambda world: world.touch(pick=0),
    "opened for writing": lambda world: world.open_writer(pick=0),
    "its name taken": lambda world: world.own_a_name(path="d/a.jpg", index=1),
    "outbox gone": lambda world: world.share_goes(name="out"),
    "inbox gone": lambda world: world.share_goes(name="in"),
    "killed": lambda world: world.kill(at=1, how="before", wheel="hands"),
    "stopped": lambda world: world.stop(patiently=False),
    "reloaded": lambda world: world.reload(policy="keep"),
    "lane dead": lambda world: world.lane_faults(index=0, kind=CrashFault) if world.parent.lanes.busy else None,
}
"""What may come between any two steps of one file's way."""


@pytest.mark.parametrize("policy", ["keep", pytest.param("archive", marks=pytest.mark.long), "delete"])
@pytest.mark.parametrize("name", INTERRUPTIONS)
def test_an_interruption_between_any_two_steps(policy: Policy, name: str) -> None:
    """Whenever it comes while one file is taken, read, committed and finished: the promise holds, and all gets done."""
    for turns in range(24):
        world = with_a_file(policy)
        for number in range(turns):
            world.turn_one(ONE_BY_ONE[number % len(ONE_BY_ONE)])
            world.nothing_is_lost()
        if world.sources():
            INTERRUPTIONS[name](world)
            world.nothing_is_lost()
        for number in range(24 if world.parent.running else 0):
            world.turn_one(ONE_BY_ONE[number % len(ONE_BY_ONE)])
            world.nothing_is_lost()
        world.teardown()
