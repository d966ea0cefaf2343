"""The small network.

A U-Net over the channels of a view, with attention to remembered slices.

Group normalisation throughout, so a sample's answer never depends on its batch. The mask comes out at the
view's own resolution from features at half of it, through a pixel shuffle.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_sam2.errors import ModelError
from napari_sam2.models.small.blocks import (
    GROUPS,
    TOKEN_STRIDE,
    Block,
    MemoryAttention,
    SelfAttention,
    Tokens,
    deeper,
    down,
    norm,
)
from napari_sam2.models.small.channels import ALL_CHANNELS, ANCHOR_CHANNELS, CHANNELS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOKEN_STRIDE", "NetConfig", "NetOutput", "SmallNet", "Tokens"]

#: Largest sizes that a weight file may ask for: a damaged or foreign file should not fill the memory.
MOST_WIDE, MOST_DEEP = 1024, 16


@dataclass(frozen=True, slots=True)
class NetConfig:
    """Sizes of the network.

    Attributes
    ----------
    widths : tuple of int
        Channels at 1/2, 1/4, 1/8 and 1/16 of the view's side.
    heads : int
        Attention heads.
    channels : int
        Input channels, see `build_channels`.
    deeper : tuple of int
        Further residual blocks at 1/8 (before the remembered slices are attended to) and at 1/16.
    attend : int
        Blocks at 1/16 in which all places of the view attend to each other.
    late : bool
        Whether remembered slices are attended to once more on the way up.
    """

    widths: tuple[int, int, int, int] = (32, 64, 128, 224)
    heads: int = 4
    channels: int = CHANNELS
    deeper: tuple[int, int] = (0, 0)
    attend: int = 0
    late: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetConfig:
        """A configuration from plain values.

        Lists become tuples, and what small-1's files do not say is as it was then.

        Raises
        ------
        ModelError
            If a key is unknown or a value is out of range.
        """
        if not isinstance(values, dict):
            raise ModelError(f"the network's sizes must be a table, got {values!r}")
        names = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - names)
        if unknown:
            raise ModelError(f"the network's sizes hold {', '.join(unknown)}, which this version does not know")
        if not isinstance(values.get("late", False), bool):
            raise ModelError(f"late must be true or false, got {values['late']!r}")
        try:
            a, b, c, d = (int(w) for w in values["widths"])
            eighth, sixteenth = (int(n) for n in values.get("deeper", (0, 0)))
            return cls(
                widths=(a, b, c, d),
                heads=int(values["heads"]),
                channels=int(values.get("channels", CHANNELS)),
                deeper=(eighth, sixteenth),
                attend=int(values.get("attend", 0)),
                late=values.get("late", False),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the network's sizes {dict(values)} cannot be read: {error!r}") from error

    def __post_init__(self) -> None:
        """Refuse sizes that no network of this kind can have."""
        if len(self.widths) != 4 or any(w < GROUPS or w % GROUPS or w > MOST_WIDE for w in self.widths):
            raise ModelError(f"widths must be four multiples of {GROUPS} up to {MOST_WIDE}, got {self.widths}")
        if self.channels not in (CHANNELS, ANCHOR_CHANNELS, ALL_CHANNELS):
            raise ModelError(
                f"a network has {CHANNELS}, {ANCHOR_CHANNELS} or {ALL_CHANNELS} input channels, not {self.channels}"
            )
        if not all(0 <= n <= MOST_DEEP for n in (*self.deeper, self.attend)):
            raise ModelError(f"at most {MOST_DEEP} further blocks, got {self.deeper} and {self.attend}")
        if self.heads < 1 or self.widths[2] % self.heads or (self.attend and self.widths[3] % self.heads):
            raise ModelError(f"{self.heads} heads do not divide widths {self.widths}")


@dataclass(frozen=True, slots=True)
class NetOutput:
    """Answers for B views.

    Attributes
    ----------
    logits : Tensor, (B, S, S)
    iou : Tensor, (B,)
        Logit of the predicted IoU.
    presence : Tensor, (B,)
        Logit that the object is in the view.
    features : Tensor, (B, C, S / 8, S / 8)
        For remembering.
    """

    logits: Tensor
    iou: Tensor
    presence: Tensor
    features: Tensor


class SmallNet(nn.Module):
    """U-Net with memory; the input side must be a multiple of 16."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c, d = config.widths
        self.stem = nn.Sequential(nn.Conv2d(config.channels, a, 4, 2, 1, bias=False), norm(a), nn.SiLU())
        self.encode = nn.ModuleList([Block(a), Block(b), nn.Sequential(Block(c), Block(c)), Block(d)])
        self.down = nn.ModuleList([down(a, b), down(b, c), down(c, d)])
        self.memory = MemoryAttention(c, config.heads)
        self.deeper = nn.ModuleList([deeper(w, n) for w, n in zip((c, d), config.deeper, strict=True)])
        self.attend = nn.Sequential(*(SelfAttention(d, config.heads) for _ in range(config.attend)))
        self.late = MemoryAttention(c, config.heads) if config.late else None
        self.lateral = nn.ModuleList([nn.Conv2d(b, a, 1), nn.Conv2d(c, b, 1), nn.Conv2d(d, c, 1)])
        self.decode = nn.ModuleList([Block(a), Block(b), Block(c)])
        self.mask = nn.Conv2d(a, 4, 3, padding=1)
        self.scores = nn.Sequential(nn.Linear(d + 2 * a + 3, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, channels: Tensor, memories: list[Tokens]) -> NetOutput:
        """Decode B views.

        Parameters
        ----------
        channels : Tensor, (B, C, S, S)
            From `build_channels`.
        memories : list of Tokens
            Remembered slices, the prompted one first; may be empty.
        """
        half = self.encode[0](self.stem(channels))
        quarter = self.encode[1](self.down[0](half))
        eighth = self.deeper[0](self.encode[2](self.down[1](quarter)))
        attended = eighth + self.memory(eighth, memories) if memories else eighth
        bottom = self.attend(self.deeper[1](self.encode[3](self.down[2](attended))))
        up = self.decode[2](attended + _upsample(self.lateral[2](bottom)))
        if self.late is not None and memories:
            up = up + self.late(up, memories)
        up = self.decode[1](quarter + _upsample(self.lateral[1](up)))
        up = self.decode[0](half + _upsample(self.lateral[0](up)))
        logits = functional.pixel_shuffle(self.mask(up), 2)[:, 0].float()
        scores = self.scores(_summary(bottom, up, logits))
        return NetOutput(logits, scores[:, 0].float(), scores[:, 1].float(), eighth)


def _upsample(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _summary(bottom: Tensor, up: Tensor, logits: Tensor) -> Tensor:
    """What the scores are judged from: the whole view, inside the mask, outside it, and its certainty."""
    probability = torch.sigmoid(logits.detach())
    weight = functional.avg_pool2d(probability[:, None], 2)
    area = weight.sum((2, 3))
    inside = (up * weight).sum((2, 3)) / (area + 1)
    outside = (up * (1 - weight)).sum((2, 3)) / ((1 - weight).sum((2, 3)) + 1)
    peak = probability.flatten(1).amax(1, keepdim=True)
    unsure = (4 * probability * (1 - probability)).flatten(1).sum(1, keepdim=True)
    share = area / weight[0, 0].numel()
    doubt = unsure / (4 * area + 1)
    return torch.cat([bottom.mean((2, 3)), inside, outside, peak, share, doubt], 1)
