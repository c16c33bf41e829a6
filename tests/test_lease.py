"""One look at one file: bgrd.intake.lease."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bgrd.delivery.beneath import opened_directory
from bgrd.intake.lease import facts, lease, look, shows_picture
from bgrd.intake.scan import walk
from bgrd.job import version_of


def test_a_file_open_for_writing_is_told_from_one_that_is_not(tmp_path: Path) -> None:
    """The lease says "writing" as long as any descriptor may write, this process's own included."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    inbox = os.fsencode(tmp_path)
    with (tmp_path / "a.jpg").open("ab"):
        found = facts(inbox, b"a.jpg")
        assert found is not None
        assert found.lease == "writing"
    found = facts(inbox, b"a.jpg")
    assert found is not None
    assert (found.lease, found.marked, found.regular, found.size) == ("free", True, True, 1)
    assert found.version == version_of((tmp_path / "a.jpg").lstat())


def test_the_network_s_leases_are_not_asked(tmp_path: Path) -> None:
    """NFS answers "busy" for files nobody writes: on a network mount the answer is always "unknown"."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    with (tmp_path / "a.jpg").open("ab"):
        found = facts(os.fsencode(tmp_path), b"a.jpg", network=True)
    assert found is not None
    assert (found.lease, found.network) == ("unknown", True)


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    """A pipe, a directory and a symlink are told as irregular without blocking or following."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "dir.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to("/etc/hostname")
    for name in (b"pipe.jpg", b"dir.jpg", b"link.jpg"):
        found = facts(os.fsencode(tmp_path), name)
        assert found is not None
        assert not found.regular


def test_what_is_gone_has_no_facts(tmp_path: Path) -> None:
    """No file, a file in the directory's place, a name that is too long: nothing to tell."""
    (tmp_path / "file").write_bytes(b"x")
    for name in (b"none.jpg", b"file/none.jpg", b"n" * 300):
        assert facts(os.fsencode(tmp_path), name) is None


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EMFILE])
def test_a_file_that_cannot_be_opened_has_an_unknown_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It is not lost: it settles slowly and whoever reads it meets the reason."""
    (tmp_path / "a.jpg").write_bytes(b"x")

    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("bgrd.intake.lease.os.open", refuse)
    found = facts(os.fsencode(tmp_path), b"a.jpg")
    assert found is not None
    assert found.lease == "unknown"
    assert shows_picture(os.fsencode(tmp_path), b"a.jpg")


def test_a_file_that_goes_between_two_looks_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted after lstat and before open: no facts, no error."""
    (tmp_path / "a.jpg").write_bytes(b"x")

    def vanished(*_: object, **__: object) -> int:
        raise FileNotFoundError(errno.ENOENT, "gone")

    monkeypatch.setattr("bgrd.intake.lease.os.open", vanished)
    assert facts(os.fsencode(tmp_path), b"a.jpg") is None


@pytest.mark.parametrize(
    ("number", "answer"),
    [(errno.EAGAIN, "writing"), (errno.EINVAL, "unknown"), (errno.EACCES, "unknown"), (errno.ENOLCK, "unknown")],
)
def test_every_refusal_has_its_meaning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, answer: str
) -> None:
    """Only EAGAIN says that somebody writes; a file system without leases or a foreign owner says nothing."""
    real = fcntl.fcntl

    def refuse(fd: int, command: int, argument: int = 0) -> object:
        if command == fcntl.F_SETLEASE:
            raise OSError(number, os.strerror(number))
        return real(fd, command, argument)

    monkeypatch.setattr("bgrd.intake.lease.fcntl.fcntl", refuse)
    (tmp_path / "a").write_bytes(b"x")
    with (tmp_path / "a").open("rb") as stream:
        assert lease(stream.fileno()) == answer


def test_a_lease_is_given_back(tmp_path: Path) -> None:
    """After the question nobody's open is delayed."""
    (tmp_path / "a").write_bytes(b"x")
    with (tmp_path / "a").open("rb") as stream:
        assert lease(stream.fileno()) == "free"
        assert fcntl.fcntl(stream.fileno(), fcntl.F_GETLEASE) == fcntl.F_UNLCK


_ASK = """
import sys
from bgrd.intake.lease import lease
with open(sys.argv[1], "rb") as stream:
    print(flush=True)
    answers = {lease(stream.fileno()) for _ in range(20000)}
print(*sorted(answers))
"""


def test_a_writer_that_breaks_a_lease_kills_nobody(tmp_path: Path) -> None:
    """The signal that a broken lease sends is a harmless one, for every lease anew."""
    path = tmp_path / "a"
    path.write_bytes(b"x")
    asker = subprocess.Popen([sys.executable, "-c", _ASK, str(path)], stdout=subprocess.PIPE, text=True)
    assert asker.stdout is not None
    asker.stdout.readline()
    while asker.poll() is None:
        with path.open("ab"):
            pass
    assert asker.returncode == 0
    assert "free" in asker.stdout.read()
    asker.stdout.close()


def test_the_first_bytes_decide_about_unknown_suffixes(tmp_path: Path) -> None:
    """A picture without a suffix is seen, a text is not; what cannot be read has the doubt in its favour."""
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    (tmp_path / "text").write_bytes(b"hello")
    (tmp_path / "directory").mkdir()
    inbox = os.fsencode(tmp_path)
    assert shows_picture(inbox, b"picture")
    assert not shows_picture(inbox, b"text")
    assert shows_picture(inbox, b"directory")


def test_nothing_behind_a_link_is_looked_at(tmp_path: Path) -> None:
    """A directory that a link has taken the place of holds nothing, wherever on the way it is."""
    inbox, away = tmp_path / "in", tmp_path / "away"
    (away / "below").mkdir(parents=True)
    (away / "below/a.jpg").write_bytes(b"\xff\xd8\xff")
    inbox.mkdir()
    (inbox / "album").symlink_to(away)
    assert facts(os.fsencode(inbox), b"album/below/a.jpg") is None
    with pytest.raises(NotADirectoryError):
        look(os.fsencode(inbox), b"album/below/a.jpg")
    assert look(os.fsencode(tmp_path), b"away/below/a.jpg").st_size == 3


def test_paths_longer_than_a_call_takes_are_looked_at(tmp_path: Path) -> None:
    """A file twenty times 250 bytes deep is told like any other, its first bytes too."""
    steps = [b"%02d-" % step + b"d" * 247 for step in range(20)]
    path = b"/".join([*steps, b"a"])
    with opened_directory(tmp_path, b"/".join(steps), made=lambda _: None) as directory:
        file = os.open(b"a", os.O_WRONLY | os.O_CREAT, dir_fd=directory)
    os.write(file, b"text")
    os.close(file)
    found = facts(os.fsencode(tmp_path), path)
    assert found is not None
    assert (found.size, found.lease) == (4, "free")
    assert not shows_picture(os.fsencode(tmp_path), path)
    assert [entry for batch in walk(tmp_path, recursive=True) for entry in batch] == [(path, found.version)]
