"""What servers say that is not so: lengths, checksums, bytes, and numbers no file has."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from bgrd.errors import CannotCreateError
from bgrd.models.partial import digest
from tests.houses.downloads import DATA, SUM, Bench
from tests.houses.file_server import FileServer, Reply, ranged
from tests.pictures.making import model

HALF = len(DATA) // 2

pytestmark = pytest.mark.usefixtures("no_proxy")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give an empty place to fetch into."""
    return Bench(tmp_path)


def test_a_length_that_is_too_long(server: FileServer, bench: Bench) -> None:
    """A server that promises more than it sends gets no more tries than any other, and nothing is installed."""
    server.script(Reply(body=DATA[:-10], length=len(DATA), headers={"ETag": '"x"'}))
    assert "breaks off" in bench.fails(server.url())
    assert len(server.requests) == 4
    assert bench.pauses == [1.0, 2.0, 4.0]


def test_a_length_that_is_too_short(server: FileServer, bench: Bench) -> None:
    """A server that stops early and calls that the end gives wrong bytes."""
    server.script(Reply(body=DATA, length=HALF))
    assert "sends other bytes than sha256:" in bench.fails(server.url())
    assert bench.left == []


def test_checksums(tmp_path: Path) -> None:
    """Both algorithms are known, letters of either case; a checksum of another form holds of nothing."""
    (tmp_path / "file").write_bytes(DATA)
    found = digest(tmp_path / "file")
    assert found.holds(f"md5:{hashlib.md5(DATA).hexdigest().upper()}")
    assert found.holds(SUM)
    wrong = ("md5:" + "0" * 32, "md5:", "", SUM.removeprefix("sha256:"), SUM.replace("sha256", "sha512"))
    assert not any(found.holds(checksum) for checksum in wrong)


def test_wrong_bytes(server: FileServer, bench: Bench) -> None:
    """A file with another checksum never gets the name, and nothing of it stays."""
    server.script(ranged(DATA + b"\xfa\x3e\x00"))
    assert "sends other bytes than" in bench.fails(server.url())
    assert bench.left == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("data", [b"", b"<html>Sign in</html>", DATA[:-1], DATA[: len(model()) - 3], b"\0" * 100])
def test_without_checksum_a_file_has_to_be_a_model(data: bytes, server: FileServer, bench: Bench) -> None:
    """Where nothing is published, what is cut short or no ONNX model at all is still told."""
    server.script(Reply(body=data))
    assert "sends no whole ONNX model" in bench.fails(server.url(), checksum=None)
    assert bench.left == []


def test_a_web_page_is_no_file(server: FileServer, bench: Bench) -> None:
    """A page that asks for a login in place of the file is told as such."""
    server.script(Reply(body=b"<html>", headers={"Content-Type": "text/html; charset=utf-8"}))
    assert "answers with a web page" in bench.fails(server.url())


def test_a_packed_body_is_refused(server: FileServer, bench: Bench) -> None:
    """A body that would have to be unpacked is not taken; nobody asked for one."""
    server.script(Reply(body=gzip.compress(DATA), headers={"Content-Encoding": "gzip"}))
    assert "sends it packed (gzip)" in bench.fails(server.url())
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


LONG = "9" * 5000
ODD_HEADS = [
    Reply(body=DATA[:HALF], headers={"Content-Length": LONG}),
    Reply(status=429, headers={"Retry-After": LONG}),
    Reply(status=429, headers={"Retry-After": "Mon, 01 Jan 99999 00:00:00 GMT"}),
]


@pytest.mark.parametrize("reply", ODD_HEADS, ids=["length", "seconds", "year"])
def test_numbers_no_file_has(reply: Reply, server: FileServer, bench: Bench) -> None:
    """A number or a year too long to be read is a server's lie like any other: the next source is tried."""
    server.script(reply, path="/odd.onnx")
    server.script(ranged(DATA))
    bench.fetch(server.url("/odd.onnx"), server.url())
    assert bench.installed


def test_a_range_no_file_has(server: FileServer, bench: Bench) -> None:
    """A part whose place has thousands of digits is not put behind what is there."""
    lie = Reply(status=206, body=DATA[HALF:], headers={"Content-Range": f"bytes {HALF}-{LONG}/{LONG}", "ETag": '"one"'})
    server.script(ranged(DATA, cut=HALF), lie, ranged(DATA))
    bench.fetch(server.url())
    assert bench.installed
    assert "has another file now" in bench.said[1]


def test_a_file_larger_than_any_model(server: FileServer, bench: Bench) -> None:
    """A length that no model has is the source's failure: the next one is tried."""
    server.script(Reply(body=b"", length=2**60), path="/endless.onnx")
    server.script(ranged(DATA))
    bench.fetch(server.url("/endless.onnx"), server.url())
    assert bench.installed
    assert "sends more than any model has" in bench.said[0]


def test_more_than_the_disk_can_hold_is_not_begun(
    server: FileServer, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot fit is refused by its length, before a byte of it is written."""
    monkeypatch.setattr(os, "fstatvfs", lambda _fd: SimpleNamespace(f_bavail=10, f_frsize=4096))
    server.script(ranged(DATA))
    with pytest.raises(CannotCreateError, match="no room left"):
        bench.fetch(server.url())
