"""Names that are never ours, and what a name or the first bytes say about a file. Pure.

Rules look at bytes as the file system has them, without regard to ASCII case. Formats are told by
content in the end; the suffix is a hint that spares opening the thousand videos of a phone folder.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["HEAD_BYTES", "classify", "has_end_marker", "ignored", "ignored_directory", "looks_like_picture"]

HEAD_BYTES = 64
"""How much of a file `looks_like_picture` wants to see."""

_PREFIXES = (b".", b"~")  # hidden files, ._ of macOS, .nfs*, .fuse_hidden*, .goutputstream-*, Syncthing's and Office's
_SUFFIXES = (b".tmp", b".part", b".partial", b".filepart", b".crdownload", b".download", b".!sync", b".icloud")
_NAMES = frozenset({b"thumbs.db", b"desktop.ini"})
_DIRECTORIES = frozenset({b"@eadir", b"#recycle", b"__macosx"})  # those with a leading dot are hidden anyway
_SYNC_CONFLICT = b".sync-conflict-"

_PICTURES = frozenset(
    b"avif bmp dib gif heic heif hif jfif jpe jpeg jpg png tif tiff webp".split(),
)
_MARKED = frozenset({b"jpeg", b"jpg", b"png", b"webp"})

# Raw photos begin like TIFF, hence they stand here by name; none of these can be cut out.
_OTHERS = frozenset(
    b"""
    3fr arw cr2 cr3 dng erf iiq mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f
    ai eps icns ico jp2 jxl kra psd svg xcf
    3g2 3gp asf avi flv insv lrv m2ts m4v mkv mov mp4 mpeg mpg mts ogv ts webm wmv
    aac aiff amr flac m4a mid mp3 oga ogg opus wav wma
    csv doc docx epub htm html json key log md numbers odp ods odt pages pdf ppt pptx rtf toml txt xls xlsx xml yaml yml
    7z apk bz2 deb dmg exe gz iso jar rar rpm tar tgz xz zip zst
    aae cube dop lrcat on1 pp3 thm vrd xmp
    bak bin db db3 ini lnk py sh sqlite torrent url
    """.split(),
)

_BRANDS = frozenset(
    {b"avif", b"avis", b"heic", b"heim", b"heis", b"heix", b"hevc", b"hevm", b"hevs", b"hevx", b"mif1", b"msf1"},
)
_MAGICS = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\x00",
    b"MM\x00*",
    b"II+\x00",
    b"MM\x00+",
)
_BITMAP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})


def ignored(path: bytes, *, sync_conflicts: bool) -> bool:
    """Say whether a path below an inbox is never input: by the rules for any component of it.

    `sync_conflicts` asks for the conflict copies Syncthing makes.
    """
    *directories, name = path.split(b"/")
    if any(ignored_directory(directory) for directory in directories):
        return True
    return _ignored_name(name) or (not sync_conflicts and _SYNC_CONFLICT in name.lower())


def ignored_directory(name: bytes) -> bool:
    """Say whether a directory of this name is neither walked nor watched."""
    return _ignored_name(name) or name.lower() in _DIRECTORIES


def _ignored_name(name: bytes) -> bool:
    low = name.lower()
    return low.startswith(_PREFIXES) or low.endswith(_SUFFIXES) or low in _NAMES


def classify(name: bytes) -> Literal["picture", "other", "unknown"]:
    """Tell by the suffix whether a file is a picture, surely something else, or has to be opened to know."""
    suffix = _suffix(name)
    if suffix in _PICTURES:
        return "picture"
    return "other" if suffix in _OTHERS else "unknown"


def has_end_marker(name: bytes) -> bool:
    """Say whether files of this suffix end in a mark by which a decoder knows that they are whole."""
    return _suffix(name) in _MARKED


def _suffix(name: bytes) -> bytes:
    stem, dot, suffix = name.rpartition(b"/")[2].rpartition(b".")
    return suffix.lower() if dot and stem else b""


def looks_like_picture(head: bytes) -> bool:
    """Tell from the first `HEAD_BYTES` of a file whether it is in a format bgrd may be able to decode.

    JPEG, PNG, GIF, TIFF, WebP, BMP, AVIF and HEIC; films in the same container as the last two are not.
    """
    if head.startswith(_MAGICS):
        return True
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    if head[4:8] == b"ftyp":
        return _picture_brand(head)
    # "BM" alone is how many a text begins.
    return head[:2] == b"BM" and len(head) >= 18 and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS


def _picture_brand(head: bytes) -> bool:
    length = int.from_bytes(head[:4], "big")
    compatible = head[16 : max(16, length)]
    brands = {head[8:12], *(compatible[start : start + 4] for start in range(0, len(compatible), 4))}
    return not brands.isdisjoint(_BRANDS)
