"""The samples a network is trained on: a mixture of kinds, each sample a pure function of seed and index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image

from bgrd.errors import TrainingError
from bgrd.train.augment import finished
from bgrd.train.raster import Bytes, one_thread
from bgrd.train.scenes import (
    cards,
    creatures,
    cutouts,
    drawings,
    figures,
    flutter,
    pairs,
    portraits,
    screens,
    shapes,
    solids,
    thin,
    vehicles,
    vessels,
)
from bgrd.train.scenes.stage import Scene, Stage
from bgrd.train.stock import Stock

__all__ = ["KINDS", "MIXTURE", "Kind", "Sampler", "contact_sheet"]

LEAST, MOST = 0.012, 0.93
"""The part of the frame a subject takes; what a kind draws beyond it is drawn again."""
_TRIES = 25
_DIMMEST = 5.0
"""How far a picture's bytes must spread for anything to be seen in it: black on black teaches nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of sample: what draws it, its share of a mixture, and what the stock must hold for it."""

    name: str
    share: float
    draw: Callable[[Stage], Scene]
    needs: tuple[str, ...] = ()


KINDS: tuple[Kind, ...] = (
    Kind(name="pairs", share=40, draw=pairs.draw, needs=("pairs",)),
    Kind(name="regrounded", share=15, draw=cutouts.draw_pairs, needs=("pairs",)),
    Kind(name="portraits", share=8, draw=portraits.draw, needs=("people",)),
    Kind(name="cutouts", share=16, draw=cutouts.draw, needs=("cutouts",)),
    Kind(name="small", share=4, draw=cutouts.small, needs=("cutouts",)),
    Kind(name="shapes", share=7, draw=shapes.draw),
    Kind(name="clusters", share=2, draw=shapes.draw_cluster),
    Kind(name="vehicles", share=5, draw=vehicles.draw),
    Kind(name="beasts", share=4, draw=creatures.draw),
    Kind(name="people", share=1.5, draw=figures.draw),
    Kind(name="butterflies", share=1.5, draw=flutter.draw_butterflies),
    Kind(name="fish", share=1.5, draw=flutter.draw_fish),
    Kind(name="vessels", share=2.5, draw=vessels.draw),
    Kind(name="thin", share=2.5, draw=thin.draw),
    Kind(name="cards", share=2, draw=cards.draw),
    Kind(name="solids", share=2, draw=solids.draw),
    Kind(name="screens", share=1, draw=screens.draw),
    Kind(name="products", share=1, draw=screens.product),
    Kind(name="drawings", share=1, draw=drawings.draw),
    Kind(name="lettering", share=0.5, draw=drawings.draw_lettering),
)
"""Every kind there is; the shares need not come to 100."""

MIXTURE: Mapping[str, float] = MappingProxyType({kind.name: kind.share for kind in KINDS})
"""How much of each kind a run draws that asks for no other mixture."""


class Sampler:
    """Draws samples; two samplers of the same stock, mixture, side and seed draw the same, in any order."""

    def __init__(self, stock: Stock, mixture: Mapping[str, float] = MIXTURE, *, side: int, seed: int) -> None:
        """Take shares by the kinds' names; kinds whose pictures the stock lacks are left out.

        Raises TrainingError for an unknown name, a share below 0, or where nothing is left to draw.
        """
        known = {kind.name: kind for kind in KINDS}
        wrong = sorted(name for name, share in mixture.items() if name not in known or share < 0)
        if wrong:
            raise TrainingError(f"no kinds of sample, or shares below 0: {', '.join(wrong)}; known: {', '.join(known)}")
        kinds = [known[name] for name, share in mixture.items() if share > 0]
        self.kinds = tuple(kind for kind in kinds if all(getattr(stock, need) for need in kind.needs))
        if not self.kinds:
            raise TrainingError(
                "nothing to draw samples from: the stock has no pictures of the kinds the mixture asks for"
            )
        shares = np.array([mixture[kind.name] for kind in self.kinds], np.float64)
        self._shares = shares / shares.sum()
        self._stock, self.side, self.seed = stock, side, seed
        one_thread()

    def sample(self, index: int) -> tuple[Bytes, Bytes]:
        """Draw a sample: RGB (side, side, 3) and alpha (side, side), bytes.

        Raises TrainingError that names it where a picture is damaged, or none of many has a subject to be seen.
        """
        kind = self.kinds[int(np.random.default_rng((self.seed, index)).choice(len(self.kinds), p=self._shares))]
        for attempt in range(_TRIES):
            rng = np.random.default_rng((self.seed, index, attempt))
            scene = kind.draw(Stage(stock=self._stock, side=self.side, rng=rng))
            if LEAST <= float(scene.alpha.mean()) <= MOST:
                found = finished(rng, scene.picture, scene.alpha)
                # Every fourth row says as much, in a quarter of the time.
                if float(found[0][::4].std()) >= _DIMMEST:
                    return found
        raise TrainingError(
            f"sample {index} of {self.side} px, of the kind {kind.name}: {_TRIES} pictures one after another had no "
            f"subject of {LEAST:.0%} to {MOST:.0%} of the frame, or nothing could be seen in them"
        )


def contact_sheet(sampler: Sampler, count: int = 64, *, columns: int = 8) -> Image.Image:
    """Give the first `count` samples side by side, each with its alpha to the right of it."""
    side = sampler.side
    rows = -(-count // columns)
    sheet = np.full((rows * side, columns * 2 * side, 3), 255, np.uint8)
    for index in range(count):
        picture, alpha = sampler.sample(index)
        top, left = index // columns * side, index % columns * 2 * side
        sheet[top : top + side, left : left + side] = picture
        sheet[top : top + side, left + side : left + 2 * side] = alpha[..., None]
    return Image.fromarray(sheet)
