"""A model's file over the network: brought whole, gone on with, stopped, and put in its place."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from bgrd.errors import BgrdError, BusyError, CannotCreateError
from bgrd.models.address import Source
from bgrd.models.fetch import Pace, Teller, fetch
from bgrd.models.partial import Partial
from tests.houses.downloads import DATA, SUM, Bench, offsets
from tests.houses.file_server import FileServer, Reply, Request, ranged

HALF = len(DATA) // 2

pytestmark = pytest.mark.usefixtures("no_proxy")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give an empty place to fetch into."""
    return Bench(tmp_path)


def test_a_file_is_brought(server: FileServer, bench: Bench) -> None:
    """The file gets its name once it is whole; its checksums and how far it is are told."""
    server.script(ranged(DATA))
    arrival = bench.fetch(server.url())
    assert bench.installed
    assert (arrival.url, arrival.digest.size) == (server.url(), len(DATA))
    assert "sha256:" + arrival.digest.sha256 == SUM
    assert bench.seen[0] == (0, len(DATA))
    assert bench.seen[-1] == (len(DATA), len(DATA))
    (bench.target.parent / "other").touch()
    assert bench.target.stat().st_mode == (bench.target.parent / "other").stat().st_mode


def test_a_body_in_chunks_is_brought(server: FileServer, bench: Bench) -> None:
    """A server that does not say how long the file is will do."""
    server.script(Reply(body=DATA, chunked=True))
    bench.fetch(server.url())
    assert bench.installed
    assert bench.seen[-1] == (len(DATA), None)


def test_a_broken_download_goes_on(server: FileServer, bench: Bench) -> None:
    """Where the connection ends in the middle, the rest alone is asked for, and only of the same version."""
    server.script(ranged(DATA, cut=HALF), ranged(DATA, cut=1000), ranged(DATA))
    bench.fetch(server.url())
    assert bench.installed
    assert offsets(server.requests) == [0, HALF, HALF + 1000]
    assert [request.headers.get("If-Range") for request in server.requests] == [None, '"one"', '"one"']
    assert f"breaks off ({HALF / 1e6:.1f} MB were still to come)" in bench.said[0]


@pytest.mark.parametrize("checksum", [SUM, None])
def test_the_next_time_goes_on(checksum: str | None, server: FileServer, bench: Bench) -> None:
    """What came before bgrd gave up is kept hidden, and the next command asks for the rest."""
    server.script(ranged(DATA, cut=HALF), Reply(status=503))
    assert "is kept: the same command goes on" in bench.fails(server.url(), checksum=checksum)
    assert bench.left == [".model.onnx.part", ".model.onnx.part.json"]
    server.script(ranged(DATA))
    bench.fetch(server.url(), checksum=checksum)
    assert bench.installed
    assert server.requests[-1].offset == HALF


def test_a_download_that_was_whole_already(server: FileServer, bench: Bench) -> None:
    """Where only the name was missing, nothing more is asked for."""
    server.script(ranged(DATA, cut=HALF), Reply(status=503))
    bench.fails(server.url())
    (bench.target.parent / ".model.onnx.part").write_bytes(DATA)
    server.script(ranged(DATA))
    bench.fetch(server.url())
    assert bench.installed


def test_a_server_without_ranges_starts_anew(server: FileServer, bench: Bench) -> None:
    """A server that answers with the whole file is taken at its word."""
    server.script(ranged(DATA, cut=HALF), Reply(body=DATA))
    bench.fetch(server.url())
    assert bench.installed


def test_a_server_with_another_range_is_not_believed(server: FileServer, bench: Bench) -> None:
    """A part that begins elsewhere is not put behind what is there."""
    wrong = Reply(status=206, body=DATA[7:], headers={"Content-Range": f"bytes 7-{len(DATA) - 1}/{len(DATA)}"})
    server.script(ranged(DATA, cut=HALF), wrong, ranged(DATA))
    bench.fetch(server.url())
    assert bench.installed
    assert offsets(server.requests) == [0, HALF, 0]


@pytest.mark.parametrize("etag", ['"two"', None])
@pytest.mark.parametrize("checksum", [SUM, None])
def test_a_file_that_changes_between_two_halves(
    etag: str | None, checksum: str | None, server: FileServer, bench: Bench
) -> None:
    """Halves of two versions are never put together, also where the server ignores If-Range."""
    old = bytes(len(DATA))

    def careless(request: Request) -> Reply:
        return ranged(DATA, etag=etag)(
            Request(method="GET", target="", headers={k: v for k, v in request.headers.items() if k != "If-Range"})
        )

    server.script(ranged(old, cut=HALF), careless, ranged(DATA))
    bench.fetch(server.url(), checksum=checksum)
    assert bench.installed


