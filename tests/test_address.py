"""Where a model's file can be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrd.errors import ConfigError
from bgrd.models.address import resolve, same_host, sources, without_password


def test_the_hub() -> None:
    """An address on the hub becomes one of its files, at a revision; the endpoint and odd names are kept apart."""
    source = resolve("hf://Xenova/modnet/onnx/a model.onnx@refs/pr/1", environ={"HF_HOME": "/nonexistent"})
    assert source.url == "https://huggingface.co/Xenova/modnet/resolve/refs%2Fpr%2F1/onnx/a%20model.onnx"
    assert source.page == "https://huggingface.co/Xenova/modnet"
    assert source.token is None
    other = resolve("hf://a/b/c@main", environ={"HF_ENDPOINT": "http://hub.example/", "HF_HOME": "/nonexistent"})
    assert other.url == "http://hub.example/a/b/resolve/main/c"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://[x/",
        "http://x:port/",
        "model.onnx",
        "ftp://host/x",
        "https://",
        "hf://a/b@main",
        "hf://a/b/c",
        "file:///x",
    ],
)
def test_what_is_no_address(address: str) -> None:
    """Anything else is refused with what it may be."""
    with pytest.raises(ConfigError, match="A model's address"):
        resolve(address, environ={})


def test_an_endpoint_that_is_none() -> None:
    """A wrong HF_ENDPOINT is told by its name."""
    with pytest.raises(ConfigError, match="HF_ENDPOINT is no web address: 'hub'"):
        resolve("hf://a/b/c@main", environ={"HF_ENDPOINT": "hub/"})
    with pytest.raises(ConfigError, match="HF_ENDPOINT is no web address: 'https://hub:x'"):
        resolve("hf://a/b/c@main", environ={"HF_ENDPOINT": "https://me:secret@hub:x"})


def test_the_token_is_the_variables_or_the_files(tmp_path: Path) -> None:
    """HF_TOKEN comes first, then the file that HF_TOKEN_PATH, HF_HOME, the cache or the home names."""
    for place in ("path", "hf/token", "cache/huggingface/token", ".cache/huggingface/token"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(f" from-{place.partition('/')[0]}\n")
    environ = {
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN_PATH": str(tmp_path / "path"),
        "HF_TOKEN": "from-variable",
    }
    found = []
    for name in ("", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME", "HOME"):
        environ.pop(name, None)
        found.append(
            resolve("hf://a/b/c@main", environ=environ | {"HF_TOKEN_PATH": environ.get("HF_TOKEN_PATH", "")}).token
        )
    assert found[:5] == ["from-variable", "from-path", "from-hf", "from-cache", "from-.cache"]


@pytest.mark.parametrize("token", ["two words", "a\nb", "\u00e4", "\x7f", " "])
def test_a_broken_token_is_none(token: str) -> None:
    """What could not stand in a request's head is not put there."""
    assert resolve("hf://a/b/c@main", environ={"HF_TOKEN": token, "HF_HOME": "/nonexistent"}).token is None


def test_mirrors_come_first() -> None:
    """Each mirror is asked for the file's name, whatever its address ends with."""
    found = sources(["https://a/x"], file_name="my model.onnx", mirrors=["https://m/models", "http://n/"], environ={})
    assert [source.url for source in found] == [
        "https://m/models/my%20model.onnx",
        "http://n/my%20model.onnx",
        "https://a/x",
    ]


def test_hosts() -> None:
    """Scheme, host and port make a host; the port may be the usual one."""
    assert same_host("https://a/x", "https://A:443/y")
    assert not same_host("https://a/x", "http://a/x")
    assert not same_host("https://a/x", "https://a:444/x")
    assert not same_host("https://a/x", "https://a.evil/x")


def test_what_is_shown() -> None:
    """Neither user nor password nor a signature is shown."""
    assert without_password("https://me:secret@host:1/a/b?Signature=secret#x") == "https://host:1/a/b"
