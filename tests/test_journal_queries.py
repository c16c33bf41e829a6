"""What the journal's questions cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrd.job import State
from bgrd.journal.database import Tables
from bgrd.journal.journal import Journal
from tests.houses.journals import RESULT, VERSION, begun, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the journal's place."""
    return tmp_path / "state" / "journal.db"


def test_no_query_reads_the_whole_table(path: Path) -> None:
    """Whatever is asked in daily work is answered from an index, so that 100,000 rows cost no more than ten."""
    statements: set[str] = set()
    with pytest.MonkeyPatch.context() as patch, opened(path) as journal:
        asked = Tables.rows, Tables.row, Tables.run

        def noting(index: int) -> object:
            def ask(self: Tables, sql: str, *values: object) -> object:
                statements.add(sql)
                return asked[index](self, sql, *values)

            return ask

        for index, name in enumerate(("rows", "row", "run")):
            patch.setattr(Tables, name, noting(index))
        _daily_work(journal)
        patch.undo()
        plans = {
            str(row["detail"])
            for sql in statements
            for row in journal._database.read(lambda tables, sql=sql: _plan(tables, sql))  # type: ignore[misc]
        }
    assert len(statements) > 25
    assert [plan for plan in plans if plan.startswith("SCAN") and plan != "SCAN tally"] == []
    assert [plan for plan in plans if "TEMP B-TREE" in plan and "ORDER" in plan] == [
        "USE TEMP B-TREE FOR ORDER BY"  # the few owners of one target
    ]


def _plan(tables: Tables, sql: str) -> list[dict[str, object]]:
    return [dict(row) for row in tables.rows("EXPLAIN QUERY PLAN " + sql, *[None] * sql.count("?"))]


def _daily_work(journal: Journal) -> None:
    """Ask every question once."""
    journal.recover()
    for name in (b"a", b"b", b"c", b"d"):
        journal.unknown("f", [(name, VERSION)])
        job = begun(journal, name)
        journal.hashed(job.id, sha256="s", recipe="r")
        journal.target_owner("f", name)
        if name == b"a":
            journal.intend(job.id, [RESULT], unless_taken=True)
            journal.committed(job.id)
            journal.done(job.id, details={})
        elif name == b"b":
            journal.fail(job.id, kind="input", reason="r", note=b"n")
        elif name == b"c":
            journal.wait(job.id, kind="file", reason="r", due=1000.0)
            journal.claim("f", oldest=True, now=1000.0)
        else:
            journal.wait(job.id, kind="folder", reason="r", due=None)
    journal.next_due("f")
    journal.release("f")
    journal.note_of("f", b"b")
    journal.missing("f", [b"a", b"b"])
    journal.stale_notes("f")
    journal.clear_note("f", b"b")
    journal.present("f", after_id=0, limit=9)
    journal.counts()
    journal.jobs(states=list(State), limit=9)
    journal.prune_step(5000.0)
    journal.written("f", b"a", b"a.png")
    journal.origin("f", b"a.png")
    journal.note(1, b"a.txt")
    journal.withdraw_folder("f")
