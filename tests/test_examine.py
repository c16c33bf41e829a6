"""What is found out about one folder, on a real file system."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bgrd.examine import Finding, examine, examine_all, missing
from bgrd.intake.guard import identify, record
from bgrd.job import Folder, Recipe
from tests.kernel.processes import threadless


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Give a folder whose directories are there."""
    for name in ("in", "out", "done"):
        (tmp_path / name).mkdir()
    return Folder(
        name="a",
        inbox=tmp_path / "in",
        outbox=tmp_path / "out",
        archive=tmp_path / "done",
        recipe=Recipe(),
        min_free=0,
    )


def found(folder: Folder) -> dict[str, Finding]:
    """Give the findings by the last word of their subject."""
    return {finding.subject.rpartition(" ")[2]: finding for finding in examine(folder)}


def refuse(monkeypatch: pytest.MonkeyPatch, path: Path, right: int) -> None:
    """Have the system refuse a right to one path; the tests may run as root, whom nothing is refused."""
    real = os.access

    def access(asked: Path, mode: int) -> bool:
        return not (asked == path and mode & right) and real(asked, mode)

    monkeypatch.setattr(os, "access", access)


def test_a_sound_folder_has_nothing_but_ok(folder: Folder) -> None:
    """Where all is well nothing is advised, and nothing is left behind by the looking."""
    findings = found(replace(folder, policy="archive"))
    assert {finding.level for finding in findings.values()} == {"ok"}
    assert not any(finding.advice for finding in findings.values())
    assert findings["archive"].text.endswith("sources are moved there")
    assert list(folder.outbox.iterdir()) == []


@pytest.mark.parametrize("role", ["inbox", "outbox", "archive"])
def test_a_missing_directory_is_an_error_and_is_not_made(folder: Folder, role: str) -> None:
    """It may be a share that is not mounted; the advice says both ways out."""
    folder = replace(folder, policy="archive")
    path: Path = getattr(folder, role)
    path.rmdir()
    finding = found(folder)[role]
    assert (finding.level, finding.text) == ("error", f"{path} is not there")
    assert finding.advice == f"mount what it lies on, or make it: mkdir -p {path}"
    assert not path.exists()


