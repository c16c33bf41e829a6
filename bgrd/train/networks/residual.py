"""A U-Net on a ResNet-50: encoder, a bridge that looks wide, four decoder blocks, four masks.

The encoder is ResNet-50 (He et al., 2016, table 1; stride in the 3x3 as in its later form), its parts under the names
that torchvision gives them, so that weights from there can be put in. The bridge has 3x3 convolutions with dilations 3,
6 and 9, joined by a 1x1; a decoder block enlarges, joins what the encoder kept and goes through a residual block.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from bgrd.errors import TrainingError
from bgrd.train.networks.parts import Unit, doubled, initialise, like, undecided

__all__ = ["Encoder", "ResUNet"]

_BLOCKS = (3, 4, 6, 3)
_DILATIONS = (3, 6, 9)
_BRIDGE = 1024
_DECODER = (512, 256, 128, 64)


class _Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 that widens four times; added to what came in, through a 1x1 where that has another shape."""

    def __init__(self, entry: int, inner: int, stride: int) -> None:
        super().__init__()
        leave = 4 * inner
        self.conv1 = nn.Conv2d(entry, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, leave, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(leave)
        self.downsample = (
            nn.Sequential(nn.Conv2d(entry, leave, 1, stride, bias=False), nn.BatchNorm2d(leave))
            if stride > 1 or entry != leave
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        found = functional.relu(self.bn1(self.conv1(x)))
        found = functional.relu(self.bn2(self.conv2(found)))
        found = self.bn3(self.conv3(found))
        return functional.relu(found + (x if self.downsample is None else self.downsample(x)))


class Encoder(nn.Module):
    """ResNet-50 without its classifier; gives what it holds at /2, /4, /8, /16 and /32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        layers, entry = [], 64
        for number, blocks in enumerate(_BLOCKS):
            inner = 64 * 2**number
            entries = [entry, *[4 * inner] * (blocks - 1)]
            layers.append(
                nn.Sequential(
                    *[_Bottleneck(each, inner, 2 if number and not place else 1) for place, each in enumerate(entries)]
                )
            )
            entry = 4 * inner
        self.layer1, self.layer2, self.layer3, self.layer4 = layers

    def forward(self, images: Tensor) -> list[Tensor]:
        """Give the five levels, the finest first."""
        kept = [functional.relu(self.bn1(self.conv1(images)))]
        x = functional.max_pool2d(kept[0], 3, 2, 1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            kept.append(x)
        return kept

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Put in what torchvision's resnet50 learnt; its classifier `fc` is left out.

        Raises TrainingError that names the first weight that is missing, unknown or of another shape.
        """
        given = {name: value for name, value in weights.items() if not name.startswith("fc.")}
        wanted = self.state_dict()
        for name in sorted(given.keys() ^ wanted.keys()):
            # torchvision's oldest files were saved before batches were counted
            if not name.endswith("num_batches_tracked"):
                message = f"is no resnet50 of torchvision: {name} is {'unknown' if name in given else 'missing'}"
                raise TrainingError(message)
        for name in given.keys() & wanted.keys():
            if given[name].shape != wanted[name].shape:
                shapes = f"{tuple(given[name].shape)} in place of {tuple(wanted[name].shape)}"
                message = f"is no resnet50 of torchvision: {name} is {shapes}"
                raise TrainingError(message)
        self.load_state_dict({**wanted, **given})


class _Residual(nn.Module):
    """Two 3x3, added to what came in through a 1x1."""

    def __init__(self, entry: int, leave: int) -> None:
        super().__init__()
        self.body = nn.Sequential(Unit(entry, leave), Unit(leave, leave, activation=None))
        self.short = Unit(entry, leave, size=1, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.short(x))


class ResUNet(nn.Module):
    """The network; gives four masks as logits, the first of the finest level, outside training that one alone."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.dilated = nn.ModuleList(Unit(2048, _BRIDGE, dilation=each) for each in _DILATIONS)
        self.bridge = Unit(len(_DILATIONS) * _BRIDGE, _BRIDGE, size=1)
        below = (_BRIDGE, *_DECODER[:-1])
        kept = (1024, 512, 256, 64)
        self.decoder = nn.ModuleList(
            _Residual(entry + held, leave) for entry, held, leave in zip(below, kept, _DECODER, strict=True)
        )
        self.heads = nn.ModuleList(nn.Conv2d(leave, 1, 1) for leave in _DECODER)
        initialise(self)
        undecided(self.heads)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Give the masks; `images` are (B, 3, H, W)."""
        *kept, x = self.encoder(images)
        x = self.bridge(torch.cat([unit(x) for unit in self.dilated], dim=1))
        levels: list[Tensor] = []
        for block, held in zip(self.decoder, kept[::-1], strict=True):
            x = block(torch.cat((doubled(x), held), dim=1))
            levels.insert(0, x)
        heads = list(self.heads)[::-1]
        wanted = len(heads) if self.training else 1
        return tuple(like(head(level), images) for head, level in zip(heads[:wanted], levels, strict=False))
