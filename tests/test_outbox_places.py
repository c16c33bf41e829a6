"""What an outbox makes of links, strangers' files and a root that is gone, and what a try of it finds."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Thread

import pytest

import bgrd.delivery.ladder
import bgrd.delivery.replace
from bgrd.delivery.ladder import LADDER, Rung
from bgrd.delivery.outbox import Draft
from bgrd.errors import DaemonFault, FileFault, FolderFault, FolderUnavailable
from tests.houses.outboxes import OLD, drafted, files_below, outbox_at
from tests.houses.sources import answering
from tests.houses.workshop import digest
from tests.kernel.processes import open_files


class TestPlaces:
    def test_links_lead_nowhere(self, tmp_path: Path) -> None:
        """A link below the outbox is neither written through nor read through."""
        root, outside = tmp_path / "outbox", tmp_path / "outside"
        root.mkdir()
        outside.mkdir()
        (outside / "x.png").write_bytes(OLD)
        (root / "a").symlink_to(outside)
        (root / "x.png").symlink_to(outside / "x.png")
        outbox = outbox_at(root)
        with pytest.raises(FileFault, match=r"a/x\.png cannot be put"):
            outbox.create(b"a/x.png", job_id=7, index=0)
        assert outbox.sha256(b"a/x.png") is None
        assert outbox.sha256(b"x.png") is None
        draft = drafted(outbox, b"x.png")
        assert not outbox.replace(draft, b"a/x.png", sha256=digest(OLD))
        assert not outbox.replace(draft, b"x.png", sha256=digest(OLD))
        assert not outbox.publish(draft, b"x.png")
        outbox.discard(draft)
        assert files_below(outside) == {"x.png": OLD}

    def test_root_may_be_a_link(self, tmp_path: Path) -> None:
        """The outbox itself may be a link: that is what the user configured."""
        (tmp_path / "real").mkdir()
        (tmp_path / "outbox").symlink_to("real")
        outbox_at(tmp_path / "outbox").probe()

    @pytest.mark.parametrize("target", [b"../x.png", b"/x.png", b"a/../../x.png", b""])
    def test_paths_out_of_the_outbox_are_refused(self, target: bytes, tmp_path: Path) -> None:
        """A target that could leave the outbox is a programming error."""
        with pytest.raises(ValueError, match="not a path below a root"):
            outbox_at(tmp_path).create(target, job_id=7, index=0)

    def test_file_in_a_directorys_place(self, tmp_path: Path) -> None:
        """A file where a directory is needed costs that job only."""
        (tmp_path / "a").write_bytes(b"")
        with pytest.raises(FileFault, match="Not a directory"):
            outbox_at(tmp_path).create(b"a/x.png", job_id=7, index=0)
        assert outbox_at(tmp_path).sha256(b"a/x.png") is None

    def test_missing_results(self, tmp_path: Path) -> None:
        """What is not there has no hash and is not replaced."""
        outbox = outbox_at(tmp_path)
        (tmp_path / "directory.png").mkdir()
        for target in (b"x.png", b"a/x.png", b"directory.png"):
            assert outbox.sha256(target) is None
        draft = drafted(outbox, b"x.png")
        assert not outbox.replace(draft, b"a/x.png", sha256=digest(OLD))
        outbox.discard(draft)

    @pytest.mark.parametrize("call", ["probe", "rung", "create", "publish", "replace", "sync", "sha256", "sweep"])
    def test_missing_outbox_is_unavailable(self, call: str, tmp_path: Path) -> None:
        """An outbox that is gone is unavailable whatever is asked of it, and is never made."""
        root = tmp_path / "outbox"
        root.mkdir()
        outbox = outbox_at(root)
        draft = drafted(outbox, b"a/x.png")
        (root / "a").rmdir()
        root.rmdir()
        calls: dict[str, Callable[[], object]] = {
            "probe": outbox.probe,
            "rung": lambda: outbox.rung,
            "create": lambda: outbox.create(b"a/x.png", job_id=7, index=1),
            "publish": lambda: outbox.publish(draft, b"a/x.png"),
            "replace": lambda: outbox.replace(draft, b"a/x.png", sha256=""),
            "sync": lambda: outbox.sync(b"a/x.png"),
            "sha256": lambda: outbox.sha256(b"a/x.png"),
            "sweep": lambda: outbox.sweep([7]),
        }
        with pytest.raises(FolderUnavailable, match="is not there"):
            calls[call]()
        outbox.discard(draft)
        assert not root.exists()


class TestProbe:
    def test_too_little_room(self, tmp_path: Path) -> None:
        """Less free space than is to be kept blocks the folder, and the sentence has both numbers."""
        with pytest.raises(FolderFault, match=r"has \d+ MB free and \d+ MB are kept free"):
            outbox_at(tmp_path, min_free=2**62).probe()

    def test_file_system_that_does_not_tell(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file system that reports no blocks at all is not taken for full."""
        monkeypatch.setattr(os, "fstatvfs", lambda _: os.statvfs_result([0] * 10))
        outbox_at(tmp_path, min_free=1).probe()

    @pytest.mark.parametrize("call", ["open", "write", "fsync", "scandir"])
    @pytest.mark.parametrize(
        ("number", "fault", "words"),
        [
            (errno.ENOSPC, FolderFault, "is full"),
            (errno.EDQUOT, FolderFault, "quota"),
            (errno.EROFS, FolderFault, "read-only"),
            (errno.EACCES, FolderFault, "permissions"),
            (errno.ESTALE, FolderUnavailable, "not there"),
            (errno.EMFILE, DaemonFault, "resources"),
        ],
    )
    def test_trouble_is_told(
        self,
        call: str,
        number: int,
        fault: type[Exception],
        words: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Whatever keeps results from being written is told in a sentence, and leaves nothing behind."""
        with monkeypatch.context() as patch:
            patch.setattr(os, call, answering(number))
            with pytest.raises(fault, match=words):
                outbox_at(tmp_path).probe()
        assert files_below(tmp_path) == {}

    def test_no_rung(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An outbox on which nothing can be published safely is refused by name, with each rung's answer."""
        monkeypatch.setattr(os, "link", answering(errno.EPERM))
        monkeypatch.setattr(bgrd.delivery.ladder, "rename_noreplace", answering(errno.EINVAL))
        with pytest.raises(FolderFault, match=re.escape(str(tmp_path)) + r".*hidden\+renameat2: Invalid argument"):
            outbox_at(tmp_path).probe()

    def test_forbidden_outbox(self, tmp_path: Path) -> None:
        """An outbox this user may not write blocks the folder."""
        tmp_path.chmod(0o500)
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(FolderFault, match="permissions"):
            outbox_at(tmp_path).probe()
        tmp_path.chmod(0o700)


def test_discard_survives_a_dead_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Discarding never raises and always closes, so that a dead share costs no descriptors."""
    before = len(open_files())
    outbox = outbox_at(tmp_path, ladder=("hidden+link",))
    draft = drafted(outbox, b"x.png")
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", answering(errno.ESTALE))
        outbox.discard(draft)
    assert len(open_files()) == before
    with suppress(FileNotFoundError):
        (tmp_path / ".bgrd-7-0.tmp").unlink()


def test_folders_that_share_an_outbox_try_it_out_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread has its own hidden names: both find the best way, whatever the other does in between."""
    both = Barrier(2, timeout=60)
    found: list[Rung] = []
    original = bgrd.delivery.ladder.publish_draft

    def publish(draft: Draft, name: bytes, *, directory: int) -> bool:
        both.wait()  # each has removed what an earlier try left, and neither has its name
        published = original(draft, name, directory=directory)
        both.wait()
        return published

    monkeypatch.setattr(bgrd.delivery.ladder, "publish_draft", publish)
    threads = [Thread(target=lambda: found.append(outbox_at(tmp_path).rung)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [LADDER[0], LADDER[0]]
    assert not list(tmp_path.iterdir())
