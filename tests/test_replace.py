"""Replacing an earlier result: a file that comes in between is never the one that is lost."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bgrd import steps
from bgrd.delivery import replace
from bgrd.delivery.ladder import LADDER, Rung, create_draft, drop_draft, publish_draft
from bgrd.delivery.replace import replace_earlier
from bgrd.kernel import rename_exchange
from bgrd.steps import Step

OLD, NEW, THEIRS = b"old result", b"new result", b"a user's file"


class _Place:
    """A directory with an earlier result, and a draft that is to replace it."""

    def __init__(self, root: Path, rung: Rung) -> None:
        self.root = root
        self.result = root / "x.png"
        self.result.write_bytes(OLD)
        self.directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        self.draft = create_draft(self.directory, rung=rung, spare=b".bgrd-7-0.tmp")
        os.write(self.draft.fd, NEW)

    def replace(self) -> bool:
        return replace_earlier(self.draft, b"x.png", directory=self.directory, sha256=hashlib.sha256(OLD).hexdigest())

    def publish(self, name: bytes) -> bool:
        return publish_draft(self.draft, name, directory=self.directory)

    def put(self, content: bytes) -> None:
        """Have a user save a file of the result's name, as programs do: beside it, then renamed."""
        aside = self.root / "aside"
        aside.write_bytes(content)
        aside.replace(self.result)

    def files(self) -> dict[str, bytes]:
        """Close the draft and give all that is left."""
        drop_draft(self.draft)
        os.close(self.directory)
        return {path.name: path.read_bytes() for path in self.root.iterdir()}


@pytest.fixture(params=LADDER)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> _Place:
    """Give such a directory for every rung in turn."""
    return _Place(tmp_path, request.param)


def _before_exchange(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something happen between the last look and the exchange."""

    def exchange(source: bytes, target: bytes, *, source_dir: int, target_dir: int) -> None:
        monkeypatch.setattr(replace, "rename_exchange", rename_exchange)
        act()
        rename_exchange(source, target, source_dir=source_dir, target_dir=target_dir)

    monkeypatch.setattr(replace, "rename_exchange", exchange)


def test_what_a_user_puts_there_in_between_is_kept(place: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that takes the name between the last look and the exchange gets it back, and the draft goes elsewhere."""
    _before_exchange(monkeypatch, lambda: place.put(THEIRS))
    assert not place.replace()
    assert place.publish(b"x.jpg.png")
    assert place.files() == {"x.png": THEIRS, "x.jpg.png": NEW}


def test_a_result_removed_in_between_is_not_replaced(place: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier result that goes away in that moment leaves the name to be taken as any other."""
    _before_exchange(monkeypatch, place.result.unlink)
    assert not place.replace()
    assert place.publish(b"x.png")
    assert place.files() == {"x.png": NEW}


def test_a_third_file_keeps_a_name_too(place: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the name is taken again before the first file is back, both are kept, and the draft is what is lost."""

    def again(step: Step) -> None:
        if step == "commit.exchanged":
            place.put(b"a third")

    monkeypatch.setattr(steps, "hook", again)
    _before_exchange(monkeypatch, lambda: place.put(THEIRS))
    assert not place.replace()
    with pytest.raises(FileNotFoundError):
        place.publish(b"x.jpg.png")
    assert place.files() == {"x.png": THEIRS, "x-2.png": b"a third"}


def test_a_name_emptied_again_goes_to_the_first_file(place: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what we put there is removed before the first file is back, that file takes its name."""

    def gone(step: Step) -> None:
        if step == "commit.exchanged":
            place.result.unlink()

    monkeypatch.setattr(steps, "hook", gone)
    _before_exchange(monkeypatch, lambda: place.put(THEIRS))
    assert not place.replace()
    with pytest.raises(FileNotFoundError):
        place.publish(b"x.jpg.png")
    assert place.files() == {"x.png": THEIRS}


def test_without_exchange_it_is_renamed(place: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot exchange names gets the result by a plain rename."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(replace, "rename_exchange", refuse)
    assert place.replace()
    assert place.files() == {"x.png": NEW}


def test_the_result_changes_in_one_step(place: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every step the name shows the whole earlier result or the whole new one."""
    seen: list[bytes] = []
    monkeypatch.setattr(steps, "hook", lambda _: seen.append(place.result.read_bytes()))
    assert place.replace()
    assert seen == [OLD, NEW]
    assert place.files() == {"x.png": NEW}
