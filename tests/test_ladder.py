"""Ways to put a complete file under a name that must not exist yet."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bgrd.delivery.ladder
from bgrd.delivery.beneath import opened_directory
from bgrd.delivery.ladder import LADDER, Rung, create_draft, drop_draft, find_rung, give_name, move, publish_draft
from bgrd.errors import FolderFault
from bgrd.kernel import rename_noreplace
from tests.kernel.processes import open_files


def _answering(number: int) -> Callable[..., int]:
    def answer(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return answer


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """Give a descriptor of an empty directory."""
    with opened_directory(tmp_path) as fd:
        yield fd


@pytest.mark.parametrize("rung", LADDER)
class TestEveryRung:
    def test_publishes_what_was_written(self, rung: Rung, directory: int, tmp_path: Path) -> None:
        """A draft has no public name until it is published, then exactly that one."""
        draft = create_draft(directory, rung=rung, spare=b".d.tmp")
        os.write(draft.fd, b"whole")
        assert not [name for name in os.listdir(tmp_path) if not name.startswith(".")]
        assert publish_draft(draft, b"x", directory=directory)
        drop_draft(draft)
        assert os.listdir(tmp_path) == ["x"]
        assert (tmp_path / "x").read_bytes() == b"whole"
        assert (tmp_path / "x").stat().st_nlink == 1

    @pytest.mark.parametrize("kind", ["file", "link", "directory"])
    def test_refuses_a_taken_name(self, rung: Rung, kind: str, directory: int, tmp_path: Path) -> None:
        """Whatever has the name keeps it, and the draft can still take another."""
        match kind:
            case "file":
                (tmp_path / "x").write_bytes(b"theirs")
            case "link":
                (tmp_path / "x").symlink_to("nowhere")
            case _:
                (tmp_path / "x").mkdir()
        before = (tmp_path / "x").lstat()
        draft = create_draft(directory, rung=rung, spare=b".d.tmp")
        assert not publish_draft(draft, b"x", directory=directory)
        assert publish_draft(draft, b"y", directory=directory)
        drop_draft(draft)
        assert os.path.samestat((tmp_path / "x").lstat(), before)
        assert sorted(os.listdir(tmp_path)) == ["x", "y"]

    def test_drop_leaves_nothing(self, rung: Rung, directory: int, tmp_path: Path) -> None:
        """A dropped draft leaves no file and no descriptor, and may be dropped again."""
        before = len(open_files())
        draft = create_draft(directory, rung=rung, spare=b".d.tmp")
        drop_draft(draft)
        drop_draft(draft)
        assert os.listdir(tmp_path) == []
        assert len(open_files()) == before

    def test_is_found_by_trying(self, rung: Rung, directory: int, tmp_path: Path) -> None:
        """A rung forced by choice is found, and the trial leaves nothing behind."""
        assert find_rung(directory, spare=b".probe", ladder=[rung]) == rung
        assert os.listdir(tmp_path) == []

    def test_repeated_request_is_no_collision(
        self, rung: Rung, directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The answer "exists" about our own file, as a network file system may give it, counts as published."""
        draft = create_draft(directory, rung=rung, spare=b".d.tmp")
        real_link, real_rename = os.link, rename_noreplace

        def link(*arguments: bytes, **options: int) -> None:
            real_link(*arguments, **options)  # type: ignore[arg-type]
            raise FileExistsError(errno.EEXIST, "x")

        def rename(source: bytes, target: bytes, *, source_dir: int, target_dir: int) -> None:
            real_rename(source, target, source_dir=source_dir, target_dir=target_dir)
            raise FileExistsError(errno.EEXIST, "x")

        monkeypatch.setattr(os, "link", link)
        monkeypatch.setattr(bgrd.delivery.ladder, "rename_noreplace", rename)
        assert publish_draft(draft, b"x", directory=directory)
        drop_draft(draft)
        assert os.listdir(tmp_path) == ["x"]

    def test_named_for_a_rename(self, rung: Rung, directory: int, tmp_path: Path) -> None:
        """A draft can be given its hidden name, over a leftover, and still be published or dropped."""
        draft = create_draft(directory, rung=rung, spare=b".d.tmp")
        if rung == "unnamed":
            (tmp_path / ".d.tmp").write_bytes(b"leftover")
        assert give_name(draft, directory=directory) == b".d.tmp"
        assert give_name(draft, directory=directory) == b".d.tmp"
        assert os.path.samestat((tmp_path / ".d.tmp").stat(), os.fstat(draft.fd))
        assert publish_draft(draft, b"x", directory=directory)
        drop_draft(draft)
        assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("rung", LADDER[1:])
def test_leftover_of_a_crash_is_replaced(rung: Rung, directory: int, tmp_path: Path) -> None:
    """What a crash left under the hidden name is removed when the same job starts again."""
    (tmp_path / ".d.tmp").write_bytes(b"old")
    draft = create_draft(directory, rung=rung, spare=b".d.tmp")
    assert os.fstat(draft.fd).st_size == 0
    drop_draft(draft)


