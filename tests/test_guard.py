"""The mount guard: bgrd.intake.guard."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bgrd.errors import FolderUnavailable, StateError
from bgrd.intake.guard import MountGuard, guarded, identify, mount_at, record, recorded_for
from bgrd.intake.mounts import mount_of, read_mounts
from tests.houses.inboxes import MemoryJournal, folder_at


class Places:
    """Says what each directory lies on, as a test wants it."""

    def __init__(self) -> None:
        self.lies_on: dict[str, str] = {}

    def __call__(self, path: Path) -> str | None:
        return self.lies_on.get(path.name, "disk")


def test_a_mount_is_recorded_when_first_seen_and_compared_ever_after(tmp_path: Path) -> None:
    """Another mount in its place makes the folder unavailable, the old one brings it back."""
    journal, places = MemoryJournal(), Places()
    folder = folder_at(tmp_path)
    guard = MountGuard(folder, journal, identify=places)
    guard.check()
    recorded = {"inbox": record(folder.inbox, "disk"), "outbox": record(folder.outbox, "disk")}
    assert journal.mounts == recorded
    for name, role in (("in", "inbox"), ("out", "outbox")):
        places.lies_on[name] = "another"
        with pytest.raises(FolderUnavailable, match=f"the {role} .*--accept-mounts"):
            guard.check()
        del places.lies_on[name]
        guard.check()
    assert journal.mounts == recorded


def test_another_path_is_another_directory_and_new(tmp_path: Path) -> None:
    """A folder that is moved to another disk in the configuration is served there, and guarded there from then on."""
    journal, places = MemoryJournal(), Places()
    folder = folder_at(tmp_path)
    MountGuard(folder, journal, identify=places).check()
    moved = replace(folder, inbox=tmp_path / "elsewhere")
    places.lies_on["elsewhere"] = "other disk"
    with pytest.raises(FolderUnavailable, match="is not there"):
        MountGuard(moved, journal, identify=places).check()
    assert journal.mounts["inbox"] == record(folder.inbox, "disk"), "nothing is remembered of what is not there"
    moved.inbox.mkdir()
    MountGuard(moved, journal, identify=places).check()
    assert journal.mounts["inbox"] == record(moved.inbox, "other disk")
    places.lies_on["elsewhere"] = "disk"
    with pytest.raises(FolderUnavailable, match="--accept-mounts"):
        MountGuard(moved, journal, identify=places).check()


def test_a_record_without_a_path_still_compares_and_gets_one(tmp_path: Path) -> None:
    """Those of before speak of whatever path there is; once seen well they are of this one."""
    journal, folder = MemoryJournal(), folder_at(tmp_path)
    here = identify(folder.inbox)
    assert here is not None
    journal.mounts = {"inbox": here, "outbox": "share"}
    with pytest.raises(FolderUnavailable, match="the outbox"):
        MountGuard(folder, journal).check()
    assert journal.mounts == {"inbox": record(folder.inbox, here), "outbox": "share"}


def test_odd_paths_and_mounts_are_recorded_exactly() -> None:
    """Names that are no UTF-8 are told apart, and what was written is read again."""
    path, other = Path(os.fsdecode(b"/a\xff")), Path(os.fsdecode(b"/a\xfe"))
    kept = record(path, "m\udcff")
    assert kept.isascii()
    assert (recorded_for(path, kept), recorded_for(other, kept), recorded_for(path, None)) == ("m\udcff", None, None)


def test_a_missing_inbox_is_unavailable_and_records_nothing(tmp_path: Path) -> None:
    """What is not there has no mount worth remembering."""
    journal = MemoryJournal()
    folder = replace(folder_at(tmp_path), inbox=tmp_path / "none")
    with pytest.raises(FolderUnavailable, match="is not there"):
        MountGuard(folder, journal).check()
    assert "inbox" not in journal.mounts


def test_a_missing_outbox_is_not_the_guard_s_business_unless_its_mount_is_gone(tmp_path: Path) -> None:
    """Its own probe reports it; but where its mount was recorded, a fall back to the disk below is caught."""
    journal, places = MemoryJournal(), Places()
    folder = folder_at(tmp_path)
    folder.outbox.rmdir()
    guard = MountGuard(folder, journal, identify=places)
    guard.check()
    assert set(journal.mounts) == {"inbox"}
    journal.mounts["outbox"] = record(folder.outbox, "share")
    with pytest.raises(FolderUnavailable, match="the outbox"):
        guard.check()


def test_an_inbox_that_cannot_be_opened_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the system's reason in the sentence."""
    guard = MountGuard(folder_at(tmp_path), MemoryJournal(), identify=Places())

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("bgrd.intake.guard.os.open", refuse)
    with pytest.raises(FolderUnavailable, match="Permission denied"):
        guard.check()


def test_moved_notices_another_directory(tmp_path: Path) -> None:
    """Cheap to ask all the time: true before the first check, and whenever a directory came, went or changed."""
    folder = folder_at(tmp_path)
    guard = MountGuard(folder, MemoryJournal())
    assert guard.moved()
    guard.check()
    assert not guard.moved()
    folder.inbox.rename(tmp_path / "aside")
    assert guard.moved()
    folder.inbox.mkdir()
    assert guard.moved()
    guard.check()
    folder.outbox.rmdir()
    assert guard.moved()


def test_a_check_that_failed_leaves_everything_in_doubt(tmp_path: Path) -> None:
    """Nothing counts as unchanged until a check has passed."""
    journal = MemoryJournal()
    guard = MountGuard(folder_at(tmp_path), journal)
    guard.check()
    journal.broken = "disk full"
    with pytest.raises(StateError):
        guard.check()
    assert guard.moved()


def test_the_archive_is_guarded_only_where_it_is_used(tmp_path: Path) -> None:
    """A folder that keeps its sources has nothing to lose there."""
    folder = folder_at(tmp_path)
    assert set(guarded(folder)) == {"inbox", "outbox"}
    assert set(guarded(replace(folder, policy="archive"))) == {"inbox", "outbox", "archive"}


def test_the_kernel_s_word_agrees_with_the_table(tmp_path: Path) -> None:
    """For plain directories the mount's id leads to the same mount as the path, also from below a missing one."""
    expected = mount_of(os.path.realpath(os.fsencode(tmp_path)), read_mounts())
    assert mount_at(tmp_path) == expected
    assert mount_at(tmp_path / "not" / "there") == expected
    assert identify(tmp_path) == identify(tmp_path / "none")


def test_a_mount_without_an_id_is_told_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel's word cannot be had the path decides."""
    monkeypatch.setattr("bgrd.intake.guard.mount_held", lambda _fd, _mounts: None)
    assert mount_at(tmp_path) == mount_of(os.path.realpath(os.fsencode(tmp_path)), read_mounts())
