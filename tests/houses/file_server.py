"""A real HTTP server on this machine that answers as it is told: it lies, breaks off, sends elsewhere."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

__all__ = ["FileServer", "Reply", "Request", "ranged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def offset(self) -> int:
        """The first byte that is wanted."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered: `length` is what the head says of the body's, `until` holds the rest back for ever."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    chunked: bool = False
    hang: bool = False


Script = Callable[[Request], Reply]


def ranged(
    data: bytes, *, etag: str | None = '"one"', cut: int | None = None, headers: Mapping[str, str] = {}
) -> Script:
    """Serve a file as an honest server does, ranges too; `cut` ends each body after so many bytes."""
    marks = {"ETag": etag} if etag else {}

    def reply(request: Request) -> Reply:
        offset = request.offset
        if request.headers.get("If-Range", etag) != etag:
            offset = 0
        if offset and offset >= len(data):
            return Reply(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        rest = data[offset:]
        part = {"Content-Range": f"bytes {offset}-{len(data) - 1}/{len(data)}"} if offset else {}
        return Reply(
            status=206 if offset else 200,
            body=rest[:cut],
            length=len(rest),
            headers={**marks, **part, **headers},
        )

    return reply


class FileServer:
    """Serves on 127.0.0.1 between `with` and its end. `scripts` has a list for each path: the last entry stays."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Script]] = {}
        self.requests: list[Request] = []
        self._ended = threading.Event()
        house = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                house._serve(self)

            def do_CONNECT(self) -> None:
                house._serve(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def url(self, path: str = "/model.onnx", *, host: str = "127.0.0.1") -> str:
        """Give the address of a path."""
        return f"http://{host}:{self.port}{path}"

    def script(self, *scripts: Script | Reply, path: str = "/model.onnx") -> None:
        """Say what is answered to each request for a path, in turn."""
        self.scripts[path] = [_always(one) if isinstance(one, Reply) else one for one in scripts]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        request = Request(
            method=handler.command,
            target=handler.path,
            headers={name.title(): value for name, value in handler.headers.items()},
        )
        self.requests.append(request)
        scripts = self.scripts.get(handler.path.partition("?")[0], [_always(Reply(status=404))])
        reply = (scripts.pop(0) if len(scripts) > 1 else scripts[0])(request)
        handler.send_response_only(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if reply.chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        elif "Content-Length" not in reply.headers:
            handler.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
        handler.end_headers()
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(reply.body), reply.body) if reply.chunked else reply.body
        handler.wfile.write(body)
        handler.wfile.flush()
        if reply.hang:
            self._ended.wait()
        handler.close_connection = True


def _always(reply: Reply) -> Script:
    return lambda _request: reply
