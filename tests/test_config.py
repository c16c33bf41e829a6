"""Settings: what a file and the environment say, and the errors that name the key."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrd.config.load import Option, Settings, custom_models, default_path, folders, load, options, strangers
from bgrd.config.settings import Options
from bgrd.errors import ConfigError
from bgrd.job import Folder
from bgrd.models.index import Entry, change
from bgrd.product import Ground, Product

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


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Give an empty home."""
    return Home(tmp_path)


# Without and with a file


def test_without_a_file_the_built_in_model_watches_one_folder_that_is_made(home: Home) -> None:
    """No file is a good configuration: ~/bgr/inbox to ~/bgr/outbox, and only this folder may be created."""
    settings = load(environ=home.environ)
    (folder,) = folders(settings)
    assert folder.inbox == home.path / "bgr/inbox"
    assert folder.outbox == home.path / "bgr/outbox"
    assert folder.archive == home.path / "bgr/inbox-done"
    assert folder.failure_notes == home.path / "bgr/outbox/_failed"
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
        + ONE_FOLDER
        + 'mode = "umask"\ngroup = "inherit"\nsettle_seconds = "auto"\nquality = "auto"\nformat = "webp"\n'
    )
    (folder,) = folders(home.load(text))
    assert (folder.mode, folder.group, folder.settle_seconds, folder.failure_notes) == (None, None, None, None)
    assert folder.recipe.products[0].quality is None


def test_quality_is_for_webp_only(home: Home) -> None:
    """PNG knows no quality; one that is inherited does not reach it."""
    (folder,) = folders(home.load("[defaults]\nquality = 50\n" + ONE_FOLDER))
    assert folder.recipe.products[0].quality is None


# Paths


def test_paths_are_expanded_and_relative_to_the_file(home: Home) -> None:
    """`~`, `$NAME` and relative paths mean what a user expects, wherever the daemon was started."""
    text = ONE_FOLDER.replace("/photos/in", "~/in").replace("/photos/out", "../out") + 'archive = "$MEDIA/${YEAR}/done"'
    (folder,) = folders(home.load(text, MEDIA="/media", YEAR="2024"))
    assert folder.inbox == home.path / "in"
    assert folder.outbox == home.path / ".config/out"
    assert folder.archive == Path("/media/2024/done")


