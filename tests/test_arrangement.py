"""Folders among each other: what may lie where, and what each inbox leaves out."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgrd.config.arrangement import arrange
from bgrd.config.load import load
from bgrd.config.plan import folders
from bgrd.config.settings import Settings
from bgrd.errors import ConfigError
from bgrd.job import Folder

ONE_FOLDER = """
[[folder]]
name = "phone"
inbox = "/photos/in"
outbox = "/photos/out"
"""


def two(first: str, second: str) -> str:
    """Give a file with the folders a and b; each text holds the keys beside the name."""
    return f'[[folder]]\nname = "a"\n{first}\n[[folder]]\nname = "b"\n{second}\n'


def paths(inbox: str, outbox: str, more: str = "") -> str:
    """Give the keys of a folder."""
    return f'inbox = "{inbox}"\noutbox = "{outbox}"\n{more}'


def planned(tmp_path: Path, text: str) -> tuple[Folder, ...]:
    """Give the folders of a file."""
    file = tmp_path / "config.toml"
    file.write_text(text, "utf-8")
    return folders(load(file, environ={"HOME": "/home/u"}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ONE_FOLDER + ONE_FOLDER, "PATH: folder: the name 'phone' is given twice"),
        (two(paths("/i", "/o"), paths("/i/", "/p")), "PATH: folder[b].inbox: /i is the inbox of 'a' already"),
        (two(paths("/i", "/o"), paths("/i/x", "/p")), "PATH: folder[b].inbox: /i/x lies inside the inbox of 'a'"),
        (two(paths("/i/x", "/o"), paths("/i", "/p")), "PATH: folder[a].inbox: /i/x lies inside the inbox of 'b'"),
        (
            two(paths("/i", "/j"), paths("/j", "/i")),
            "PATH: folder[a].outbox: results would go in a circle: a -> b -> a",
        ),
        (
            two(paths("/i", "/j"), paths("/j", "/o", 'policy = "archive"\narchive = "/i"')),
            "PATH: folder[a].outbox: results would go in a circle: a -> b -> a",
        ),
        (
            two(paths("/i", "/j"), paths("/j/deep", "/i")),
            "PATH: folder[a].outbox: results would go in a circle: a -> b -> a",
        ),
        (
            ONE_FOLDER.replace("/out", "/in"),
            "PATH: folder[phone].outbox: must not be the folder's own inbox, /photos/in",
        ),
        (
            ONE_FOLDER.replace("/photos/out", "/photos"),
            "PATH: folder[phone].outbox: the folder's own inbox lies inside it, /photos",
        ),
        (
            ONE_FOLDER + 'archive = "/photos/in"',
            "PATH: folder[phone].archive: must not be the folder's own inbox, /photos/in",
        ),
        (
            ONE_FOLDER + 'failure_notes = "/photos/in"',
            "PATH: folder[phone].failure_notes: must not be the folder's own inbox, /photos/in",
        ),
        (
            ONE_FOLDER + 'corrections = "/photos/in"',
            "PATH: folder[phone].corrections: must not be the folder's own inbox, /photos/in",
        ),
        (
            ONE_FOLDER + 'corrections = "/photos"',
            "PATH: folder[phone].corrections: the folder's own inbox lies inside it, /photos",
        ),
        (
            two(paths("/i", "/o"), paths("/o/_corrections/in", "/p")),
            "PATH: folder[b].inbox: must not lie in /o/_corrections, which bgrd keeps for itself",
        ),
        (
            ONE_FOLDER + 'corrections = "/photos/out"',
            "PATH: folder[phone].corrections: /photos/out holds the outbox of 'phone'",
        ),
        (
            ONE_FOLDER + 'corrections = "/photos/out/fixed"',
            "PATH: folder[phone].corrections: /photos/out/fixed lies where bgrd puts files of its own",
        ),
        (
            ONE_FOLDER + 'policy = "archive"\narchive = "/done"\ncorrections = "/done"',
            "PATH: folder[phone].corrections: /done holds the archive of 'phone'",
        ),
        (
            ONE_FOLDER + 'policy = "archive"\narchive = "/done"\ncorrections = "/done/fixed"',
            "PATH: folder[phone].corrections: /done/fixed lies where bgrd puts files of its own",
        ),
        (
            two(paths("/i", "/o"), paths("/j", "/o/_corrections/p")),
            "PATH: folder[a].corrections: /o/_corrections holds the outbox of 'b'",
        ),
        (
            two(paths("/i", "/o", 'corrections = "/fixed"'), paths("/j", "/p", 'corrections = "/fixed"')),
            "PATH: folder[a].corrections: /fixed is that of 'b' too, which has other results",
        ),
        (
            ONE_FOLDER + 'policy = "archive"\narchive = "/photos/out"',
            "PATH: folder[phone].archive: must not be the folder's own outbox, /photos/out",
        ),
        (
            'state_directory = "/photos"\n' + ONE_FOLDER,
            "PATH: folder[phone].inbox: must not lie in /photos, which bgrd keeps for itself",
        ),
        (
            two(paths("/i", "/o"), paths("/j", "/p", 'on = "/i/deep/beach.jpg"')),
            "PATH: folder[b].on: /i/deep/beach.jpg lies in the inbox of 'a', as a source would",
        ),
    ],
)
def test_folders_that_cannot_live_together(tmp_path: Path, text: str, told: str) -> None:
    """Twins, nested inboxes, and whatever would feed on its own results are refused before anything runs."""
    with pytest.raises(ConfigError) as caught:
        planned(tmp_path, text)
    assert str(caught.value).replace(str(tmp_path / "config.toml"), "PATH") == told


def test_a_ground_may_lie_where_no_source_is_taken(tmp_path: Path) -> None:
    """Beside an inbox, or below it in a directory that is left out of it."""
    planned(tmp_path, two(paths("/i", "/i/out"), paths("/j", "/p", 'on = "/i/out/beach.jpg"')))
    planned(tmp_path, two(paths("/i", "/o"), paths("/j", "/p", 'on = "/in/beach.jpg"')))


def test_a_chain_and_a_shared_outbox_are_allowed(tmp_path: Path) -> None:
    """One folder's results may be another's input, and two folders may write to one place."""
    chain = planned(tmp_path, two(paths("/i", "/j"), paths("/j", "/o")))
    assert [folder.excluded for folder in chain] == [(), (Path("/j/_corrections"), Path("/j/_failed"))]
    assert len(planned(tmp_path, two(paths("/i", "/o"), paths("/j", "/o")))) == 2


@pytest.mark.parametrize("setting", ["none", "/elsewhere"])
def test_corrections_stay_no_input_when_the_setting_changes(tmp_path: Path, setting: str) -> None:
    """What was corrected in an outbox that is another folder's inbox is not taken after a reload either."""
    chain = planned(tmp_path, two(paths("/i", "/j", f'corrections = "{setting}"'), paths("/j", "/o")))
    assert Path("/j/_corrections") in chain[1].excluded


