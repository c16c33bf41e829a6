"""The names results get: no two sources share one, and what is there already is nobody's to take."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgrd.journal.journal import Journal
from bgrd.product import Ground, Product
from tests.houses.deliveries import work
from tests.houses.workshop import MASKED, Workshop


def test_names_that_collide_stay_apart(shop: Workshop) -> None:
    """Three sources that differ in their suffix give three results, whichever comes first; each keeps its own."""
    for name in ("a.jpg", "a.png", "a.webp"):
        shop.drop(name, name.encode())
        work(shop, b"of " + name.encode())
    assert shop.results() == {"a.png": b"of a.jpg", "a.png.png": b"of a.png", "a.webp.png": b"of a.webp"}
    shop.drop("a.png", b"a.png anew")
    assert work(shop, b"of the new a.png") == [b"a.png.png"]
    assert shop.results()["a.png"] == b"of a.jpg"


def test_a_name_that_belongs_to_another_job_is_not_taken_while_its_result_is_away(shop: Workshop) -> None:
    """The journal holds the mapping: moving a result out of the outbox does not give its name to a neighbour."""
    shop.drop("a.jpg", b"one")
    work(shop, b"of a.jpg")
    (shop.folder.outbox / "a.png").unlink()
    shop.drop("a.webp", b"two")
    assert work(shop, b"of a.webp") == [b"a.webp.png"]


def test_products_whose_names_meet_for_one_source_stay_apart(shop: Workshop) -> None:
    """Templates that differ may give one name: a second run replaces each one's own file."""
    products = (Product(name="x{stem}"), Product(kind="mask", name="{stem}x"))
    shop.folder = replace(shop.folder, recipe=replace(shop.folder.recipe, products=products))
    for content in (b"source", b"source anew"):
        shop.drop("x.jpg", content)
        assert work(shop, b"the cut-out", b"the mask") == [b"xx.png", b"x.jpgx.png"]
        assert shop.results() == {"xx.png": b"the cut-out", "x.jpgx.png": b"the mask"}


def test_a_users_file_is_never_replaced(shop: Workshop) -> None:
    """What bgrd did not write keeps its name; the result takes the next free one. So do a link and a directory."""
    (shop.folder.outbox / "a.png").write_bytes(b"the user's")
    (shop.folder.outbox / "a.jpg.png").symlink_to("/nowhere")
    (shop.folder.outbox / "a.jpg-2.png").mkdir()
    shop.drop("a.jpg", b"source")
    assert work(shop, b"result") == [b"a.jpg-3.png"]
    assert (shop.folder.outbox / "a.png").read_bytes() == b"the user's"


def test_a_name_taken_in_the_last_moment_is_stepped_over(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that appears between the look and the link is kept, and the journal has the name really used."""

    def unchanged(*_: object) -> bool:
        (shop.folder.outbox / "a.png").write_bytes(b"faster")
        return True

    monkeypatch.setattr("bgrd.delivery.commit.unchanged", unchanged)
    shop.drop("a.jpg", b"source")
    assert work(shop, b"result") == [b"a.jpg.png"]
    assert shop.results() == {"a.png": b"faster", "a.jpg.png": b"result"}
    assert shop.job("a.jpg").results[0].target == b"a.jpg.png"


def test_two_products_of_one_name_get_two(tmp_path: Path) -> None:
    """Cut-outs on two grounds would be called the same; neither replaces the other, nor the other's earlier one."""
    products = (Product(), Product(ground=Ground(kind="colour", colour=(255, 255, 255))))
    shop = Workshop(tmp_path, recipe=replace(MASKED, products=products))
    for round_ in (b"1", b"2"):
        shop.drop("a.jpg", b"source" * int(round_))
        assert work(shop, b"clear " + round_, b"white " + round_) == [b"a.png", b"a.jpg.png"]
        assert shop.results() == {"a.png": b"clear " + round_, "a.jpg.png": b"white " + round_}
    shop.journal.close()


def test_names_that_differ_by_case_alone_share_an_outbox_without_case(shop: Workshop) -> None:
    """Where `a.png` is another word for `A.png`, the second source's result takes the next name; neither is lost.

    A hard link stands for the file system's own idea of what `a.png` is.
    """
    shop.drop("A.jpg", b"upper")
    assert work(shop, b"result of A") == [b"A.png"]
    os.link(shop.folder.outbox / "A.png", shop.folder.outbox / "a.png")
    shop.drop("a.jpg", b"lower")
    assert work(shop, b"result of a") == [b"a.jpg.png"]
    (shop.folder.outbox / "a.png").unlink()
    assert shop.results() == {"A.png": b"result of A", "a.jpg.png": b"result of a"}


_PLACES = st.sampled_from([b"", b"d/", b"_failed/", b"_FAILED/", b"_failed_/"])
_STEMS = st.sampled_from([b"a", b"A", b"a.jpg", b"a.jpg-2", b"a.png", b"x" * 250, b"x" * 249 + b"y", b"\xc3\xbc" * 125])
_SUFFIXES = st.sampled_from([b"", b".jpg", b".JPG", b".png", b".webp", b".jpeg"])
_PATHS = st.tuples(_PLACES, _STEMS, _SUFFIXES).map(b"".join).filter(lambda path: len(path.rpartition(b"/")[2]) <= 255)


@settings(max_examples=15, deadline=None)
@given(paths=st.lists(_PATHS, min_size=2, max_size=8, unique=True), again=st.randoms(use_true_random=False))
def test_no_two_sources_ever_share_a_result(paths: list[bytes], again: Random) -> None:
    """Whatever names compete, in whatever order, first or dropped again: each source keeps one result of its own."""
    with tempfile.TemporaryDirectory() as root, closing(Journal(Path(root) / "journal.db")) as journal:
        shop = Workshop(Path(root), journal=journal)
        mapping = {}
        for path in paths:
            shop.drop(os.fsdecode(path), b"first " + path)
            mapping[path] = work(shop, b"result of first " + path)
        assert len({target for targets in mapping.values() for target in targets}) == len(paths)
        for path in again.sample(paths, len(paths)):
            shop.drop(os.fsdecode(path), b"second " + path)
            assert work(shop, b"result of second " + path) == mapping[path]
        assert shop.results() == {os.fsdecode(mapping[path][0]): b"result of second " + path for path in paths}
