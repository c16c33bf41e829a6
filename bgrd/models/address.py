"""Where a model's file can be had: `https://...` and `hf://owner/repo/path@revision`, mirrors, and the hub's token.

Reaches for nothing. The hub is Hugging Face's; its variables mean here what they mean to its own library: HF_ENDPOINT,
HF_TOKEN, HF_TOKEN_PATH and HF_HOME.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from bgrd.errors import ConfigError

__all__ = ["Source", "is_web_address", "resolve", "same_host", "sources", "without_password", "without_user"]

_HUB = re.compile(r"hf://(?P<repo>[^/@]+/[^/@]+)/(?P<path>[^@]+)@(?P<revision>[^@]+)")
_HUB_ENDPOINT = "https://huggingface.co"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One address of a file. `token` is for the host of `url` alone; `page` is where its licence is accepted, or ""."""

    url: str
    token: str | None = field(default=None, repr=False)
    page: str = ""


def sources(
    published: Sequence[str], *, file_name: str, mirrors: Sequence[str], environ: Mapping[str, str]
) -> tuple[Source, ...]:
    """Give where to try, in order: each mirror with the file's name appended, then the published addresses.

    Raises ConfigError for an address that is none.
    """
    places = [mirror.rstrip("/") + "/" + quote(file_name) for mirror in mirrors]
    return tuple(resolve(place, environ=environ) for place in (*places, *published))


def resolve(address: str, *, environ: Mapping[str, str]) -> Source:
    """Turn an address into what can be asked for. Raises ConfigError where it is none."""
    if address.startswith("hf://"):
        return _on_hub(address, environ=environ)
    if not is_web_address(address):
        shown = without_user(address)
        message = f"A model's address is https://..., http://... or hf://owner/repo/path@revision, not {shown!r}."
        raise ConfigError(message)
    return Source(url=address)


def is_web_address(text: str) -> bool:
    """Say whether a text is an address with http or https, a host, and a port that is one."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def same_host(first: str, second: str) -> bool:
    """Say whether two URLs have the same scheme, host and port: only then may they know each other's token."""
    return _origin(first) == _origin(second)


def without_password(url: str) -> str:
    """Give a URL as it may be shown: without user, password, query (which may sign it) and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def without_user(text: str) -> str:
    """Give what may be no address at all as it may be shown: without what stands for user and password."""
    return re.sub(r"//.*@", "//", text)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _on_hub(address: str, *, environ: Mapping[str, str]) -> Source:
    match = _HUB.fullmatch(address)
    if match is None:
        message = f"A model's address on the hub is hf://owner/repo/path@revision, not {address!r}."
        raise ConfigError(message)
    endpoint = environ.get("HF_ENDPOINT", "").strip().rstrip("/") or _HUB_ENDPOINT
    if not is_web_address(endpoint):
        message = f"HF_ENDPOINT is no web address: {without_user(endpoint)!r}."
        raise ConfigError(message)
    repo, path, revision = (quote(match[part], safe=safe) for part, safe in _QUOTED.items())
    return Source(
        url=f"{endpoint}/{repo}/resolve/{revision}/{path}",
        token=_token(environ),
        page=f"{endpoint}/{repo}",
    )


_QUOTED = {"repo": "/", "path": "/", "revision": ""}


def _token(environ: Mapping[str, str]) -> str | None:
    """Give the user's token for the hub: the variable's, or the one its own tools left in a file."""
    given = environ.get("HF_TOKEN", "")
    if not given.strip():
        with suppress(OSError, UnicodeDecodeError):
            given = _token_file(environ).read_text("ascii")
    token = given.strip()
    # A broken one would end in the header of a request, or break it in two.
    return token if token and token.isascii() and token.isprintable() and " " not in token else None


def _token_file(environ: Mapping[str, str]) -> Path:
    if named := environ.get("HF_TOKEN_PATH"):
        return Path(named).expanduser()
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "~", ".cache")
    return Path(environ.get("HF_HOME") or Path(cache, "huggingface")).expanduser() / "token"
