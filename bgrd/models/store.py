"""Where a model's file lies, and whether it is the file it should be. Loads nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from bgrd.errors import SHORTAGES, ConfigError, DaemonFault, ModelFault
from bgrd.job import ModelChoice
from bgrd.models.catalogue import BUILT_IN, ROWS, Row, Variant
from bgrd.question import ask

__all__ = ["find", "matches"]

_PACKAGED = Path(__file__).parent / "data"
_BLOCK_BYTES = 2**20


def find(name: str, *, custom: Mapping[str, ModelChoice], directory: Path) -> ModelChoice:
    """Say which file `name` means: the user's own models first, then the catalogue; the built-in one is in the package.

    `directory` holds downloaded models. Raises ModelFault, with what to do, where the name or its file is missing, and
    DaemonFault where bgrd itself is short of what it takes to look.
    """
    if name in custom:
        return _present(custom[name], f"The file of model {name} is missing: {custom[name].path}.")
    row = ROWS.get(name)
    if row is None:
        known = ", ".join([*ROWS, *custom])
        message = f"There is no model named {name}; known are {known}."
        raise ModelFault(message)
    if not row.variants:
        message = f"Model {name} comes {row.note}: name the file in a [[model]] table with like = {name!r}."
        raise ModelFault(message)
    variant = row.variants[0]
    if name == BUILT_IN:
        return _present(_choice(row, variant, _PACKAGED), "The built-in model is missing: reinstall bgrd.")
    choice = _choice(row, variant, directory)
    message = f"Model {name} is not installed: get {variant.sources[0]} and save it as {choice.path}."
    return _present(choice, message)


def matches(fd: int, checksum: str) -> bool:
    """Whether an open file's bytes have the checksum `md5:<hex>` or `sha256:<hex>`; leaves the offset at its end.

    Raises ConfigError on any other form.
    """
    algorithm, _colon, wanted = checksum.partition(":")
    if algorithm not in {"md5", "sha256"} or not wanted:
        message = f"A checksum is md5:... or sha256:..., not {checksum!r}."
        raise ConfigError(message)
    digest = hashlib.new(algorithm, usedforsecurity=False)
    os.lseek(fd, 0, os.SEEK_SET)
    while block := os.read(fd, _BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest() == wanted.lower()


def _choice(row: Row, variant: Variant, directory: Path) -> ModelChoice:
    algorithm, _colon, value = (variant.checksum or "").partition(":")
    return ModelChoice(
        name=row.name,
        path=directory / variant.file_name,
        sha256=value if algorithm == "sha256" else None,
        spec=row.spec.to_json() if row.spec else None,
        external=variant.external,
    )


def _present(choice: ModelChoice, message: str) -> ModelChoice:
    try:
        # Asked on the main loop: a model on a dead share costs the folders that use it and no others.
        missing = next((path for path in choice.files if not ask(path, path.is_file)), None)
    except OSError as error:
        if error.errno in SHORTAGES:
            text = f"bgrd is short of system resources: {error.strerror}"
            raise DaemonFault(text) from error
        reason = f"The file of model {choice.name} cannot be reached: {choice.path}: {error.strerror}."
        raise ModelFault(reason) from error
    if missing == choice.path:
        raise ModelFault(message)
    if missing is not None:
        text = f"A file of weights of model {choice.name} is missing: {missing}."
        raise ModelFault(text)
    return choice
