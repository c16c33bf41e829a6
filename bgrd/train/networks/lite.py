"""Our own network: small on disk, quick on a processor, and quick to train on one.

A stem, four stages that halve each, a few attention blocks where a picture is a hundred places large, and a decoder
that adds what each stage kept. Inverted residuals are those of MobileNetV2 (Sandler et al., 2018); where the picture is
halved they are fused, as in EfficientNetV2 (Tan and Le, 2021), for two reasons measured on a Zen 4 core, 8 pictures
of 64 px: backwards, a depthwise 3x3 with stride 2 takes 26 ms in bfloat16 (3 in float32) and a depthwise 5x5 45 ms,
where a plain 3x3 of 32 channels takes 6; and so all depthwise layers here are 3x3 without stride.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn import functional

from bgrd.train.networks.parts import Unit, doubled, initialise, undecided

__all__ = ["HEADS", "LARGE", "LITE", "PLAIN", "Attention", "Fused", "Inverted", "Lite", "Width"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """How large a `Lite` is: channels of the stem and of the stages, blocks beside each stage's first, decoder."""

    stem: int
    stages: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    attention: int
    decoder: tuple[int, int, int, int]
    expansion: int = 3


LITE = Width(stem=16, stages=(32, 56, 96, 160), blocks=(1, 2, 4, 2), attention=2, decoder=(96, 64, 48, 24))
"""What the built-in model began as: 1.4 million weights."""

PLAIN = replace(LITE, blocks=(1, 2, 4, 3), attention=0)
"""Without attention: 1.16 million weights. Learns faster on small pictures, 0.73 IoU for 0.71 after 9,000 of 128 px."""

LARGE = Width(stem=16, stages=(32, 64, 144, 256), blocks=(1, 2, 6, 3), attention=3, decoder=(128, 72, 48, 24))
"""The built-in model's: 4.4 million weights, the new ones where pictures are small. `grow` makes it of LITE."""

HEADS = 4
"""How many ways each place looks at once."""


class Fused(nn.Module):
    """A plain 3x3 that widens twice, and a 1x1 that narrows; halves the picture where `stride` is 2."""

    def __init__(self, entry: int, leave: int, stride: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.wide = Unit(entry, 2 * entry, stride=stride, activation=activation)
        self.narrow = Unit(2 * entry, leave, size=1, activation=None)
        self.residual = stride == 1 and entry == leave

    def forward(self, x: Tensor) -> Tensor:
        """Give the features; `x` is (B, entry, H, W)."""
        found: Tensor = self.narrow(self.wide(x))
        return x + found if self.residual else found


class Inverted(nn.Module):
    """1x1 that widens, depthwise 3x3, 1x1 that narrows, added to what came in."""

    def __init__(self, channels: int, expansion: int, activation: type[nn.Module]) -> None:
        super().__init__()
        inner = channels * expansion
        self.body = nn.Sequential(
            Unit(channels, inner, size=1, activation=activation),
            Unit(inner, inner, groups=inner, activation=activation),
            Unit(inner, channels, size=1, activation=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Give features of the same shape, (B, channels, H, W)."""
        found: Tensor = x + self.body(x)
        return found


class Attention(nn.Module):
    """Every place looks at every other; where it stands is told by a depthwise 3x3, so any size will do."""

    def __init__(self, channels: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.place = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels)
        self.entry = nn.Sequential(nn.BatchNorm2d(channels), nn.Conv2d(channels, 3 * channels, 1, bias=False))
        self.leave = Unit(channels, channels, size=1, activation=None)
        self.mix = nn.Sequential(
            Unit(channels, 2 * channels, size=1, activation=activation),
            Unit(2 * channels, channels, size=1, activation=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Give features of the same shape, (B, channels, H, W)."""
        x = x + self.place(x)
        # (B, 3, heads, channels of a head, places). Written out: torch's own attention takes 24 ms backwards on a
        # processor in bfloat16 for 16 pictures of 36 places, this a tenth of that.
        query, key, value = self.entry(x).flatten(2).unflatten(1, (3, HEADS, -1)).unbind(1)
        shares = (query.transpose(-1, -2) @ key * query.shape[2] ** -0.5).softmax(-1)
        seen = (value @ shares.transpose(-1, -2)).flatten(1, 2)
        x = x + self.leave(seen.unflatten(2, x.shape[-2:]))
        found: Tensor = x + self.mix(x)
        return found


class _Up(nn.Module):
    """Narrow, enlarge twice, add what the encoder kept, and smooth: with depthwise pairs, or one plain 3x3."""

    def __init__(self, entry: int, kept: int, leave: int, *, plain: bool) -> None:
        super().__init__()
        self.below = Unit(entry, leave, size=1, activation=None)
        self.kept = Unit(kept, leave, size=1, activation=None)
        if plain:
            self.smooth: nn.Module = Unit(leave, leave)
        else:
            pair = (Unit(leave, leave, groups=leave, activation=None), Unit(leave, leave, size=1))
            again = (Unit(leave, leave, groups=leave, activation=None), Unit(leave, leave, size=1))
            self.smooth = nn.Sequential(*pair, *again)

    def forward(self, x: Tensor, kept: Tensor) -> Tensor:
        found: Tensor = self.smooth(functional.relu(doubled(self.below(x)) + self.kept(kept)))
        return found


class Lite(nn.Module):
    """The network; sides must be multiples of 32.

    Training it gives logits at the picture's size, and at a quarter, an eighth and a sixteenth of it; otherwise the
    first alone. The finest are told by four channels at half the size, one for each of four pixels.
    """

    def __init__(self, width: Width = LITE) -> None:
        super().__init__()
        self.stem = Unit(3, width.stem, stride=2)
        self.stages = nn.ModuleList()
        entry = width.stem
        for number, (leave, blocks) in enumerate(zip(width.stages, width.blocks, strict=True)):
            # As in MobileNetV3 (Howard et al., 2019): the costlier activation where pictures are small.
            activation = nn.ReLU if number < 2 else nn.Hardswish
            first = Fused(entry, leave, 2, activation)
            rest = [
                Inverted(leave, width.expansion, activation) if number else Fused(leave, leave, 1, activation)
                for _ in range(blocks)
            ]
            self.stages.append(nn.Sequential(first, *rest))
            entry = leave
        self.context = nn.Sequential(*[Attention(entry, nn.Hardswish) for _ in range(width.attention)])
        self.decoder = nn.ModuleList()
        self.heads = nn.ModuleList()
        kept = (*width.stages[2::-1], width.stem)
        for channels, leave in zip(kept, width.decoder, strict=True):
            finest = channels == kept[-1] and len(self.decoder) == 3
            self.decoder.append(_Up(entry, channels, leave, plain=finest))
            self.heads.append(nn.Conv2d(leave, 4 if finest else 1, 3, 1, 1))
            entry = leave
        initialise(self)
        undecided(self.heads)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Give the masks; `images` are (B, 3, H, W)."""
        x: Tensor = self.stem(images)
        kept = [x]
        for stage in self.stages:
            x = stage(x)
            kept.insert(0, x)
        x = self.context(x)
        levels: list[Tensor] = []
        for up, held in zip(self.decoder, kept[1:], strict=True):
            x = up(x, held)
            levels.insert(0, x)
        masks = zip(list(self.heads)[::-1], levels, strict=True)
        coarse = [head(level) for head, level in masks if self.training or level is levels[0]]
        return functional.pixel_shuffle(coarse[0], 2), *coarse[1:]
