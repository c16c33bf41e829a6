"""Folders and zip files are read by name, with limits, and never followed anywhere."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import pytest

from bgrd.errors import NoInputError, TrainingError
from bgrd.train import holding
from bgrd.train.holding import Member, UnreadableError, opened
from tests.pictures.sets import write, zipped

FILES: dict[str, bytes] = {"b.jpg": b"b", "images/a.jpg": b"a", "noname": b"n"}
LEFT_OUT: dict[str, bytes] = {".hidden.jpg": b"", "LICENSE.txt": b"", "list.csv": b"", "Thumbs.db": b"", "x.part": b""}


@pytest.fixture(params=["folder", "zip"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give the same files in a folder and in a zip file."""
    if request.param == "zip":
        return zipped(tmp_path / "set.zip", FILES | LEFT_OUT)
    return write(tmp_path / "set", FILES | LEFT_OUT)


def test_what_may_be_a_picture_is_named_in_order_and_read(place: Path) -> None:
    """Hidden files and those that are surely no pictures are left out; the rest is read as it is."""
    with opened(place) as found:
        assert found.members() == [Member(name=name) for name in sorted(FILES)]
        assert {name: found.read(name) for name in FILES} == FILES


def test_more_than_the_limit_is_not_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file larger than the limit is named as such, and read no further whatever was said of its size."""
    monkeypatch.setattr(holding, "MOST_BYTES", 0)
    with opened(place) as found:
        assert all("is larger than" in member.trouble for member in found.members())
        with pytest.raises(UnreadableError, match="is larger than"):
            found.read("b.jpg")


def test_a_bomb_is_unpacked_to_the_limit_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that says that a member is small, and unpacks to more, gets no further than the limit."""
    monkeypatch.setattr(holding, "MOST_BYTES", 1000)
    path = zipped(tmp_path / "bomb.zip", {"a.jpg": bytes(10_000_000)})
    packed = path.read_bytes()
    path.write_bytes(packed.replace(struct.pack("<I", 10_000_000), struct.pack("<I", 10)))
    with opened(path) as found:
        assert found.members() == [Member(name="a.jpg")]
        with pytest.raises(UnreadableError):
            found.read("a.jpg")


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "x/../../a.jpg", "x//a.jpg", "./a.jpg"])
def test_names_that_lead_out_of_the_archive_are_told(tmp_path: Path, name: str) -> None:
    """No such member is read, and nothing is written anywhere."""
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        archive.writestr(info, b"x")
    with opened(path) as found:
        (member,) = [member for member in found.members() if member.trouble]
    assert member.trouble == "has a name that leads out of the archive"
    assert os.listdir(tmp_path) == ["set.zip"]


def test_links_and_special_files_are_not_followed(tmp_path: Path) -> None:
    """A link to a picture, one to a directory, and a FIFO are named with the reason, and opening them gives nothing."""
    folder = write(tmp_path / "set", {"a.jpg": b"a"})
    write(tmp_path / "secret", {"s.jpg": b"s"})
    (folder / "link.jpg").symlink_to("../secret/s.jpg")
    (folder / "pictures").symlink_to("../secret")
    os.mkfifo(folder / "pipe.jpg")
    with opened(folder) as found:
        troubles = {member.name: member.trouble for member in found.members()}
        assert troubles == {
            "a.jpg": "",
            "link.jpg": "is a link, and links are not followed",
            "pictures": "is a link, and links are not followed",
            "pipe.jpg": "is no regular file",
        }
        for name in ("link.jpg", "pictures/s.jpg", "pipe.jpg", "gone.jpg"):
            with pytest.raises(UnreadableError):
                found.read(name)


def test_links_in_an_archive_are_not_pictures(tmp_path: Path) -> None:
    """A member that says that it is a link or a device is named with the reason."""
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, mode in (("link.jpg", 0o120777), ("device.jpg", 0o060600), ("plain.jpg", 0o100644)):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, b"/etc/passwd")
    with opened(path) as found:
        assert {member.name: member.trouble for member in found.members()} == {
            "device.jpg": "is no regular file",
            "link.jpg": "is a link, and links are not followed",
            "plain.jpg": "",
        }


def test_of_two_members_of_one_name_the_first_counts(tmp_path: Path) -> None:
    """Nobody can tell which is meant; what is taken is told."""
    path = zipped(tmp_path / "set.zip", [("a.jpg", b"first"), ("a.jpg", b"second")])
    with opened(path) as found:
        assert found.members() == [
            Member(name="a.jpg"),
            Member(name="a.jpg", trouble="is there twice; the first was taken"),
        ]
        assert found.read("a.jpg") == b"first"


def test_an_encrypted_member_is_told(tmp_path: Path) -> None:
    """Nobody is asked for a password."""
    path = zipped(tmp_path / "set.zip", {"a.jpg": b"a"})
    packed = bytearray(path.read_bytes())
    packed[packed.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(packed)
    with opened(path) as found:
        assert found.members() == [Member(name="a.jpg", trouble="is encrypted")]


def test_a_damaged_member_costs_itself(tmp_path: Path) -> None:
    """A wrong byte is found by its checksum, and the other members are read."""
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.jpg", b"some bytes of a photo")
        archive.writestr("b.jpg", b"others")
    path.write_bytes(path.read_bytes().replace(b"some bytes", b"same bytes"))
    with opened(path) as found:
        found.members()
        with pytest.raises(UnreadableError, match="cannot be unpacked: Bad CRC-32"):
            found.read("a.jpg")
        assert found.read("b.jpg") == b"others"


@pytest.mark.parametrize("content", [b"", b"PK\5\6", b"no archive at all"])
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    """A file that is neither folder nor zip file names itself."""
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(TrainingError, match=r"a\.zip is neither a folder nor a zip file"), opened(tmp_path / "a.zip"):
        pass


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """As any input that was named."""
    with pytest.raises(NoInputError, match=r"a\.zip cannot be read: No such file"), opened(tmp_path / "a.zip"):
        pass


def test_an_archive_of_countless_members_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any of them is looked at."""
    monkeypatch.setattr(holding, "_MOST_MEMBERS", 2)
    path = zipped(tmp_path / "set.zip", FILES)
    with pytest.raises(TrainingError, match="has 3 members; 2 are the most"), opened(path):
        pass
