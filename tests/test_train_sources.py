"""The table of sources: what it says is taken, and what is wrong is told by source and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrd.errors import NoInputError, TrainingError
from bgrd.train.sources import NO_LICENCE, VARIOUS, Source, named, read_table

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "bgrd" / "train" / "data"
SHARED = ROOT.parent / "shared" / "data"
PLAIN = '[[source]]\nkind = "pair"\npath = "cats.zip"\n'


def table(tmp_path: Path, text: str) -> Path:
    """Write a table."""
    path = tmp_path / "sources.toml"
    path.write_text(text)
    return path


def test_a_source_has_the_name_of_its_place(tmp_path: Path) -> None:
    """What is not said has a plain default, and paths start at the table's folder."""
    (found,) = read_table(table(tmp_path, PLAIN))
    expected = Source(
        name="cats", kind="pair", paths=(tmp_path / "cats.zip",), licence=NO_LICENCE, category=VARIOUS, group=""
    )
    assert found == expected


def test_paths_start_where_the_user_says(tmp_path: Path) -> None:
    """One table serves wherever the data lie."""
    (found,) = read_table(table(tmp_path, PLAIN), root=Path("/data"))
    assert found.paths == (Path("/data/cats.zip"),)


def test_two_folders_make_pairs(tmp_path: Path) -> None:
    """Photos and masks may lie in folders of any names."""
    text = '[[source]]\nname = "cats"\nkind = "pair"\nimages = "photos"\nmasks = "/truth"\n'
    (found,) = read_table(table(tmp_path, text))
    assert found.paths == (tmp_path / "photos", Path("/truth"))


def test_category_and_group_follow_the_name(tmp_path: Path) -> None:
    """The first pattern that fits counts; a group is what the expression finds at a name's beginning."""
    text = (
        PLAIN + 'category = "things"\ncategories = { "cat*" = "animals", "c*" = "vehicles" }\ngroup = "[a-z]+[0-9]"\n'
    )
    (found,) = read_table(table(tmp_path, text))
    names = ("images/cat1-2.jpg", "car3.jpg", "dog.jpg")
    assert [found.category_of(name) for name in names] == ["animals", "vehicles", "things"]
    assert [found.group_of(name) for name in names] == ["cat1", "car3", ""]


@pytest.mark.parametrize(
    ("place", "name"),
    [("a/cats.zip", "cats"), ("a/Cats.ZIP", "Cats"), ("a/b.c", "b.c"), ("a/b/", "b"), ("a/b/..", "a")],
)
def test_names_of_places(place: str, name: str) -> None:
    """A zip file is called without its suffix, a folder as it is."""
    assert named(Path(place)) == name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ": must have [[source]] tables and nothing else"),
        ("source = 3", ": must have [[source]] tables and nothing else"),
        (PLAIN + "[other]\n", ": must have [[source]] tables and nothing else"),
        ("[[source", ": is no TOML in UTF-8"),
        ('[[source]]\npath = "a"\n', ": source[a].kind: must be pair, cutout, background, is None"),
        ('[[source]]\nkind = "pair"\n', ": source[0].path: has to be set, or for pairs images and masks"),
        (PLAIN + 'masks = "m"\n', ": source[cats.zip].path: has to be set, or for pairs images and masks"),
        (
            '[[source]]\nkind = "cutout"\nimages = "a"\nmasks = "b"\n',
            ": source[0].path: has to be set, or for pairs images and masks",
        ),
        (PLAIN + 'license = "MIT"\n', ": source[cats.zip].license: is no key; those are categories, category, group"),
        (PLAIN + 'name = "x"\nlicence = 3\n', ": source[x].licence: must be a text in one line, is 3"),
        (PLAIN + 'name = ""\n', ": source[].name: must be a text in one line, is ''"),
        (PLAIN + 'category = "a\\nb"\n', ": source[cats.zip].category: must be a text in one line"),
        (PLAIN + 'categories = ["a"]\n', ": source[cats.zip].categories: must be a table of patterns"),
        (PLAIN + "categories = { a = 1 }\n", ": source[cats.zip].categories: must be a table of patterns"),
        (PLAIN + 'group = "("\n', ": source[cats.zip].group: is no regular expression"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    """The message names the file, the source and the key."""
    path = table(tmp_path, text)
    with pytest.raises(TrainingError) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}{told}")


def test_a_missing_table_is_a_missing_input(tmp_path: Path) -> None:
    """As any other file that was named."""
    with pytest.raises(NoInputError, match="cannot be read: No such file"):
        read_table(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["ship", "study"])
def test_the_tables_that_come_along_are_right(name: str) -> None:
    """Both can be read, name every source once, and say for each under which licence it is."""
    sources = read_table(TABLES / f"{name}.toml")
    assert len({(source.name, source.kind) for source in sources}) == len(sources)
    if name == "ship":
        assert not [source.name for source in sources if source.licence == NO_LICENCE]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data the built-in model is trained on are not here")
@pytest.mark.parametrize("name", ["ship", "study"])
def test_the_tables_name_all_there_is(name: str) -> None:
    """Every zip file of the data has its row, and every row its zip file."""
    named_files = {path for source in read_table(TABLES / f"{name}.toml", root=SHARED / name) for path in source.paths}
    assert named_files == set((SHARED / name).rglob("*.zip"))
