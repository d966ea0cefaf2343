"""The network: a U-Net over the channels of a view, with attention to remembered slices.

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
from napari_sam2.models.small.channels import ALL_CHANNELS, CHANNELS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NetConfig", "NetOutput", "SmallNet", "Tokens"]

#: Groups of every normalisation; all widths are multiples of it.
GROUPS = 8
#: Frequencies of the position code, per axis.
FREQUENCIES = (1.0, 2.0, 4.0, 8.0)
#: Factor between the view and the grid on which slices attend to each other.
TOKEN_STRIDE = 8
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
        """From plain values; lists become tuples, and what small-1's files do not say is as it was then.

        Raises
        ------
        ModelError
            If a key is unknown or a value is out of range.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(f"the network's sizes hold {', '.join(unknown)}, which this version does not know")
        try:
            a, b, c, d = (int(w) for w in values["widths"])
            eighth, sixteenth = (int(n) for n in values.get("deeper", (0, 0)))
            return cls(
                widths=(a, b, c, d),
                heads=int(values["heads"]),
                channels=int(values.get("channels", CHANNELS)),
                deeper=(eighth, sixteenth),
                attend=int(values.get("attend", 0)),
                late=bool(values.get("late", False)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the network's sizes {dict(values)} cannot be read: {error!r}") from error

    def __post_init__(self) -> None:
        """Refuse sizes that no network of this kind can have."""
        if len(self.widths) != 4 or any(w < GROUPS or w % GROUPS or w > MOST_WIDE for w in self.widths):
            raise ModelError(f"widths must be four multiples of {GROUPS} up to {MOST_WIDE}, got {self.widths}")
        if self.channels not in (CHANNELS, ALL_CHANNELS):
            raise ModelError(f"a network has {CHANNELS} or {ALL_CHANNELS} input channels, not {self.channels}")
        if not all(0 <= n <= MOST_DEEP for n in (*self.deeper, self.attend)):
            raise ModelError(f"at most {MOST_DEEP} further blocks, got {self.deeper} and {self.attend}")
        if self.heads < 1 or self.widths[2] % self.heads or (self.attend and self.widths[3] % self.heads):
            raise ModelError(f"{self.heads} heads do not divide widths {self.widths}")


@dataclass(frozen=True, slots=True)
class Tokens:
    """One remembered slice for each of B views, on the token grid (g = S / 8).

    Attributes
    ----------
    features : Tensor, (B, C, g, g)
        What `NetOutput.features` was on that slice.
    mask : Tensor, (B, g, g)
        Probability of the object, averaged over each token.
    shift : Tensor, (B, 3)
        Scale, dx, dy from a pixel of the current view to the remembered one.
    present : Tensor, (B,) float
    """

    features: Tensor
    mask: Tensor
    shift: Tensor
    present: Tensor


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
        self.stem = nn.Sequential(nn.Conv2d(config.channels, a, 4, 2, 1, bias=False), _norm(a), nn.SiLU())
        self.encode = nn.ModuleList([_Block(a), _Block(b), nn.Sequential(_Block(c), _Block(c)), _Block(d)])
        self.down = nn.ModuleList([_down(a, b), _down(b, c), _down(c, d)])
        self.memory = _MemoryAttention(c, config.heads)
        self.deeper = nn.ModuleList([_deeper(w, n) for w, n in zip((c, d), config.deeper, strict=True)])
        self.attend = nn.Sequential(*(_SelfAttention(d, config.heads) for _ in range(config.attend)))
        self.late = _MemoryAttention(c, config.heads) if config.late else None
        self.lateral = nn.ModuleList([nn.Conv2d(b, a, 1), nn.Conv2d(c, b, 1), nn.Conv2d(d, c, 1)])
        self.decode = nn.ModuleList([_Block(a), _Block(b), _Block(c)])
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


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.first_norm = _norm(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = _norm(width)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.silu(self.first_norm(self.first(x)))
        return functional.silu(x + self.second_norm(self.second(y)))


class _Residual(nn.Module):
    """A block that begins as the identity, so that a trained network can be deepened."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.middle = _norm(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(functional.silu(self.norm(x)))
        out: Tensor = x + self.second(functional.silu(self.middle(y)))
        return out


class _SelfAttention(nn.Module):
    """All places of a coarse grid attend to each other, then a small perceptron; begins as the identity."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.mixed = nn.Linear(width + 4 * len(FREQUENCIES), 3 * width)
        self.out = nn.Linear(width, width)
        self.second_norm = nn.LayerNorm(width)
        last = nn.Linear(2 * width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), last)
        for layer in (self.out, last):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        count, width, grid, _ = x.shape
        tokens = _flat(x)
        place = _place(_centres(grid, x.device)).expand(count, -1, -1)
        mixed = self.mixed(torch.cat([self.norm(tokens), place.to(tokens.dtype)], 2))
        parts = mixed.view(count, grid * grid, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        tokens = tokens + self.out(found.transpose(1, 2).reshape(count, grid * grid, width))
        tokens = tokens + self.perceptron(self.second_norm(tokens))
        out: Tensor = tokens.transpose(1, 2).reshape(count, width, grid, grid)
        return out


class _MemoryAttention(nn.Module):
    """Cross-attention from the current slice's tokens to those of the remembered slices.

    Keys hold features, mask and place (in the current view), so a token can find the same tissue, the
    same place, or both. The output starts at zero.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        place = 4 * len(FREQUENCIES)
        self.query = nn.Linear(width + place, width)
        self.key = nn.Linear(width + place + 3, width)
        self.value = nn.Linear(width + 3, width)
        self.nothing = nn.Parameter(torch.zeros(1, 1, width))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor, memories: list[Tokens]) -> Tensor:
        count, width, grid, _ = features.shape
        here = _centres(grid, features.device).expand(count, -1, -1)
        query = self.query(torch.cat([self.norm(_flat(features)), _place(here)], 2))
        keys, values = [self.nothing.expand(count, -1, -1)], [self.nothing.expand(count, -1, -1)]
        masks = [torch.zeros(count, 1, device=features.device)]
        for index, memory in enumerate(memories):
            content = self.norm(_flat(memory.features))
            side = grid * TOKEN_STRIDE
            pixels = (here + 1) * side / 2 - 0.5
            seen = (pixels - memory.shift[:, None, 1:]) / memory.shift[:, None, :1]
            there = (2 * seen + 1) / side - 1
            inside = memory.mask.flatten(1)[:, :, None]
            role = torch.full_like(inside, float(index == 0))
            marks = torch.cat([inside, 1 - inside, role], 2)
            keys.append(self.key(torch.cat([content, _place(there), marks], 2)))
            values.append(self.value(torch.cat([content, marks], 2)))
            closed = torch.where(memory.present > 0, 0.0, -1e4)
            masks.append(closed[:, None].expand(-1, grid * grid))
        bias = torch.cat(masks, 1)[:, None, None, :]
        found = functional.scaled_dot_product_attention(
            self._split(query),
            self._split(torch.cat([k.to(query.dtype) for k in keys], 1)),
            self._split(torch.cat([v.to(query.dtype) for v in values], 1)),
            attn_mask=bias.to(query.dtype),
        )
        joined = found.transpose(1, 2).reshape(count, grid * grid, width)
        result: Tensor = self.out(joined).transpose(1, 2).reshape(count, width, grid, grid)
        return result

    def _split(self, tokens: Tensor) -> Tensor:
        count, length, width = tokens.shape
        return tokens.view(count, length, self.heads, width // self.heads).transpose(1, 2)


def _deeper(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_Residual(width) for _ in range(count)))


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, width)


def _down(narrow: int, wide: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(narrow, wide, 2, 2, bias=False), _norm(wide), nn.SiLU())


def _upsample(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _flat(features: Tensor) -> Tensor:
    return features.flatten(2).transpose(1, 2)


def _centres(grid: int, device: torch.device) -> Tensor:
    """Token centres (x, y) in [-1, 1], (1, grid * grid, 2)."""
    axis = (2 * torch.arange(grid, device=device) + 1) / grid - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1).view(1, -1, 2)


def _place(centres: Tensor) -> Tensor:
    """Sines and cosines of a position, (B, tokens, 16)."""
    angles = torch.cat([centres * (f * torch.pi / 2) for f in FREQUENCIES], 2)
    return torch.cat([angles.sin(), angles.cos()], 2)


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
