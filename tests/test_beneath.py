"""Directories beneath a root, and what goes wrong there."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bgrd.delivery.beneath import (
    file_fault,
    folder_fault,
    folder_faults,
    open_directory,
    open_regular,
    opened_directory,
    sha256_of,
    split,
    sync_directories,
    sync_directory,
)
from bgrd.errors import DaemonFault, Fault, FileFault, FolderFault, FolderUnavailable
from tests.kernel.processes import open_files


@pytest.mark.parametrize("path", [b"", b"/x", b"a//b", b"a/../b", b".", b"a/", b"..", b"a\0b"])
def test_split_refuses_what_leaves_the_root(path: bytes) -> None:
    """A path that could leave the root, or is none, is refused."""
    with pytest.raises(ValueError, match="not a path below a root"):
        split(path)


def test_split() -> None:
    """A path is split into its directory and its name, whatever bytes they have."""
    assert split(b"a/b/\xff\n") == (b"a/b", b"\xff\n")
    assert split(b"x") == (b"", b"x")


def test_parent_that_leaves_the_root_is_refused(tmp_path: Path) -> None:
    """A directory is never opened by a path with `..`."""
    with pytest.raises(ValueError, match="not a path below a root"):
        open_directory(tmp_path, b"../x")


def test_no_link_is_followed(tmp_path: Path) -> None:
    """A symbolic link below the root is no directory, at any depth; the root itself may be one."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(outside)
    for parent in (b"link", b"link/deep"):
        with pytest.raises(NotADirectoryError):
            open_directory(root, parent, made=lambda _: None)
    alias = tmp_path / "alias"
    alias.symlink_to(outside)
    with opened_directory(alias, b"deep") as directory:
        assert os.path.samestat(os.fstat(directory), (outside / "deep").stat())


def test_missing_directories_are_made_and_shown(tmp_path: Path) -> None:
    """Missing directories are made, each is shown to the caller, and existing ones are not."""
    (tmp_path / "a").mkdir()
    made: list[int] = []
    with opened_directory(tmp_path, b"a/b/c", made=lambda fd: made.append(os.fstat(fd).st_ino)):
        pass
    assert made == [(tmp_path / "a/b").stat().st_ino, (tmp_path / "a/b/c").stat().st_ino]


def test_the_root_is_never_made(tmp_path: Path) -> None:
    """A missing root stays missing: it may be the mount point of a share."""
    with pytest.raises(FileNotFoundError):
        open_directory(tmp_path / "gone", b"a", made=lambda _: None)
    assert not (tmp_path / "gone").exists()


def test_new_directory_that_cannot_be_shown_closes_its_descriptor(tmp_path: Path) -> None:
    """An error while a new directory is being prepared leaks no descriptor."""
    before = len(open_files())

    def refuse(_: int) -> None:
        raise OSError(errno.EPERM, "no")

    with pytest.raises(PermissionError):
        open_directory(tmp_path, b"a/b", made=refuse)
    assert len(open_files()) == before


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """Links, FIFOs, directories and missing names give None, at once."""
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with opened_directory(tmp_path) as directory:
        for name in (b"link", b"directory", b"fifo", b"missing"):
            assert open_regular(name, directory=directory) is None
        fd = open_regular(b"file", directory=directory)
        assert fd is not None
        assert sha256_of(fd) == hashlib.sha256(b"abc").hexdigest()
        os.close(fd)


def test_name_taken_by_another_kind_between_look_and_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that becomes a link or a directory between the look and the open is not opened."""
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "directory").mkdir()
    regular = (tmp_path / "file").stat()
    with opened_directory(tmp_path) as directory, monkeypatch.context() as patch:
        patch.setattr(os, "stat", lambda *_, **__: regular)
        for name in (b"link", b"directory", b"missing"):
            assert open_regular(name, directory=directory) is None


def test_unreadable_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A regular file that cannot be opened is an error, not an absent file."""
    (tmp_path / "file").write_bytes(b"abc")
    with opened_directory(tmp_path) as directory, monkeypatch.context() as patch:

        def refuse(*_: object, **__: object) -> int:
            raise OSError(errno.EACCES, "no")

        patch.setattr(os, "open", refuse)
        with pytest.raises(PermissionError):
            open_regular(b"file", directory=directory)


