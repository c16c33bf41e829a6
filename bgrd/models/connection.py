"""One source of a model's file, asked over HTTP; the only importer of urllib3, and never imported by the daemon.

urllib3 does what is easily done wrong: connections, TLS, proxies, time limits, chunks, and bodies shorter than their
length. Redirects are followed here, since they decide who may see the token. A body is taken as it is, never unpacked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import IncompleteRead
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader, LocationParseError, ReadTimeoutError, SSLError
from urllib3.util import Retry, Timeout, make_headers, parse_url

from bgrd import __version__
from bgrd.escape import line
from bgrd.models.address import Source, same_host, without_password

__all__ = ["Answer", "Connection", "Denied", "Pace", "Passing", "SourceFailed"]

_BLOCK_BYTES = 1 << 16
_MOST_HOPS = 10
_MOST_DIGITS = 24
"""Of a length; more are not one, and Python reads no number of thousands."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""What a server says that may say something else in a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How patient a download is; `pause` waits so many seconds. After `tries` in a row that brought nothing, enough."""

    connect_seconds: float = 15.0
    silence_seconds: float = 30.0
    tries: int = 4
    longest_pause_seconds: float = 120.0
    pause: Callable[[float], object] = time.sleep


class SourceFailed(Exception):
    """A source does not give the file; its text completes "URL ..."."""


class Denied(SourceFailed):
    """A source gives it only to those it knows."""


class Passing(SourceFailed):
    """A source does not give the file now; `after` is how many seconds it asked for, None where it did not say."""

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Answer:
    """What a server answered, its body not read yet."""

    def __init__(self, response: urllib3.BaseHTTPResponse, pace: Pace) -> None:
        self._response = response
        self._pace = pace
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def length(self) -> int | None:
        """How long the body is said to be."""
        told = self.headers.get("Content-Length", "")
        return int(told) if told.isdecimal() and len(told) <= _MOST_DIGITS else None

    @property
    def mark(self) -> str | None:
        """What tells this version of the file from others to the byte: a strong ETag."""
        etag = self.headers.get("ETag", "").strip()
        return etag if len(etag) > 2 and etag.startswith('"') and etag.isprintable() else None

    def blocks(self) -> Iterator[bytes]:
        """Yield the body as it comes. Raises Passing where it breaks off."""
        with _explained(self._pace, otherwise="breaks off"):
            while block := self._response.read1(_BLOCK_BYTES):
                yield block

    def refuse(self) -> None:
        """Raise SourceFailed unless the file follows, the whole or a part."""
        if self.status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            self._refuse_odd()
            return
        text = f"answers {_phrase(self.status)}"
        if self.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise Denied(text)
        if self.status in _PASSING:
            raise Passing(text, after=self._asked_pause())
        raise SourceFailed(text)

    def close(self) -> None:
        """Let the connection go; what is left of the body is not waited for."""
        self._response.close()

    def _refuse_odd(self) -> None:
        """Raise SourceFailed for what is no file: a web page, or a body that would have to be unpacked."""
        packed = self.headers.get("Content-Encoding", "identity").strip().lower()
        if packed not in {"", "identity"}:
            text = f"sends it packed ({line(packed)}), though nobody asked for that"
            raise SourceFailed(text)
        if self.headers.get("Content-Type", "").lower().startswith("text/html"):
            text = "answers with a web page instead of the file"
            raise SourceFailed(text)

    def _asked_pause(self) -> float | None:
        told = self.headers.get("Retry-After")
        try:
            return None if told is None else Retry().parse_retry_after(told)
        except (InvalidHeader, ValueError, OverflowError):  # a number or a year longer than Python reads
            return None


