"""config.example.toml: made from the settings, and true."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrd.config.example import example, uncommented
from bgrd.config.load import folders, load, options
from bgrd.errors import ConfigError
from bgrd.job import Folder

COMMITTED = Path(__file__).parent.parent / "config.example.toml"
ENVIRON = {"HOME": "/home/u"}


def plain(settings_folders: tuple[Folder, ...]) -> list[dict[str, object]]:
    """Give the folders without `create`, the only thing that tells a written folder from the built-in one."""
    return [
        {key: getattr(folder, key) for key in Folder.__dataclass_fields__ if key != "create"}
        for folder in settings_folders
    ]


def test_the_committed_file_is_the_generated_one() -> None:
    """The example cannot fall behind the settings. To renew it: python -m bgrd.config.example > config.example.toml."""
    assert COMMITTED.read_text("utf-8") == example()


def test_the_example_loads_to_the_defaults() -> None:
    """As it stands it changes nothing."""
    assert load(COMMITTED, environ=ENVIRON) == load(environ=ENVIRON)


def test_uncommented_it_loads_to_the_defaults(tmp_path: Path) -> None:
    """Every value it shows is the real default."""
    file = tmp_path / "config.toml"
    file.write_text(uncommented(example()), "utf-8")
    settings, defaults = load(file, environ=ENVIRON), load(environ=ENVIRON)
    assert settings.model_dump() == defaults.model_dump()
    assert plain(folders(settings)) == plain(folders(defaults))


def test_uncommented_it_sets_every_key(tmp_path: Path) -> None:
    """No key is missing from it, and each is really switched on."""
    file = tmp_path / "config.toml"
    file.write_text(uncommented(example()), "utf-8")
    settings = load(file, environ=ENVIRON)
    tables = {"": settings, "defaults": settings.defaults, "folder": settings.folder[0]}
    for option in options():
        if option.table in tables:
            assert option.key in tables[option.table].model_fields_set, option


def test_any_single_setting_can_be_switched_on(tmp_path: Path) -> None:
    """Taking away one "#" gives a good file; for a key of a [[folder]] alone the error says where it belongs."""
    lines = example().splitlines()
    file = tmp_path / "config.toml"
    for number, line in enumerate(lines):
        if uncommented(line) == line or line == "#[[folder]]":
            continue
        file.write_text("\n".join([*lines[:number], line[1:], *lines[number + 1 :]]), "utf-8")
        if line.startswith(("#name", "#inbox", "#outbox", "#archive")):
            with pytest.raises(ConfigError, match=r"it belongs to \[\[folder\]\]"):
                load(file, environ=ENVIRON)
        else:
            assert load(file, environ=ENVIRON) == load(environ=ENVIRON), line
