"""A model's file over the network, from servers that are honest, broken or worse."""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from bgrd.errors import BgrdError, BusyError, CannotCreateError, FetchError, LicenceError
from bgrd.models.address import Source, resolve
from bgrd.models.fetch import Arrival, Pace, Teller, fetch
from bgrd.models.partial import Partial, digest
from tests.houses.file_server import FileServer, Reply, Request, ranged
from tests.pictures.making import model

DATA = model() + b"".join(b"\xfa\x3e\x05%05d" % number for number in range(20_000))
"""A real model, made longer by fields that nobody knows."""
SUM = "sha256:" + hashlib.sha256(DATA).hexdigest()
HALF = len(DATA) // 2


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask straight, whatever the machine says."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[FileServer]:
    """Give a server at work."""
    with FileServer() as serving:
        yield serving


class Bench:
    """A place to fetch into, with pauses that are only noted."""

    def __init__(self, directory: Path) -> None:
        self.target = directory / "models" / "model.onnx"
        self.pauses: list[float] = []
        self.said: list[str] = []
        self.seen: list[tuple[int, int | None]] = []

    def fetch(self, *sources: Source | str, checksum: str | None = SUM, silence: float = 10.0) -> Arrival:
        places = [Source(url=one) if isinstance(one, str) else one for one in sources]
        pace = Pace(silence_seconds=silence, pause=self.pauses.append)
        teller = Teller(progress=lambda done, total: self.seen.append((done, total)), say=self.said.append)
        with Partial(self.target) as partial:
            return fetch(places, partial, checksum=checksum, pace=pace, teller=teller)

    def fails(self, *sources: Source | str, checksum: str | None = SUM, silence: float = 10.0) -> str:
        """Fetch in vain; gives what is said of it."""
        with pytest.raises(FetchError) as caught:
            self.fetch(*sources, checksum=checksum, silence=silence)
        assert not self.target.exists()
        return str(caught.value)

    @property
    def installed(self) -> bool:
        """Whether the right file is there, and nothing else."""
        return self.target.read_bytes() == DATA and self.left == ["model.onnx"]

    @property
    def left(self) -> list[str]:
        """What lies in the directory."""
        return sorted(path.name for path in self.target.parent.iterdir())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give an empty place to fetch into."""
    return Bench(tmp_path)


def offsets(requests: Sequence[Request]) -> list[int]:
    """Give the first byte each request wanted."""
    return [request.offset for request in requests]


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


def test_the_next_source_is_tried(server: FileServer, bench: Bench) -> None:
    """What one source does not have, another may; each failure is told with its address."""
    server.script(ranged(DATA))
    arrival = bench.fetch(server.url("/gone.onnx"), server.url())
    assert bench.installed
    assert arrival.url == server.url()
    assert bench.said == [f"{server.url('/gone.onnx')} answers 404 (Not Found); trying the next source"]


def test_every_failure_is_told(server: FileServer, bench: Bench) -> None:
    """Where no source gives the file, the message says what each one did."""
    server.script(Reply(status=410), path="/a.onnx")
    said = bench.fails(server.url("/a.onnx"), server.url("/b.onnx"))
    assert f"  {server.url('/a.onnx')} answers 410 (Gone)\n  {server.url('/b.onnx')} answers 404" in said


def test_a_server_that_is_busy_is_asked_again(server: FileServer, bench: Bench) -> None:
    """429 and 503 are waited for as long as the server says."""
    asked = {"Retry-After": "7"}
    server.script(Reply(status=429, headers=asked), Reply(status=503, headers=asked), ranged(DATA))
    bench.fetch(server.url())
    assert bench.installed
    assert bench.pauses == [7.0, 7.0]


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(status: int, server: FileServer, bench: Bench) -> None:
    """Without a word on when, the pauses grow."""
    server.script(Reply(status=status), Reply(status=status, headers={"Retry-After": "soon"}), ranged(DATA))
    bench.fetch(server.url())
    assert bench.installed
    assert bench.pauses == [1.0, 2.0]


def test_a_server_that_wants_much_patience_is_passed_over(server: FileServer, bench: Bench) -> None:
    """Nobody waits an hour: the next source is tried at once."""
    server.script(Reply(status=429, headers={"Retry-After": "3600"}))
    said = bench.fails(server.url())
    assert "answers 429 (Too Many Requests) and asks to come back in 3600 s" in said
    assert bench.pauses == []


def test_a_server_that_never_recovers(server: FileServer, bench: Bench) -> None:
    """After some tries it is enough."""
    server.script(Reply(status=500))
    assert "answers 500" in bench.fails(server.url())
    assert len(server.requests) == 4


def test_no_server_at_all(bench: Bench) -> None:
    """A refused connection is told in the system's words."""
    with FileServer() as server:
        url = server.url()
    assert "cannot be reached (Connection refused)" in bench.fails(url)


def test_no_such_host(bench: Bench) -> None:
    """A name that stands for no machine is told."""
    assert "cannot be reached" in bench.fails("http://nowhere.invalid/model.onnx")


def test_a_server_that_falls_silent(server: FileServer, bench: Bench) -> None:
    """A connection that brings nothing for too long is left, and the rest asked for."""
    hanging = Reply(body=DATA[:HALF], length=len(DATA), headers={"ETag": '"one"'}, hang=True)
    server.script(hanging, ranged(DATA))
    bench.fetch(server.url(), silence=1.0)
    assert bench.installed
    assert offsets(server.requests) == [0, HALF]
    assert "sends nothing for 1 s" in bench.said[0]


