"""Which server is asked, again or instead: redirects, tokens, mirrors, proxies, and servers in trouble."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrd.errors import LicenceError
from bgrd.models.address import Source, resolve
from tests.houses.downloads import DATA, Bench, offsets
from tests.houses.file_server import FileServer, Reply, ranged

HALF = len(DATA) // 2

pytestmark = pytest.mark.usefixtures("no_proxy")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give an empty place to fetch into."""
    return Bench(tmp_path)


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
