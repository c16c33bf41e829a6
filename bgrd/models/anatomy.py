"""What an ONNX file says of itself, read from its frame alone: no library is loaded, no tensor is read.

An ONNX file is one protobuf message. Its fields follow each other as (number, kind, length), so that a file cut short
or of another kind is told from a whole one by walking its outermost fields.
Source: protobuf's wire format; the numbers are those of `onnx.proto3` (ModelProto, GraphProto, TensorProto).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bgrd.errors import ModelFileError, NoInputError

__all__ = ["METADATA_KEY", "Anatomy", "dissect", "dissected"]

METADATA_KEY = "bgrd"
"""The metadata key under which a file carries its spec."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_GRAPH, _METADATA = 7, 14
_INITIALIZER = 5
_EXTERNAL = 13
_KEY, _VALUE = 1, 2
_MOST_TEXT = 2**20
"""Bytes a key or value may have; a spec has some hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """`metadata` are the texts the file carries, by key; `outside` the files its numbers lie in, sorted."""

    metadata: Mapping[str, str]
    outside: tuple[str, ...]

    @property
    def spec(self) -> str | None:
        """The JSON text that says how it is fed, None without one."""
        return self.metadata.get(METADATA_KEY)


def dissect(path: Path) -> Anatomy:
    """Read a file's frame. Raises ModelFileError where it is no whole ONNX model, OSError where it cannot be read."""
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        metadata: dict[str, str] = {}
        outside: set[str] = set()
        graphs = 0
        for number, start, stop in _fields(file, 0, end):
            if number == _METADATA:
                key, value = _pair(file, start, stop)
                metadata[key] = value
            elif number == _GRAPH:
                graphs += 1
                outside |= _outside(file, start, stop)
    if graphs != 1:
        raise _not_whole()
    return Anatomy(metadata=metadata, outside=tuple(sorted(outside)))


def dissected(path: Path) -> Anatomy:
    """Read the frame of a file that the user named; its name is told. Raises NoInputError, ModelFileError."""
    try:
        return dissect(path)
    except OSError as error:
        message = f"{path} cannot be read: {os.strerror(error.errno or 0)}"
        raise NoInputError(message) from error
    except ModelFileError as error:
        message = f"{path}: {error}"
        raise ModelFileError(message) from error


def _outside(file: BinaryIO, start: int, stop: int) -> set[str]:
    """Give the files that a graph's tensors lie in."""
    found = set()
    for number, tensor, tensor_stop in _fields(file, start, stop):
        if number != _INITIALIZER:
            continue
        pairs = [_pair(file, *at) for part, *at in _fields(file, tensor, tensor_stop) if part == _EXTERNAL]
        found |= {value for key, value in pairs if key == "location"}
    return found


def _pair(file: BinaryIO, start: int, stop: int) -> tuple[str, str]:
    """Read a key and its value."""
    texts = {_KEY: "", _VALUE: ""}
    for number, begin, end in list(_fields(file, start, stop)):
        if number in texts:
            if end - begin > _MOST_TEXT:
                raise _not_whole()
            file.seek(begin)
            texts[number] = file.read(end - begin).decode("utf-8", "replace")
    return texts[_KEY], texts[_VALUE]


def _fields(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield each field's number and where its value begins and ends. Raises ModelFileError where one does not fit."""
    at = start
    while at < stop:
        file.seek(at)
        head = _varint(file)
        number, kind = head >> 3, head & 7
        if kind == _VARINT:
            begin = file.tell()
            _varint(file)
            end = file.tell()
        elif kind == _BYTES:
            length = _varint(file)
            begin = file.tell()
            end = begin + length
        elif kind in _WIDTHS:
            begin = file.tell()
            end = begin + _WIDTHS[kind]
        else:
            raise _not_whole()
        if number == 0 or end > stop:
            raise _not_whole()
        yield number, begin, end
        at = end


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise _not_whole()


def _not_whole() -> ModelFileError:
    return ModelFileError("it is no ONNX model, or not a whole one")
