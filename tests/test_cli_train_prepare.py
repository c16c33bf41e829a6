"""`bgrd train` from the command line: the group, and `prepare` with all that may be named."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from bgrd.cli import train
from bgrd.cli.main import main, parser
from bgrd.lock import hold
from bgrd.train.manifest import read_manifest
from bgrd.train.sources import read_table
from tests.houses.commands import of_daemon
from tests.pictures.scenes import phone_photo
from tests.pictures.sets import cutout, disc, pairs, photo, write, zipped

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", DOCS, re.DOTALL)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a home of its own."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepared(line: str, *, code: int = 0) -> None:
    """Run `bgrd train prepare`."""
    assert main(["train", "prepare", *shlex.split(line)]) == code


def test_every_command_of_the_guide_is_one() -> None:
    """Each `bgrd ...` line of docs/training.md is accepted by the command line as it stands."""
    lines = [line for kind, text in BLOCKS if kind == "sh" for line in text.replace("\\\n", " ").splitlines()]
    commands = [shlex.split(line.partition("#")[0]) for line in lines if line.startswith("bgrd")]
    assert commands
    for _program, *arguments in commands:
        parser(flags="once" in arguments).parse_args(arguments)


def test_the_table_of_the_guide_is_one(tmp_path: Path) -> None:
    """The sources of docs/training.md can be read."""
    (text,) = [text for kind, text in BLOCKS if kind == "toml" and "[[source]]" in text]
    (tmp_path / "sources.toml").write_text(text)
    assert len(read_table(tmp_path / "sources.toml")) == len(tomllib.loads(text)["source"]) > 1


def test_everything_may_be_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table, pairs in one place and in two, cut-outs and backgrounds; the end tells what was taken and what not."""
    (home / "data").mkdir()
    zipped(home / "data" / "cats.zip", pairs(1, 2))
    (home / "sources.toml").write_text(
        '[[source]]\nkind = "pair"\npath = "cats.zip"\nlicence = "CC0-1.0"\ncategory = "animals"\n'
    )
    write(home / "dogs", pairs(3))
    write(home, {"photos/4.jpg": photo(4), "truth/4.png": disc(), "photos/5.jpg": photo(5)})
    write(home / "things", {"6.png": cutout(6), "7.png": photo(7)})
    write(home / "rooms", {"8.jpg": photo(8)})
    prepared(
        "--sources sources.toml --data data --pairs dogs --pairs photos truth --cutouts things --backgrounds rooms "
        "--licence MIT --category mine --out set"
    )
    found = {(entry.source, entry.licence, entry.category) for entry in read_manifest(home / "set" / "manifest.csv")}
    assert found == {
        ("cats", "CC0-1.0", "animals"),
        *((name, "MIT", "mine") for name in ("dogs", "photos", "things", "rooms")),
    }
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines() == [
        "cats: 2 pairs for train",
        "dogs: 1 pair for train",
        "photos: 1 pair for train, 1 left out",
        "things: 1 cutout for train, 1 left out",
        "rooms: 1 background for train",
        "left out, 1: has no mask",
        "left out, 1: has no transparency",
        "no pair is held back, and `bgrd train fit` needs some: take more pairs, or a larger --validation as 0.3",
        "6 pictures in set; 2 left out, see rejected.csv",
    ]


