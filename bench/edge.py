"""What each step at the edge is worth: `python -m bench.edge [SHARED]`.

Composites with known opacity and colours get the mask of an ideal model (the true opacity at a model's size) or the
built-in model's; each row says how far the result is from the truth. SAD and the gradient error (Rhemann et al., "A
Perceptually Motivated Online Benchmark for Image Matting", 2009) are in thousands, MSE in thousandths, colour errors
in 255ths on black and on white, over all pixels that are partly transparent in the truth or in the mask as it is.
SHARED is a folder with data/ship and pictures; what is not there is left out. The figures go to build/edge.json, the
table to the terminal, a sheet at 400 % to build/edge.png.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.composites import Composite, cutouts, drawn
from bench.sheet import sheet
from bgrd.imaging.foreground import foreground, laid
from bgrd.imaging.matte import matte, unrefined
from bgrd.imaging.prepare import prepare
from bgrd.imaging.refine import refined
from bgrd.models.session import Session
from bgrd.models.store import find

ROOT = Path(__file__).parents[1]
SHARED = ROOT / ".." / "shared"
STEPS = ("mask enlarged", "refine", "clean", "refine, clean")
COLUMNS = ("SAD", "MSE", "gradient", "black", "white")
_GRADIENT_SIDE = 1400
"""Of bigger pictures the gradient error is taken over so much of the middle."""

_FOUND = 0.75
"""Where subject and mask share at least this much of what either covers, the model has found it."""

Values = NDArray[np.float32]


class Model:
    """The built-in model."""

    def __init__(self) -> None:
        choice = find("bgrd-lite", custom={}, directory=Path())
        self._session = Session(choice.path.read_bytes(), spec=None, threads=1, name=choice.name)

    def __call__(self, composite: Composite) -> Values:
        """Give its shares."""
        return self.shares(composite.photo)

    def shares(self, photo: Image.Image) -> Values:
        """Give its shares for a picture."""
        session = self._session
        return matte(session.run(prepare(photo, session.spec, dtype=session.element_type)), session.spec)


def ideal(composite: Composite) -> Values:
    """Give the true opacity as a model of 256 pixels would for a big picture, at an eighth for a small one."""
    width, height = composite.alpha.size
    size = (256, 256) if width > 1000 else (width // 8, height // 8)
    return _shares(composite.alpha.resize(size, Image.Resampling.BOX))


def true(composite: Composite) -> Values:
    """Give the true opacity as it is."""
    return _shares(composite.alpha)


def _shares(mask: Image.Image) -> Values:
    return np.asarray(mask, dtype=np.float32) / np.float32(255.0)


def steps(composite: Composite, shares: Values) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Give for each step its figures, and the milliseconds a megapixel that refining and cleaning took."""
    photo = composite.photo
    plain = unrefined(shares, size=photo.size)
    start = time.perf_counter()
    fine = refined(photo, shares, plain)
    middle = time.perf_counter()
    rows: dict[str, list[float]] = {}
    spent = 0.0
    for name, mask in zip(("", "refine"), (plain, fine), strict=True):
        begun = time.perf_counter()
        cleaned = photo.copy()
        laid(cleaned, foreground(photo, mask))
        spent = time.perf_counter() - begun
        rows[name or STEPS[0]] = figures(composite, mask, photo, plain)
        rows[f"{name}, clean" if name else "clean"] = figures(composite, mask, cleaned, plain)
    megapixels = photo.width * photo.height / 1e6
    times = {"refine": (middle - start) * 1e3 / megapixels, "clean": spent * 1e3 / megapixels}
    return {step: rows[step] for step in STEPS}, times


def figures(composite: Composite, mask: Image.Image, colours: Image.Image, plain: Image.Image) -> list[float]:
    """Give SAD, MSE, gradient error, colour errors on black and on white."""
    found, truth = (_shares(each) for each in (mask, composite.alpha))
    difference = np.abs(found - truth)
    gradient = (_gradient(_middle(found)) - _gradient(_middle(truth))) ** 2
    seen = (np.abs(np.asarray(plain, dtype=np.float32) - 127.5) < 122.0) | (np.abs(truth - 0.5) < 0.48)
    errors = [0.0, 0.0]
    if seen.any():
        share, right = found[seen][:, None], truth[seen][:, None]
        shown = np.asarray(colours)[seen] * share - composite.subject[seen] * right
        errors = [float(np.abs(shown + ground * (right - share)).mean()) for ground in (0.0, 255.0)]
    return [float(difference.sum() / 1e3), float((difference**2).mean() * 1e3), float(gradient.sum() / 1e3), *errors]


