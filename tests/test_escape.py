"""Names as harmless text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgrd.escape import shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"IMG_1.jpg", "IMG_1.jpg"),
        ("Größe 日本.png".encode(), "Größe 日本.png"),
        (b"a\nb\t\x1b[31m", "a\\nb\\t\\x1b[31m"),
        (b"\xff\xfe.jpg", "\\xff\\xfe.jpg"),
        ("a\u202egpj.exe".encode(), "a\\u202egpj.exe"),
        ("a\u0080\u2028".encode(), "a\\u0080\\u2028"),
        (b"back\\slash", "back\\\\slash"),
        ("\U000e0001".encode(), "\\U000e0001"),
    ],
)
def test_names_are_shown_harmless(name: bytes, text: str) -> None:
    """What could end a line, colour a terminal or turn the reading direction is escaped."""
    assert shown(name) == text


@settings(deadline=None)
@given(st.lists(st.binary(max_size=8), max_size=8, unique=True))
def test_shown_names_are_printable_and_tell_names_apart(names: list[bytes]) -> None:
    """Any bytes become printable text, and no two names the same."""
    texts = [shown(name) for name in names]
    assert all(text.isprintable() for text in texts)
    assert len(set(texts)) == len(names)
