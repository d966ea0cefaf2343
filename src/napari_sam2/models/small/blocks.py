"""The parts of the small network.

Residual blocks, self-attention, and attention to remembered slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "GROUPS",
    "TOKEN_STRIDE",
    "Block",
    "MemoryAttention",
    "Residual",
    "SelfAttention",
    "Tokens",
    "deeper",
    "down",
    "norm",
]

#: Groups of every normalisation; all widths are multiples of it.
GROUPS = 8
#: Frequencies of the position code, per axis.
FREQUENCIES = (1.0, 2.0, 4.0, 8.0)
#: Factor between the view and the grid on which slices attend to each other.
TOKEN_STRIDE = 8


@dataclass(frozen=True, slots=True)
class Tokens:
    """One remembered slice for each of B views.

    On the token grid (g = S / 8).

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


class Block(nn.Module):
    """Two convolutions around which the input is led."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.first_norm = norm(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = norm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, g, g) to the same shape."""
        y = functional.silu(self.first_norm(self.first(x)))
        return functional.silu(x + self.second_norm(self.second(y)))


class Residual(nn.Module):
    """A block that begins as the identity.

    So a trained network can be deepened.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = norm(width)
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.middle = norm(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, g, g) to the same shape."""
        y = self.first(functional.silu(self.norm(x)))
        out: Tensor = x + self.second(functional.silu(self.middle(y)))
        return out


class SelfAttention(nn.Module):
    """Self-attention of a coarse grid, then a small perceptron.

    It begins as the identity.
    """

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
        """(B, C, g, g) to the same shape."""
        count, width, grid, _ = x.shape
        tokens = _flat(x)
        place = _place(_centres(grid, x.device)).expand(count, -1, -1)
        mixed = self.mixed(torch.cat([self.norm(tokens), place.to(tokens.dtype)], 2))
        parts = mixed.view(count, grid * grid, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        tokens = tokens + self.out(attended.transpose(1, 2).reshape(count, grid * grid, width))
        tokens = tokens + self.perceptron(self.second_norm(tokens))
        out: Tensor = tokens.transpose(1, 2).reshape(count, width, grid, grid)
        return out


class MemoryAttention(nn.Module):
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
        """What the slices remember, to be added to the tokens.

        For each token of (B, C, g, g).
        """
        count, width, grid, _ = features.shape
        here = _centres(grid, features.device).expand(count, -1, -1)
        query = self.query(torch.cat([self.norm(_flat(features)), _place(here)], 2))
        keys, values = [self.nothing.expand(count, -1, -1)], [self.nothing.expand(count, -1, -1)]
        masks = [torch.zeros(count, 1, device=features.device)]
        for index, memory in enumerate(memories):
            if not memory.present.any():
                # Nothing is remembered: its tokens would get a weight of exactly zero.
                continue
            content = self.norm(_flat(memory.features))
            side = grid * TOKEN_STRIDE
            pixels = (here + 1) * side / 2 - 0.5
            places = (pixels - memory.shift[:, None, 1:]) / memory.shift[:, None, :1]
            there = (2 * places + 1) / side - 1
            inside = memory.mask.flatten(1)[:, :, None]
            role = torch.full_like(inside, float(index == 0))
            marks = torch.cat([inside, 1 - inside, role], 2)
            keys.append(self.key(torch.cat([content, _place(there), marks], 2)))
            values.append(self.value(torch.cat([content, marks], 2)))
            closed = torch.where(memory.present > 0, 0.0, -1e4)
            masks.append(closed[:, None].expand(-1, grid * grid))
        bias = torch.cat(masks, 1)[:, None, None, :]
        attended = functional.scaled_dot_product_attention(
            self._split(query),
            self._split(torch.cat([k.to(query.dtype) for k in keys], 1)),
            self._split(torch.cat([v.to(query.dtype) for v in values], 1)),
            attn_mask=bias.to(query.dtype),
        )
        joined = attended.transpose(1, 2).reshape(count, grid * grid, width)
        result: Tensor = self.out(joined).transpose(1, 2).reshape(count, width, grid, grid)
        return result

    def _split(self, tokens: Tensor) -> Tensor:
        count, length, width = tokens.shape
        return tokens.view(count, length, self.heads, width // self.heads).transpose(1, 2)


def deeper(width: int, count: int) -> nn.Sequential:
    """So many blocks that begin as the identity."""
    return nn.Sequential(*(Residual(width) for _ in range(count)))


def norm(width: int) -> nn.GroupNorm:
    """The normalisation used everywhere: per sample, in groups of channels."""
    return nn.GroupNorm(GROUPS, width)


def down(narrow: int, wide: int) -> nn.Sequential:
    """To half of the side and another width."""
    return nn.Sequential(nn.Conv2d(narrow, wide, 2, 2, bias=False), norm(wide), nn.SiLU())


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