def test_without_checksum_and_mark_nothing_is_joined(server: FileServer, bench: Bench) -> None:
    """Where neither tells one version from another, a broken download begins anew."""
    server.script(ranged(DATA, etag=None, cut=HALF), ranged(DATA, etag=None))
    bench.fetch(server.url(), checksum=None)
    assert bench.installed
    assert offsets(server.requests) == [0, 0]


def test_halves_of_two_sources_are_tried_and_thrown_away(server: FileServer, bench: Bench) -> None:
    """What one source began another may finish; where the bytes are wrong then, the whole is fetched once more."""
    server.script(ranged(bytes(len(DATA)), cut=HALF), Reply(status=404), path="/mirror.onnx")
    server.script(ranged(DATA))
    bench.fetch(server.url("/mirror.onnx"), server.url())
    assert bench.installed
    assert offsets(server.requests) == [0, HALF, HALF, 0]


def test_two_downloads_at_once(server: FileServer, bench: Bench) -> None:
    """A second download of the same file is told of the first, and leaves its beginning alone."""
    server.script(ranged(DATA, cut=HALF), Reply(status=404))
    bench.fails(server.url())
    with (bench.target.parent / ".model.onnx.part").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="another bgrd is fetching"):
            bench.fetch(server.url())
        assert os.fstat(held.fileno()).st_size == HALF


def test_a_beginning_that_is_taken_away(server: FileServer, bench: Bench) -> None:
    """What another process put in the place of a removed beginning is not taken for the file that came."""
    server.script(ranged(DATA))
    beginning = bench.target.parent / ".model.onnx.part"

    def swap(done: int, total: int | None) -> None:
        if done == total:
            beginning.unlink()
            beginning.write_bytes(DATA)

    with Partial(bench.target) as partial, pytest.raises(CannotCreateError, match="removed meanwhile"):
        fetch([Source(url=server.url())], partial, checksum=SUM, pace=Pace(), teller=Teller(progress=swap))
    assert bench.left == [".model.onnx.part", ".model.onnx.part.json"]
    assert beginning.read_bytes() == DATA


def test_a_share_without_locks(server: FileServer, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file system cannot lock, a model is fetched without."""

    def none(_fd: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    server.script(ranged(DATA))
    bench.fetch(server.url())
    assert bench.installed


def test_a_stop_keeps_what_came(server: FileServer, bench: Bench) -> None:
    """Ctrl-C leaves the beginning for the next time."""
    server.script(ranged(DATA))

    def stop(done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with Partial(bench.target) as partial, pytest.raises(KeyboardInterrupt):
        fetch([Source(url=server.url())], partial, checksum=SUM, pace=Pace(), teller=Teller(progress=stop))
    assert bench.left == [".model.onnx.part", ".model.onnx.part.json"]
    bench.fetch(server.url())
    assert bench.installed
    assert server.requests[-1].offset > 0


def test_a_full_disk(server: FileServer, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room is no source's fault: it is said, what came is kept, and no other source is tried."""
    server.script(ranged(DATA, cut=HALF), Reply(status=404))
    bench.fails(server.url())
    server.script(ranged(DATA))
    monkeypatch.setattr(os, "pwrite", _full)
    with pytest.raises(CannotCreateError, match=r"no room left for .*model\.onnx; what came so far .* is kept"):
        bench.fetch(server.url(), server.url())
    assert len(server.requests) == 3
    assert not bench.target.exists()


def _full(*_arguments: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_directory_that_cannot_be_made(bench: Bench) -> None:
    """Where the models' directory is none, the message says so."""
    bench.target.parent.write_text("a file")
    with pytest.raises(CannotCreateError, match="cannot be written: File exists"):
        bench.fetch("http://127.0.0.1:1/model.onnx")


def test_a_link_in_the_place_of_the_partial_file(bench: Bench, tmp_path: Path) -> None:
    """A link somebody put there is not written through."""
    bench.target.parent.mkdir()
    (bench.target.parent / ".model.onnx.part").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotCreateError):
        bench.fetch("http://127.0.0.1:1/model.onnx")
    assert not (tmp_path / "elsewhere").exists()


def test_no_source(bench: Bench) -> None:
    """Without any source there is nothing to try, and that is said."""
    with pytest.raises(BgrdError, match="could not be fetched"):
        bench.fetch()
