"""Where a model's file lies."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bgrd.errors import ConfigError, DaemonFault, ModelFault
from bgrd.job import ModelChoice
from bgrd.models.catalogue import BUILT_IN, ROWS
from bgrd.models.store import find, matches
from tests.processes import threadless


def test_the_built_in_model_is_there_and_itself(tmp_path: Path) -> None:
    """The package's model is found without any directory, and its bytes have the catalogue's checksum."""
    choice = find(BUILT_IN, custom={}, directory=tmp_path / "none")
    assert choice.spec is None
    assert choice.sha256 == hashlib.sha256(choice.path.read_bytes()).hexdigest()
    with choice.path.open("rb") as file:
        assert matches(file.fileno(), ROWS[BUILT_IN].variants[0].checksum or "")


def test_a_downloaded_model(tmp_path: Path) -> None:
    """A catalogue model is found in the directory, with its spec."""
    (tmp_path / "u2net.onnx").write_bytes(b"x")
    choice = find("u2net", custom={}, directory=tmp_path)
    assert choice.path == tmp_path / "u2net.onnx"
    assert choice.sha256 is None
    assert choice.spec is not None
    assert choice.spec["side"] == 320


def test_a_missing_download_says_what_to_do(tmp_path: Path) -> None:
    """The message names where to get the file and where to save it."""
    with pytest.raises(ModelFault, match=r"get https://.*u2net\.onnx and save it as .*u2net\.onnx"):
        find("u2net", custom={}, directory=tmp_path)


def test_a_model_of_the_users_own_making_is_not_waited_for(tmp_path: Path) -> None:
    """A row without a file to fetch says where the file comes from and how to name it."""
    with pytest.raises(
        ModelFault, match=r"exported by yourself from torchvision: name the file in a \[\[model\]\] table with"
    ):
        find("deeplabv3-resnet101", custom={}, directory=tmp_path)


def test_a_users_own_model_comes_first(tmp_path: Path) -> None:
    """A [[model]] table wins over the catalogue; its missing file is named."""
    own = ModelChoice(name="u2net", path=tmp_path / "mine.onnx")
    with pytest.raises(ModelFault, match=r"mine\.onnx"):
        find("u2net", custom={"u2net": own}, directory=tmp_path)
    own.path.write_bytes(b"x")
    assert find("u2net", custom={"u2net": own}, directory=tmp_path) is own


def test_an_unknown_name_lists_the_known(tmp_path: Path) -> None:
    """A name nobody knows is answered with those that are."""
    own = ModelChoice(name="mine", path=tmp_path / "mine.onnx")
    with pytest.raises(ModelFault, match=r"no model named other; known are bgrd-lite, .*mine"):
        find("other", custom={"mine": own}, directory=tmp_path)


def test_checksums(tmp_path: Path) -> None:
    """Both algorithms are known, letters of either case, from anywhere in the file."""
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 1_000_000)
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    with path.open("rb") as file:
        file.read(10)
        assert matches(file.fileno(), f"md5:{digest.upper()}")
        assert matches(file.fileno(), "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest())
        assert not matches(file.fileno(), "md5:" + "0" * 32)


@pytest.mark.parametrize("checksum", ["", "abc", "crc32:1", "md5:", "shake_128:ab"])
def test_other_checksums_are_refused(checksum: str, tmp_path: Path) -> None:
    """A checksum of another form is a configuration error, not a mismatch."""
    with (tmp_path / "file").open("w+b") as file, pytest.raises(ConfigError, match="checksum"):
        matches(file.fileno(), checksum)


def test_a_model_that_cannot_be_reached_is_the_models_fault(tmp_path: Path) -> None:
    """A path the system refuses to look at blocks the folder and says why; it never ends the daemon."""
    path = tmp_path / ("x" * 300)
    with pytest.raises(ModelFault, match="cannot be reached"):
        find("mine", custom={"mine": ModelChoice(name="mine", path=path)}, directory=tmp_path)


def test_a_shortage_is_not_the_models_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a thread to look for its file nothing is known of the model: the daemon waits, no folder is blocked."""
    threadless(monkeypatch)
    with pytest.raises(DaemonFault, match="thread cannot be started"):
        find(BUILT_IN, custom={}, directory=tmp_path)
