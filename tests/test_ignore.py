"""Names and first bytes: bgrd.intake.ignore."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrd.intake.ignore import HEAD_BYTES, classify, has_end_marker, ignored, ignored_directory, looks_like_picture

NEVER = [
    b".hidden.jpg",
    b"~lock.jpg",
    b".syncthing.IMG_1.jpg.tmp",
    b"~syncthing~IMG_1.jpg.tmp",
    b"a.jpg.TMP",
    b"a.jpg.part",
    b"a.jpg.partial",
    b"a.jpg.filepart",
    b"a.jpg.crdownload",
    b"a.jpg.download",
    b"a.jpg.!Sync",
    b"a.jpg.icloud",
    b"._a.jpg",
    b"Thumbs.db",
    b"THUMBS.DB",
    b"desktop.ini",
    b".nfs0001",
    b".fuse_hidden0001",
    b".goutputstream-ABC",
    b".bgrd-src-17",
    b"phone/.stfolder/a.jpg",
    b".stversions/a.jpg",
    b"x/@eaDir/a.jpg",
    b"#recycle/a.jpg",
    b".Trash-1000/a.jpg",
    b"__MACOSX/a.jpg",
]


@pytest.mark.parametrize("path", NEVER)
def test_names_that_are_never_input(path: bytes) -> None:
    """Temporary, hidden and service files are ignored wherever the rule meets a component of the path."""
    assert ignored(path, sync_conflicts=True)


@pytest.mark.parametrize("path", [b"a.jpg", b"b/c d/\xff\n.png", b"part.jpg", b"eaDir/x.jpg", b"-x.jpg", b"a .jpg "])
def test_names_that_may_be_input(path: bytes) -> None:
    """Any other name passes, however odd."""
    assert not ignored(path, sync_conflicts=False)


def test_conflict_copies_are_ignored_unless_asked_for() -> None:
    """Syncthing's conflict copies are left alone by default."""
    path = b"a/IMG_1.sync-conflict-20240101-120000-ABCDEF.jpg"
    assert ignored(path, sync_conflicts=False)
    assert not ignored(path, sync_conflicts=True)


def test_a_file_may_be_called_like_an_ignored_directory() -> None:
    """The directories' names are no rule for files."""
    assert not ignored(b"a/__MACOSX", sync_conflicts=False)
    assert ignored_directory(b"__macosx")
    assert not ignored_directory(b"album")


@given(st.lists(st.binary(min_size=1).filter(lambda name: b"/" not in name), min_size=1, max_size=4), st.integers(0, 3))
def test_one_bad_component_is_enough(parts: list[bytes], at: int) -> None:
    """A hidden component anywhere makes the path ignored, and no name makes the rules fail."""
    parts.insert(min(at, len(parts)), b".hidden")
    assert ignored(b"/".join(parts), sync_conflicts=True)
    classify(parts[0])


def test_suffixes_tell_what_a_file_is() -> None:
    """Pictures and surely other files are told by suffix without regard to case, the rest is not."""
    assert {classify(name) for name in (b"a.JPG", b"a/b.jpeg", b"x.HeIc", b"x.tif")} == {"picture"}
    assert {classify(name) for name in (b"a.MOV", b"IMG_1.AAE", b"x.xmp", b"x.pdf", b"x.dng")} == {"other"}
    assert {classify(name) for name in (b"README", b".jpg", b"a.xyz", b"a.", b"dir.jpg/file")} == {"unknown"}


def test_end_markers() -> None:
    """JPEG, PNG and WebP say where they end; the others do not."""
    assert all(map(has_end_marker, (b"a.jpg", b"a.JPEG", b"b/a.png", b"a.webp")))
    assert not any(map(has_end_marker, (b"a.heic", b"a.tif", b"a.bmp", b"a.gif", b"a.avif", b"jpg")))


def _ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"II*\0",
        b"MM\0*",
        b"BM" + bytes(12) + (40).to_bytes(4, "little"),
        b"GIF87a",
        b"GIF89a",
        _ftyp(b"avif", b"mif1"),
        _ftyp(b"heic"),
        _ftyp(b"MiHB", b"mif1", b"heic"),
    ],
)
def test_pictures_are_known_by_their_first_bytes(head: bytes) -> None:
    """Each format bgrd can work on is recognised by its magic."""
    assert looks_like_picture(head.ljust(HEAD_BYTES, b"\0"))


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"B",
        b"BM is how this text begins, all of it",
        b"RIFF\x10\0\0\0WAVEfmt ",
        bytes(HEAD_BYTES),
        _ftyp(b"isom", b"mp42", b"avc1"),
        _ftyp(b"qt  "),
        b"%PDF-1.7",
        b"\0\0\0\x18ftyp",
    ],
)
def test_other_bytes_are_no_picture(head: bytes) -> None:
    """Films, sound, text, zeros and nothing are not taken for pictures."""
    assert not looks_like_picture(head)


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_get_an_answer(head: bytes) -> None:
    """No head makes the test fail, however short or wrong."""
    assert looks_like_picture(head) in {True, False}