def test_every_directory_up_to_the_root_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncing reaches the deepest directory first and the root last."""
    (tmp_path / "a/b").mkdir(parents=True)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    sync_directories(tmp_path, b"a/b")
    assert synced == [(tmp_path / name).stat().st_ino for name in ("a/b", "a", ".")]


def test_directories_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without fsync for directories is accepted; a failing one is not."""

    def answer(number: int) -> None:
        def fail(_: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fail)

    with opened_directory(tmp_path) as directory:
        answer(errno.EINVAL)
        sync_directory(directory)
        answer(errno.EIO)
        with pytest.raises(OSError, match="Input/output error"):
            sync_directory(directory)


@pytest.mark.parametrize(
    ("number", "fault", "words"),
    [
        (errno.ENOSPC, FolderFault, "is full"),
        (errno.EDQUOT, FolderFault, "quota"),
        (errno.EROFS, FolderFault, "read-only"),
        (errno.EACCES, FolderFault, "permissions"),
        (errno.EIO, FolderFault, "Input/output error"),
        (errno.ENOENT, FolderUnavailable, "is not there"),
        (errno.ENOTCONN, FolderUnavailable, "is not there"),
        (errno.ESTALE, FolderUnavailable, "is not there"),
        (errno.EMFILE, DaemonFault, "short of system resources"),
    ],
)
def test_folder_faults_are_sentences(number: int, fault: type[Fault], words: str, tmp_path: Path) -> None:
    """Each answer of a folder's file system becomes its fault, with a sentence that names the folder."""
    found = folder_fault(OSError(number, "x"), role="outbox", root=tmp_path)
    assert type(found) is fault
    assert words in str(found)
    assert fault is DaemonFault or str(tmp_path) in str(found)


@pytest.mark.parametrize("number", [errno.ENOTDIR, errno.EILSEQ, errno.ENAMETOOLONG, errno.EACCES, errno.ENOENT])
def test_trouble_of_one_path_is_that_files(number: int, tmp_path: Path) -> None:
    """What is wrong with one path below a root that stands blocks that file only."""
    found = folder_fault(OSError(number, "x"), role="outbox", root=tmp_path, path=b"a/x.png")
    assert type(found) is FileFault
    assert "a/x.png" in str(found)


def test_trouble_of_the_root_is_the_folders(tmp_path: Path) -> None:
    """The same answer is the folder's where the root itself is gone; a full disk is the folder's always."""
    gone = folder_fault(OSError(errno.ENOENT, "x"), role="outbox", root=tmp_path / "gone", path=b"a/x.png")
    assert type(gone) is FolderUnavailable
    full = folder_fault(OSError(errno.ENOSPC, "x"), role="outbox", root=tmp_path, path=b"a/x.png")
    assert type(full) is FolderFault


def test_folder_faults_block(tmp_path: Path) -> None:
    """The block form keeps the OSError as the cause; an OSError without a number is told as it is."""
    with pytest.raises(FolderFault, match="cannot be used: strange") as caught, folder_faults("outbox", tmp_path):
        raise OSError("strange")
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    ("number", "fault", "words"),
    [
        (errno.EACCES, FileFault, "Permission denied"),
        (errno.EAGAIN, FileFault, "another program"),
        (errno.ENFILE, DaemonFault, "short of system resources"),
    ],
)
def test_file_faults_are_sentences(number: int, fault: type[Fault], words: str) -> None:
    """Trouble with one source is that file's, or the daemon's."""
    found = file_fault(OSError(number, "x"), path=b"x\n.jpg")
    assert type(found) is fault
    assert words in str(found)
    assert "\n" not in str(found)


def test_threads_that_hash_keep_no_memory(tmp_path: Path) -> None:
    """What a committer reads files into is given back, and not kept by the C library for its thread."""
    (tmp_path / "file").write_bytes(bytes(5 * 2**20))
    code = (
        "import os, sys, threading\n"
        "from bgrd.delivery.beneath import sha256_of\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "sha256_of(fd)\n"
        "before, both = resident(), threading.Barrier(7)\n"
        "def hash_often():\n"
        "    for _ in range(5): sha256_of(fd); kept.append(bytes(700))\n"
        "    both.wait(); both.wait()\n"
        "kept = []\n"
        "threads = [threading.Thread(target=hash_often) for _ in range(6)]\n"
        "for thread in threads: thread.start()\n"
        "both.wait(); print(resident() - before); both.wait()\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "file")]
    assert int(subprocess.run(words, capture_output=True, text=True, check=True).stdout) < 6 * 2**20