# Errors in the file


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ONE_FOLDER + "threshold = 1.5", "PATH: folder[phone].threshold: must be between 0 and 1, is 1.5"),
        (ONE_FOLDER + "specks = 2", "PATH: folder[phone].specks: must be between 0 and 1, is 2"),
        (ONE_FOLDER + "holes = -0.1", "PATH: folder[phone].holes: must be between 0 and 1, is -0.1"),
        (ONE_FOLDER + 'refine = "soft"', "PATH: folder[phone].refine: must be 'none' or 'guided', is 'soft'"),
        (ONE_FOLDER + "clean_colours = 2", "PATH: folder[phone].clean_colours: must be true or false, is 2"),
        (ONE_FOLDER + "threshold = nan", "PATH: folder[phone].threshold: must be between 0 and 1, is nan"),
        (ONE_FOLDER + "grace_seconds = inf", "PATH: folder[phone].grace_seconds: must be between 0 and 604800, is inf"),
        ('[[folder]]\ninbox = "/a"\noutbox = "/b"', "PATH: folder[0].name: has to be set"),
        ("thresold = 1", "PATH: thresold: is no setting; did you mean [defaults] threshold?"),
        ("xyzzy = 1", "PATH: xyzzy: is no setting"),
        ("[defaults]\nlans = 1", "PATH: defaults.lans: is no setting; did you mean lanes at the top of the file?"),
        ("[defaults]\noutbx = 1", "PATH: defaults.outbx: is no setting; did you mean [[folder]] outbox?"),
        (ONE_FOLDER + "thresold = 1", "PATH: folder[phone].thresold: is no setting; did you mean threshold?"),
        ("lane = 1", "PATH: lane: is no setting; did you mean lanes?"),
        ("threshold = 1", "PATH: threshold: is no setting here; it belongs to [defaults]"),
        ("[defaults]\ninbox = 1", "PATH: defaults.inbox: is no setting here; it belongs to [[folder]]"),
        ("[defaults]\nlanes = 1", "PATH: defaults.lanes: is no setting here; it belongs to the top of the file"),
        ("[defaults]\ntreshold = 1", "PATH: defaults.treshold: is no setting; did you mean threshold?"),
        ("lanes = 65", "PATH: lanes: must be between 0 and 64, is 65"),
        ('lanes = "two"', "PATH: lanes: must be a whole number, is 'two'"),
        ("[defaults]\nrecursive = 7", "PATH: defaults.recursive: must be true or false, is 7"),
        ('[defaults]\npolicy = "move"', "PATH: defaults.policy: must be 'keep', 'archive' or 'delete', is 'move'"),
        ("defaults = 3", "PATH: defaults: must be a table, is 3"),
        ("folder = 3", "PATH: folder: must be a list, is 3"),
        ("folder = []", "PATH: folder: must not be empty"),
        (
            '[defaults]\nproducts = ["x"]',
            "PATH: defaults.products[0]: must be 'cutout', 'mask', 'background' or 'compare', is 'x'",
        ),
        ("[defaults]\nproducts = []", "PATH: defaults.products: must not be empty"),
        (
            '[defaults]\nproducts = ["mask", "mask"]',
            (
                "PATH: defaults.products: must name each product once; "
                "what differs in more than its kind has a [[folder.product]] table"
            ),
        ),
        ('[defaults]\ngroup = ""', "PATH: defaults.group: must not be empty"),
        ("[defaults]\nmodel = 3", "PATH: defaults.model: must be a text, is 3"),
        (
            '[defaults]\non = "rde"',
            (
                'PATH: defaults.on: must be "transparent", "blur", a colour like "white" or "#ffffff", '
                "or a path to a picture, is 'rde'"
            ),
        ),
        ("[defaults]\nmode = 640", 'PATH: defaults.mode: must be an octal text like "0640", is 640'),
        ('[defaults]\nmode = "0999"', "PATH: defaults.mode: must be an octal text like \"0640\", is '0999'"),
        (
            '[defaults]\nmax_bytes = "8 Mbit"',
            "PATH: defaults.max_bytes: must be a number of bytes or a size like \"256 MiB\", is '8 Mbit'",
        ),
        ("state_directory = 3", "PATH: state_directory: must be a path, is 3"),
        (
            ONE_FOLDER.replace("phone", "a/b"),
            "PATH: folder[a/b].name: must be 1 to 64 printable characters without / [ ], is 'a/b'",
        ),
        (
            '[[model]]\nname = "m"\npath = "/m.onnx"\nsha256 = "abc"',
            "PATH: model[m].sha256: must be 64 hexadecimal digits in lower case, is 'abc'",
        ),
        (
            ONE_FOLDER + 'format = "webp"\nlevel = 9',
            "PATH: folder[phone].level: must be between 0 and 6 for webp, is 9",
        ),
    ],
)
def test_an_error_names_the_file_and_the_key(home: Home, text: str, told: str) -> None:
    """What is wrong is told in the user's words, where it stands."""
    assert home.error(text) == told


def test_all_errors_are_told_at_once(home: Home) -> None:
    """Nobody has to mend a file line by line."""
    assert home.error("lanes = -1\nthreads = -1").splitlines() == [
        "PATH: lanes: must be between 0 and 64, is -1",
        "PATH: threads: must be between 0 and 256, is -1",
    ]


SCALARS = st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(string.printable, max_size=5)


