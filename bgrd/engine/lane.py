"""What runs inside a lane: one process, one job at a time, start to finish.

Started as `python -m bgrd.engine.lane SOCKET PARENT`. It loads all it will ever need, shuts itself in (see
`engine.cage`), and only then takes messages. It gets open descriptors, never paths, and ends when the parent's end of
the socket closes or the parent dies. Whatever goes wrong with a picture becomes one `Faulted` message; the one broad
except of the project is here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedRandom

from bgrd.delivery.beneath import PLACES_OWN, unusable
from bgrd.engine.birth import born, silence
from bgrd.engine.cage import Cage, enter
from bgrd.engine.gauge import Gauge
from bgrd.engine.pipeline import Report, begin, complete, preload
from bgrd.engine.stock import Stock
from bgrd.engine.trace import behind, trace
from bgrd.engine.wire import Answer, Aside, Channel, Drop, Faulted, Finished, Hashed, Hello, Load, Loaded, Work
from bgrd.errors import ChangedFault, Fault, FileFault, FolderFault, InputFault, MemoryFault, UnknownFault
from bgrd.imaging.verify import verify
from bgrd.job import Recipe
from bgrd.kernel import first_hole
from bgrd.product import Product
from bgrd.steps import passed

__all__ = ["Lane", "main"]

_TEXT_LIMIT = 1_000
_TRACE_LIMIT = 4_000
"""Characters; each may take 12 bytes of a packet."""


class Lane:
    """Serves one parent over one channel: loads models, works jobs, one after the other."""

    def __init__(self, channel: Channel, *, cage: Cage, gauge: Gauge) -> None:
        self._channel = channel
        self._cage = cage
        self._gauge = gauge
        self._stock = Stock()
        self._stage = ""
        self._asked = False

    def serve(self) -> None:
        """Work until the parent closes its end."""
        self._channel.send(Hello(pid=os.getpid(), holds=list(self._cage.holds), missing=list(self._cage.missing)))
        while (received := self._channel.receive()) is not None:
            message, descriptors = received
            try:
                self._serve_one(message, descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _serve_one(self, message: object, descriptors: list[int]) -> None:
        """Do what one message asks; a failure becomes a `Faulted` message, never an exception."""
        job = message.job if isinstance(message, Work) else 0
        model = message.model if isinstance(message, Work | Load) else ""
        self._stage = ""
        try:
            match message:
                case Load():
                    self._load(message, descriptors)
                case Drop():
                    self._stock.drop(message.model)
                case Work():
                    self._work(message, descriptors)
                case _:
                    text = f"a lane cannot do {type(message).__name__}"
                    raise UnknownFault(text)
        except Fault as fault:
            self._send_fault(job, model, fault, trace=behind(fault))
        except MemoryError:
            text = "there was not enough memory to work on it"
            self._send_fault(job, model, MemoryFault(text))
        except ConnectionError:
            raise  # the parent is gone: nobody to tell
        except Exception as error:  # noqa: BLE001 - the one broad except: a picture must not end the lane unexplained
            text = f"{type(error).__name__}: {error}"
            self._send_fault(job, model, UnknownFault(text), trace=trace(error))

    def _send_fault(self, job: int, model: str, fault: Fault, *, trace: str = "") -> None:
        if self._asked and not self._told_to_go():
            return  # nobody asks any more what became of it
        if job == 0:
            self._stock.refuse(model, fault)
        self._channel.send(
            Faulted(
                job=job,
                model=model,
                kind=fault.kind,
                text=str(fault)[:_TEXT_LIMIT],
                stage=self._stage,
                trace=trace[-_TRACE_LIMIT:],
            )
        )

    def _load(self, load: Load, descriptors: Sequence[int]) -> None:
        """Take a model or ground in and try it."""
        self._stage = "load"
        started = time.perf_counter()
        before = self._gauge.resident_bytes()
        taken = self._stock.take(load, descriptors)
        resident_bytes = taken.resident_bytes
        if resident_bytes is None:
            resident_bytes = max(0, self._gauge.resident_bytes() - before)
        passed("lane.loaded")
        self._channel.send(
            Loaded(
                model=load.model,
                sha256=taken.sha256,
                seconds=time.perf_counter() - started,
                resident_bytes=resident_bytes,
                providers=taken.providers,
                notes=[note[:_TEXT_LIMIT] for note in taken.notes],
            )
        )

    def _work(self, work: Work, descriptors: list[int]) -> None:
        """Do one job: read and hash, ask, process, fsync, verify, report.

        The picture is decoded while the answer is on its way, which spares the lane the wait for the journal's disk;
        nothing is written before it has come.
        """
        session, model_sha256 = self._stock.model(work.model)
        grounds, hashes = self._stock.grounds(work.grounds)
        self._gauge.reset_peak()
        source, *drafts = descriptors
        self._stage = "read"
        started = time.perf_counter()
        hole_at = first_hole(source, size=work.size)
        data = _read_whole(source, size=work.size)
        sha256 = hashlib.sha256(data).hexdigest()
        seconds = {"read": time.perf_counter() - started}
        passed("lane.read")
        self._channel.send(Hashed(job=work.job, sha256=sha256, model_sha256=model_sha256, grounds=hashes))
        self._asked = True
        passed("lane.hashed")
        self._stage = "process"
        recipe = Recipe.from_json(work.recipe)
        begun = begin(
            data,
            recipe=recipe,
            session=session,
            max_pixels=work.max_pixels,
            accept_holes=work.accept_holes,
            hole_at=hole_at,
        )
        if not self._told_to_go():
            return
        passed("lane.told")
        with _outbox_faults(), contextlib.ExitStack() as stack:
            files = [stack.enter_context(open(draft, "r+b", closefd=False)) for draft in drafts]
            report = complete(begun, recipe=recipe, session=session, grounds=grounds, write=files.__getitem__)
            seconds |= report.times | self._sync(files)
            written = self._verify(recipe.products, report, files, seconds)
        passed("lane.verified")
        self._channel.send(_finished(work, report, written, seconds, peak_bytes=self._gauge.peak_bytes()))
        passed("lane.reported")

    def _sync(self, files: Sequence[BufferedRandom]) -> dict[str, float]:
        """Make what was written durable; gives the seconds that took."""
        self._stage = "write"
        started = time.perf_counter()
        for file in files:
            file.flush()
            passed("lane.written")
            os.fsync(file.fileno())
        passed("lane.synced")
        return {"fsync": time.perf_counter() - started}

    def _verify(
        self, products: Sequence[Product], report: Report, files: Sequence[BufferedRandom], seconds: dict[str, float]
    ) -> list[tuple[int, str]]:
        """Hold every product's file against what it must be; gives their sizes and hashes."""
        self._stage = "verify"
        started = time.perf_counter()
        written = []
        for file, product, size, bits in zip(files, products, report.sizes, report.depths, strict=True):
            verify(file, product, size=size, bits=bits)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            written.append((file.tell(), sha256))
        seconds["verify"] = time.perf_counter() - started
        return written

    def _told_to_go(self) -> bool:
        self._asked = False
        received = self._channel.receive()
        if received is None:
            text = "the parent closed the channel"
            raise ConnectionError(text)
        answer = received[0]
        if not isinstance(answer, Answer):
            text = f"the parent sent {type(answer).__name__} where an answer was due"
            raise UnknownFault(text)
        if not answer.go:
            self._channel.send(Aside(job=answer.job))
        return answer.go


