"""A home directory whose configuration is read as bgrd reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrd.config.load import Settings, load
from bgrd.errors import ConfigError

__all__ = ["ONE_FOLDER", "Home"]

ONE_FOLDER = """
[[folder]]
name = "phone"
inbox = "/photos/in"
outbox = "/photos/out"
"""


class Home:
    """A home directory with a configuration in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environ = {"HOME": str(path)}
        self.file = path / ".config/bgrd/config.toml"
        self.file.parent.mkdir(parents=True)

    def load(self, text: str, **environ: str) -> Settings:
        self.file.write_text(text, "utf-8")
        return load(environ={**self.environ, **environ})

    def error(self, text: str, **environ: str) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(text, **environ)
        return str(caught.value).replace(str(self.file), "PATH")
