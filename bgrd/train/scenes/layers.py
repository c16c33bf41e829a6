"""A picture with alpha that things are painted on, and its composition with a ground: `a * colour + (1-a) * ground`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bgrd.train.raster import Picture, Plane, blur, drag, mixed, thrice

__all__ = ["Layer", "over"]


@dataclass(slots=True)
class Layer:
    """Colour times alpha, and alpha, of one size; `lay` changes them in place."""

    colour: Picture
    alpha: Plane

    @classmethod
    def empty(cls, side: int) -> Layer:
        """Give a layer with nothing on it."""
        return cls(np.zeros((side, side, 3), np.float32), np.zeros((side, side), np.float32))

    @classmethod
    def of(cls, picture: Picture, alpha: Plane) -> Layer:
        """Give a layer that shows a picture as far as `alpha` says."""
        return cls(picture * thrice(alpha), alpha.copy())

    def lay(self, picture: Picture, cover: Plane, *, left: int = 0, top: int = 0) -> None:
        """Lay a picture over what is there, as far as `cover` says, with its corner at (left, top); it must fit in."""
        rows, columns = slice(top, top + cover.shape[0]), slice(left, left + cover.shape[1])
        rest = 1 - cover
        self.colour[rows, columns] *= thrice(rest)
        self.colour[rows, columns] += picture * thrice(cover)
        self.alpha[rows, columns] *= rest
        self.alpha[rows, columns] += cover

    def under(self, other: Layer) -> Layer:
        """Give this layer with another one over it."""
        rest = 1 - other.alpha
        return Layer(other.colour + self.colour * thrice(rest), other.alpha + self.alpha * rest)

    def soft(self, sigma: float) -> Layer:
        """Give the layer out of focus: colour and alpha blurred together, so that no seam shows."""
        return Layer(blur(self.colour, sigma), blur(self.alpha, sigma))

    def dragged(self, *, length: int, angle: float) -> Layer:
        """Give the layer in motion: colour and alpha blurred along a line of `length` pixels at `angle` radians."""
        return Layer(
            *(np.asarray(drag(plane, length=length, angle=angle), np.float32) for plane in (self.colour, self.alpha))
        )

    def tinted(self, matrix: NDArray[np.float32]) -> Layer:
        """Give the layer with its channels mixed by a (3, 3) matrix, none brighter than white."""
        colour = np.asarray(mixed(self.colour, matrix), np.float32)
        return Layer(np.clip(colour, 0, thrice(self.alpha)), self.alpha)


def over(layer: Layer, ground: Picture) -> Picture:
    """Compose a layer with a ground."""
    return layer.colour + ground * thrice(1 - layer.alpha)
