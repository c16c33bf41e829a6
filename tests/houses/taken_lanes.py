"""A lane that the test plays, honest so far or not, and a pool that hears it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bgrd.engine.pool import Assignment, Limits, Pool
from bgrd.engine.process import LaneProcess
from bgrd.engine.wire import Channel, Faulted, Finished, Hashed, Hello, Loaded, Message, Work
from bgrd.errors import Fault
from bgrd.job import ModelChoice, Recipe

__all__ = ["FAULTED", "FINISHED", "HASHED", "JOB", "LIMITS", "LOADED", "SCENE", "SHA", "FakeChild", "Scene", "Told"]

LIMITS = Limits(lanes=1, threads=1, memory_bytes=2**30, model_bytes=2**30, job_seconds=60, idle_unload_seconds=300)
SHA = "ab" * 32
JOB = 7
HASHED = Hashed(job=JOB, sha256=SHA, model_sha256=SHA)
LOADED = Loaded(model="m", sha256=SHA, seconds=0.5, resident_bytes=1)
FINISHED = Finished(
    job=JOB, sizes=[1], sha256s=[SHA], width=1, height=1, format="PNG", notes=[], seconds={}, peak_bytes=1
)
FAULTED = Faulted(job=JOB, model="m", kind="input", text="it is bad")
SCENE: list[Message] = [Hello(pid=1), LOADED, HASHED, FINISHED]
"""What an honest lane says of one job."""


class FakeChild(subprocess.Popen[bytes]):
    """A process that is gone when it is killed."""

    def __init__(self) -> None:
        self.pid, self.returncode = 2**22 + 1, None

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self.returncode = self.returncode or 0
        return self.returncode

    def kill(self) -> None:
        self.returncode = -9

    def __del__(self, *_: Any) -> None:
        pass


@dataclass
class Told:
    """Collects what the pool tells."""

    hashed_jobs: list[int] = field(default_factory=list)
    finished_jobs: list[int] = field(default_factory=list)
    faults: dict[int, Fault] = field(default_factory=dict)
    models: dict[str, Fault] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)
    missing: list[list[str]] = field(default_factory=list)
    losses: list[tuple[int, str, str]] = field(default_factory=list)
    finished_messages: list[Finished] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)

    def lane_started(self, lane: int, missing: Sequence[str]) -> None:
        self.missing.append(list(missing))

    def hashed(self, message: Hashed) -> None:
        self.hashed_jobs.append(message.job)

    def finished(self, message: Finished, lane: int) -> None:
        self.finished_jobs.append(message.job)
        self.finished_messages.append(message)

    def faulted(self, job: int, fault: Fault, stage: str, trace: str) -> None:
        assert job not in self.faults
        self.faults[job] = fault
        self.stages.append(stage)

    def model_loaded(self, message: Loaded, lane: int) -> None:
        self.loaded.append(message.model)

    def lost(self, process: int, fault: Fault, *, model: str = "") -> None:
        self.losses.append((process, str(fault), model))

    def model_faulted(self, model: str, fault: Fault) -> None:
        self.models[model] = fault


class Scene:
    """A pool with one job in a lane whose end of the socket is ours."""

    def __init__(self) -> None:
        self.told = Told()
        self.watched: list[int] = []
        self.pool = Pool(
            LIMITS,
            events=self.told,
            clock=time.monotonic,
            watch=self.watched.append,
            unwatch=self.watched.remove,
            start=self._start,
        )
        work = Work(job=JOB, model="m", recipe=Recipe().to_json(), size=1, max_pixels=1, memory_bytes=1)
        model = ModelChoice(name="m", path=Path(os.devnull))
        with open(os.devnull, "rb") as source, open(os.devnull, "wb") as draft:
            descriptors = (source.fileno(), draft.fileno())
            assert self.pool.submit(Assignment(work=work, model=model, descriptors=descriptors))

    def _start(self) -> LaneProcess:
        here, self.lane = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.lane.settimeout(0)
        return LaneProcess(child=FakeChild(), channel=Channel(here))

    @property
    def gone(self) -> bool:
        return not self.pool.pids

    def say(self, said: Message | bytes, descriptors: list[int] | None = None) -> None:
        """Send a message, or anything, and have the pool take it in; an honest parent answers a hash."""
        packet = said if isinstance(said, bytes) else json.dumps({"is": type(said).__name__, **asdict(said)}).encode()
        before = len(self.told.hashed_jobs)
        with contextlib.suppress(OSError):  # the pool has hung up
            socket.send_fds(self.lane, [packet], descriptors or [])
        for fileno in list(self.watched):
            self.pool.handle(fileno)
        for job in self.told.hashed_jobs[before:]:
            self.pool.answer(job, go=True)

    def check(self) -> None:
        """See that the lane is gone and its job told of, or that the two still agree on what it does."""
        ended = len(self.told.finished_jobs) + len(self.told.faults)
        assert ended <= 1
        assert set(self.told.faults) | set(self.told.finished_jobs) <= {JOB}
        if self.gone:
            assert ended == 1
            assert not self.watched
        else:
            assert self.pool.busy == (ended == 0)
            assert len(self.watched) == 1

    def close(self) -> None:
        self.lane.close()
        self.pool.kill()
        self.pool.close()
