"""Settings: what a file and the environment say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bgrd.config.load import Settings, default_path, folders, load, options, strangers
from bgrd.config.settings import Options
from bgrd.job import Folder
from bgrd.product import Ground, Product
from tests.houses.settings import ONE_FOLDER, Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Give an empty home."""
    return Home(tmp_path)


def test_without_a_file_the_built_in_model_watches_one_folder_that_is_made(home: Home) -> None:
    """No file is a good configuration: ~/bgr/inbox to ~/bgr/outbox, and only this folder may be created."""
    settings = load(environ=home.environ)
    (folder,) = folders(settings)
    assert folder.inbox == home.path / "bgr/inbox"
    assert folder.outbox == home.path / "bgr/outbox"
    assert folder.archive == home.path / "bgr/inbox-done"
    assert folder.failure_notes == home.path / "bgr/outbox/_failed"
    assert folder.corrections == home.path / "bgr/outbox/_corrections"
    assert folder.create
    assert folder.recipe.model == "bgrd-lite"
    assert folder.policy == "keep"
    assert settings.state_directory == home.path / ".local/state/bgrd"
    assert settings.models_directory == home.path / ".local/share/bgrd/models"


def test_a_file_that_configures_no_folder_has_the_default_one(home: Home) -> None:
    """Setting something else does not lose the folder, which is still made, and [defaults] holds for it."""
    (folder,) = folders(home.load('lanes = 2\n[defaults]\npolicy = "archive"'))
    assert (folder.name, folder.create, folder.policy) == ("default", True, "archive")


def test_a_configured_folder_is_never_created(home: Home) -> None:
    """A folder somebody wrote down may be a share that is not mounted: it is not made."""
    (folder,) = folders(home.load(ONE_FOLDER))
    assert not folder.create


def test_default_path_follows_the_xdg_directories() -> None:
    """The file lies below XDG_CONFIG_HOME; a relative value is ignored, as the specification says."""
    assert default_path({"HOME": "/home/u"}) == Path("/home/u/.config/bgrd/config.toml")
    assert default_path({"HOME": "/home/u", "XDG_CONFIG_HOME": "/etc/u"}) == Path("/etc/u/bgrd/config.toml")
    assert default_path({"HOME": "/home/u", "XDG_CONFIG_HOME": "odd"}) == Path("/home/u/.config/bgrd/config.toml")


def test_defaults_are_inherited_and_overridden_key_by_key(home: Home) -> None:
    """A folder has its own keys, those of [defaults] for the rest, and the built-in ones for what neither sets."""
    text = "[defaults]\nthreshold = 0.4\nfeather = 0.2\n" + ONE_FOLDER + "threshold = 0.5\n"
    (folder,) = folders(home.load(text))
    assert (folder.recipe.threshold, folder.recipe.feather, folder.rescan_seconds) == (0.5, 0.2, 30.0)


def test_every_option_reaches_the_folder(home: Home) -> None:
    """No key is read and then lost."""
    text = (
        ONE_FOLDER
        + """
archive = "/photos/done"
policy = "archive"
model = "u2net"
threshold = 0.25
feather = 0
refine = "none"
clean_colours = true
specks = 0.01
holes = 0.02
largest = true
products = ["mask", "cutout"]
on = "#FF8000"
format = "webp"
level = 4
quality = 80
metadata = "none"
recursive = false
watch = "poll"
backlog = "ignore"
settle_seconds = 2
grace_seconds = 60
rescan_seconds = 10
poll_seconds = 2
max_bytes = "1 GiB"
min_free = 0
sync_conflicts = true
result_mtime = "source"
mode = "0640"
group = "family"
failure_notes = "/photos/notes"
corrections = "/photos/better"
"""
    )
    (folder,) = folders(home.load(text))
    expected = Folder(
        name="phone",
        inbox=Path("/photos/in"),
        outbox=Path("/photos/out"),
        archive=Path("/photos/done"),
        recipe=replace(
            folder.recipe,
            model="u2net",
            threshold=0.25,
            feather=0.0,
            refine="none",
            clean_colours=True,
            specks=0.01,
            holes=0.02,
            largest=True,
            metadata="none",
            products=(
                Product(kind="mask", format="webp", level=4),
                Product(
                    kind="cutout",
                    format="webp",
                    level=4,
                    quality=80,
                    ground=Ground(kind="colour", colour=(255, 128, 0)),
                ),
            ),
        ),
        policy="archive",
        failure_notes=Path("/photos/notes"),
        corrections=Path("/photos/better"),
        recursive=False,
        watch="poll",
        backlog="ignore",
        settle_seconds=2.0,
        grace_seconds=60.0,
        rescan_seconds=10.0,
        poll_seconds=2.0,
        max_bytes=2**30,
        min_free=0,
        sync_conflicts=True,
        result_mtime="source",
        mode=0o640,
        group="family",
    )
    assert folder == expected


