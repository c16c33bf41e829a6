"""A home for models, what `bgrd models` says in it, and a small model that the catalogue knows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

from bgrd.cli.main import main
from bgrd.models.catalogue import ROWS, Row, Variant
from bgrd.models.spec import ModelSpec
from tests.houses.file_server import FileServer, ranged
from tests.pictures.making import model

__all__ = ["SELF_MADE", "TINY", "Home", "published", "with_weights"]

TINY = model()
SELF_MADE = model(spec={"name": "mine", "side": 32, "licence": "CC-BY-NC-4.0", "commercial": False})


class Home:
    """A home, and a bgrd that is asked in it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self.models = path / ".local/share/bgrd/models"
        self._capsys = capsys

    def configure(self, text: str) -> None:
        place = self.path / ".config/bgrd/config.toml"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        """Run `bgrd models ...`; gives what it said, both ways."""
        assert main(["models", *map(str, arguments)]) == code
        said = self._capsys.readouterr()
        return said.out + said.err

    def json(self, *arguments: str, code: int = 0) -> Any:
        assert main(["models", *arguments, "--json"]) == code
        return json.loads(self._capsys.readouterr().out)

    def file(self, name: str, data: bytes) -> Path:
        (self.path / name).write_bytes(data)
        return self.path / name

    @property
    def left(self) -> list[str]:
        """What lies in the models' directory, but for bgrd's own records."""
        own = {".lock", "models.json", "speeds.json"}
        return sorted(path.name for path in self.models.iterdir() if path.name not in own)


def published(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Row:
    """Publish a small model of the catalogue, with a checksum, at /tiny.onnx."""
    checksum = f"md5:{hashlib.md5(TINY).hexdigest()}"
    variant = Variant(name="fp32", file_name="tiny.onnx", sources=(server.url("/tiny.onnx"),), checksum=checksum)
    spec = ModelSpec(name="tiny", side=32, licence="MIT")
    row = Row(name="tiny", licence="MIT", commercial=True, variants=(variant,), spec=spec)
    monkeypatch.setitem(ROWS, "tiny", row)
    server.script(ranged(TINY), path="/tiny.onnx")
    return row


@pytest.fixture
def server(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    """Give a server that stands for the hub, and for a mirror at /mirror/."""
    monkeypatch.setenv("HF_ENDPOINT", server.url(""))
    return server


@pytest.fixture
def tiny(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Row:
    """Give a small model of the catalogue, published with a checksum at /tiny.onnx."""
    return published(server, monkeypatch)


def with_weights(file: Path, beside: str) -> None:
    """Write a model that describes itself, its numbers in a file of their own."""
    made = onnx.load_from_string(SELF_MADE)
    for tensor in made.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    onnx.save(made, file, save_as_external_data=True, location=beside, size_threshold=0)
