"""What is no picture, or no longer one, in a real daemon's inbox: it costs itself and nobody else."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.kernel.processes import bound
from tests.pictures.making import encoded, noise, png_of_size
from tests.pictures.scenes import check_result, phone_photo, photo

pytestmark = pytest.mark.timeout(240)

VIDEOS = 2_000
IDLE_SECONDS = 4.0
IDLE_SHARE = 0.05
"""The most of one core that a daemon without work may use; seen: less than 0.005."""

CONFIGURATION = """
grace_seconds = 1
rescan_seconds = 2
"""


def broken(house: House) -> dict[str, bytes]:
    """Give files that look like pictures by their names, with what is in them."""
    whole = phone_photo()
    return {
        "truncated.jpg": whole[: len(whole) // 2],
        "truncated.png": encoded(photo(), "PNG")[:-4000],
        "text.jpg": b"This is no picture at all.\n" * 40,
        "bomb.png": png_of_size(31_623, 31_623),
        "zeros.jpg": bytes(70_000),
        "line\nbreak.jpg": b"\xff\xd8\xff nothing",
    }


def drop_oddities(inbox: Path) -> socket.socket:
    """Put what is no regular file, or empty, into the inbox; gives the socket that one of them is."""
    (inbox / "empty.jpg").touch()
    os.mkfifo(inbox / "fifo.jpg")
    (inbox / "directory.png").mkdir()
    (inbox / "directory.png/inside.jpg").write_bytes(phone_photo(seed=7))
    (inbox / "link.jpg").symlink_to(inbox / "good.jpg")
    (inbox / "dangling.jpg").symlink_to("nowhere")
    for number in range(VIDEOS):
        (inbox / f"VID_{number:04}.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    listening = socket.socket(socket.AF_UNIX)
    here = os.open(inbox, os.O_PATH)
    listening.bind(f"/proc/self/fd/{here}/socket.jpg")  # its real path may be too long for a socket
    os.close(here)
    return listening


def processor_share(daemon: Daemon, *, seconds: float) -> float:
    """Give the share of one core that the daemon uses over some idle seconds."""
    before = daemon.processor_seconds()
    threading.Event().wait(seconds)
    return (daemon.processor_seconds() - before) / seconds


def test_broken_input_stops_nothing(tmp_path: Path) -> None:
    """Each broken file gets its sentence, the rest one summary line; good ones are done; then nothing is used up."""
    house = House(tmp_path / "house").folders()
    house.configure("[defaults]" + CONFIGURATION)
    files = broken(house)
    with drop_oddities(house.inbox), Daemon(house) as daemon:
        daemon.ready()
        for name, data in files.items():
            (house.inbox / name).write_bytes(data)
        good = phone_photo(seed=9)
        (house.inbox / "good.jpg").write_bytes(good)
        daemon.done(["good.jpg", "directory.png/inside.jpg"])
        daemon.until(lambda: len(daemon.events("job.failed")) >= len(files))
        check_result(house.outbox / "good.png", good)

        notes = {note.name: note.read_text() for note in house.failed.iterdir()}
        assert len(notes) == len(files)
        assert "31623" in notes["bomb.png.txt"] or "pixels" in notes["bomb.png.txt"]
        for name in ("truncated.jpg.txt", "truncated.png.txt"):
            assert "incomplete" in notes[name]
        for text in notes.values():
            assert "Traceback" not in text
            assert "." in text

        skipped = daemon.heard("intake.skipped")
        assert len(skipped) <= 3, "a summary, not a line for each"
        assert skipped[-1]["counts"]["no picture"] == VIDEOS
        assert skipped[-1]["counts"]["empty"] == 1
        assert not [event for event in daemon.events() if ".mp4" in str(event)]

        # The last of a walk may still be due; it is not made again and again.
        daemon.until(lambda: processor_share(daemon, seconds=IDLE_SECONDS) <= IDLE_SHARE)

        assert len(daemon.events("job.failed")) == len(files), "what failed is not tried again"
        assert daemon.stop() == 0
    assert sorted(house.results()) == ["directory.png/inside.png", "good.png"]
    for name, data in files.items():
        assert (house.inbox / name).read_bytes() == data
    assert len(list(house.inbox.glob("*.mp4"))) == VIDEOS
    assert (house.inbox / "fifo.jpg").is_fifo()
    assert (house.inbox / "socket.jpg").is_socket()


def test_a_mended_file_is_tried_again(tmp_path: Path) -> None:
    """A failed file that is replaced by a good one is done and loses its note."""
    house = House(tmp_path / "house").folders()
    house.configure("[defaults]" + CONFIGURATION)
    with Daemon(house) as daemon:
        daemon.ready()
        (house.inbox / "a.jpg").write_bytes(b"no picture " * 99)
        daemon.heard("job.failed", path="a.jpg")
        assert [note.name for note in house.failed.iterdir()] == ["a.jpg.txt"]
        (house.inbox / "a.jpg").write_bytes(phone_photo())
        daemon.done(["a.jpg"])
        assert not list(house.failed.iterdir())
        assert daemon.stop() == 0


def test_an_unreadable_file_waits(tmp_path: Path) -> None:
    """A file without read permission is charged with nothing and waits, with its reason, until it can be read."""
    house = House(tmp_path / "house").folders()
    house.configure("[defaults]\nrescan_seconds = 1\n")  # a change of permissions alone is found by walking
    program = bound(sys.executable, "-m", "bgrd", "run")
    with Daemon(house, program=program) as daemon:
        daemon.ready()
        secret = house.inbox / "secret.jpg"
        (house.root / "secret.jpg").write_bytes(phone_photo())
        (house.root / "secret.jpg").chmod(0)
        (house.root / "secret.jpg").rename(secret)
        (house.inbox / "good.jpg").write_bytes(phone_photo(seed=2))
        daemon.done(["good.jpg"])
        waiting = daemon.heard("job.waiting", path="secret.jpg")[0]
        assert waiting["kind"] == "file"
        assert "ermission" in waiting["reason"]
        secret.chmod(0o600)
        daemon.done(["secret.jpg"])
        assert daemon.stop() == 0
    assert {job.attempts for job in house.jobs()} == {0}


def test_names_of_any_bytes(tmp_path: Path) -> None:
    """Names that are no UTF-8, long, dashed or spaced give their results under their own bytes."""
    house = House(tmp_path / "house").folders()
    names = [
        b"-rf.jpg",
        b"caf\xe9.jpg",
        b" space .jpg",
        b"two\nlines.jpg",
        b"n" * 251 + b".jpg",
        "\N{SNOWMAN}.jpg".encode(),
    ]
    with Daemon(house) as daemon:
        daemon.ready()
        for seed, name in enumerate(names):
            (house.inbox / os.fsdecode(name)).write_bytes(encoded(noise(48, 48, seed=seed), "JPEG"))
        daemon.until(lambda: len(daemon.events("job.done")) >= len(names))
        assert daemon.stop() == 0
    found = sorted(os.fsencode(name) for name in house.results())
    assert found == sorted(name.removesuffix(b".jpg") + b".png" for name in names)