def test_how_it_is_made_may_be_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Side, share, seed, reversed masks and what to stay apart from."""
    write(home / "test", pairs(1))
    write(home / "own", pairs(1, 2, 3, 4) | {"masks/004.png": ImageChops.invert(disc())})
    prepared("--pairs test --split test --out judged")
    prepared("--pairs own --apart-from judged --side 40 --validation 0.4 --seed 3 --fix-inverted --out set")
    entries = read_manifest(home / "set" / "manifest.csv")
    assert sorted(entry.split for entry in entries) == ["train", "train", "validation"]
    for entry in entries:
        with Image.open(entry.image) as image:
            assert image.size == (40, 30)
    said = capsys.readouterr().out
    assert "reversed and turned round, 1: masks" in said
    assert "is held back" not in said, "neither of a set for judging nor of one that has a pair for it"


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("--out x", 64, "nothing to prepare: name --sources, --pairs, --cutouts, --backgrounds or --corrections"),
        ("--backgrounds rooms --data rooms --out x", 64, "--data says where the paths of a table start"),
        ("--pairs a b c --out x", 64, "--pairs takes a path, or the photos' and the masks'"),
        ("--pairs nowhere --out x", 66, "nowhere cannot be read: No such file or directory"),
        ("--sources none.toml --out x", 66, "none.toml cannot be read: No such file or directory"),
        ("--pairs file --out x", 65, "file is neither a folder nor a zip file"),
        ("--backgrounds empty --out x", 65, "nothing can be taken: there is no picture in what was named"),
        ("--backgrounds rooms --out rooms", 73, "rooms is there already: name a new folder, or remove it"),
        ("--backgrounds rooms --apart-from nowhere --out x", 66, "manifest.csv cannot be read"),
        ("--corrections phone --out x", 64, "--corrections: no folder is called phone; configured are default"),
        ("--corrections default --out x", 66, "folder default has no corrections: there is no directory"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], line: str, code: int, told: str
) -> None:
    """Each with its exit code, and nothing is made."""
    write(home, {"file": b"x", "rooms/1.jpg": photo(1)})
    (home / "empty").mkdir()
    prepared(line, code=code)
    said = capsys.readouterr()
    assert said.err.startswith("bgrd: ")
    assert told in said.err
    assert said.err.count("\n") == 1
    assert not (home / "x").exists()


@pytest.mark.parametrize(("version", "whose"), [("0.0.9", "bgrd 0.0.9"), ("", "the bgrd that runs")])
def test_another_version_s_journal_is_left_alone(
    home: Path, capsys: pytest.CaptureFixture[str], version: str, whose: str
) -> None:
    """Opening would bring it to our version under the daemon that works with it: corrections wait until it ended."""
    state = home / ".local/state/bgrd"
    write(state, {"journal.db": b"of another version"})
    if version:
        of_daemon(state, version=version)
    with hold(state):
        prepared("--corrections default --out x", code=75)
    said = capsys.readouterr().err
    assert said.startswith(f"bgrd: --corrections: the journal is left to {whose}, this is bgrd ")
    assert said.endswith("; stop that one first, or start it anew\n")
    assert (state / "journal.db").read_bytes() == b"of another version"
    assert not (home / "x").exists()


@pytest.mark.parametrize(
    "line",
    [
        "--validation 1",
        "--validation -0.1",
        "--validation x",
        "--validation nan",
        "--side 8",
        "--side x",
        "--split dev",
        "--licence ''",
        "--category 'a\nb'",
    ],
)
def test_values_that_cannot_be_are_refused(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """By the parser, with the option's name and in words: none of the program's own names."""
    with pytest.raises(SystemExit):
        prepared(f"--backgrounds rooms --out x {line}")
    said = capsys.readouterr().err
    assert f"argument {line.split(maxsplit=1)[0]}:" in said
    assert not re.search(r"\b_\w", said)


def test_without_the_extra_one_sentence_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for the other extras."""
    monkeypatch.setattr(train, "find_spec", lambda name: None if name == "torch" else object())
    prepared("--pairs a --out x", code=64)
    assert capsys.readouterr().err == (
        "bgrd: training needs the extra `train` (torch is missing): pip install 'bgrd[train]'\n"
    )


def test_the_configuration_may_be_named_behind_the_command() -> None:
    """As for every other command."""
    line = ["train", "prepare", "--pairs", "a", "--out", "x", "-c", "mine.toml"]
    assert parser().parse_args(line).config == Path("mine.toml")
    assert parser().parse_args(["-c", "mine.toml", *line[:-2]]).config == Path("mine.toml")


def test_help_loads_no_library() -> None:
    """`bgrd train prepare --help` answers at once."""
    code = (
        "import sys, bgrd.cli.main as m\n"
        "try: m.main(['train', 'prepare', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'PIL', 'numpy', 'torch', 'matplotlib', 'rich', 'pydantic'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def _once(arguments: Sequence[str] = ()) -> None:
    """Work on what is in the inbox, in a process of its own, whose signals are its own too."""
    command = [sys.executable, "-m", "bgrd", "once", "--no-progress", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=100)


@pytest.mark.timeout(240)
def test_what_the_user_corrected_is_learned_from(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A result that bgrd made, corrected by hand and put beside the results, becomes a pair with its own photo.

    An untouched copy of another result does not, and a second run of bgrd takes neither for input nor touches them.
    """
    photos = [phone_photo(seed=seed) for seed in range(2)]
    write(home / "bgr" / "inbox", {f"{seed}.jpg": data for seed, data in enumerate(photos)})
    (home / "bgr" / "outbox").mkdir()
    _once()
    results, corrections = home / "bgr" / "outbox", home / "bgr" / "outbox" / "_corrections"
    corrections.mkdir()
    (corrections / "1.png").write_bytes((results / "1.png").read_bytes())
    with Image.open(results / "0.png") as result:
        corrected = result.copy()
    corrected.putalpha(disc(corrected.size))
    corrected.save(corrections / "0.png")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in corrections.iterdir()}
    _once()
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in corrections.iterdir()} == before
    assert sorted(path.name for path in results.iterdir()) == ["0.png", "1.png", "_corrections"]

    prepared("--corrections default --licence mine --out set")
    (entry,) = read_manifest(home / "set" / "manifest.csv")
    assert (entry.source, entry.category, entry.licence) == ("corrections of default", "corrections", "mine")
    assert entry.mask is not None
    with Image.open(entry.image) as image, Image.open(entry.mask) as mask, Image.open(results / "0.png") as result:
        small = result.convert("RGB").resize(image.size)
        seen = np.asarray(result.resize(image.size).getchannel("A")) > 250
        difference = np.abs(np.asarray(small, np.int16) - np.asarray(image, np.int16))[seen]
        assert difference.mean() < 8
        expected = np.asarray(disc(corrected.size).resize(mask.size), np.int16)
        assert np.abs(expected - np.asarray(mask, np.int16)).mean() < 3
    assert "left out, 1: is the result as bgrd made it" in capsys.readouterr().out
