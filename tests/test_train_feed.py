"""What a run learns from and is judged on: batches in their order, pictures held back, and what is said of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from bgrd.errors import TrainingError
from bgrd.train.entry import Entry, Kind, Split
from bgrd.train.feed import batches
from bgrd.train.networks.rows import NETWORKS
from bgrd.train.validate import Held, held_back, judge

Drawn = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Numbered:
    """Draws plain samples that show their index; one of them cannot be drawn."""

    broken: int = -1

    def sample(self, index: int, /) -> Drawn:
        if index == self.broken:
            message = f"picture {index} is damaged"
            raise TrainingError(message)
        return np.full((32, 32, 3), (index, 7, 9), np.uint8), np.full((32, 32), index, np.uint8)


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_come_in_their_order(workers: int) -> None:
    """Whoever draws them: whole batches, channels first, from where a run stands; what is left over is left."""
    found = list(batches(Numbered(), range(5, 19), batch=4, workers=workers))
    assert [opacity[:, 0, 0, 0].tolist() for _, opacity in found] == [[5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]
    pixels, opacity = found[0]
    assert pixels.shape == (4, 3, 32, 32)
    assert opacity.shape == (4, 1, 32, 32)
    assert pixels.dtype == opacity.dtype == torch.uint8
    assert pixels[1, :, 0, 0].tolist() == [6, 7, 9]


@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_be_drawn_is_told_plainly(workers: int) -> None:
    """The error is the one that was raised, word for word, also where another process drew."""
    with pytest.raises(TrainingError) as caught:
        list(batches(Numbered(broken=6), range(12), batch=4, workers=workers))
    assert str(caught.value) == "picture 6 is damaged"


class Faulty(Numbered):
    """Fails at one index by a fault of its own."""

    def sample(self, index: int, /) -> Drawn:
        if index == self.broken:
            raise RuntimeError
        return Numbered.sample(self, index)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fault_names_its_sample(workers: int) -> None:
    """The traceback ends with the number, so that the sample can be drawn again alone."""
    with pytest.raises(RuntimeError) as caught:
        list(batches(Faulty(broken=6), range(12), batch=4, workers=workers))
    assert "while sample 6 was drawn" in "".join(traceback.format_exception(caught.value))
    assert multiprocessing.active_children() == []  # or Python's end would wait for who heeds no signal


class Told(Numbered):
    """Tells the process that draws to end, as a terminal and a service manager tell all of a group."""

    def sample(self, index: int, /) -> Drawn:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        return Numbered.sample(self, index)


def test_who_draws_is_not_stopped_before_who_learns() -> None:
    """Signals that reach the workers too leave them at work until the learner ends them."""
    found = list(batches(Told(), range(8), batch=4, workers=1))
    assert [opacity[0, 0, 0, 0].item() for _, opacity in found] == [0, 4]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("pinned", [False, True])
def test_pinning_is_torchs(monkeypatch: pytest.MonkeyPatch, *, pinned: bool) -> None:
    """Whether batches lie pinned is told to torch's loader, which does it in a thread beside."""
    told: list[object] = []

    def loader(*_: object, pin_memory: bool, **__: object) -> list[object]:
        told.append(pin_memory)
        return []

    monkeypatch.setattr("bgrd.train.feed.DataLoader", loader)
    assert list(batches(Numbered(), range(8), batch=4, workers=0, pinned=pinned)) == []
    assert told == [pinned]


def test_torchs_generator_is_left_alone() -> None:
    """How often batches are begun anew changes no random number."""
    before = torch.get_rng_state()
    next(batches(Numbered(), range(8), batch=4, workers=0))
    assert torch.equal(before, torch.get_rng_state())


class Bright(nn.Module):
    """Takes what is bright for the subject."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images.mean(1, keepdim=True) * 1000,)


def shown(source: str, bright: slice, truth: slice) -> Held:
    """Give a picture of 8 columns: those that are bright, and those that are the subject."""
    pixels, opacity = torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(1, 8, 8, dtype=torch.uint8)
    pixels[:, :, bright] = 255
    opacity[:, :, truth] = 255
    return Held(source=source, pixels=pixels, opacity=opacity)


def test_judging_by_hand() -> None:
    """Overlaps of 2/4, 0/2, 1 and, of two empty masks, 1; differences of 2/8, 2/8, 0 and 0; each picture by itself."""
    held = [
        shown("a", slice(0, 4), slice(0, 2)),
        shown("a", slice(0, 0), slice(0, 2)),
        shown("b", slice(1, 5), slice(1, 5)),
        shown("b", slice(0, 0), slice(0, 0)),
    ]
    verdict = judge(Bright(), NETWORKS["isnet"], held, device=torch.device("cpu"))
    assert verdict.iou == pytest.approx((0.5 + 0 + 1 + 1) / 4)
    assert verdict.mae == pytest.approx((0.25 + 0.25) / 4)
    assert verdict.by_source == pytest.approx({"a": 0.25, "b": 1.0})


def pair(folder: Path, number: int, *, source: str = "s", split: Split = "validation", kind: Kind = "pair") -> Entry:
    """Make a picture, 20 x 10, its left half the subject, and its entry."""
    image, mask = folder / f"{number}.jpg", folder / f"{number}.png"
    Image.new("RGB", (20, 10), (number, 0, 0)).save(image)
    half = Image.new("L", (20, 10))
    half.paste(255, (0, 0, 10, 10))
    half.save(mask)
    given = mask if kind == "pair" else None
    return Entry(kind=kind, image=image, mask=given, category="c", source=source, licence="l", split=split)


def test_only_pairs_for_validation_are_held_back(tmp_path: Path) -> None:
    """What trains, what is for tests, and what has no mask is not looked at; pictures are stretched to the side."""
    entries = [
        pair(tmp_path, 1),
        pair(tmp_path, 2, split="train"),
        pair(tmp_path, 3, split="test"),
        pair(tmp_path, 4, kind="background"),
    ]
    (found,) = held_back(entries, side=32, most=9)
    assert found.pixels.shape == (3, 32, 32)
    assert found.opacity.shape == (1, 32, 32)
    assert found.opacity[0, :, :15].min() == 255
    assert found.opacity[0, :, 17:].max() == 0


def test_no_source_drowns_the_others(tmp_path: Path) -> None:
    """At most so many of each, evenly over the source and always the same."""
    entries = [pair(tmp_path, 10 * number, source="large") for number in range(10)]
    entries += [pair(tmp_path, 255, source="small")]
    found = held_back(entries, side=32, most=3)
    assert [each.source for each in found] == ["large"] * 3 + ["small"]
    reds = [round(each.pixels[0].float().mean().item() / 10) for each in found[:3]]
    assert reds == [0, 3, 6]


def test_nothing_held_back(tmp_path: Path) -> None:
    """A data set without pairs for validation is refused: nobody could tell when to stop."""
    with pytest.raises(TrainingError, match=r"no pair for validation: hold some back with .*--validation"):
        held_back([pair(tmp_path, 1, split="train")], side=32, most=9)


def test_a_damaged_picture_held_back(tmp_path: Path) -> None:
    """It is named."""
    entry = pair(tmp_path, 1)
    entry.image.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match=r"1\.jpg or its mask cannot be read"):
        held_back([entry], side=32, most=9)