def as_toml(value: object) -> str:
    """Write a value as TOML does."""
    if isinstance(value, list):
        return f"[{', '.join(as_toml(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {as_toml(item)}' for key, item in value.items())}}}"
    return str(value).replace("Infinity", "inf") if isinstance(value, float) else json.dumps(value)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    option=st.sampled_from(options()),
    value=SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.sampled_from("ab"), SCALARS, max_size=2),
)
def test_any_value_of_any_key_is_taken_or_refused_by_name(home: Home, option: Option, value: object) -> None:
    """Whatever stands right of the equals sign, the answer is settings or an error that names the key."""
    header = "" if not option.table else "[defaults]" if option.table == "defaults" else f"[[{option.table}]]"
    if option.table == "folder.product":
        header = f"{ONE_FOLDER}\n{header}"
    others = {"folder": ("name", "inbox", "outbox"), "model": ("name", "path")}.get(option.table, ())
    rest = "".join(f'\n{key} = "/{key}"' for key in others if key != option.key).replace('"/name"', '"x"')
    try:
        home.load(f"{header}\n{option.key} = {as_toml(value)}{rest}")
    except ConfigError as error:
        assert option.key in str(error)  # noqa: PT017 - being taken is as good


def test_a_file_that_is_no_toml(home: Home) -> None:
    """Text that is no TOML, and bytes that are no UTF-8, are errors of the file."""
    assert home.error("lanes =").startswith("PATH: is no TOML in UTF-8: Invalid value (at ")
    home.file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is no TOML in UTF-8"):
        load(environ=home.environ)


def test_a_named_file_has_to_be_there(home: Home) -> None:
    """Only the default file may be missing."""
    with pytest.raises(ConfigError, match=r"other\.toml: there is no such file"):
        load(home.path / "other.toml", environ=home.environ)


def test_a_file_that_cannot_be_read(home: Home) -> None:
    """A directory in the file's place is told with the system's reason."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(home.path, environ=home.environ)


# Environment


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


def test_an_error_in_the_environment_names_the_variable(home: Home) -> None:
    """The file is not blamed for a variable."""
    told = home.error("lanes = 1", BGRD_DEFAULTS__THRESHOLD="2")
    assert told == "environment: BGRD_DEFAULTS__THRESHOLD: must be between 0 and 1, is '2'"
    assert home.error("", BGRD_FOLDER="phone") == "environment: BGRD_FOLDER: must be JSON"


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


# Models


def test_models_of_ones_own(home: Home) -> None:
    """A [[model]] table is a choice by its name; one without a spec describes itself."""
    digest = "0f" * 32
    text = (
        f'[[model]]\nname = "mine"\npath = "m.onnx"\nsha256 = "{digest}"\n[[model]]\nname = "other"\npath = "/o.onnx"'
    )
    models = custom_models(home.load(text))
    assert models["mine"].path == home.file.parent / "m.onnx"
    assert models["mine"].sha256 == digest
    assert models["mine"].spec is None
    assert models["other"].sha256 is None


def test_two_models_of_one_name(home: Home) -> None:
    """A name stands for one file."""
    text = '[[model]]\nname = "mine"\npath = "a.onnx"\n[[model]]\nname = "mine"\npath = "b.onnx"'
    assert home.error(text) == "PATH: model[mine].name: is given twice"


def test_a_spec_is_checked_and_handed_on(home: Home) -> None:
    """A foreign file's spec stands in its table; what contradicts itself is an error of the file."""
    text = '[[model]]\nname = "mine"\npath = "/m.onnx"\nside = 512\nactivation = "{}"\nstretch = true'
    (model,) = custom_models(home.load(text.format("sigmoid"))).values()
    assert model.spec == {"name": "mine", "side": 512, "activation": "sigmoid", "stretch": True}
    assert home.error(text.format("softmax")).startswith("PATH: model[mine].stretch: makes no sense after softmax")
    assert home.error(text.format("no")).startswith("PATH: model[mine].activation: must be one of")


def test_a_variant_of_a_known_model(home: Home) -> None:
    """`model:variant` is let through where the model is known: whether the file is there is not the file's question."""
    (folder,) = folders(home.load(ONE_FOLDER + 'model = "u2net:int8"'))
    assert folder.recipe.model == "u2net:int8"


