"""What lies where: bgrd.intake.mounts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrd.intake.mounts import Mount, ground, identity, is_network, mount_of, nested, parse, read_mounts, watching

TEXT = rb"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/nas rw shared:9 master:2 - nfs4 nas:/pictures rw,vers=4.2
31 22 0:41 /sub /mnt/my\040share rw - cifs //nas/my\040share rw
32 22 0:42 / /home/u/in/remote rw - fuse.sshfs u@h:/ rw
33 30 0:43 / /mnt/nas rw - ext4 /dev/sdb1 rw
34 22 0:44 / /mnt/empty rw - tmpfs  rw
nonsense
35 22 0:45
""".lstrip()


@pytest.fixture
def mounts() -> tuple[Mount, ...]:
    """Give the mounts of TEXT."""
    return parse(TEXT)


def test_every_line_that_makes_sense_is_read(mounts: tuple[Mount, ...]) -> None:
    """Optional fields, octal escapes and an empty source are understood, nonsense is left out."""
    assert [mount.id for mount in mounts] == [22, 30, 31, 32, 33, 34]
    share = mounts[2]
    assert (share.point, share.source, share.root) == (b"/mnt/my share", b"//nas/my share", b"/sub")
    assert (mounts[5].fstype, mounts[5].source) == ("tmpfs", b"")


@pytest.mark.parametrize(
    ("path", "number"),
    [
        (b"/", 22),
        (b"/home/u/in", 22),
        (b"/home/u/in/remote", 32),
        (b"/home/u/in/remote/a/b", 32),
        (b"/home/u/in/remoteness", 22),
        (b"/mnt/nas/x", 33),
        (b"/mnt/my share/x", 31),
    ],
)
def test_the_deepest_and_newest_mount_counts(path: bytes, number: int, mounts: tuple[Mount, ...]) -> None:
    """A path belongs to the deepest mount above it, and of two on one point to the later one."""
    found = mount_of(path, mounts)
    assert found is not None
    assert found.id == number


def test_no_mounts_no_answer() -> None:
    """Where nothing is known, nothing is claimed, and the careful thing is done."""
    assert mount_of(b"/x", ()) is None
    assert is_network(None)
    assert watching(b"/x", "auto", ())[0] == "poll"


@pytest.mark.parametrize("fstype", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "virtiofs", "vboxsf", "autofs"])
def test_network_file_systems(fstype: str) -> None:
    """Wherever other machines may write, a mount counts as network."""
    assert is_network(_mount(fstype))


@pytest.mark.parametrize("fstype", ["ext4", "btrfs", "xfs", "tmpfs", "overlay", "zfs", "vfat", "exfat", "fuseblk"])
def test_local_file_systems(fstype: str) -> None:
    """Disks of this machine are not."""
    assert not is_network(_mount(fstype))


def test_identity_survives_a_reboot_but_not_another_disk() -> None:
    """Ids change with every boot and do not matter; point, kind, source and root do."""
    mount = _mount("ext4")
    assert identity(mount) == identity(_mount("ext4", number=99))
    others = [_mount("xfs"), _mount("ext4", source=b"/dev/b"), _mount("ext4", point=b"/q"), _mount("ext4", root=b"/r")]
    assert identity(mount) not in {identity(other) for other in others}


@given(st.binary(min_size=1), st.binary(min_size=1))
def test_identities_are_text_and_distinct_for_any_bytes(left: bytes, right: bytes) -> None:
    """No name of a mount point makes two identities equal or impossible to keep."""
    one, two = identity(_mount("ext4", point=left)), identity(_mount("ext4", point=right))
    assert (one == two) == (left == right)
    one.encode()


@pytest.mark.parametrize(
    ("path", "setting", "mode", "word"),
    [
        (b"/home/u/pics", "auto", "inotify", "ext4"),
        (b"/mnt/my share/in", "auto", "poll", "cifs"),
        (b"/home/u/in", "auto", "poll", "remote inside it is fuse.sshfs"),
        (b"/mnt/my share/in", "inotify", "inotify", "configuration"),
        (b"/home/u/pics", "poll", "poll", "configuration"),
    ],
)
def test_watching_is_decided_with_a_reason(
    path: bytes, setting: str, mode: str, word: str, mounts: tuple[Mount, ...]
) -> None:
    """Local is watched, network and what has network inside is polled, a setting goes before both."""
    decided, reason = watching(path, setting, mounts)  # type: ignore[arg-type] # parametrised by plain text
    assert decided == mode
    assert word in reason


def test_the_ground_knows_network_parts(mounts: tuple[Mount, ...]) -> None:
    """Below a local inbox only what lies on the nested share counts as network."""
    base = ground(b"/home/u/in", mounts)
    assert not base.network
    assert base.is_network(b"remote/a.jpg")
    assert not base.is_network(b"remoteness/a.jpg")
    assert ground(b"/mnt/my share", mounts).is_network(b"a.jpg")
    assert [mount.id for mount in nested(b"/mnt/nas", mounts)] == []


def test_the_exact_mount_goes_before_the_path(mounts: tuple[Mount, ...]) -> None:
    """Where the kernel named the mount, its word counts."""
    assert ground(b"/home/u/pics", mounts, mount=mounts[1]).network


def test_this_machine_has_a_root() -> None:
    """The real table is readable and holds the root directory."""
    assert mount_of(Path("/"), read_mounts()) is not None


def _mount(
    fstype: str, *, number: int = 1, point: bytes = b"/p", source: bytes = b"/dev/a", root: bytes = b"/"
) -> Mount:
    return Mount(id=number, parent=0, point=point, root=root, fstype=fstype, source=source)
