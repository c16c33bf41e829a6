"""rembg's own environment below build/, made from the package index where it is missing: it has its own needs."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

__all__ = ["BUILD", "rembg_is_there", "rembg_python"]

BUILD = Path(__file__).parents[1] / "build"
_REQUIREMENT = "rembg[cpu,cli]"
_PLACE = BUILD / "rembg"
_INSTALLED = _PLACE / "installed"
"""Holds what was asked for: an environment that was made for less is made anew."""


def rembg_is_there() -> bool:
    """Say whether the environment has been made."""
    return _INSTALLED.exists() and _INSTALLED.read_text() == _REQUIREMENT


def rembg_python() -> Path:
    """Give the interpreter of the environment, which is made the first time. Raises CalledProcessError."""
    python = _PLACE / "bin" / "python"
    if not rembg_is_there():
        venv.create(_PLACE, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _REQUIREMENT]
        subprocess.run(command, check=True)
        _INSTALLED.write_text(_REQUIREMENT)
    return python
