"""A lane with a null pipeline: speaks the real wire and does what the source's first word says.

Words: `crash`, `hang`, `bloat`, `bad` (input fault), `cut` (incomplete), `odd` (unknown fault), `full` (the
folder's fault), `lie` (of its model's process), `slow SECONDS`, `threads NUMBER`, `spoil` (crash, or with
`slowly` hang, when told not to go on);
anything else is copied to each product in upper case. Models whose file begins with `broken` fail to load,
`fatal` ends the process.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import signal
import sys
import threading
import time

from bgrd.engine.wire import Answer, Aside, Channel, Faulted, Finished, Hashed, Hello, Load, Loaded, Work


def bloat() -> None:
    """Take memory of a kind that the limit on private data does not count, and stay."""
    with mmap.mmap(-1, 400 * 2**20) as memory:
        for page in range(0, len(memory), 4096):
            memory[page] = 1
        time.sleep(3600)


def put_aside(channel: Channel, job: int, data: bytes) -> None:
    """Let go of a job that is not to be done."""
    if data.startswith(b"spoil"):
        time.sleep(3600 if b"slowly" in data else 0.2)
        os.kill(os.getpid(), signal.SIGSEGV)
    channel.send(Aside(job=job))


def work(channel: Channel, message: Work, descriptors: list[int]) -> None:
    """Do one job."""
    source, *drafts = descriptors
    data = os.pread(source, 1 << 20, 0)
    sha256 = hashlib.sha256(data).hexdigest()
    channel.send(
        Hashed(job=message.job, sha256=sha256, model_sha256="0" * 64, grounds=["1" * 64] * len(message.grounds))
    )
    received = channel.receive()
    assert received is not None
    answer = received[0]
    assert isinstance(answer, Answer)
    if not answer.go:
        put_aside(channel, message.job, data)
        return
    word, _, rest = data.partition(b" ")
    match word:
        case b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"hang":
            time.sleep(3600)
        case b"bloat":
            bloat()
        case b"threads":
            threading.stack_size(64 * 1024)
            for _ in range(int(rest)):
                threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
            time.sleep(3600)
        case b"slow":
            time.sleep(float(rest))
        case b"bad" | b"cut" | b"odd" | b"full" | b"lie":
            kinds = {b"bad": "input", b"cut": "incomplete", b"odd": "unknown", b"full": "folder", b"lie": "device"}
            kind = kinds[word]
            channel.send(Faulted(job=message.job, model=message.model, kind=kind, text=f"it is {word.decode()}"))
            return
    result = data.upper()
    for draft in drafts:
        os.pwrite(draft, result, 0)
        os.fsync(draft)
    channel.send(
        Finished(
            job=message.job,
            sizes=[len(result)] * len(drafts),
            sha256s=[hashlib.sha256(result).hexdigest()] * len(drafts),
            width=1,
            height=1,
            format="TEXT",
            notes=[],
            seconds={"infer": 0.0},
            peak_bytes=0,
        )
    )


def load(channel: Channel, message: Load, descriptors: list[int]) -> None:
    """Take a model whose first word is its fate."""
    data = os.pread(descriptors[0], 64, 0)
    if data.startswith(b"fatal"):
        os.kill(os.getpid(), signal.SIGKILL)
    if data.startswith(b"broken"):
        channel.send(
            Faulted(job=0, model=message.model, kind="input" if message.ground else "model", text="it is broken")
        )
        return
    channel.send(Loaded(model=message.model, sha256="0" * 64, seconds=0.001, resident_bytes=len(data) * 2**20))


def main() -> None:
    """Serve until the parent is gone."""
    channel = Channel.adopt(int(sys.argv[1]))
    channel.send(Hello(pid=os.getpid()))
    while (received := channel.receive()) is not None:
        message, descriptors = received
        if isinstance(message, Load):
            load(channel, message, descriptors)
        elif isinstance(message, Work):
            work(channel, message, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


if __name__ == "__main__":
    main()