def test_redirects_are_followed(server: FileServer, bench: Bench) -> None:
    """Redirects, relative ones too, lead to the file; the rest is asked for at its end as well."""
    server.script(Reply(status=302, headers={"Location": "/second.onnx"}))
    server.script(Reply(status=307, headers={"Location": server.url("/third.onnx")}), path="/second.onnx")
    server.script(ranged(DATA, cut=HALF), ranged(DATA), path="/third.onnx")
    bench.fetch(server.url())
    assert bench.installed
    assert [r.offset for r in server.requests if r.target == "/third.onnx"] == [0, HALF]


@pytest.mark.parametrize("location", ["/model.onnx", None])
def test_redirects_in_a_circle(location: str | None, server: FileServer, bench: Bench) -> None:
    """A circle is left after some rounds."""
    server.script(Reply(status=301, headers={"Location": location} if location else {}))
    assert "leads round in a circle" in bench.fails(server.url())


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x"])
def test_redirects_out_of_the_web(location: str, server: FileServer, bench: Bench) -> None:
    """Nobody is led anywhere but to another web address."""
    server.script(Reply(status=302, headers={"Location": location}))
    assert "which is not safe" in bench.fails(server.url())


@pytest.mark.parametrize("location", ["http://x:port/", "http://[::1", "http://127.0.0.1:0/", "http://x:99999/"])
def test_redirects_to_nowhere(location: str, server: FileServer, bench: Bench) -> None:
    """An address that is none fails this source, as everything else that a server may say."""
    server.script(Reply(status=302, headers={"Location": location}))
    assert "leads to an address that is none" in bench.fails(server.url())
    assert len(server.requests) == 1


@pytest.mark.parametrize("proxy", ["http://[::1", "http://x:port", "ftp://x"])
def test_a_proxy_that_is_none(proxy: str, server: FileServer, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's address that makes no sense fails what would go through it, and is not gone round."""
    monkeypatch.setenv("http_proxy", proxy)
    assert "could not be fetched" in bench.fails(server.url())
    assert server.requests == []


def test_the_token_stays_with_its_host(server: FileServer, bench: Bench) -> None:
    """The token goes to the source's own host and not along a redirect to another; nor is it shown anywhere."""
    source = Source(url=server.url("/hub.onnx"), token="hf_secret")
    server.script(Reply(status=302, headers={"Location": "/same.onnx"}), path="/hub.onnx")
    server.script(Reply(status=302, headers={"Location": server.url(host="localhost")}), path="/same.onnx")
    server.script(ranged(DATA))
    bench.fetch(source)
    assert bench.installed
    sent = {request.target: request.headers.get("Authorization") for request in server.requests}
    assert sent == {"/hub.onnx": "Bearer hf_secret", "/same.onnx": "Bearer hf_secret", "/model.onnx": None}
    assert "hf_secret" not in repr(source)


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_says_how_to_get_in(status: int, server: FileServer, bench: Bench) -> None:
    """Without a token the way to one is told; with one, that its account has to agree."""
    server.script(Reply(status=status), path="/owner/name/resolve/main/model.onnx")
    environ = {"HF_ENDPOINT": server.url(""), "HF_HOME": "/nonexistent"}
    address = "hf://owner/name/model.onnx@main"
    with pytest.raises(LicenceError) as caught:
        bench.fetch(resolve(address, environ=environ))
    assert f"agree to the conditions at {server.url('/owner/name')}" in str(caught.value)
    assert server.url("/settings/tokens") in str(caught.value)
    with pytest.raises(LicenceError, match="the token may not read it"):
        bench.fetch(resolve(address, environ={**environ, "HF_TOKEN": "hf_secret"}))
    assert server.requests[-1].headers["Authorization"] == "Bearer hf_secret"


def test_a_mirror_with_a_password(server: FileServer, bench: Bench) -> None:
    """User and password of an address are sent to its server, and never told."""
    server.script(ranged(DATA))
    url = server.url().replace("127.0.0.1", "me:secret@127.0.0.1")
    arrival = bench.fetch(url)
    assert server.requests[0].headers["Authorization"].startswith("Basic ")
    assert arrival.url == server.url()
    server.script(Reply(status=404))
    bench.target.unlink()
    assert "secret" not in bench.fails(url)


def test_a_proxy_of_the_environment_is_used(server: FileServer, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy is asked for the whole address, with its password; no_proxy leaves it out."""
    with FileServer() as proxy:
        proxy.script(ranged(DATA), path="http://models.example/model.onnx")
        monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{proxy.port}")
        bench.fetch("http://models.example/model.onnx")
        assert bench.installed
        assert proxy.requests[0].headers["Proxy-Authorization"].startswith("Basic ")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        server.script(ranged(DATA))
        bench.fetch(server.url())
        assert len(proxy.requests) == 1


def test_a_proxy_for_https_makes_a_tunnel(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An https address goes through CONNECT, and what the proxy says against it is told."""
    with FileServer() as proxy:
        proxy.script(Reply(status=403), path="models.example:443")
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy.port}")
        assert "403" in bench.fails("https://models.example/model.onnx")
        assert {(request.method, request.target) for request in proxy.requests} == {("CONNECT", "models.example:443")}


def test_other_proxies_are_told(server: FileServer, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SOCKS proxy is not gone round in silence."""
    monkeypatch.setenv("all_proxy", "socks5://me:secret@127.0.0.1:1080")
    said = bench.fails(server.url())
    assert "only http:// proxies can be" in said
    assert "secret" not in said
    assert server.requests == []


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
