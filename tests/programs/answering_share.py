"""A FUSE file system that shows a directory and answers while it is told to: `answering_share.py BACK POINT ORDER`.

The file ORDER says what is withheld, read anew for each request: nothing while it is empty, every request for `all`, or
those of the kinds it names (`read`, `fsync`, ...), which are noted in the file of that name with the suffix `.held`.
What is withheld was taken from the kernel, as by a share whose server is gone: who waits for it cannot even be killed.
It is answered once the order is taken back. Stopping the process is the gentler fault: its requests are not taken, and
who waits for one can be killed.

Speaks the kernel's protocol itself, version 7.31, with no cache. Source: include/uapi/linux/fuse.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_HEADER = struct.Struct("<IIQQIIIHH")
_ATTRIBUTES = struct.Struct("<6Q10I")
_ENTRY = struct.Struct("<4Q2I")
_SETATTR = struct.Struct("<IIQQQQQQIIIIIIII")
_MOST_BYTES = 1 << 17
_UNANSWERED = {2, 36, 42}
"""FORGET, INTERRUPT, BATCH_FORGET: nobody waits for an answer."""
_KINDS = {
    1: "lookup",
    3: "getattr",
    4: "setattr",
    9: "mkdir",
    10: "unlink",
    11: "rmdir",
    12: "rename",
    13: "link",
    14: "open",
    15: "read",
    16: "write",
    17: "statfs",
    18: "release",
    20: "fsync",
    25: "flush",
    26: "init",
    27: "opendir",
    28: "readdir",
    29: "release",
    30: "fsync",
    35: "create",
    45: "rename2",
}


class Share:
    """The directory `back` as a file system. Each method of `_KINDS` takes a node and a request's body."""

    def __init__(self, back: bytes) -> None:
        self._paths = {1: back}
        self._nodes = {back: 1}

    def answer(self, kind: str, node: int, body: bytes) -> bytes:
        """Do what a request wants; raises OSError where that cannot be."""
        method: Callable[[int, bytes], bytes] = getattr(self, kind)
        return method(node, body)

    def init(self, _node: int, _body: bytes) -> bytes:
        return struct.pack("<4I2H2I2HI7I", 7, 31, 0, 0, 12, 10, 65536, 1, 0, 0, 0, *[0] * 7)

    def lookup(self, node: int, body: bytes) -> bytes:
        return self._entry(self._below(node, body))

    def getattr(self, node: int, body: bytes) -> bytes:
        flags, _, fh = struct.unpack_from("<IIQ", body)
        return struct.pack("<QII", 0, 0, 0) + _attributes(os.fstat(fh) if flags & 1 else os.lstat(self._paths[node]))

    def setattr(self, node: int, body: bytes) -> bytes:
        valid, _, fh, size, _, atime, mtime, _, asub, msub, _, mode, _, uid, gid, _ = _SETATTR.unpack_from(body)
        place: int | bytes = fh if valid & 64 else self._paths[node]
        if valid & 1:
            os.chmod(place, mode & 0o7777)
        if valid & 6:
            os.chown(place, uid if valid & 2 else -1, gid if valid & 4 else -1)
        if valid & 8:
            os.truncate(place, size)
        if valid & 48:
            os.utime(place, ns=(atime * 10**9 + asub, mtime * 10**9 + msub))
        return struct.pack("<QII", 0, 0, 0) + _attributes(os.stat(place))

    def mkdir(self, node: int, body: bytes) -> bytes:
        path = self._below(node, body[8:])
        os.mkdir(path, struct.unpack_from("<I", body)[0] & 0o7777)
        return self._entry(path)

    def unlink(self, node: int, body: bytes) -> bytes:
        os.unlink(self._below(node, body))
        return b""

    def rmdir(self, node: int, body: bytes) -> bytes:
        os.rmdir(self._below(node, body))
        return b""

    def rename(self, node: int, body: bytes) -> bytes:
        old, new = body[8:].split(b"\0")[:2]
        target = self._below(struct.unpack_from("<Q", body)[0], new)
        source = self._below(node, old)
        os.rename(source, target)
        moved = self._nodes.pop(source, 0)
        if moved:
            self._nodes[target], self._paths[moved] = moved, target
        return b""

    def rename2(self, node: int, body: bytes) -> bytes:
        raise OSError(errno.EINVAL, "cannot refuse to replace")

    def link(self, node: int, body: bytes) -> bytes:
        path = self._below(node, body[8:])
        os.link(self._paths[struct.unpack_from("<Q", body)[0]], path, follow_symlinks=False)
        return self._entry(path)

    def open(self, node: int, body: bytes) -> bytes:
        # The kernel opens for writing what was opened for reading and is written to by way of its cache.
        flags = struct.unpack_from("<I", body)[0] & os.O_ACCMODE
        return struct.pack("<QII", os.open(self._paths[node], flags), 0, 0)

    def opendir(self, node: int, body: bytes) -> bytes:
        return struct.pack("<QII", os.open(self._paths[node], os.O_RDONLY | os.O_DIRECTORY), 0, 0)

    def create(self, node: int, body: bytes) -> bytes:
        flags, mode, _, _ = struct.unpack_from("<4I", body)
        path = self._below(node, body[16:])
        fd = os.open(path, flags & (os.O_ACCMODE | os.O_EXCL) | os.O_CREAT, mode & 0o7777)
        return self._entry(path) + struct.pack("<QII", fd, 0, 0)

    def read(self, node: int, body: bytes) -> bytes:
        fh, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(fh, size, offset)

    def write(self, node: int, body: bytes) -> bytes:
        fh, offset, size = struct.unpack_from("<QQI", body)
        return struct.pack("<II", os.pwrite(fh, body[40 : 40 + size], offset), 0)

    def readdir(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        names = sorted(os.listdir(self._paths[node]))
        found = b""
        for index, name in list(enumerate(names, start=1))[offset:]:
            padded = name + bytes(-len(name) % 8)
            if len(found) + 24 + len(padded) > size:
                break
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(self._paths[node], name))
                found += struct.pack("<QQII", status.st_ino, index, len(name), status.st_mode >> 12) + padded
        return found

    def statfs(self, node: int, body: bytes) -> bytes:
        room = os.statvfs(self._paths[node])
        counts = (room.f_blocks, room.f_bfree, room.f_bavail, room.f_files, room.f_ffree)
        return struct.pack("<5Q4I6I", *counts, room.f_bsize, room.f_namemax, room.f_frsize, 0, *[0] * 6)

    def fsync(self, node: int, body: bytes) -> bytes:
        os.fsync(struct.unpack_from("<Q", body)[0])
        return b""

    def flush(self, node: int, body: bytes) -> bytes:
        return b""

    def release(self, node: int, body: bytes) -> bytes:
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def _below(self, node: int, name: bytes) -> bytes:
        return os.path.join(self._paths[node], name.split(b"\0")[0])

    def _entry(self, path: bytes) -> bytes:
        status = os.lstat(path)
        node = self._nodes.get(path)
        if node is None:
            node = self._nodes[path] = len(self._paths) + 1
            self._paths[node] = path
        return _ENTRY.pack(node, 0, 0, 0, 0, 0) + _attributes(status)