@pytest.mark.parametrize("rung", LADDER[1:])
def test_hidden_file_taken_away(rung: Rung, directory: int, tmp_path: Path) -> None:
    """A hidden file that somebody replaced is neither published nor removed."""
    draft = create_draft(directory, rung=rung, spare=b".d.tmp")
    (tmp_path / ".d.tmp").unlink()
    (tmp_path / ".d.tmp").write_bytes(b"theirs")
    with pytest.raises(FileNotFoundError):
        publish_draft(draft, b"x", directory=directory)
    drop_draft(draft)
    assert (tmp_path / ".d.tmp").read_bytes() == b"theirs"
    assert not (tmp_path / "x").exists()


def test_descriptor_limit_leaks_nothing(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running out of descriptors while a draft is made leaks none."""
    before = len(open_files())
    with monkeypatch.context() as patch:
        patch.setattr(os, "dup", _answering(errno.EMFILE))
        with pytest.raises(OSError, match="Too many open files"):
            create_draft(directory, rung="unnamed", spare=b".d.tmp")
    assert len(open_files()) == before


class TestFindRung:
    def test_prefers_the_unnamed(self, directory: int) -> None:
        """Where all work, the unnamed file is taken."""
        assert find_rung(directory, spare=b".probe") == "unnamed"

    def test_falls_back_to_links(self, directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without unnamed files a hidden one is linked."""
        real = os.open

        def open_named(path: bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return real(path, flags, mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", open_named)
        assert find_rung(directory, spare=b".probe") == "hidden+link"
        assert os.listdir(tmp_path) == []

    def test_falls_back_to_renameat2(self, directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without hard links, which unnamed files need too, a hidden file is renamed."""
        monkeypatch.setattr(os, "link", _answering(errno.EPERM))
        assert find_rung(directory, spare=b".probe") == "hidden+renameat2"
        assert os.listdir(tmp_path) == []

    def test_says_why_none_works(self, directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nothing works the fault tells each rung's answer, and nothing is left behind."""
        monkeypatch.setattr(os, "link", _answering(errno.EPERM))
        monkeypatch.setattr(bgrd.delivery.ladder, "rename_noreplace", _answering(errno.EINVAL))
        with pytest.raises(FolderFault, match=r"unnamed: Operation not permitted.*renameat2: Invalid argument"):
            find_rung(directory, spare=b".probe")
        assert os.listdir(tmp_path) == []

    def test_distrusts_what_replaces(self, directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """A rename that ignores the wish not to replace is found out."""

        def careless(source: bytes, target: bytes, *, source_dir: int, target_dir: int) -> None:
            os.rename(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir)

        monkeypatch.setattr(bgrd.delivery.ladder, "rename_noreplace", careless)
        with pytest.raises(FolderFault, match="not supported"):
            find_rung(directory, spare=b".probe", ladder=["hidden+renameat2"])

    def test_full_disk_is_no_missing_ability(self, directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """A full disk is told as that, not as a file system without rungs."""
        monkeypatch.setattr(os, "link", _answering(errno.ENOSPC))
        with pytest.raises(OSError, match="No space left"):
            find_rung(directory, spare=b".probe")


@pytest.mark.parametrize("able", ["renameat2", "link", "neither"])
class TestMove:
    @pytest.fixture(autouse=True)
    def _able(self, able: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if able != "renameat2":
            monkeypatch.setattr(bgrd.delivery.ladder, "rename_noreplace", _answering(errno.EINVAL))
        if able == "neither":
            monkeypatch.setattr(os, "link", _answering(errno.EPERM))

    def test_moves(self, directory: int, tmp_path: Path) -> None:
        """A free name is taken and the old one is gone."""
        (tmp_path / "a").write_bytes(b"a")
        assert move(b"a", b"b", source_dir=directory, target_dir=directory)
        assert os.listdir(tmp_path) == ["b"]

    def test_never_replaces(self, directory: int, tmp_path: Path) -> None:
        """A taken name stays what it is."""
        (tmp_path / "a").write_bytes(b"a")
        (tmp_path / "b").write_bytes(b"b")
        assert not move(b"a", b"b", source_dir=directory, target_dir=directory)
        assert (tmp_path / "a").read_bytes() == b"a"
        assert (tmp_path / "b").read_bytes() == b"b"

    def test_missing_source(self, directory: int) -> None:
        """A source that is gone is told as that."""
        with pytest.raises(FileNotFoundError):
            move(b"a", b"b", source_dir=directory, target_dir=directory)


def test_move_tells_other_errors(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no missing ability is not worked around, neither in the rename nor in the link."""
    monkeypatch.setattr(bgrd.delivery.ladder, "rename_noreplace", _answering(errno.EACCES))
    with pytest.raises(PermissionError):
        move(b"a", b"b", source_dir=directory, target_dir=directory)
    monkeypatch.setattr(bgrd.delivery.ladder, "rename_noreplace", _answering(errno.EINVAL))
    monkeypatch.setattr(os, "link", _answering(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        move(b"a", b"b", source_dir=directory, target_dir=directory)
