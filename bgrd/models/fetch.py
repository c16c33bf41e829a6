"""Brings a model's file: going on where a download broke off, trying again, the next source, and what may be believed.

What comes is never believed: a checksum decides, whoever serves the file, and without one it has at least to be a whole
ONNX model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urljoin

from bgrd.errors import FetchError, LicenceError, ModelFileError
from bgrd.models.address import Source, without_password
from bgrd.models.anatomy import dissect
from bgrd.models.connection import Answer, Connection, Denied, Pace, Passing, SourceFailed
from bgrd.models.partial import Digest, Origin, Partial

__all__ = ["Arrival", "Pace", "Teller", "fetch"]

_MOST_BYTES = 16 * 2**30
"""No model is larger; a body without end is."""
_RANGE = re.compile(r"bytes (\d{1,24})-\d{1,24}/(\d{1,24}|\*)")
_WHOLE = re.compile(r"bytes \*/(\d{1,24})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Who wants to know: `progress(bytes so far, bytes in all or None)`, and `say` gets a sentence."""

    progress: Callable[[int, int | None], object] = lambda _done, _total: None
    say: Callable[[str], object] = lambda _sentence: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A file that is in its place: where it came from, as it may be shown, and what it is."""

    url: str
    digest: Digest


def fetch(sources: Sequence[Source], partial: Partial, *, checksum: str | None, pace: Pace, teller: Teller) -> Arrival:
    """Bring a file to `partial.target` from the first source that gives it, checked and durable.

    `checksum` is `md5:<hex>` or `sha256:<hex>`. Raises FetchError that says what each source did, LicenceError where
    one wants to know who asks, CannotCreateError where the disk does not take it.
    """
    failures: list[tuple[Source, SourceFailed]] = []
    for source in sources:
        try:
            found = _Download(source, partial, checksum=checksum, pace=pace, teller=teller).run()
        except SourceFailed as failure:
            failures.append((source, failure))
            if source is not sources[-1]:
                teller.say(f"{without_password(source.url)} {failure}; trying the next source")
        else:
            partial.install()
            return Arrival(url=without_password(source.url), digest=found)
    raise _given_up(failures, partial)


def _given_up(failures: Sequence[tuple[Source, SourceFailed]], partial: Partial) -> FetchError | LicenceError:
    lines = [f"{partial.target.name} could not be fetched:"]
    lines += [f"  {without_password(source.url)} {failure}" for source, failure in failures]
    if partial.size:
        lines.append(f"what came so far ({partial.size / 1e6:.1f} MB) is kept: the same command goes on there")
    for source, failure in failures:
        if isinstance(failure, Denied) and source.page:
            return LicenceError("\n".join([*lines, _way_in(source)]))
    return FetchError("\n".join(lines))


def _way_in(source: Source) -> str:
    """Say how to be let in."""
    if source.token:
        return f"the token may not read it: agree to the conditions at {source.page} with the account it is of"
    tokens = urljoin(source.page, "/settings/tokens")
    return (
        f"agree to the conditions at {source.page}, make a token that may read at {tokens}, "
        "and run the same command with HF_TOKEN set to it"
    )


class _Download:
    """One source's part in bringing a file."""

    def __init__(self, source: Source, partial: Partial, *, checksum: str | None, pace: Pace, teller: Teller) -> None:
        self._shown = without_password(source.url)
        self._source = source
        self._partial = partial
        self._checksum = checksum
        self._pace = pace
        self._teller = teller

    def run(self) -> Digest:
        """Download until the bytes are right; what was put together of parts is fetched once more as a whole."""
        with Connection(self._source, self._pace) as connection:
            self._bring(connection)
            found = self._partial.digest()
            joined = self._partial.joined
            if not self._is_right(found) and joined:
                self._partial.restart()
                self._bring(connection)
                found = self._partial.digest()
        if not self._is_right(found):
            self._partial.restart()
            text = f"sends other bytes than {self._checksum}" if self._checksum else "sends no whole ONNX model"
            raise SourceFailed(text)
        return found

    def _is_right(self, found: Digest) -> bool:
        if self._checksum is not None:
            return found.holds(self._checksum)
        try:
            dissect(self._partial.path)
        except ModelFileError:
            return False
        return True

    def _bring(self, connection: Connection) -> None:
        """Bring every byte, in as many turns as that takes. Raises SourceFailed."""
        failed, furthest = 0, self._partial.size
        while True:
            try:
                self._turn(connection)
            except Passing as passing:
                failed = 1 if self._partial.size > furthest else failed + 1
                furthest = max(furthest, self._partial.size)
                self._wait(passing, failed)
            else:
                return

    def _wait(self, passing: Passing, failed: int) -> None:
        seconds = 2.0 ** (failed - 1) if passing.after is None else passing.after
        if seconds > self._pace.longest_pause_seconds:
            text = f"{passing} and asks to come back in {seconds:.0f} s"
            raise SourceFailed(text) from passing
        if failed >= self._pace.tries:
            raise passing
        self._teller.say(f"{self._shown} {passing}; trying again in {seconds:.0f} s")
        self._pace.pause(seconds)

    def _turn(self, connection: Connection) -> None:
        """Ask once, for what is missing where what is there may be the beginning of the same file."""
        partial = self._partial
        origin, offset = partial.origin(), partial.size
        known = origin.validator if origin is not None and origin.url == self._shown else None
        # Without a checksum nothing would tell that two halves are not of one file: the server has to.
        asked = {"Range": f"bytes={offset}-"} if offset and (self._checksum or known) else {}
        if asked and known:
            asked["If-Range"] = known
        with connection.ask(asked) as answer:
            total = self._begun(answer, offset=offset if asked else 0, known=known)
            if total is None or total != partial.size:
                self._take(answer, total)

    def _begun(self, answer: Answer, *, offset: int, known: str | None) -> int | None:
        """Look at an answer's head; gives how many bytes the file has, as far as it says. Raises SourceFailed."""
        partial = self._partial
        told = answer.headers.get("Content-Range", "")
        if offset and answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            whole = _WHOLE.fullmatch(told)
            if whole is None or int(whole[1]) != offset:
                raise self._changed()
            return offset
        answer.refuse()
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            found = _RANGE.fullmatch(told)
            if found is None or int(found[1]) != offset or not offset or known not in {None, answer.mark}:
                raise self._changed()
            partial.joined = True
            total = None if found[2] == "*" else int(found[2])
        else:
            total = answer.length
            partial.begin(Origin(url=self._shown, validator=answer.mark))
        if (total or 0) > _MOST_BYTES:
            raise _endless()
        partial.room_for((total or 0) - partial.size)
        return total

    def _take(self, answer: Answer, total: int | None) -> None:
        """Write the body down."""
        self._teller.progress(self._partial.size, total)
        for block in answer.blocks():
            self._partial.write(block)
            self._teller.progress(self._partial.size, total)
            if self._partial.size > _MOST_BYTES:
                self._partial.restart()
                raise _endless()
        if total is not None and self._partial.size != total:
            text = "breaks off"
            raise Passing(text)

    def _changed(self) -> Passing:
        """Start anew: the beginning that is there is not that of this file."""
        self._partial.restart()
        return Passing("has another file now", after=0.0)


def _endless() -> SourceFailed:
    return SourceFailed("sends more than any model has")
