"""The models bgrd knows by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bgrd.models.catalogue import BUILT_IN, ROWS, Row
from bgrd.models.spec import parse

_ADDRESS = re.compile(r"https://\S+/(?P<file>[^/]+)|hf://[\w.-]+/[\w.-]+/[\w./-]+@\w+")


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_rows_are_sound(row: Row) -> None:
    """Each row's spec passes the checks of a user's own and says the same of name and licence as the row."""
    assert ROWS[row.name] is row
    assert ":" not in row.name
    assert row.licence
    if row.spec is not None:
        assert parse(row.spec.to_json(), where=row.name) == row.spec
        assert (row.spec.name, row.spec.licence, row.spec.commercial) == (row.name, row.licence, row.commercial)


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_files_are_sound(row: Row) -> None:
    """Each file has a plain name, sources of a known form and a checksum of a known form; the first is the full one."""
    assert len({variant.name for variant in row.variants}) == len(row.variants)
    assert [variant.name for variant in row.variants][:1] in ([], ["fp32"])
    for variant in row.variants:
        checksum = variant.checksum
        assert checksum is None or re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", checksum)
        assert Path(variant.file_name).name == variant.file_name
        assert all(_ADDRESS.fullmatch(source) for source in variant.sources)
        assert variant.about_bytes is None or 10**6 < variant.about_bytes < 2 * 10**9
    assert all(variant.about_bytes for variant in row.variants[:1] if variant.sources)


def test_no_two_files_share_a_name() -> None:
    """All files of the catalogue can lie in one directory."""
    names = [variant.file_name for row in ROWS.values() for variant in row.variants]
    assert len(set(names)) == len(names)


def test_a_model_says_where_it_comes_from() -> None:
    """Every file but the built-in one has a source, and a row without a file says who makes it."""
    assert [row.name for row in ROWS.values() for variant in row.variants if not variant.sources] == [BUILT_IN]
    assert all(bool(row.variants) != bool(row.note) for row in ROWS.values())
    assert [row.name for row in ROWS.values() if row.spec is None] == [BUILT_IN]


def test_what_is_not_for_trade_is_told() -> None:
    """Exactly the models whose makers forbid it are marked, and the gated one as gated."""
    assert [row.name for row in ROWS.values() if not row.commercial] == ["rmbg-1.4", "rmbg-2.0"]
    assert [row.name for row in ROWS.values() if row.gated] == ["rmbg-2.0"]
