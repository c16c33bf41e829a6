"""Who may read what: what is the daemon's own is for its user alone, results are as the folder says."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures.scenes import phone_photo


def modes(root: Path) -> dict[str, int]:
    """Give every file's and directory's mode below a root by its relative name."""
    return {str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode) for path in root.rglob("*")}


def worked(house: House, mask: int) -> dict[str, int]:
    """Have a daemon with this umask do two pictures and fail one; gives the modes while it runs."""
    before = os.umask(mask)
    try:
        with Daemon(house) as daemon:
            os.umask(before)
            daemon.ready()
            (house.inbox / "sub").mkdir()
            for name in ("a.jpg", "sub/b.jpg"):
                (house.inbox / name).write_bytes(phone_photo())
            (house.inbox / "sub/bad.jpg").write_bytes(b"no picture" * 99)
            daemon.done(["a.jpg", "sub/b.jpg"])
            daemon.heard("job.failed")
            daemon.until(lambda: house.status().get("folders", {}).get("default", {}).get("failed_since_start") == 1)
            found = modes(house.root)
            assert daemon.stop() == 0
        return found
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_what_is_the_daemons_is_its_users_alone(tmp_path: Path, mask: int) -> None:
    """Journal, lock and status file are 0600 in directories of 0700 whatever the umask; results and notes follow it."""
    found = worked(House(tmp_path / "house").folders(), mask)
    own = {name: mode for name, mode in found.items() if name.startswith(("home/.local/state/bgrd", "run/bgrd"))}
    assert {Path(name).name for name in own} >= {
        "journal.db",
        "journal.db-wal",
        "journal.db-shm",
        "lock",
        "status.json",
    }
    assert {mode for name, mode in own.items() if Path(name).suffix or Path(name).name == "lock"} == {0o600}
    assert own["home/.local/state/bgrd"] == own["run/bgrd"] == 0o700
    assert found["home/.local"] & 0o022 == found["home/.local/state"] & 0o022 == 0, "nobody else may move it away"
    out = {name.removeprefix("home/bgr/outbox/"): mode for name, mode in found.items() if "/outbox/" in name}
    files, directories = {"a.png", "sub/b.png", "_failed/sub/bad.jpg.txt"}, {"sub", "_failed", "_failed/sub"}
    assert {out[name] for name in files} == {0o666 & ~mask}
    assert {out[name] for name in directories} == {0o777 & ~mask}


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_a_folders_mode_is_that_of_results_and_notes(tmp_path: Path, mask: int) -> None:
    """`mode` is given to every result, to the notes, which tell of the same names, and to directories made for them."""
    house = House(tmp_path / "house").folders()
    house.configure('[defaults]\nmode = "0640"\n')
    found = worked(house, mask)
    out = {name.removeprefix("home/bgr/outbox/"): mode for name, mode in found.items() if "/outbox/" in name}
    assert {out[name] for name in ("a.png", "sub/b.png", "_failed/sub/bad.jpg.txt")} == {0o640}
    assert {out[name] for name in ("sub", "_failed", "_failed/sub")} == {0o750}