class Connection:
    """The way to one source."""

    def __init__(self, source: Source, pace: Pace) -> None:
        self._source = source
        self._pace = pace
        self._pools: dict[str, urllib3.PoolManager] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools.values():
            pool.clear()

    @contextmanager
    def ask(self, headers: Mapping[str, str]) -> Iterator[Answer]:
        """Ask for the file; redirects are followed, the token goes to its own host alone. Raises SourceFailed."""
        answer = self._asked(headers)
        try:
            yield answer
        finally:
            answer.close()

    def _asked(self, headers: Mapping[str, str]) -> Answer:
        url = self._source.url
        for _hop in range(_MOST_HOPS):
            with _explained(self._pace, otherwise="cannot be reached"):
                response = self._pool(url).request(
                    "GET",
                    url,
                    headers={**self._headers(url), **headers},
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=Timeout(connect=self._pace.connect_seconds, read=self._pace.silence_seconds),
                )
            if response.status not in _REDIRECTS:
                return Answer(response, self._pace)
            response.close()
            with _explained(self._pace, otherwise="cannot be reached"):
                url = _safe(url, response.headers.get("Location", ""))
        text = "leads round in a circle"
        raise SourceFailed(text)

    def _headers(self, url: str) -> dict[str, str]:
        headers = {"User-Agent": f"bgrd/{__version__}", "Accept-Encoding": "identity"}
        if not same_host(url, self._source.url):
            return headers
        if self._source.token is not None:
            headers["Authorization"] = f"Bearer {self._source.token}"
        elif auth := parse_url(self._source.url).auth:
            headers |= make_headers(basic_auth=auth)
        return headers

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Give the connections for a URL: through the proxy that the environment names for it, or straight."""
        parts = urlsplit(url)
        proxies = getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
        if proxy and proxy_bypass(parts.netloc.rpartition("@")[2]):
            proxy = ""
        if proxy not in self._pools:
            self._pools[proxy] = _proxied(proxy) if proxy else urllib3.PoolManager()
        return self._pools[proxy]


def _safe(url: str, location: str) -> str:
    """Give where a redirect leads. Raises SourceFailed where that is no web address, or without TLS from one with."""
    target = urljoin(url, location)
    parts = urlsplit(target)
    if parts.scheme not in {"http", "https"} or (parts.scheme == "http" and url.startswith("https:")):
        text = f"leads to {line(without_password(target))}, which is not safe"
        raise SourceFailed(text)
    if not parts.hostname or parts.port == 0:  # a port that is no number raises here
        message = "no host"
        raise ValueError(message)
    return target


def _proxied(proxy: str) -> urllib3.PoolManager:
    address = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        text = f"would be asked through the proxy {line(without_password(address))}, and only http:// proxies can be"
        raise SourceFailed(text)
    auth = parse_url(address).auth
    return urllib3.ProxyManager(address, proxy_headers=make_headers(proxy_basic_auth=auth) if auth else None)


@contextmanager
def _explained(pace: Pace, *, otherwise: str) -> Iterator[None]:
    """Turn what urllib3 raises into what a source did."""
    try:
        yield
    except ReadTimeoutError as error:
        text = f"sends nothing for {pace.silence_seconds:g} s"
        raise Passing(text) from error
    except LocationParseError as error:
        text = "leads to an address that is none"
        raise SourceFailed(text) from error
    except SSLError as error:
        text = f"cannot be trusted ({_words(error)})"
        raise SourceFailed(text) from error
    except HTTPError as error:
        text = f"{otherwise} ({_words(error)})"
        raise Passing(text) from error
    except ValueError as error:
        text = f"leads to an address that is none ({_words(error)})"
        raise SourceFailed(text) from error


def _phrase(status: int) -> str:
    try:
        return f"{status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return str(status)


def _words(error: BaseException) -> str:
    """Give the innermost cause's words: urllib3 wraps them in the names of its own objects."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    if isinstance(error, IncompleteRead) and error.expected is not None:
        return f"{error.expected / 1e6:.1f} MB were still to come"
    return line(str(getattr(error, "strerror", None) or error) or type(error).__name__)[:200]
