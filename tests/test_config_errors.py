"""Settings that cannot be: each error names the file and the key."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrd.config.load import Option, load, options
from bgrd.errors import ConfigError
from tests.houses.settings import ONE_FOLDER, Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Give an empty home."""
    return Home(tmp_path)


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
        (
            'model = "u2net"',
            "PATH: model: chooses a model under [defaults] or in a [[folder]]; here are [[model]] tables, no 'u2net'",
        ),
        ("model = 3", "PATH: model: must be a list, is 3"),
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


def test_an_error_in_the_environment_names_the_variable(home: Home) -> None:
    """The file is not blamed for a variable."""
    told = home.error("lanes = 1", BGRD_DEFAULTS__THRESHOLD="2")
    assert told == "environment: BGRD_DEFAULTS__THRESHOLD: must be between 0 and 1, is '2'"
    assert home.error("", BGRD_FOLDER="phone") == "environment: BGRD_FOLDER: must be JSON"
