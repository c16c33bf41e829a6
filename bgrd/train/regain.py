"""An exported file's weights, back in a network that can go on learning.

What export folded is parted again. A convolution keeps the file's weights; the normalisation beside it is given the
statistics of pictures that the network is shown, and the factor and shift that undo them: so it answers as the file
does, and still does when it begins to learn. What no file has, the heads that only learning needs, is as drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from bgrd.errors import TrainingError
from bgrd.train.pack import unpack

__all__ = ["regain"]

_Values = NDArray[np.float32]


@dataclass(slots=True)
class _Place:
    """A convolution that the final mask comes through, and the normalisation that export folds into it."""

    conv: nn.Conv2d
    behind: nn.BatchNorm2d | None = None
    before: nn.BatchNorm2d | None = None


@torch.no_grad()
def regain(network: nn.Module, data: bytes, *, side: int, batches: Iterable[Tensor]) -> None:
    """Give a freshly drawn network the weights of a file that `bgrd train export` made of one of its kind.

    `side` is any that the network takes; `batches` are pictures as it is fed, (B, 3, H, W), on its device: some dozens
    are enough. The network is in its evaluation mode afterwards. Raises TrainingError where the file is of another
    network, or where its weights are no float32 (int8); the network is of no use then.
    """
    network.eval()
    found = _convolutions(data)
    places = _places(network, torch.zeros(1, 3, side, side, device=next(network.parameters()).device))
    if [weight.shape for weight, _bias in found] != [tuple(place.conv.weight.shape) for place in places]:
        message = "its graph is not the one that this network is exported as"
        raise TrainingError(message)
    for place, (weight, bias) in zip(places, found, strict=True):
        _put(place, weight, bias)
    _settle(network, [norm for place in places for norm in (place.behind, place.before) if norm is not None], batches)


def _convolutions(data: bytes) -> list[tuple[_Values, _Values]]:
    """Give the weights and biases of all convolutions, in the graph's order; a bias that is none is zeros."""
    graph = unpack(data).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        # Equal tensors are written once, and the others point to them.
        if node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    found = []
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            message = f"a normalisation stands alone in its graph ({node.name}): bgrd exported it otherwise"
            raise TrainingError(message)
        if node.op_type != "Conv":
            continue
        if not constants.keys() >= {*node.input[1:]}:
            message = "its weights are quantised: the file it was made of, in float32, can be learnt on with"
            raise TrainingError(message)
        weight, *bias = (numpy_helper.to_array(constants[name]).astype(np.float32) for name in node.input[1:])
        found.append((weight, bias[0] if bias else np.zeros(len(weight), np.float32)))
    return found


class _Walk:
    """The convolutions of a network in the order they are asked in, and the normalisations beside them."""

    def __init__(self) -> None:
        self.places: list[_Place] = []
        self._given: dict[int, _Place] = {}
        self._norms: dict[int, nn.BatchNorm2d] = {}
        # Tensors are told apart by where they lie: none may be given back while others are made.
        self._kept: list[Tensor] = []

    def look(self, part: nn.Module, taken: tuple[Tensor, ...], made: Tensor) -> None:
        """Take in what a part of the network made of what."""
        source, target = id(taken[0]), id(made)
        self._kept += [*taken, made]
        if isinstance(part, nn.Conv2d):
            place = _Place(part, before=self._norms.get(source))
            self.places.append(place)
            self._given[target] = place
        elif isinstance(part, nn.BatchNorm2d):
            if source in self._given:
                self._given[source].behind = part
            else:
                self._norms[target] = part


def _places(network: nn.Module, images: Tensor) -> list[_Place]:
    """Give the convolutions in the order they are asked in, but for those the final mask does not depend on."""
    walk = _Walk()
    with ExitStack() as hooks, torch.enable_grad():
        for part in network.modules():
            if isinstance(part, nn.Conv2d | nn.BatchNorm2d):
                hooks.enter_context(part.register_forward_hook(walk.look))
        final = network(images)[0].sum()
    weights = [place.conv.weight for place in walk.places]
    slopes: Sequence[Tensor | None] = torch.autograd.grad(final, weights, allow_unused=True)
    return [place for place, slope in zip(walk.places, slopes, strict=True) if slope is not None]


def _put(place: _Place, weight: _Values, bias: _Values) -> None:
    """Give a convolution its weights, and what takes its bias that; normalisations do nothing else yet."""
    place.conv.weight.copy_(torch.from_numpy(weight))
    for norm in (place.behind, place.before):
        if norm is not None:
            _transparent(norm)
    if place.behind is not None:
        if place.conv.bias is not None:
            place.conv.bias.zero_()
        place.behind.bias.copy_(torch.from_numpy(bias))
    elif place.conv.bias is not None:
        place.conv.bias.copy_(torch.from_numpy(bias))
    elif place.before is not None:
        place.before.bias.copy_(torch.from_numpy(_shift(weight, bias)))


def _shift(weight: _Values, bias: _Values) -> NDArray[np.float64]:
    """Give the shift before a convolution that comes nearest to a bias behind it, (channels,).

    Export made the bias of one. Where weights were rounded since, a part of it is lost: of the built-in model's less
    than a hundredth. Raises TrainingError where it is more than a tenth.
    """
    whole = weight.sum(axis=(2, 3), dtype=np.float64)
    found, *_ = np.linalg.lstsq(whole, bias.astype(np.float64))
    if np.linalg.norm(whole @ found - bias) > np.linalg.norm(bias) / 10:
        message = "a convolution adds what no normalisation before it could give"
        raise TrainingError(message)
    return np.asarray(found, np.float64)


def _transparent(norm: nn.BatchNorm2d) -> None:
    """Let a normalisation give what it takes."""
    _tell(norm, torch.zeros_like(norm.weight), torch.full_like(norm.weight, 1 - norm.eps))
    nn.init.ones_(norm.weight)
    nn.init.zeros_(norm.bias)


def _tell(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Give a normalisation its statistics."""
    norm.get_buffer("running_mean").copy_(mean)
    norm.get_buffer("running_var").copy_(variance)


class _Seen:
    """The mean and variance of what a normalisation takes."""

    def __init__(self) -> None:
        self._means: list[Tensor] = []
        self._squares: list[Tensor] = []

    def look(self, _norm: nn.Module, taken: tuple[Tensor, ...]) -> None:
        """Count a batch in, (B, C, H, W); all are as large."""
        values = taken[0].double()
        self._means.append(values.mean((0, 2, 3)))
        self._squares.append(values.square().mean((0, 2, 3)))

    def told(self) -> tuple[Tensor, Tensor]:
        """Give both, (C,)."""
        mean, square = torch.stack(self._means).mean(0), torch.stack(self._squares).mean(0)
        return mean, (square - mean.square()).clamp(min=0)


def _settle(network: nn.Module, norms: Iterable[nn.BatchNorm2d], batches: Iterable[Tensor]) -> None:
    """Give normalisations the statistics of what they see, and undo them by factor and shift."""
    seen = {norm: _Seen() for norm in norms}
    with ExitStack() as hooks:
        for norm, each in seen.items():
            hooks.enter_context(norm.register_forward_pre_hook(each.look))
        for images in batches:
            network(images)
    for norm, each in seen.items():
        mean, variance = each.told()
        _tell(norm, mean, variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)
