"""A world for tests of sources: an inbox with one source and an archive."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bgrd.delivery.source import Applied, Opened, apply_policy, open_source
from bgrd.job import Policy, Version, version_of

__all__ = ["JOB", "PATH", "PICTURE", "SHA256", "World", "answering"]

PICTURE = b"picture " * 140_000  # more than one chunk, so that a copy has a middle
SHA256 = hashlib.sha256(PICTURE).hexdigest()
PATH = b"trip/IMG_1.jpg"
JOB = 7


@dataclass
class World:
    """An inbox with one source and an archive, and what the journal would know of the source."""

    inbox: Path
    archive: Path
    path: bytes = PATH
    sha256: str | None = SHA256
    version: Version = field(init=False)

    def __post_init__(self) -> None:
        self.archive.mkdir(exist_ok=True)
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(PICTURE)
        os.utime(self.file, ns=(10**18, 10**18 + 5))
        self.version = version_of(self.file.stat())

    @property
    def file(self) -> Path:
        """Give the source's path."""
        return self.inbox / os.fsdecode(self.path)

    @property
    def hidden(self) -> Path:
        """Give the path the source has while it is hidden."""
        return self.file.parent / f".bgrd-src-{JOB}"

    def apply(self, policy: Policy, opened: Opened | None = None) -> Applied:
        """Apply a policy; without `opened` as after a restart."""
        return apply_policy(
            policy,
            inbox=self.inbox,
            path=self.path,
            version=self.version,
            sha256=self.sha256,
            fd=None if opened is None else opened.fd,
            archive=self.archive,
            job_id=JOB,
        )

    def apply_open(self, policy: Policy, *, before: Callable[[], object] | None = None) -> Applied:
        """Apply with the descriptor that was read, as without a restart; `before` happens after the reading."""
        opened = open_source(self.inbox, self.path)
        try:
            if before is not None:
                before()
            return self.apply(policy, opened)
        finally:
            os.close(opened.fd)

    def found(self) -> dict[str, bytes]:
        """Give every file below inbox and archive, hidden ones too, with its bytes."""
        return {
            f"{role}/{file.relative_to(root)}": file.read_bytes()
            for role, root in (("inbox", self.inbox), ("archive", self.archive))
            for file in sorted(root.rglob("*"))
            if file.is_file()
        }


def answering(number: int) -> Callable[..., Any]:
    """Give a call that always fails with `number`."""

    def answer(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return answer
