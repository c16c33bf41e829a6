"""The vocabulary every stage shares: frozen values, no behaviour beyond naming themselves."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "OPEN_STATES",
    "Folder",
    "Format",
    "Job",
    "Metadata",
    "ModelChoice",
    "Policy",
    "Product",
    "ProductKind",
    "Recipe",
    "Refinement",
    "Result",
    "State",
    "Version",
    "Watching",
    "product_name",
    "recipe_hash",
    "version_of",
]

ProductKind = Literal["cutout", "mask"]
Format = Literal["png", "webp"]
Refinement = Literal["none", "guided"]
Metadata = Literal["keep", "no-location", "none"]
Policy = Literal["keep", "archive", "delete"]
Watching = Literal["auto", "inotify", "poll"]


class State(StrEnum):
    """Where a job stands.

    ready -> running -> committing -> committed -> done
             running -> waiting      an environment fault, resumes by itself
             running -> retry        an unknown fault, due again later
             running -> failed       bad input or the last strike
             any open state -> withdrawn
    """

    READY = "ready"
    RUNNING = "running"
    COMMITTING = "committing"
    COMMITTED = "committed"
    WAITING = "waiting"
    RETRY = "retry"
    DONE = "done"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


OPEN_STATES = frozenset(
    {State.READY, State.RUNNING, State.COMMITTING, State.COMMITTED, State.WAITING, State.RETRY},
)
"""States a job can still leave by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One state of a file's bytes as `lstat` tells it; compared for equality, never for age."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def version_of(status: os.stat_result) -> Version:
    """Give the version a file has by this answer of `stat`."""
    return Version(
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        inode=status.st_ino,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One file a job gives: what it shows and how it is written.

    `colour` is the ground of a cut-out as RGB 0..255, or None for transparency. `level` is the
    encoder's effort (PNG 0..9, WebP 0..6), `quality` 1..100 is used by lossy WebP, None is lossless.
    """

    kind: ProductKind = "cutout"
    format: Format = "png"
    colour: tuple[int, int, int] | None = None
    level: int = 1
    quality: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every setting that changes pixels. The edge is `alpha = clip((p - threshold) / feather + 1/2, 0, 1)`.

    `specks` and `holes` are shares of the subject's area: smaller parts go, smaller holes are filled; `largest` keeps
    one part alone. `refine` and `clean_colours` are the photo's say in opacity and in the colours of the edge.
    """

    model: str = "bgrd-lite"
    threshold: float = 0.5
    feather: float = 1.0
    refine: Refinement = "guided"
    clean_colours: bool = False
    specks: float = 0.0
    holes: float = 0.0
    largest: bool = False
    metadata: Metadata = "no-location"
    products: tuple[Product, ...] = (Product(),)

    def to_json(self) -> dict[str, Any]:
        """Give the recipe as JSON values; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """Rebuild a recipe from `to_json`'s values. Raises TypeError or KeyError on anything else."""
        products = tuple(
            Product(**{**product, "colour": tuple(product["colour"]) if product["colour"] else None})
            for product in values["products"]
        )
        return cls(**{**values, "products": products})


def recipe_hash(recipe: Recipe, *, model_sha256: str) -> str:
    """Give the hex SHA-256 of the recipe and its model's bytes; recorded with every result, never looked up."""
    text = json.dumps({**recipe.to_json(), "model_sha256": model_sha256}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A model as the parent hands it to the engine: where its file lies and what it should be.

    `sha256` is None for a foreign file whose hash is taken when it is loaded; `spec` is None for a file
    that carries its own in its metadata. `external` names the files of weights beside it, as the model calls them.
    """

    name: str
    path: Path
    sha256: str | None = None
    spec: dict[str, Any] | None = None
    external: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The model's file and those of its weights."""
        return (self.path, *(self.path.parent / name for name in self.external))


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One inbox and all that happens to what lands in it; plain values, made from the settings."""

    name: str
    inbox: Path
    outbox: Path
    archive: Path
    recipe: Recipe
    policy: Policy = "keep"
    failure_notes: Path | None = None
    recursive: bool = True
    watch: Watching = "auto"
    backlog: Literal["process", "ignore"] = "process"
    settle_seconds: float | None = None
    grace_seconds: float = 600.0
    rescan_seconds: float = 30.0
    poll_seconds: float = 5.0
    max_bytes: int = 256 * 2**20
    min_free: int = 500 * 10**6
    sync_conflicts: bool = False
    result_mtime: Literal["now", "source"] = "now"
    mode: int | None = None
    group: str | None = None
    create: bool = False
    excluded: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One product on disk: `target` is the path below the outbox, `sha256` and `size` those of its bytes."""

    target: bytes
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One version of one file on its way; `path` is below the inbox, as the bytes the file system has."""

    id: int
    folder: str
    path: bytes
    version: Version
    state: State
    attempts: int = 0
    unclean: int = 0
    alone: bool = False
    same_stat: bool = False
    due: float = 0.0
    admitted: float = 0.0
    kind: str = ""
    reason: str = ""
    sha256: str | None = None
    recipe: str | None = None
    results: tuple[Result, ...] = ()


def product_name(path: bytes, product: Product, *, only: bool) -> bytes:
    """Give the result's first-choice path: same directory and stem, the format's suffix.

    A mask beside other products is told apart by `.mask`; `only` says that it stands alone.
    """
    head, slash, name = path.rpartition(b"/")
    stem, dot, _suffix = name.rpartition(b".")
    stem = stem if dot and stem else name
    middle = b".mask" if product.kind == "mask" and not only else b""
    return head + slash + stem + middle + b"." + product.format.encode()
