"""A model's files to its session, inside the process that runs it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bgrd.engine.wire import Load
from bgrd.errors import ConfigError, ModelFault
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec, parse

__all__ = ["contents", "loaded"]


def loaded(load: Load, descriptors: Sequence[int], *, caged: bool = True) -> tuple[Session, str]:
    """Build the session of the files `Load` brings; gives the SHA-256 of all their bytes too. Raises ModelFault.

    `caged` says that this is a lane.
    """
    data, *weights = (contents(descriptor) for descriptor in descriptors)
    digest = hashlib.sha256(data)
    if load.sha256 not in {None, digest.hexdigest()}:
        text = f"the file of model {load.model} is damaged: sha256 is {digest.hexdigest()}, expected {load.sha256}"
        raise ModelFault(text)
    for content in weights:
        digest.update(content)
    session = Session(
        data,
        spec=_spec(load),
        threads=load.threads,
        name=load.model,
        external=dict(zip(load.external, weights, strict=True)),
        providers=load.providers,
        fallback=load.fallback,
        caged=caged,
    )
    return session, digest.hexdigest()


def _spec(load: Load) -> ModelSpec | None:
    """Read the spec that came along. Raises ModelFault: one that was written down long ago may not be one any more."""
    if load.spec is None:
        return None
    try:
        return parse(load.spec, where=f"model {load.model}")
    except ConfigError as error:
        text = f"the spec of model {load.model} cannot be read: {error}"
        raise ModelFault(text) from error


def contents(descriptor: int) -> bytes:
    """Read an open file to its end, and leave it open."""
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()
