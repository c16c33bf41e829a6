"""The vocabulary every stage shares: frozen values, no behaviour beyond naming themselves."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from bgrd.product import Format, Product, ProductKind, product_from_json

__all__ = [
    "OPEN_STATES",
    "Folder",
    "Format",
    "GroundChoice",
    "Job",
    "Metadata",
    "ModelChoice",
    "Origin",
    "Policy",
    "Product",
    "ProductKind",
    "Recipe",
    "Refinement",
    "Result",
    "State",
    "Version",
    "Watching",
    "recipe_hash",
    "version_of",
]

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
class Recipe:
    """Every setting that changes pixels. The edge is `alpha = clip((p - threshold) / feather + 1/2, 0, 1)`.

    `specks` and `holes` are shares of the subject's area: smaller parts go, smaller holes are filled; `largest` keeps
    one part alone. `refine` and `clean_colours` are the photo's say in opacity and in the colours of the edge.
    `grounds` are the files of the pictures that cut-outs stand on. No path leaves the parent: they are no part of
    the JSON.
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
    grounds: tuple[Path, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give the recipe without its paths as JSON values; `from_json` is its inverse."""
        values = asdict(self)
        del values["grounds"]
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """Rebuild a recipe from `to_json`'s values. Raises TypeError or KeyError on anything else."""
        return cls(**{**values, "products": tuple(product_from_json(product) for product in values["products"])})


def recipe_hash(recipe: Recipe, *, model_sha256: str, grounds: Sequence[str] = ()) -> str:
    """Give the hex SHA-256 of the recipe and of its model's and its grounds' bytes, by their own hashes.

    Recorded with every result, never looked up.
    """
    facts = {**recipe.to_json(), "model_sha256": model_sha256} | ({"grounds": list(grounds)} if grounds else {})
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


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
class GroundChoice:
    """A picture cut-outs stand on, as the parent hands it to the engine.

    `name` is what a lane knows it by: it tells nothing of the path, and is another one when the file changes.
    """

    name: str
    path: Path
    max_pixels: int

    @property
    def files(self) -> tuple[Path, ...]:
        """The picture's file alone."""
        return (self.path,)


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
    corrections: Path | None = None
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
class Origin:
    """Where a result came from: its source's path below the inbox and hash at that time, and the result's own hash."""

    path: bytes
    source_sha256: str
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
