"""Fetches a model of the catalogue and writes down what came; the daemon never does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bgrd.errors import FetchError, LicenceError, UsageError
from bgrd.models import index
from bgrd.models.address import resolve, sources
from bgrd.models.catalogue import BUILT_IN
from bgrd.models.fetch import Pace, Teller, fetch
from bgrd.models.index import Entry
from bgrd.models.partial import Digest, Partial, digest
from bgrd.models.row import Row, Variant
from bgrd.models.shelf import record
from bgrd.models.store import how_to_get, variant_of

__all__ = ["Pulled", "pull"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A model that is in its place: `url` is "" where it was there already, `published` whether a checksum is."""

    path: Path
    url: str
    digest: Digest
    published: bool


def pull(
    name: str,
    *,
    directory: Path,
    mirrors: Sequence[str],
    accept_licence: bool,
    environ: Mapping[str, str],
    pace: Pace,
    teller: Teller,
) -> Pulled:
    """Bring a model of the catalogue into `directory`; one that is there and right is left alone.

    `name` is canonical. Nothing is asked and nothing written for a model that is installed and right. Raises UsageError
    where it cannot be pulled, LicenceError where its licence was not accepted, and what `fetch` raises.
    """
    row, variant = _listed(name)
    entry = index.read(directory).get(name)
    if entry is not None and entry.external:
        message = f"{name} was {entry.origin}, with weights in other files: `bgrd models remove {name}` comes first"
        raise UsageError(message)
    target = directory / (entry.file_name if entry else variant.file_name)
    # What came first is what is held, where its makers publish nothing to hold it against.
    checksum = variant.checksum or (f"sha256:{entry.sha256}" if entry else None)
    if entry is not None and (there := _there(target, checksum)) is not None:
        return Pulled(path=target, url="", digest=there, published=variant.checksum is not None)
    if not (accept_licence or (row.commercial and row.licence)):
        raise LicenceError(_gate(row, variant, environ))
    with Partial(target) as partial:
        found, url = _there(target, checksum), ""
        if found is None:
            places = sources(variant.sources, file_name=variant.file_name, mirrors=mirrors, environ=environ)
            with _hinted(name, remembered=checksum != variant.checksum):
                arrival = fetch(places, partial, checksum=checksum, pace=pace, teller=teller)
            found, url = arrival.digest, arrival.url
    if entry is None or url:
        origin = url or "was there already"
        record(directory, _entry(name, target, found, origin=origin, licence=row.licence))
    return Pulled(path=target, url=url, digest=found, published=variant.checksum is not None)


def _listed(name: str) -> tuple[Row, Variant]:
    """Give the catalogue's file for a name. Raises UsageError where there is none to be pulled."""
    listed = variant_of(name)
    if name == BUILT_IN:
        message = f"{BUILT_IN} comes with bgrd: there is nothing to pull"
        raise UsageError(message)
    if listed is None:
        raise UsageError(how_to_get(name, custom={}))
    return listed


def _gate(row: Row, variant: Variant, environ: Mapping[str, str]) -> str:
    """Say what a licence asks for, and where it stands."""
    what = "does not allow commercial use" if row.licence else "is not told by its makers"
    first = resolve(variant.sources[0], environ=environ)
    return (
        f"the licence of {row.name}{f' ({row.licence})' if row.licence else ''} {what}: "
        f"read it at {first.page or first.url}, and run the same command with --accept-licence"
    )


def _there(path: Path, checksum: str | None) -> Digest | None:
    """Give the digest of a file that is there and right, None for any other."""
    try:
        found = digest(path)
    except OSError:
        return None
    return found if checksum is not None and found.holds(checksum) else None


@contextmanager
def _hinted(name: str, *, remembered: bool) -> Iterator[None]:
    """Say what else can be done: with a file from elsewhere, or where only the first pull calls the bytes wrong."""
    try:
        yield
    except FetchError as error:
        hint = f"a file you have from elsewhere is installed with `bgrd models add FILE --name {name}`"
        if remembered and "sends other bytes" in str(error):
            hint = f"its makers may have changed it since the first pull, which `bgrd models remove {name}` forgets"
        message = f"{error}\n{hint}"
        raise FetchError(message) from error


def _entry(name: str, path: Path, found: Digest, *, origin: str, licence: str) -> Entry:
    return Entry(name=name, file_name=path.name, sha256=found.sha256, size=found.size, origin=origin, licence=licence)
