"""Asks the world whether what the folders are to make can be made: for `bgrd check`.

Loads no picture here: which formats Pillow can write is asked of a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial

from bgrd.config.plan import without_effect
from bgrd.config.recipe import described
from bgrd.config.settings import Settings
from bgrd.engine.supply import find_grounds, open_need
from bgrd.errors import DaemonFault, GroundFault
from bgrd.escape import shown
from bgrd.examine import Finding
from bgrd.intake.ignore import HEAD_BYTES, looks_like_picture
from bgrd.job import Folder, GroundChoice
from bgrd.question import ask, dispose

__all__ = ["outputs"]

_ASKED = (
    "import sys; from bgrd.imaging.encode import missing_encoder; print(*map(missing_encoder, sys.argv[1:]), sep='\\n')"
)
_ASK_SECONDS = 60.0


def outputs(settings: Settings, plan: Sequence[Folder]) -> Iterator[Finding]:
    """Yield what each folder makes, its keys that change nothing of it, its grounds that cannot be used.

    And the formats that cannot be written here.
    """
    idle = list(without_effect(settings))
    for folder in plan:
        subject = f"folder {folder.name}: products"
        made = "; ".join(described(product, folder.recipe) for product in folder.recipe.products)
        yield Finding(level="ok", subject=subject, text=shown(os.fsencode(made)))
        for key in (key for name, key in idle if name == folder.name):
            yield Finding(level="warn", subject=subject, text=f"{key} changes nothing of what is made")
        try:
            choices = find_grounds(folder.recipe, max_pixels=settings.max_pixels)
            yield from (finding for choice in choices for finding in _ground(choice, subject))
        except (GroundFault, DaemonFault) as fault:
            yield _waits(subject, str(fault))
    yield from _formats(plan)


def _ground(choice: GroundChoice, subject: str) -> Iterator[Finding]:
    """Yield whether a ground can be read and begins as pictures do. Raises GroundFault, DaemonFault."""
    descriptor = open_need(choice, choice.path)
    try:
        head = ask(choice.path, partial(os.pread, descriptor, HEAD_BYTES, 0))
    except OSError as error:
        yield _waits(subject, f"the picture {shown(os.fsencode(choice.path))} cannot be read: {error.strerror}")
        return
    finally:
        dispose(partial(os.close, descriptor))
    if not looks_like_picture(head):
        yield _waits(subject, f"{shown(os.fsencode(choice.path))} is not a picture, or of no format bgrd reads")


def _waits(subject: str, text: str) -> Finding:
    return Finding(level="error", subject=subject, text=text, advice="the folder waits until this is mended")


def _formats(plan: Sequence[Folder]) -> Iterator[Finding]:
    """Yield what Pillow cannot write of what is asked for."""
    wanted = sorted({product.format for folder in plan for product in folder.recipe.products} - {"png"})
    if not wanted:
        return
    command = [sys.executable, "-P", "-c", _ASKED, *wanted]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_ASK_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return  # a lane that cannot be started either is told of by itself
    for missing in said.split("\n"):
        if missing:
            advice = "install Pillow from its wheels, or choose another format"
            yield Finding(level="error", subject="formats", text=missing, advice=advice)
