"""Names as harmless text: what a file is called never reaches a log, a page or a terminal as it is."""

from __future__ import annotations

__all__ = ["line", "shown", "visible"]

_TERMINAL_SPACES = "\x1c\x1d\x1e\x1f"
"""Spaces to Python, separators of records to a terminal."""


def shown(path: bytes) -> str:
    r"""Give a name as one line of harmless text: what is not printable or not UTF-8 is escaped, and so is `\`.

    Bytes that are no UTF-8 become `\xff`, control, bidi and other invisible characters `\n`, `\x1b` or `\u202e`.
    Two different names never look the same.
    """
    return visible(path.decode("utf-8", "surrogateescape"))


def line(text: str) -> str:
    """Give words, ours or somebody's, as one line of harmless text; what is that already stays as it is.

    Line breaks and other odd spaces become single spaces, whatever else cannot be seen is escaped. For sentences that
    may have a stranger's words in them: what a library says of a broken file, or what a file says of itself.
    """
    if text.isprintable():
        return text
    return " ".join("".join(_spelt(character) for character in text).split())


def visible(text: str) -> str:
    """Give a text with every character escaped that needs it."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_escaped(character) for character in text)


def _spelt(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() and character not in _TERMINAL_SPACES else _escaped(character)


def _escaped(character: str) -> str:
    r"""Give a character, or its escape where it is a backslash or cannot be seen; `\xNN` from 80 on is a byte."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character != "\\" and character.isprintable():
        return character
    return f"\\u{code:04x}" if 0x80 <= code <= 0xFF else character.encode("unicode_escape").decode("ascii")