def _finished(
    work: Work,
    report: Report,
    written: Sequence[tuple[int, str]],
    seconds: Mapping[str, float],
    *,
    peak_bytes: int,
) -> Finished:
    return Finished(
        job=work.job,
        sizes=[size for size, _sha256 in written],
        sha256s=[sha256 for _size, sha256 in written],
        width=report.width,
        height=report.height,
        format=report.format,
        notes=[note[:_TEXT_LIMIT] for note in report.notes],
        seconds={stage: round(value, 6) for stage, value in seconds.items()},
        peak_bytes=peak_bytes,
    )


def _read_whole(descriptor: int, *, size: int) -> bytes:
    """Read exactly the file the parent saw. Raises ChangedFault when it has another length by now, FileFault."""
    try:
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(size + 1)
    except OSError as error:
        text = f"the file cannot be read: {os.strerror(error.errno or 0)}"
        raise FileFault(text) from error
    if len(data) != size:
        text = f"the file changed while it was read: {size} bytes expected"
        raise ChangedFault(text)
    return data


@contextlib.contextmanager
def _outbox_faults() -> Iterator[None]:
    """Blame the outbox for what the kernel says while results are written: a full disk is no picture's fault."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError from error
        if error.errno == errno.EFBIG:
            text = "the result would be larger than a picture's result can be"
            raise InputFault(text) from error
        if error.errno not in PLACES_OWN:
            raise  # the parent's end, Pillow's own, which carry no number, and calls refused here: nobody foresaw those
        raise FolderFault(unusable(error, place="the outbox")) from error


def main(arguments: list[str]) -> int:
    """Run the lane."""
    if (channel := born(arguments)) is None:
        return os.EX_OK
    preload()
    # Image libraries write what they think of broken files to standard error from C, past every log: not into ours.
    # From here on a lane has nothing to say but to its parent.
    silence(range(3))
    with Gauge() as gauge, contextlib.suppress(ConnectionError):
        Lane(channel, cage=enter(), gauge=gauge).serve()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
