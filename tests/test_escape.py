"""Names as harmless text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgrd.escape import line, shown


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


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("as it was", "as it was"),
        ("a\\nb", "a\\nb"),
        ("two\nlines\r\n and\ttabs", "two lines and tabs"),
        ("red \x1b[31m", "red \\x1b[31m"),
        ("a\u202eb\u2028c", "a\\u202eb c"),
        ("bytes \udcff", "bytes \\xff"),
        ("\0", "\\x00"),
    ],
)
def test_words_become_one_harmless_line(words: str, text: str) -> None:
    """Line breaks become spaces, what cannot be seen is escaped, and what is harmless stays: also a second time."""
    assert line(words) == text
    assert line(text) == text


@settings(deadline=None)
@given(st.text())
def test_any_words_become_one_harmless_line(words: str) -> None:
    """Nothing gets through that ends a line, hides, or steers a terminal."""
    told = line(words)
    assert told.isprintable()
    assert line(told) == told
