"""What a text in the configuration means, and what it refuses to mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgrd.config.values import Surroundings, colour_of, expand, human_size, mode_of, place_of, size_of, surroundings


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must be a path, is empty"),
        ("a\0b", "must be a path, has a NUL character in it"),
        ("~other/in", "must be a whole path, not another user's home ('~other/in')"),
        ("/a/$NOWHERE", "names $NOWHERE, which is not set"),
        ("/a/$ b", "must be a path, has a lone $ in it ('/a/$ b'); a dollar sign is written $$"),
    ],
)
def test_a_path_that_cannot_be_is_refused(text: str, told: str) -> None:
    """A path that would end up somewhere else is an error, never a guess."""
    with pytest.raises(ValueError, match=r"must|names") as caught:
        expand(text, base=Path("/base"), environ={"HOME": "/home/u"})
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("~", "/home/u"),
        ("//srv/in", "/srv/in"),
        ("a/../b/", "/base/b"),
        ("$$HOME", "/base/$HOME"),
        ("$HOME/x", "/home/u/x"),
    ],
)
def test_a_path_has_one_text(text: str, path: str) -> None:
    """However a path is written, it is compared in one form."""
    assert expand(text, base=Path("/base"), environ={"HOME": "/home/u"}) == Path(path)


def test_a_setting_is_a_path_in_its_surroundings() -> None:
    """Where the file lies and which environment was given decides, and nothing of this process."""
    token = surroundings.set(Surroundings(base=Path("/etc/bgrd"), environ={"HOME": "/home/v"}))
    try:
        assert place_of("models") == Path("/etc/bgrd/models")
        assert place_of(Path("~/in")) == Path("/home/v/in")
    finally:
        surroundings.reset(token)
    assert place_of("here") == Path.cwd() / "here"
    with pytest.raises(ValueError, match="must be a path, is 3"):
        place_of(3)


@pytest.mark.parametrize(
    ("value", "count"),
    [(0, 0), (7, 7), ("7", 7), ("256 MiB", 2**28), ("1.5GB", 1_500_000_000), (" 2 kb ", 2000), ("3 B", 3)],
)
def test_sizes_are_read(value: object, count: int) -> None:
    """Numbers are bytes, texts have decimal or binary units."""
    assert size_of(value) == count


@pytest.mark.parametrize("value", [-1, True, 1.5, None, "", "MiB", "-1 MiB", "1 MiB/s", "1e9", "9999999 TiB"])
def test_what_is_no_size(value: object) -> None:
    """Nothing is read into a text that is no size."""
    with pytest.raises(ValueError, match="must be a number of bytes"):
        size_of(value)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_human_sizes_are_exact(count: int) -> None:
    """A size that is shown and typed in again is the same size."""
    assert size_of(human_size(count)) == count


def test_modes_and_colours() -> None:
    """Both octal spellings, and colours in either case."""
    assert (mode_of("0640"), mode_of("0o600"), mode_of("444")) == (0o640, 0o600, 0o444)
    assert (colour_of("White"), colour_of("#0080fF"), colour_of("#08f")) == (
        (255, 255, 255),
        (0, 128, 255),
        (0, 136, 255),
    )
