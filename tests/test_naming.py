"""Names of results, archived sources and hidden files."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bgrd.delivery.naming import candidates, hidden_note, hidden_result, hidden_source, noted, numbered
from bgrd.product import Product

names = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."},
)
paths = st.lists(names, min_size=1, max_size=3).map(b"/".join)
products = st.builds(
    Product,
    kind=st.sampled_from(["cutout", "mask", "background", "compare"]),
    format=st.sampled_from(["png", "webp", "tiff"]),
    name=st.sampled_from([None, "{stem}", "a-{stem}", "{stem}" + "-é" * 45, "_failed{stem}"]),
)


def _first(path: bytes, count: int, product: Product | None = None, *, only: bool = True) -> list[bytes]:
    return list(itertools.islice(candidates(path, product or Product(), only=only), count))


def test_names_in_order() -> None:
    """A result takes the stem first, then the whole name, then a number."""
    assert _first(b"a/IMG_1.jpg", 4) == [
        b"a/IMG_1.png",
        b"a/IMG_1.jpg.png",
        b"a/IMG_1.jpg-2.png",
        b"a/IMG_1.jpg-3.png",
    ]


def test_mask_beside_others() -> None:
    """A mask beside other products carries `.mask` in every one of its names; alone it does not."""
    mask = Product(kind="mask", format="webp")
    assert _first(b"x.jpg", 3, mask, only=False) == [b"x.mask.webp", b"x.jpg.mask.webp", b"x.jpg-2.mask.webp"]
    assert _first(b"x.jpg", 1, mask) == [b"x.webp"]


def test_other_kinds_beside_others() -> None:
    """Each carries its kind, and a format its usual suffix."""
    assert _first(b"x.jpg", 1, Product(kind="background"), only=False) == [b"x.background.png"]
    assert _first(b"x.jpg", 1, Product(kind="compare", format="jpeg"), only=False) == [b"x.compare.jpg"]
    assert _first(b"x.jpg", 1, Product(kind="compare", format="tiff")) == [b"x.tiff"]


def test_names_of_ones_own() -> None:
    """What stands around the stem stays around it, also where a name is taken."""
    named = Product(format="webp", name="shop-{stem}-white")
    assert _first(b"a/x.jpg", 3, named) == [
        b"a/shop-x-white.webp",
        b"a/shop-x.jpg-white.webp",
        b"a/shop-x.jpg-2-white.webp",
    ]
    assert _first(b"{stem}.jpg", 1, named) == [b"shop-{stem}-white.webp"]


def test_same_suffix_is_not_offered_twice() -> None:
    """A source without suffix does not offer one name twice in a row."""
    assert _first(b"x", 3) == [b"x.png", b"x-2.png", b"x-3.png"]


def test_reserved_directory_is_never_used() -> None:
    """What lies in a top-level `_failed`, in any case, goes beside the failure notes, not among them.

    Nor does a result go among those that the user corrected.
    """
    assert _first(b"_corrections/x.jpg", 1) == [b"_corrections_/x.png"]
    assert _first(b"_failed/x.jpg", 1) == [b"_failed_/x.png"]
    assert _first(b"_FAILED/a/x.jpg", 1) == [b"_FAILED_/a/x.png"]
    assert _first(b"a/_failed/x.jpg", 1) == [b"a/_failed/x.png"]
    assert _first(b"_failed", 1) == [b"_failed.png"]


def test_long_names_are_cut_between_characters() -> None:
    """A name too long is cut where no character is split, and keeps its suffix behind 8 hex digits."""
    path = "ü".encode() * 125 + b".jpeg"
    name = _first(path, 2)[1]
    assert len(name) <= 255
    assert name.decode().endswith(".png")
    stem, _, digits = name.removesuffix(b".png").rpartition(b"~")
    assert stem.decode() == "ü" * (len(stem) // 2)
    assert len(digits) == 8
    assert int(digits, 16) >= 0


def test_long_names_stay_apart() -> None:
    """Two long names that differ only in what is cut away give different results."""
    one, two = (b"x" * 250 + ending + b".j" for ending in (b"1", b"2"))
    assert not set(_first(one, 3)) & set(_first(two, 3))


@given(path=paths, product=products, only=st.booleans())
def test_candidates_always_fit(path: bytes, product: Product, *, only: bool) -> None:
    """Every candidate fits into a name, is distinct, lies in the mirrored directory and has the format's suffix."""
    found = _first(path, 12, product, only=only)
    assert len(set(found)) == len(found)
    for candidate in found:
        parent, _, name = candidate.rpartition(b"/")
        assert 0 < len(name) <= 255
        assert name.endswith(b"." + product.format.encode())
        assert parent.count(b"/") == path.rpartition(b"/")[0].count(b"/")
        assert b"/" not in candidate or candidate.split(b"/")[0].lower() not in {b"_corrections", b"_failed"}


@given(path=paths)
def test_archive_and_note_names_fit(path: bytes) -> None:
    """Archive and note names are single names that fit and differ, and an archived file keeps its own name first."""
    name = path.rpartition(b"/")[2]
    archived = list(itertools.islice(numbered(path), 12))
    notes = list(itertools.islice(noted(path), 12))
    assert archived[0] == name
    for found in (archived, notes):
        assert len(set(found)) == len(found)
        assert all(0 < len(each) <= 255 and b"/" not in each for each in found)


def test_archive_names_count_before_the_suffix() -> None:
    """A second `x.jpg` is archived as `x-2.jpg`; a dotfile counts at its end."""
    assert list(itertools.islice(numbered(b"a/x.jpg"), 3)) == [b"x.jpg", b"x-2.jpg", b"x-3.jpg"]
    assert list(itertools.islice(numbered(b".x"), 2)) == [b".x", b".x-2"]


def test_hidden_names_are_deterministic() -> None:
    """Hidden names follow from the job or path alone, so that the next start finds them."""
    assert hidden_result(7, 1) == b".bgrd-7-1.tmp"
    assert hidden_source(7) == b".bgrd-src-7"
    assert hidden_note(b"a") == hidden_note(b"a") != hidden_note(b"b")