def _attributes(status: os.stat_result) -> bytes:
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
    return _ATTRIBUTES.pack(
        *(status.st_ino, status.st_size, status.st_blocks),
        *(time // 10**9 for time in times),
        *(time % 10**9 for time in times),
        *(status.st_mode, status.st_nlink, status.st_uid, status.st_gid, 0, 4096, 0),
    )


def _respond(device: int, share: Share, request: bytes) -> None:
    _, opcode, unique, node, *_ = _HEADER.unpack_from(request)
    answer, fault = b"", 0
    try:
        kind = _KINDS.get(opcode)
        if kind is None:
            raise OSError(errno.ENOSYS, "not needed here")
        answer = share.answer(kind, node, request[_HEADER.size :])
    except OSError as error:
        fault = error.errno or errno.EIO
    with suppress(FileNotFoundError):  # who asked was killed
        os.write(device, struct.pack("<IiQ", 16 + len(answer), -fault, unique) + answer)


def _withheld(request: bytes, order: str) -> bool:
    return "all" in order.split() or _KINDS.get(_HEADER.unpack_from(request)[1]) in order.split()


def serve(device: int, share: Share, order: Path) -> None:
    """Answer until the file system is unmounted."""
    kept: list[bytes] = []
    while True:
        ready = select.select([device], [], [], 0.05)[0]
        if ready:
            try:
                request = os.read(device, _MOST_BYTES)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                continue  # its asker is gone
            if _HEADER.unpack_from(request)[1] not in _UNANSWERED:
                kept.append(request)
        orders = order.read_text()
        if ready and kept and _withheld(kept[-1], orders):
            with order.with_suffix(".held").open("a") as held:
                held.write(f"{_KINDS.get(_HEADER.unpack_from(kept[-1])[1])}\n")
        for request in [request for request in kept if not _withheld(request, orders)]:
            kept.remove(request)
            _respond(device, share, request)


def main() -> None:
    """Mount, say so, serve."""
    back, point, order = (Path(argument) for argument in sys.argv[1:])
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"share", bytes(point), b"fuse", ctypes.c_ulong(0), options) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.write(1, b"mounted\n")
    serve(device, Share(bytes(back)), order)


if __name__ == "__main__":
    main()
