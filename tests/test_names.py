"""The daemon from outside: files of every name and kind, and which result belongs to which."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from bgrd.delivery.beneath import opened_directory
from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures.scenes import phone_photo

pytestmark = pytest.mark.timeout(240)

NAMES = (
    "caf\u00e9.jpg".encode(),
    "cafe\u0301.jpg".encode(),
    b"Case.jpg",
    b"case.jpg",
    b"new\nline.jpg",
    b"tab\there.jpg",
    b"\x1b[31mred\x1b[0m.jpg",
    b"no \xff\xfe utf.jpg",
    b"x" * 251 + b".jpg",
    b"y" * 253 + b".j",
    b"y" * 252 + b"z.j",
    "\u00fc".encode() * 125 + b".jpeg",
    "\u00fc".encode() * 126 + b"1.j",
    b"-rf.jpg",
    b"--help.jpg",
    b" leading.jpg",
    b"trailing.jpg ",
    b"dot.jpg.",
    b"no suffix",
    b"side/_failed",
    b"_failed.jpg",
    b"_failed/inside.jpg",
    b"_FAILED/inside.jpg",
    b"_failed_/inside.jpg",
    b"%s%n%d.jpg",
    b"{}{0!r}.jpg",
    b"'\"`$(reboot);&|.jpg",
    b"back\\slash.jpg",
    b"a:b?c*d<e>f|g.jpg",
    "\U0001f431\u200d\U0001f464.jpg".encode(),
    "\u202egpj.exe.jpg".encode(),
    b"bgrd-1-0.jpg",
    b"bgrd-src-1.jpg",
    b"dir.jpg/inside.jpg",
    b"d" * 255 + b"/" + b"e" * 251 + b".jpg",
    b"side/a.jpg",
    b"side/a.png",
    b"side/a.webp",
    b"side/a.JPG",
    b"side/a.jpeg",
    b"side/a",
    b"side/a.jpg.png",
    b"side/a.jpg-2.png",
    b"/".join(b"%03d-%s" % (step, b"l" * 26) for step in range(200)) + b"/deep.jpg",
)
"""Each is a picture's, and each has to get a result of its own."""

IGNORED = (b".bgrd-src-1", b".bgrd-1-0.tmp", b"....jpg", b"side/.hidden.jpg", b"side/x.jpg.part")


def put(inbox: Path, path: bytes, data: bytes) -> None:
    """Write a file at a path that may be longer than a call takes, and let it appear at once."""
    parent, _, name = path.rpartition(b"/")
    with opened_directory(inbox, parent, made=lambda _: None) as directory:
        hidden = b".hidden"
        file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=directory)
        os.write(file, data)
        os.close(file)
        os.rename(hidden, name, src_dir_fd=directory, dst_dir_fd=directory)


def got(root: Path, path: bytes) -> bytes:
    """Read such a file."""
    parent, _, name = path.rpartition(b"/")
    with opened_directory(root, parent) as directory, open(os.open(name, os.O_RDONLY, dir_fd=directory), "rb") as file:
        return file.read()


def files_below(root: Path) -> list[bytes]:
    """Give every file below a directory, however deep."""
    found = []
    for top, _, names, fd in os.fwalk(os.fsencode(root)):
        del fd
        found += [os.path.relpath(os.path.join(top, name), os.fsencode(root)) for name in names]
    return found


def clean_results(house: House, pictures: Mapping[bytes, bytes], *, name: str) -> dict[bytes, bytes]:
    """Process the same bytes under plain names by `bgrd once`."""
    (house.root / name).mkdir()
    files = [house.root / name / f"{number}.jpg" for number in range(len(pictures))]
    for file, data in zip(files, pictures.values(), strict=True):
        file.write_bytes(data)
    done = house.run("once", "--no-progress", "-o", house.root / name / "clean", *files)
    assert done.returncode == 0, done.stderr
    clean = house.root / name / "clean"
    return {path: (clean / f"{file.stem}.png").read_bytes() for path, file in zip(pictures, files, strict=True)}