def test_a_missing_default_directory_is_announced(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What bgrd makes itself is no error, unless it cannot."""
    folder = replace(folder, create=True, inbox=folder.inbox / "x/y")
    assert found(folder)["inbox"].text == f"{folder.inbox} is made when bgrd starts"
    refuse(monkeypatch, folder.inbox.parent.parent, os.W_OK)
    assert found(folder)["inbox"].level == "error"
    assert "cannot be made in" in found(folder)["inbox"].text


def test_a_file_in_a_directorys_place(folder: Folder) -> None:
    """A file is no inbox, and nothing is below it."""
    file = folder.inbox / "file"
    file.write_text("")
    assert found(replace(folder, inbox=file))["inbox"].text == f"{file} is no directory"
    assert "cannot be reached: Not a directory" in found(replace(folder, outbox=file / "out"))["outbox"].text


def test_rights_that_are_missing(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading is needed always, writing in the inbox only to take sources away."""
    refuse(monkeypatch, folder.inbox, os.W_OK)
    assert found(folder)["inbox"].level == "ok"
    finding = found(replace(folder, policy="delete"))["inbox"]
    assert (finding.level, 'policy = "delete" cannot' in finding.text) == ("error", True)
    refuse(monkeypatch, folder.inbox, os.R_OK)
    assert found(folder)["inbox"].text.endswith("may not be read by this user")
    refuse(monkeypatch, folder.archive, os.W_OK)
    assert found(replace(folder, policy="archive"))["archive"].text.endswith("may not be written by this user")


def test_an_outbox_that_cannot_take_results_says_why(folder: Folder) -> None:
    """The probe's own sentence is told."""
    finding = found(replace(folder, min_free=2**62))["outbox"]
    assert finding.level == "error"
    assert "min_free" in finding.text


def test_an_archive_on_another_file_system_is_said(folder: Folder) -> None:
    """Copying costs time, and a user may not expect it."""
    other = Path("/dev/shm")
    if other.stat().st_dev == folder.inbox.stat().st_dev:
        pytest.skip("there is no second file system here")
    finding = found(replace(folder, policy="archive", archive=other))["archive"]
    assert finding.level == "ok"
    assert "another file system" in finding.text


def test_corrections_are_looked_at_where_there_are_any(folder: Folder, tmp_path: Path) -> None:
    """Nobody has to make the directory; one that is named and not there, or without photos, is worth a word."""
    place = folder.outbox / "_corrections"
    assert "corrections" not in found(replace(folder, corrections=None))
    assert "corrections" not in found(replace(folder, corrections=place))
    elsewhere = found(replace(folder, corrections=tmp_path / "better"))["corrections"]
    assert (elsewhere.level, elsewhere.advice) == ("warn", f"make it: mkdir -p {tmp_path / 'better'}")
    place.mkdir()
    assert found(replace(folder, corrections=place))["corrections"].level == "ok"
    emptied = found(replace(folder, corrections=place, policy="delete"))["corrections"]
    assert (emptied.level, emptied.advice) == ("warn", 'use policy = "keep" or "archive"')


def test_the_way_of_watching_is_told_with_its_reason(folder: Folder) -> None:
    """The decision is bgrd's unless the configuration makes it."""
    finding = found(replace(folder, watch="poll", poll_seconds=7))["watch"]
    assert (finding.level, finding.text) == ("ok", "poll, every 7 s (set in the configuration)")


def test_inotify_on_a_network_mount_is_warned_of(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who insists on inotify there hears what it means."""
    monkeypatch.setattr("bgrd.examine.is_network", lambda _mount: True)
    finding = found(replace(folder, watch="inotify"))["watch"]
    assert finding.level == "warn"
    assert 'watch = "auto"' in finding.advice


class Recorded:
    """A journal that remembers one mount for the inbox and another for the outbox."""

    def __init__(self, inbox: str | None, outbox: str | None) -> None:
        self.mounts = {"inbox": inbox, "outbox": outbox}

    def mount(self, folder: str, role: str) -> str | None:
        return self.mounts[role]


def test_a_directory_on_another_mount_than_before_is_an_error(folder: Folder) -> None:
    """The same mount, and one never recorded, are fine."""
    assert all(f.level == "ok" for f in examine(folder, recorded=Recorded(identify(folder.inbox), None)))
    errors = [f for f in examine(folder, recorded=Recorded(identify(folder.inbox), "other")) if f.level == "error"]
    assert [error.subject for error in errors] == ["folder a: outbox"]
    assert "--accept-mounts" in errors[0].advice


def test_a_directory_at_another_path_than_before_is_fine(folder: Folder) -> None:
    """The user moved it in the configuration; at the path that was recorded another mount is an error."""
    elsewhere = Recorded(record(Path("/elsewhere"), "other"), None)
    assert all(finding.level == "ok" for finding in examine(folder, recorded=elsewhere))
    here = Recorded(record(folder.inbox, "other"), None)
    assert [finding.subject for finding in examine(folder, recorded=here) if finding.level == "error"] == [
        "folder a: inbox"
    ]


def test_odd_names_are_escaped(folder: Folder, tmp_path: Path) -> None:
    """A path cannot write on the terminal."""
    odd = tmp_path / "a\x1b[31m\n"
    assert "\x1b" not in found(replace(folder, inbox=odd))["inbox"].text


def test_missing_gives_the_nearest_parent_that_is_there(tmp_path: Path) -> None:
    """None means that the path itself is there."""
    assert missing(tmp_path) is None
    assert missing(tmp_path / "a/b") == tmp_path


def test_a_folder_nobody_can_look_at_now(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a thread to ask with, that is what is said of it."""
    threadless(monkeypatch)
    (finding,), answering = examine_all([folder])
    assert (finding.level, answering) == ("error", [])
    assert "thread cannot be started" in finding.text
