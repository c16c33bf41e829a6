"""What a committer makes of what an earlier run left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bgrd.engine.events import Blocked, Closed, Resumed
from bgrd.errors import (
    FolderUnavailable,
)
from bgrd.job import Result, State
from tests.houses.works import Works
from tests.houses.workshop import finished, hashed


def test_what_waited_for_the_folder_is_released_by_the_next_run(works: Works) -> None:
    """A job that waits because of its folder does not sleep through a restart after which the folder is well."""
    works.drop("a.jpg", b"source")
    works.settle(FolderUnavailable("gone"))
    assert works.job("a.jpg").state is State.WAITING
    works.restart()
    assert works.posts.take(Resumed).released == 1
    assert works.work().outcome == "done"


def stopped_at(works: Works, state: State, *, publish: bool) -> None:
    """Leave a job as a kill at this state would."""
    works.drop("a.jpg", b"source")
    claim = works.claim()
    works.journal.hashed(claim.job.id, sha256=hashed(1, b"source").sha256, recipe="r")
    if state is not State.RUNNING:
        content = b"result"
        os.pwrite(claim.drafts[0].fd, content, 0)
        sha256 = finished(1, content).sha256s[0]
        works.journal.intend(claim.job.id, [Result(target=b"a.png", size=len(content), sha256=sha256)])
    if publish:
        assert works.outbox.publish(claim.drafts[0], b"a.png")
    if state is State.COMMITTED:
        works.journal.committed(claim.job.id)
    for fd in (claim.opened.fd, *(draft.fd for draft in claim.drafts)):
        os.close(fd)


@pytest.mark.parametrize(
    ("state", "publish", "ends"),
    [
        (State.RUNNING, False, []),
        (State.COMMITTING, False, ["requeue"]),
        (State.COMMITTING, True, ["done"]),
        (State.COMMITTED, True, ["done"]),
    ],
)
def test_what_an_earlier_run_left_is_finished_or_worked_again(
    tmp_path: Path, state: State, ends: list[str], *, publish: bool
) -> None:
    """Published results count, others are made anew under the same name; the source goes only with its result there."""
    works = Works(tmp_path, policy="delete")
    stopped_at(works, state, publish=publish)
    works.restart()
    for outcome in ends:
        assert works.posts.take(Closed).outcome == outcome
    if "done" not in ends:
        assert works.work().outcome == "done"
    assert (works.results(), works.sources(), works.states()) == ({"a.png": b"result"}, set(), {"done": 1})
    works.close()


@pytest.mark.parametrize("state", [State.RUNNING, State.COMMITTING, State.COMMITTED])
def test_an_outbox_that_is_away_at_the_start_is_waited_for(tmp_path: Path, state: State) -> None:
    """After a power cut the share may come back later than bgrd: blocked, and finished as soon as it is there."""
    works = Works(tmp_path, policy="delete")
    stopped_at(works, state, publish=state is not State.RUNNING)
    works.folder.outbox.rename(tmp_path / "away")
    works.restart()
    assert works.posts.take(Blocked).kind == "unavailable"
    works.nothing()
    assert works.sources() == {"a.jpg"}
    (tmp_path / "away").rename(works.folder.outbox)
    works.committer.probe()
    works.posts.take(Resumed)
    closed = works.work() if state is State.RUNNING else works.posts.take(Closed)
    assert closed.outcome == "done"
    assert (works.results(), works.sources(), works.states()) == ({"a.png": b"result"}, set(), {"done": 1})
    works.close()


def test_hidden_files_of_a_crash_are_swept(works: Works) -> None:
    """What an interrupted job left hidden in the outbox goes at the next start; a stranger's stays."""
    stopped_at(works, State.RUNNING, publish=False)
    job = works.job("a.jpg").id
    (works.folder.outbox / f".bgrd-{job}-0.tmp").write_bytes(b"half")
    (works.folder.outbox / ".bgrd-999-0.tmp").write_bytes(b"somebody's")
    works.restart()
    works.fetch()
    assert not (works.folder.outbox / f".bgrd-{job}-0.tmp").exists()
    assert ".bgrd-999-0.tmp" in works.results()