def no_pictures(house: House) -> None:
    """Make what is named like a picture and is none: links, pipes, sockets, devices; a picture lies outside."""
    inbox, outside = house.inbox, house.root / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(phone_photo(seed=999))
    (inbox / "link inside.jpg").symlink_to("case.jpg")
    (inbox / "link outside.jpg").symlink_to(outside / "secret.jpg")
    (inbox / "link away").symlink_to(outside)
    (inbox / "link to side").symlink_to("side")
    (inbox / "link to nothing.jpg").symlink_to("nothing")
    (inbox / "loop").symlink_to(".")
    (inbox / "itself.jpg").symlink_to("itself.jpg")
    os.mkfifo(inbox / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server, opened_directory(inbox) as directory:
        server.bind(f"/proc/self/fd/{directory}/socket.jpg")  # the path of a socket may be 107 bytes long
    for name, kind in (("null.jpg", stat.S_IFCHR), ("disk.jpg", stat.S_IFBLK)):
        with suppress(PermissionError):
            os.mknod(inbox / name, kind | 0o600, os.makedev(1, 3) if kind == stat.S_IFCHR else os.makedev(7, 0))


def mapping(house: House) -> dict[bytes, bytes]:
    """Give the one result of each source, as the journal has it."""
    done = [job for job in sorted(house.jobs(), key=lambda job: job.id) if job.state is State.DONE and job.results]
    return {job.path: job.results[0].target for job in done}


def jobs_done(house: House) -> int:
    """Give how many jobs are done, as the status file says."""
    return int(house.status().get("folders", {}).get("default", {}).get("jobs", {}).get("done", 0))


@pytest.mark.long
def test_every_name_has_a_result_of_its_own(tmp_path: Path) -> None:
    """Any name a file may have: its own, legal result, bit for bit; the same name again when it is dropped again."""
    house = House(tmp_path / "house").folders()
    pictures = {path: phone_photo(seed=seed) for seed, path in enumerate(NAMES)}
    half = len(NAMES) // 2
    for path in (*NAMES[:half], *IGNORED):
        put(house.inbox, path, pictures.get(path, phone_photo()))
    no_pictures(house)
    with Daemon(house) as daemon:
        daemon.ready()
        for path in NAMES[half:]:
            put(house.inbox, path, pictures[path])
        daemon.until(lambda: jobs_done(house) == len(NAMES))
        assert daemon.stop() == 0
        assert len(daemon.events()) < 4 * len(NAMES)
        assert all(set(line) <= set(map(chr, range(32, 127))) for line in daemon._lines)
        skipped = daemon.events("intake.skipped")
    assert skipped[-1]["counts"]["link"] == 7
    assert skipped[-1]["counts"]["special"] >= 2
    assert len(skipped) < 10
    first = mapping(house)
    assert first.keys() == set(NAMES)
    assert sorted(first.values()) == sorted(files_below(house.outbox))
    assert all(len(part) <= 255 for target in first.values() for part in target.split(b"/"))
    clean = clean_results(house, pictures, name="clean")
    assert {path: got(house.outbox, first[path]) for path in NAMES} == clean
    assert all(got(house.inbox, path) == pictures[path] for path in NAMES)
    again = {path: phone_photo(seed=seed + 500) for seed, path in enumerate(NAMES)}
    for path in reversed(NAMES):
        put(house.inbox, path, again[path])
    with Daemon(house) as daemon:
        daemon.ready()
        daemon.until(lambda: jobs_done(house) == 2 * len(NAMES))
        assert daemon.stop() == 0
    assert mapping(house) == first
    clean = clean_results(house, again, name="again")
    assert {path: got(house.outbox, first[path]) for path in NAMES} == clean
    assert sorted(files_below(house.outbox)) == sorted(first.values())
