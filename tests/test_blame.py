"""Whom to blame when a lane is late, too big or gone."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bgrd.engine import blame
from bgrd.engine.slot import Stage
from bgrd.errors import CrashFault, Fault, FileFault, FolderUnavailable, MemoryFault, ModelFault


@pytest.mark.parametrize(
    ("stage", "kind"), [("read", FileFault), ("answer", FolderUnavailable), ("work", CrashFault), ("load", CrashFault)]
)
def test_lateness_is_blamed_on_whoever_is_waited_for(stage: Stage, kind: type[Fault]) -> None:
    """A share that does not deliver or answer is no crash of the picture; the limit is named."""
    fault = blame.for_lateness(stage, limit_seconds=120)
    assert type(fault) is kind
    assert "120 seconds" in str(fault)


def test_size_names_need_and_limit() -> None:
    """In MiB, as the setting's owner thinks."""
    fault = blame.for_size(300 * 2**20, limit_bytes=200 * 2**20)
    assert isinstance(fault, MemoryFault)
    assert "300 MiB" in str(fault)
    assert "200 MiB" in str(fault)


def test_an_end_is_blamed_on_memory_only_where_the_kernel_killed_for_it() -> None:
    """A segfault in a minute of memory shortage is still a crash."""
    assert isinstance(blame.for_end("was killed", out_of_memory=True), MemoryFault)
    assert isinstance(blame.for_end("was killed", out_of_memory=False), CrashFault)
    assert isinstance(blame.for_end("died of SIGSEGV", out_of_memory=True), CrashFault)


def test_the_end_of_an_idle_process_is_its_own() -> None:
    """Nothing was worked on, and nothing is said of that."""
    assert str(blame.for_end("died of SIGSEGV", out_of_memory=False, idle=True)) == "its process died of SIGSEGV"
    assert str(blame.for_end("was killed", out_of_memory=True, idle=True)) == "the system ran out of memory"


@pytest.mark.parametrize("fault", [CrashFault("it took longer"), MemoryFault("it needs more")])
def test_whatever_happens_while_loading_is_the_models(fault: Fault) -> None:
    """No job is charged for its model, nor run alone for it; the reason stays readable."""
    told = blame.while_loading("big", fault)
    assert isinstance(told, ModelFault)
    assert str(told) == f"loading model big failed: {fault}"


def test_a_shortage_names_the_limit() -> None:
    """A lane says what it was short for, the parent how much there is."""
    fault = blame.with_limit(MemoryFault("There is not enough memory."), limit_bytes=300 * 2**20)
    assert str(fault) == "There is not enough memory; the limit is 300 MiB"


@pytest.mark.parametrize(("running", "blamed"), [(88, False), (89, True)])
def test_a_flood_of_threads_is_ended_before_it_takes_ours(
    running: int,
    blamed: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What decoders start for each processor is fine; far more is not, and a small machine's limit is low."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    lane = cast("Any", SimpleNamespace(resident_bytes=lambda: 0, threads=lambda: running))
    fault = blame.for_excess(lane, limit_bytes=100, threads=1)
    assert isinstance(fault, CrashFault) is blamed
    assert fault is None or "89 threads" in str(fault)
