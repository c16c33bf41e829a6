"""The wire between parent and lane."""

from __future__ import annotations

import os
import socket
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrd.engine.wire import (
    Answer,
    Aside,
    Channel,
    Faulted,
    Finished,
    Hashed,
    Hello,
    Load,
    Loaded,
    Message,
    WireError,
    Work,
)
from tests.kernel.processes import open_files

MESSAGES: list[Message] = [
    Load(model="a", sha256=None, spec={"side": 320}, threads=1),
    Load(model="a", sha256="00", spec=None, threads=1, external=["a.data"], providers=["cuda"], fallback=True),
    Load(model="ground/1", sha256=None, spec=None, threads=1, ground=250_000_000),
    Work(job=1, model="a", recipe={"threshold": 0.5}, size=3, max_pixels=10, memory_bytes=1),
    Work(job=1, model="a", recipe={}, size=3, max_pixels=10, memory_bytes=1, grounds=["ground/1"]),
    Answer(job=1, go=True),
    Hello(pid=1),
    Loaded(model="a", sha256="00", seconds=0.5, resident_bytes=1, providers=["cpu"], notes=["é"]),
    Hashed(job=1, sha256="00", model_sha256="11", grounds=["22"]),
    Aside(job=1),
    Finished(
        job=1, sizes=[1], sha256s=["00"], width=1, height=1, format="PNG", notes=["é"], seconds={"a": 1.5}, peak_bytes=1
    ),
    Faulted(job=1, model="a", kind="input", text="\udcff is odd"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_arrives_as_it_was_sent(message: Message) -> None:
    """Whatever one end sends, the other end receives equal."""
    ours, theirs = Channel.pair()
    ours.send(message)
    assert theirs.receive() == (message, [])
    ours.close()
    theirs.close()


def test_descriptors_arrive_open_and_close_on_exec(tmp_path: Path) -> None:
    """A descriptor travels as a new one that reads the same file and does not leak into programs started later."""
    (tmp_path / "a").write_bytes(b"picture")
    descriptor = os.open(tmp_path / "a", os.O_RDONLY)
    ours, theirs = Channel.pair()
    ours.send(Hello(pid=1), (descriptor,))
    os.close(descriptor)
    received = theirs.receive()
    assert received is not None
    (arrived,) = received[1]
    assert os.read(arrived, 10) == b"picture"
    assert not os.get_inheritable(arrived)
    os.close(arrived)
    ours.close()
    theirs.close()


def test_the_end_is_seen_as_none() -> None:
    """A closed other end reads as the end, not as an error."""
    ours, theirs = Channel.pair()
    ours.close()
    assert theirs.receive() is None
    theirs.close()


def test_what_was_sent_before_the_end_arrives() -> None:
    """An end that dies with a message unread has still said what it said."""
    ours, theirs = Channel.pair()
    ours.send(Answer(job=1, go=True))
    for pid in (1, 2):
        theirs.send(Hello(pid=pid))
    theirs.close()
    assert [ours.receive() for _ in range(3)] == [(Hello(pid=1), []), (Hello(pid=2), []), None]
    ours.close()


def test_sending_to_a_closed_end_raises() -> None:
    """A message nobody can receive is an OSError."""
    ours, theirs = Channel.pair()
    theirs.close()
    with pytest.raises(BrokenPipeError):
        ours.send(Hello(pid=1))
    ours.close()


def test_a_message_over_the_limit_is_refused_before_it_is_sent() -> None:
    """What would be cut short is a ValueError that names the message."""
    ours, theirs = Channel.pair()
    with pytest.raises(ValueError, match="Faulted"):
        ours.send(Faulted(job=1, model="a", kind="unknown", text="x" * 70_000))
    ours.close()
    theirs.close()


@given(st.text(max_size=200), st.integers(min_value=0, max_value=2**62))
def test_any_text_and_number_survives(text: str, number: int) -> None:
    """Names and numbers arrive exactly."""
    ours, theirs = Channel.pair()
    message = Faulted(job=number, model=text, kind="unknown", text=text)
    ours.send(message)
    received = theirs.receive()
    assert received is not None
    assert received[0] == message
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    "packet",
    [
        b"{",
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b"9" * 5000,
        b"[]",
        b"{}",
        b'{"is": []}',
        b'{"is": "Nonsense"}',
        b'{"is": "Hello"}',
        b'{"is": "Hello", "pid": 1, "more": 2}',
        b'{"is": "Hello", "pid": "1"}',
        b'{"is": "Hello", "pid": true}',
        b'{"is": "Hello", "pid": -1}',
        b'{"is": "Hello", "pid": 9223372036854775808}',
        b'{"is": "Answer", "job": 1, "go": 1}',
        b'{"is": "Loaded", "model": "a", "sha256": "", "seconds": NaN, "resident_bytes": 1}',
        b'{"is": "Loaded", "model": "a", "sha256": "", "seconds": 1e999, "resident_bytes": 1}',
        b'{"is": "Load", "model": "a", "sha256": 1, "spec": null, "threads": 1}',
    ],
    ids=lambda packet: packet[:70].decode("latin-1"),
)
def test_whatever_is_no_message_is_refused(packet: bytes) -> None:
    """One exception for all of it, and a descriptor that came with it is closed."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours = Channel(here)
    before = open_files()
    socket.send_fds(there, [packet], [0])
    with pytest.raises(WireError):
        ours.receive()
    assert open_files() == before
    ours.close()
    there.close()


def test_no_message_has_a_field_for_a_path() -> None:
    """No path reaches a lane: nothing in any message is named like one."""
    names = {field.name for message in MESSAGES for field in fields(message)}
    assert not {name for name in names if "path" in name or "file" in name or "directory" in name}