def test_no_notes_and_words_for_not_set(home: Home) -> None:
    """Every "not set" has a word, so that a folder can take back what [defaults] says."""
    text = (
        '[defaults]\nmode = "0600"\ngroup = "family"\nsettle_seconds = 9\nquality = 5\nfailure_notes = "none"\n'
        'corrections = "none"\n'
        + ONE_FOLDER
        + 'mode = "umask"\ngroup = "inherit"\nsettle_seconds = "auto"\nquality = "auto"\nformat = "webp"\n'
    )
    (folder,) = folders(home.load(text))
    assert (folder.mode, folder.group, folder.settle_seconds, folder.failure_notes) == (None, None, None, None)
    assert folder.corrections is None
    assert folder.recipe.products[0].quality is None


def test_quality_is_for_webp_only(home: Home) -> None:
    """PNG knows no quality; one that is inherited does not reach it."""
    (folder,) = folders(home.load("[defaults]\nquality = 50\n" + ONE_FOLDER))
    assert folder.recipe.products[0].quality is None


def test_paths_are_expanded_and_relative_to_the_file(home: Home) -> None:
    """`~`, `$NAME` and relative paths mean what a user expects, wherever the daemon was started."""
    text = ONE_FOLDER.replace("/photos/in", "~/in").replace("/photos/out", "../out") + 'archive = "$MEDIA/${YEAR}/done"'
    (folder,) = folders(home.load(text, MEDIA="/media", YEAR="2024"))
    assert folder.inbox == home.path / "in"
    assert folder.outbox == home.path / ".config/out"
    assert folder.archive == Path("/media/2024/done")


def test_the_environment_wins_over_the_file(home: Home) -> None:
    """A variable replaces a key, one with two underscores a key in a table, and an empty one nothing."""
    text = "lanes = 1\nthreads = 3\n[defaults]\nfeather = 0.5"
    settings = home.load(text, BGRD_LANES="2", BGRD_THREADS="", BGRD_DEFAULTS__THRESHOLD="0.25", bgrd_log_level="debug")
    assert (settings.lanes, settings.threads, settings.log_level) == (2, 3, "debug")
    assert (settings.defaults.threshold, settings.defaults.feather) == (0.25, 0.5)


def test_lists_in_the_environment_are_json(home: Home) -> None:
    """What is no single value is written as JSON."""
    named = {
        "BGRD_DEFAULTS__PRODUCTS": '["mask"]',
        "BGRD_FOLDER": '[{"name": "x", "inbox": "/i", "outbox": "/o"}]',
    }
    (folder,) = folders(home.load("", **named))
    assert (folder.name, folder.create) == ("x", False)
    assert [product.kind for product in folder.recipe.products] == ["mask"]


def test_variables_that_set_nothing_are_known(home: Home) -> None:
    """A misspelt variable is no error, as others may use the prefix, but can be told."""
    environ = {"BGRD_LANS": "1", "BGRD_LANES": "1", "BGRD_DEFAULTS__MODEL": "u2net", "PATH": "/bin"}
    assert strangers(environ) == ["BGRD_LANS"]


def test_settings_alone_read_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Settings()` is the defaults, whatever the process environment holds."""
    monkeypatch.setenv("BGRD_LANES", "7")
    assert Settings().lanes == 0


def test_settings_are_frozen(home: Home) -> None:
    """Nobody changes settings under a running daemon."""
    settings = home.load(ONE_FOLDER)
    with pytest.raises(ValueError, match="frozen"):
        settings.lanes = 3
    with pytest.raises(ValueError, match="frozen"):
        settings.defaults.threshold = 0.1


def test_every_option_says_what_it_is() -> None:
    """No key without a description, no number without a bound, none twice in its table."""
    rows = options()
    assert len({(row.table, row.key) for row in rows}) == len(rows)
    assert all(row.description.endswith(".") for row in rows)
    assert {row.key for row in rows if row.table == "defaults"} == Options.model_fields.keys() - {"product"}
    assert {row.table for row in rows} == {"", "defaults", "folder", "folder.product", "model"}
    unbounded = {"memory_limit", "model_memory", "min_free"}
    for row in rows:
        number = row.default is not None and row.default[0].isdigit()
        assert not number or row.allowed or row.key in unbounded, row.key
