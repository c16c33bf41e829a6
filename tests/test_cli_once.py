"""`bgrd once` from the command line: on files, on the inboxes, and what it says at its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bgrd.cli.main import main
from bgrd.cli.once import _Tally
from tests.houses.commands import ODD, configure, run
from tests.houses.inboxes import until
from tests.pictures.making import corners, encoded

JPEG = encoded(corners(), "JPEG")

pytestmark = pytest.mark.usefixtures("home")


def test_once_on_files_tells_failures_in_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A failing picture is exit 1 with its name and reason; the others are done; a run without failure is 0."""
    (tmp_path / "good.jpg").write_bytes(JPEG)
    with open(os.path.join(os.fsencode(tmp_path), ODD), "wb") as stream:
        stream.write(b"this is no picture")
    files = ["good.jpg", os.fsdecode(ODD)]
    assert main(["once", "--no-progress", *files, "-o", "out"]) == 1
    error = capsys.readouterr().err
    assert "1 done, 1 failed" in error
    (row,) = [line for line in error.splitlines() if line.startswith(r"caf\xe9 [red]\n.jpg")]
    assert "not a picture" in row
    with Image.open(tmp_path / "out/good.png") as image:
        assert image.size == (48, 32)
    assert sorted(os.listdir(tmp_path / "out")) == ["good.png"]
    assert main(["once", "good.jpg", "-o", "out"]) == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["good.jpg.png", "good.png"]
    assert not (tmp_path / "home/.local").exists(), "no journal, no lock"


def test_once_on_the_inboxes(home: Path) -> None:
    """What is there is done and it ends; a failure is exit 1 and in the table."""
    inbox = home / "bgr/inbox"
    inbox.mkdir(parents=True)
    (inbox / "good.jpg").write_bytes(JPEG)
    ended = run("once")
    assert (ended.returncode, "1 done, 0 failed" in ended.stderr) == (0, True), ended.stderr
    (inbox / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is no picture, only said to be" * 10 + b"\xff\xd9")
    ended = run("once")
    assert (ended.returncode, "0 done, 0 failed, 1 left" in ended.stderr) == (1, True), ended.stderr
    assert "bad.jpg" in ended.stderr
    ended = run("once")
    assert (ended.returncode, "bad.jpg" in ended.stderr) == (1, True), "what waits since an earlier run is told too"
    assert (home / "bgr/outbox/good.png").exists()


def test_once_says_what_it_does_without(home: Path, tmp_path: Path) -> None:
    """A provider that is left out, where that is allowed, is told: for files that are named, and for the inboxes."""
    told = "model bgrd-lite: Provider cuda is not in the onnxruntime that is installed"
    (tmp_path / "a.jpg").write_bytes(JPEG)
    (home / "bgr/inbox").mkdir(parents=True)
    configure(home, 'providers = ["cuda"]\n')
    refused = run("once", "a.jpg")
    assert (refused.returncode, "Provider cuda" in refused.stderr) == (1, True), refused.stderr
    configure(home, 'providers = ["cuda"]\nprovider_fallback = true\n')
    for ended in (run("once", "a.jpg"), run("once")):
        assert (ended.returncode, told in ended.stderr) == (0, True), ended.stderr


def test_once_that_is_stopped_is_130_and_says_what_is_left(home: Path) -> None:
    """Ctrl-C in the middle of an inbox is no success; the next run does the rest."""
    inbox, outbox = home / "bgr/inbox", home / "bgr/outbox"
    inbox.mkdir(parents=True)
    for number in range(300):
        (inbox / f"{number}.jpg").write_bytes(JPEG)
    program = [sys.executable, "-m", "bgrd", "once"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as ended:
        until(lambda: outbox.is_dir() and any(outbox.glob("*.png")), seconds=50)
        ended.send_signal(signal.SIGINT)
        _, error = ended.communicate(timeout=50)
    assert ended.returncode == 130, error
    counted = re.search(r"(\d+) done, 0 failed, (\d+) left", error)
    assert counted is not None, error
    assert int(counted[1]) + int(counted[2]) == 300


def test_once_names_the_files_that_are_still_being_written(home: Path) -> None:
    """It does not wait for a writer for ever, and does not call that done."""
    inbox = home / "bgr/inbox"
    inbox.mkdir(parents=True)
    (inbox / "good.jpg").write_bytes(JPEG)
    with (inbox / "open.jpg").open("wb") as stream:
        stream.write(JPEG[:100])
        stream.flush()
        ended = run("once")
    assert ended.returncode == 1, ended.stderr
    assert "1 done, 0 failed, 1 left" in ended.stderr
    (row,) = [line for line in ended.stderr.splitlines() if line.startswith("open.jpg")]
    assert "still being written" in row


def test_once_says_what_it_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pictures that lie where results go are not taken, and nobody has to wonder why."""
    (tmp_path / "in/out").mkdir(parents=True)
    (tmp_path / "in/a.jpg").write_bytes(JPEG)
    (tmp_path / "in/out/b.jpg").write_bytes(JPEG)
    assert main(["once", "in", "-o", "in/out"]) == 0
    error = capsys.readouterr().err
    assert "left out, as results go there: in/out" in error
    assert "1 done" in error


def test_the_tally_of_a_run_is_how_things_stand_at_its_end() -> None:
    """What waited and was done is done; what is in retry, or its folder blocked, is no silent success."""
    shown: list[tuple[int, int]] = []
    tally = _Tally(lambda done, total: shown.append((done, total)))
    tally("intake.admitted", folder="f", count=3)
    tally("job.waiting", folder="f", path=b"a", reason="incomplete")
    tally("job.done", folder="f", path=b"a")
    tally("job.retry", folder="f", path=b"b", reason="it died")
    tally("job.waiting", folder="f", path=b"c", reason="still copying")
    tally("job.withdrawn", folder="f", path=b"c")
    tally("folder.blocked", folder="g", reason="no model")
    tally("folder.unavailable", folder="h", reason="no share")
    tally("folder.available", folder="h")
    tally("watch.mode", folder="f")
    assert tally.done == 1
    assert tally.waiting == {("f", b"b"): "it died", ("g", b""): "no model"}
    assert shown[-1] == (3, 3)
    tally("job.failed", folder="f", path=b"b", reason="it died again")
    tally.expect(4)
    assert shown[-1] == (3, 7), "what the journal has from before counts too"
    rows = [(row.path, row.word, row.reason) for row in tally.rows([])]
    assert rows == [(b"b", "failed", "it died again"), (b"folder g", "waits", "no model")]