def _middle(values: Values) -> Values:
    top, left = (max(0, (side - _GRADIENT_SIDE) // 2) for side in values.shape)
    return values[top : top + _GRADIENT_SIDE, left : left + _GRADIENT_SIDE]


def _gradient(values: Values, sigma: float = 1.4) -> Values:
    """Give the size of the gradient by Gaussian derivatives of norm 1."""
    reach = 5
    places = np.arange(-reach, reach + 1)
    smooth = np.exp(-(places**2) / (2 * sigma**2))
    smooth /= smooth.sum()
    slope = places * smooth / sigma**2
    slope /= np.sqrt((np.outer(slope, smooth) ** 2).sum())
    return np.hypot(_along(_along(values, smooth, 0), slope, 1), _along(_along(values, slope, 0), smooth, 1))


def _along(values: Values, weights: NDArray[np.float64], axis: int) -> Values:
    """Weigh each pixel's neighbours along an axis."""
    reach, length = weights.size // 2, values.shape[axis]
    padding = [(reach, reach) if each == axis else (0, 0) for each in (0, 1)]
    padded = np.moveaxis(np.pad(values, padding, mode="edge"), axis, 0)
    total = sum(np.float32(weight) * padded[start : start + length] for start, weight in enumerate(weights))
    return np.moveaxis(np.asarray(total, dtype=np.float32), 0, axis)


def measured(title: str, composites: Iterable[Composite], shares: Callable[[Composite], Values]) -> dict[str, object]:
    """Give the means over composites; prints them as rows of a table."""
    found = [steps(composite, shares(composite)) for composite in composites]
    rows = {step: np.mean([rows[step] for rows, _times in found], axis=0).round(3).tolist() for step in STEPS}
    times = {name: round(float(np.median([times[name] for _rows, times in found])), 1) for name in ("refine", "clean")}
    for step, values in rows.items():
        print(
            f"| {title} ({len(found)}) | {step} | " + " | ".join(f"{value:.2f}" for value in values) + " |", flush=True
        )
        title = title if step != STEPS[-1] else ""
    return {"count": len(found), "rows": rows, "milliseconds_a_megapixel": times}


def agreement(composite: Composite, shares: Values) -> float:
    """Give how much of what subject and mask cover both do."""
    mask = np.asarray(unrefined(shares, size=composite.photo.size)) > 127
    truth = np.asarray(composite.alpha) > 127
    both, either = int(np.count_nonzero(mask & truth)), int(np.count_nonzero(mask | truth))
    return both / max(1, either)


def main() -> int:
    """Measure all there is."""
    shared = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED
    model, report = Model(), {}
    print("| set | step | " + " | ".join(COLUMNS) + " |\n|---|---|" + "---|" * len(COLUMNS))
    for megapixels in (1.0, 12.0):
        for composite in drawn(megapixels):
            report[composite.name] = measured(composite.name, [composite], ideal)
    found = list(cutouts(shared / "data/ship"))
    if found:
        sure = [agreement(composite, model(composite)) >= _FOUND for composite in found]
        report["cut-outs, true"] = measured("cut-outs, true opacity", found, true)
        report["cut-outs, ideal"] = measured("cut-outs, ideal mask", found, ideal)
        for title, wanted in (("found", True), ("not found", False)):
            chosen = [composite for composite, each in zip(found, sure, strict=True) if each is wanted]
            report[f"cut-outs, {title}"] = measured(f"cut-outs, bgrd-lite, {title}", chosen, model)
    else:
        print(f"no cut-outs in {shared}: left out", file=sys.stderr)
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build/edge.json").write_text(json.dumps(report, indent=2) + "\n")
    sheet(shared / "pictures", ROOT / "build/edge.png", shares=model.shares)
    return 0


if __name__ == "__main__":
    sys.exit(main())