def test_an_installed_model_is_known(home: Home) -> None:
    """What was added under a name of its own may be used by that name, and is listed where another is not known."""
    place = home.path / ".local/share/bgrd/models"
    place.mkdir(parents=True)
    change(place, lambda entries: entries.update(mine=Entry(name="mine", file_name="m", sha256="", size=1, origin="")))
    assert folders(home.load(ONE_FOLDER + 'model = "mine"'))[0].recipe.model == "mine"
    assert home.error(ONE_FOLDER + 'model = "zzz"').endswith(", mine")
    (place / "models.json").write_text("{")
    home.load(ONE_FOLDER + 'model = "zzz"')  # what cannot be told now is no mistake of the configuration
    home.load('models_directory = "/not/mounted"\n' + ONE_FOLDER + 'model = "zzz"')


@pytest.mark.parametrize(
    "mirror",
    ["my.server", "ftp://x/", "https://", "https://x/?a=b", "https://x y/", "https://[x/", "https://x:port/", 3],
)
def test_a_mirror_is_a_web_address(mirror: object, home: Home) -> None:
    """Anything else is told with what it may be."""
    assert "PATH: model_mirrors" in home.error(f"model_mirrors = [{json.dumps(mirror)}]")


@pytest.mark.parametrize("mirror", ["https://me:secret@x/ y/", "https://me:secret@x:port/", "https://me:se/cret@x"])
def test_the_password_of_a_mirror_is_not_told(mirror: str, home: Home) -> None:
    """What is wrong with an address is told without user and password: it lands in logs."""
    said = home.error(f'model_mirrors = ["{mirror}"]')
    assert "is 'https://x" in said
    assert "cret" not in said


def test_a_model_like_a_known_one(home: Home) -> None:
    """`like` takes a row's spec, which the table's own keys change; the licence is the file's own affair."""
    text = '[[model]]\nname = "mine"\npath = "/m.onnx"\nlike = "rmbg-1.4"\nside = 512'
    spec = custom_models(home.load(text))["mine"].spec
    assert spec is not None
    assert (spec["name"], spec["side"], spec["mean"], spec["resample"]) == ("mine", 512, (0.5, 0.5, 0.5), "sampled")
    assert not spec.keys() & {"licence", "commercial"}
    assert home.error(text.replace("rmbg-1.4", "rmgb-1.4")) == (
        "PATH: model[mine].like: must be a known model that says how it is fed, is 'rmgb-1.4'; did you mean rmbg-1.4?"
    )
    assert "model[mine].like: must be a known model" in home.error(text.replace("rmbg-1.4", "bgrd-lite"))
    assert home.error(text.replace("512", "500")).startswith("PATH: model[mine].side: 500 is not a multiple of 32")


def test_files_of_weights(home: Home) -> None:
    """They lie beside the model or below it; a name that leads elsewhere is refused."""
    text = '[[model]]\nname = "mine"\npath = "/far/m.onnx"\ndata = ["{}"]'
    (model,) = custom_models(home.load(text.format("parts/m.onnx.data"))).values()
    assert model.files == (Path("/far/m.onnx"), Path("/far/parts/m.onnx.data"))
    for name in ("/etc/passwd", "../m.data", "a//b", "", "."):
        assert "data[0]: must be a name below the model's own folder" in home.error(text.format(name))


def test_what_models_run_on(home: Home) -> None:
    """Providers are a list of short names, or "auto", which is none."""
    assert home.load('providers = "auto"').providers is None
    assert home.load('providers = ["xnnpack", "cpu"]').providers == ("xnnpack", "cpu")
    for wrong in ('"cpu"', "[]", '["gpu"]', '["cpu", "cpu"]', "1", "[[]]"):
        assert home.error(f"providers = {wrong}").startswith("PATH: providers: must be ")


def test_a_model_nobody_knows(home: Home) -> None:
    """A misspelt model is told when the file is read, not when the first picture comes."""
    told = home.error('[defaults]\nmodel = "u2nte"')
    assert told == "PATH: folder[default].model: must be the name of a model, is 'u2nte'; did you mean u2net?"
    told = home.error(ONE_FOLDER + 'model = "zzz"\n[[model]]\nname = "mine"\npath = "/m.onnx"')
    assert told.startswith("PATH: folder[phone].model: must be the name of a model, is 'zzz'; known are bgrd-lite")
    assert told.endswith("mine")


# Options


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
