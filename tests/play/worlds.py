"""The whole world of a folder as a state machine: users, time, a bad kernel, and a bgrd turned wheel by wheel.

Everything between a dropped file and its result is real but lanes, ears and clocks, see `tests.play.unthreaded`; what
has to be true is a small model that knows only files, see `tests.play.promises`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil

from hypothesis import strategies as st
from hypothesis.stateful import invariant

from bgrd.errors import CrashFault, Fault, FileFault, FolderFault, MemoryFault, UnknownFault
from bgrd.job import Policy
from tests.kernel.kernels import How, Kernel, Killed
from tests.play.acts import act
from tests.play.promises import HIDDEN
from tests.play.users import POLICIES, Users, files

__all__ = ["World"]

WHEELS = st.sampled_from(["walker", "committer", "committer", "main loop", "first lane", "second lane"])
SOON = st.sampled_from([0.5, 31.0])
FAULTS = st.sampled_from([CrashFault, MemoryFault, UnknownFault, FileFault, FolderFault])
NUMBERS = st.sampled_from([errno.EIO, errno.ENOSPC, errno.EACCES, errno.EMFILE, errno.ESTALE])
CHARGED = (CrashFault, MemoryFault, UnknownFault, FolderFault)


class World(Users):
    """A user, a clock, a bad kernel, and a bgrd whose wheels are turned one at a time."""

    def is_running(self) -> bool:
        return hasattr(self, "parent") and self.parent.running

    @invariant()
    def nothing_is_lost(self) -> None:
        """Hold the promise after every step."""
        if hasattr(self, "parent"):
            self.promise.look(self.places(), whole=not self.disturbed)
            taken = self.writers.keys() - self.promise.there.keys()
            assert not taken, f"taken from under a writer: {taken}"

    # Time

    @act(is_running, seconds=st.sampled_from([0.1, 0.5, 3.0, 31.0, 130.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        """Let time pass."""
        self.parent.clock.now += seconds

    @act(lambda self: True, odds=2, seconds=st.sampled_from([-86_400.0, -5.0, 86_400.0]))
    def clock_jumps(self, seconds: float) -> None:
        """Set the wall clock."""
        self.parent.wall_offset += seconds
        self.promise.set_back = self.promise.set_back or seconds < 0

    # bgrd, one wheel at a time

    @act(is_running, odds=24, wheels=st.lists(WHEELS, min_size=4, max_size=30))
    def turn(self, wheels: list[str]) -> None:
        """Turn one wheel after another, in any order."""
        for wheel in wheels:
            self.turn_one(wheel)
            self.nothing_is_lost()

    def turn_one(self, wheel: str) -> None:
        """Turn a wheel once."""
        match wheel:
            case "walker":
                self.parent.feet.round()
            case "committer":
                self.parent.hands.serve()
            case "main loop":
                self.parent.step()
            case "first lane":
                self.parent.lanes.advance(0)
            case "second lane":
                self.parent.lanes.advance(1)

    @act(is_running, odds=32, seconds=SOON)
    def bustle(self, seconds: float) -> None:
        """Let time pass and turn everything until nothing can be done."""
        self.parent.clock.now += seconds
        self.parent.bustle()
        self.disturbed = self.disturbed and (bool(self.gone) or not self.parent.is_through())

    # What goes wrong

    @act(lambda self: self.is_running() and self.parent.lanes.busy_lanes, index=st.integers(0, 1), kind=FAULTS)
    def lane_faults(self, index: int, kind: type[Fault]) -> None:
        """End a lane as lanes do."""
        lanes = self.parent.lanes.busy_lanes
        path = self.parent.path_of(lanes[index % len(lanes)].job)
        self.parent.lanes.fault(index, kind("it went wrong"))
        if kind in CHARGED:
            self.hurt(path)

    def hurt(self, path: str) -> None:
        if path in self.promise.there:
            self.promise.hurt[path, self.promise.there[path]] += 1

    @act(
        is_running,
        at=st.integers(1, 120),
        how=st.sampled_from(["before", "after"]),
        wheel=st.sampled_from(["all", "hands"]),
    )
    def kill(self, at: int, how: How, wheel: str) -> None:
        """Turn everything, and at some call end it all."""
        kernel = Kernel(at, how=how)
        with contextlib.suppress(Killed):
            self.run_on(kernel, wheel)
        for lane in self.parent.lanes.busy_lanes:
            self.hurt(self.parent.path_of(lane.job))
        self.parent.die(spared=self.writers.values())
        self.disturbed = True

    @act(is_running, at=st.integers(1, 120), number=NUMBERS, wheel=st.sampled_from(["all", "hands"]))
    def a_call_fails(self, at: int, number: int, wheel: str) -> None:
        """Turn everything, and have one system call not do what it should."""
        self.run_on(Kernel(at, how="error", number=number), wheel)
        self.promise.excuse()
        self.disturbed = True

    def run_on(self, kernel: Kernel, wheel: str) -> None:
        """Run everything, on this kernel or only the committer on it, which decides most."""
        if wheel == "all":
            with self.parent.on(kernel):
                self.parent.bustle()
            return
        for _ in range(30):
            self.parent.feet.round()
            self.parent.step()
            with self.parent.on(kernel):
                self.parent.hands.serve()
            self.parent.lanes.advance(0)

    @act(is_running, odds=2, patiently=st.booleans())
    def stop(self, *, patiently: bool) -> None:
        """Stop it cleanly."""
        self.parent.stop(patiently=patiently)

    @act(lambda self: not self.parent.running, odds=24)
    def start(self) -> None:
        """Start it again."""
        self.parent.start()

    @act(is_running, policy=POLICIES)
    def reload(self, policy: Policy) -> None:
        """Change the configuration."""
        self.promise.change_policy(policy)
        self.parent.reload(self.parent.with_policy(policy))

    def teardown(self) -> None:
        """Let everything come to rest: then nothing is owed."""
        try:
            if hasattr(self, "parent"):
                self.come_to_rest()
        finally:
            self.stop_writing(*list(self.writers))
            if hasattr(self, "parent"):
                if self.parent.running:
                    self.parent.die(spared=())
                self.parent.close()
            shutil.rmtree(self.root)
        assert os.listdir("/proc/self/fd") == self.open_before

    def come_to_rest(self) -> None:
        self.share_is_back()
        self.stop_writing(*list(self.writers))
        if not self.parent.running:
            self.parent.start()
        still = 0
        for _ in range(60):
            self.parent.bustle()
            self.disturbed = self.disturbed and not self.parent.is_through()  # a share that is back is probed first
            self.nothing_is_lost()
            self.parent.clock.now += 40.0
            still = still + 1 if self.parent.is_through() else 0
            if still > 2:
                break
        self.promise.keep(self.places(), policy=self.parent.folder.policy)
        states = self.parent.journal.counts().get("test", {}).keys()
        assert states <= {"done", "failed", "withdrawn"} | ({"waiting"} if self.promise.set_back else set())
        self.parent.stop(patiently=True)
        assert HIDDEN not in "".join(files(self.root))