def test_what_is_written_below_an_inbox_is_left_out_of_it(tmp_path: Path) -> None:
    """Outbox, archive, notes, corrections and state below an inbox, whoever's they are, are not its input."""
    text = 'state_directory = "/i/state"\n' + two(
        paths("/i", "/i/out", 'archive = "/i/done"\nfailure_notes = "/i/notes"\ncorrections = "/i/better"'),
        paths("/j", "/i/theirs"),
    )
    first, second = planned(tmp_path, text)
    expected = [
        Path("/i/better"),
        Path("/i/done"),
        Path("/i/notes"),
        Path("/i/out"),
        Path("/i/state"),
        Path("/i/theirs"),
    ]
    assert first.excluded == tuple(expected)
    assert second.excluded == ()


PLACES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda parts: Path("/", *parts))


@settings(deadline=None)
@given(st.lists(st.tuples(PLACES, PLACES, PLACES, st.booleans()), min_size=1, max_size=4))
def test_what_arrange_lets_through_never_feeds_on_itself(drawn: list[tuple[Path, Path, Path, bool]]) -> None:
    """However folders lie, following results from inbox to inbox ends."""
    recipe = folders(Settings())[0].recipe
    given_folders = [
        Folder(
            name=string.ascii_lowercase[number],
            inbox=inbox,
            outbox=outbox,
            archive=archive,
            recipe=recipe,
            policy="archive" if archives else "keep",
        )
        for number, (inbox, outbox, archive, archives) in enumerate(drawn)
    ]
    try:
        arranged = arrange(given_folders, aside=())
    except ConfigError:
        return
    for start in arranged:
        assert start not in _reached(start, arranged)


def _reached(start: Folder, every: tuple[Folder, ...]) -> list[Folder]:
    """Give the folders that get a picture which starts in `start`'s inbox, by following every file."""
    found: list[Folder] = []
    pending = [start]
    while pending:
        folder = pending.pop()
        for root in (folder.outbox, *([folder.archive] if folder.policy == "archive" else [])):
            # A picture may lie in any directory of its inbox, so its result in any below the root.
            for other in every:
                takes_root = root.is_relative_to(other.inbox) and not any(
                    root.is_relative_to(out) for out in other.excluded
                )
                if (takes_root or other.inbox.is_relative_to(root)) and other not in found:
                    found.append(other)
                    pending.append(other)
    return found
