"""Every model there is: in the catalogue, installed, or described in the configuration; and whether it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bgrd.job import ModelChoice
from bgrd.models import index
from bgrd.models.catalogue import BUILT_IN, ROWS
from bgrd.models.index import Entry
from bgrd.models.partial import digest
from bgrd.models.row import Row, Variant
from bgrd.models.store import PACKAGED

__all__ = ["Item", "Verdict", "inventory", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file a model has or may have.

    `size` is in bytes, with its weights, None where the file is not there; `about_bytes` is roughly what there is to
    fetch, None where that is not known. `gated` says that its hub wants to know who asks. `checksum` is what is
    published for it, `recorded` the sha256 it had when it was installed. `spec` is None where only the file has it.
    `milliseconds` is what a picture was measured to take in it on this machine. `external` has the sha256 of each file
    of weights. `table` says that the configuration describes it.
    """

    name: str
    path: Path | None
    size: int | None
    licence: str
    commercial: bool | None
    sources: tuple[str, ...] = ()
    origin: str = ""
    note: str = ""
    gated: bool = False
    about_bytes: int | None = None
    checksum: str | None = None
    recorded: str | None = None
    spec: dict[str, Any] | None = None
    milliseconds: float | None = None
    external: Mapping[str, str] = field(default_factory=dict)
    table: bool = False

    @property
    def installed(self) -> bool:
        """Whether its file is there."""
        return self.size is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of looking at a file: `unknown` says that no checksum is known for it."""

    item: Item
    state: Literal["right", "unknown", "damaged", "gone"]
    text: str


def inventory(directory: Path, custom: Mapping[str, ModelChoice]) -> list[Item]:
    """Give every model's files in the catalogue's order, then what else is installed, then the configuration's own.

    Raises ModelFault where the index is damaged, OSError where the directory cannot be read.
    """
    entries, measured = index.read(directory), index.speeds(directory)
    items = [_of_row(row, variant, entries, directory) for row in ROWS.values() for variant in row.variants or (None,)]
    listed = {item.name for item in items}
    items += [_of_entry(entry, directory) for entry in entries.values() if entry.name not in listed]
    items = [item for item in items if item.name not in custom]
    items += [_of_table(choice) for choice in custom.values()]
    return [replace(item, milliseconds=measured.get(item.name)) for item in items]


def verify(item: Item) -> Verdict:
    """Read an installed file and hold it against what is known of it."""
    if item.path is None or item.size is None:
        return Verdict(item=item, state="gone", text=f"{item.path} is gone")
    try:
        found = digest(item.path)
        weights = {item.path.parent / name: wanted for name, wanted in item.external.items()}
        for path, wanted in weights.items():
            if not path.is_file():
                return Verdict(item=item, state="damaged", text=f"{path} is gone, which belongs to it")
            if not digest(path).holds(f"sha256:{wanted}"):
                return Verdict(item=item, state="damaged", text=f"{path} is damaged or another file")
    except OSError as error:
        return Verdict(item=item, state="damaged", text=f"{item.path} cannot be read: {os.strerror(error.errno or 0)}")
    known = [f"sha256:{item.recorded}"] if item.recorded else []
    known += [item.checksum] if item.checksum else []
    wrong = [checksum for checksum in known if not found.holds(checksum)]
    if wrong:
        return Verdict(item=item, state="damaged", text=f"{item.path} is damaged or another file: not {wrong[0]}")
    if not known:
        return Verdict(item=item, state="unknown", text=f"{item.path}: no checksum is known for it")
    return Verdict(item=item, state="right", text=f"{item.path}: its checksum is right")


def _of_row(row: Row, variant: Variant | None, entries: Mapping[str, Entry], directory: Path) -> Item:
    name = row.name if variant is None or variant == row.variants[0] else f"{row.name}:{variant.name}"
    entry = entries.get(name)
    file_name = entry.file_name if entry else variant.file_name if variant else None
    path = (PACKAGED if name == BUILT_IN else directory) / file_name if file_name else None
    return Item(
        name=name,
        path=path,
        size=_size(path, entry.external if entry else ()),
        licence=row.licence,
        commercial=row.commercial,
        sources=variant.sources if variant else (),
        origin="comes with bgrd" if name == BUILT_IN else entry.origin if entry else "",
        note=row.note,
        gated=row.gated,
        about_bytes=variant.about_bytes if variant else None,
        checksum=variant.checksum if variant else None,
        recorded=entry.sha256 if entry else None,
        spec=row.spec.to_json() if row.spec else None,
        external=entry.external if entry else {},
    )


def _of_entry(entry: Entry, directory: Path) -> Item:
    path = directory / entry.file_name
    row = ROWS.get(entry.name.partition(":")[0])
    commercial = (entry.spec or {}).get("commercial", True) if entry.licence else None
    return Item(
        name=entry.name,
        path=path,
        size=_size(path, entry.external),
        licence=row.licence if row else entry.licence,
        commercial=row.commercial if row else commercial,
        origin=entry.origin,
        recorded=entry.sha256,
        spec=entry.spec or (row.spec.to_json() if row and row.spec else None),
        external=entry.external,
    )


def _of_table(choice: ModelChoice) -> Item:
    told = choice.spec or {}
    licence = str(told.get("licence", ""))
    return Item(
        name=choice.name,
        path=choice.path,
        size=_size(choice.path, choice.external),
        licence=licence,
        commercial=bool(told.get("commercial", True)) if licence else None,
        origin="described in the configuration",
        checksum=f"sha256:{choice.sha256}" if choice.sha256 else None,
        spec=choice.spec,
        table=True,
    )


def _size(path: Path | None, weights: Iterable[str] = ()) -> int | None:
    """Give a model's size with all its files, None where its own is not there."""
    if path is None or not path.is_file():
        return None
    beside = (path.parent / name for name in weights)
    return path.stat().st_size + sum(one.stat().st_size for one in beside if one.is_file())
