"""The models bgrd knows by name."""

from __future__ import annotations

import re

import pytest

from bgrd.models.catalogue import BUILT_IN, ROWS, Row
from bgrd.models.spec import parse


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_rows_are_sound(row: Row) -> None:
    """Each row's spec passes the checks of a user's own, and its checksum has a known form."""
    assert ROWS[row.name] is row
    assert row.checksum is None or re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", row.checksum)
    assert "/" not in row.file_name
    if row.spec is not None:
        assert parse(row.spec.to_json(), where=row.name) == row.spec
        assert (row.spec.name, row.spec.licence, row.spec.commercial) == (row.name, row.licence, row.commercial)


def test_only_the_built_in_model_needs_no_source() -> None:
    """Every other row says where its file comes from and how it is fed."""
    assert [row.name for row in ROWS.values() if row.source is None or row.spec is None] == [BUILT_IN]
