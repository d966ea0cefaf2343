"""Memory attention of SAM 2.

The features of a slice, conditioned on what is remembered of an object.

The weights are those of transformers' ``Sam2VideoMemoryAttention``, or of EdgeTAM's or SAM 3's, which are
built alike; the numbers equal theirs, up to rounding. Three things are done differently:

- values are attended to as they are remembered, in 64 channels; since every row of attention weights sums
  to one, the value and output projections commute with it and are applied once, to the result;
- every object of a batch attends to memories of its own, however many there are;
- rotary encodings (Heo et al., "Rotary position embedding for vision transformer", 2024) are computed once,
  and the channels they pair are brought into two halves by reordering the weights of queries and keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from napari_sam2.models.sam2.kernels import ACTIVATIONS, Linear, attend_each, feed_forward, in_one

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["MemoryAttention", "MemoryTokens", "Turn", "supports"]

POSITION_SHARE = 0.1
"""How much of the position encoding is added to the features; ``pos_enc_at_input`` of the official code."""


@dataclass(frozen=True, slots=True, eq=False)
class MemoryTokens:
    """What one object remembers, as seen from one slice.

    Attributes
    ----------
    grids : sequence of Tensor, (N, 64)
        Tokens of remembered slices, in the type they are kept in.
    grid_positions : sequence of Tensor, (N, 64)
        Their encodings of place and time.
    pointers : Tensor, (P, 64)
        Pieces of object pointers, which have no place on the grid.
    pointer_positions : Tensor, (P, 64)
        Their encodings of time.
    """

    grids: Sequence[Tensor]
    grid_positions: Sequence[Tensor]
    pointers: Tensor
    pointer_positions: Tensor

    def values(self) -> Tensor:
        """All tokens (L, 64): slice after slice, then pointers."""
        return torch.cat([*(grid.to(self.pointers.dtype) for grid in self.grids), self.pointers])

    def keys(self) -> Tensor:
        """All tokens (L, 64) with their positions added."""
        placed = [grid + position for grid, position in zip(self.grids, self.grid_positions, strict=True)]
        return torch.cat([*placed, self.pointers + self.pointer_positions])


class Turn:
    """Rotary encoding of tokens that lie on grids.

    Their channels hold first and second members of pairs.

    Parameters
    ----------
    module : transformers.Sam2VideoMemoryAttention, or one built like it
        Knows the frequencies.
    places : Tensor, (g, 2)
        Column and row of each token of a grid.
    n_unplaced : int
        Tokens before each grid that lie nowhere, and are not turned.
    """

    def __init__(self, module: Any, places: Tensor, n_unplaced: int = 0) -> None:
        cos, sin = module.rotary_emb(places, places)
        # Both members of a pair turn by one angle; the pairs' members lie side by side.
        self._cos, self._sin = cos[0, :, ::2].clone(), sin[0, :, ::2].clone()
        self._n_unplaced = n_unplaced

    def __call__(self, x: Tensor) -> Tensor:
        """Tokens (..., n * (n_unplaced + g), E), turned."""
        groups = x.view(*x.shape[:-2], -1, self._n_unplaced + len(self._cos), x.shape[-1])
        first, second = groups[..., self._n_unplaced :, :].chunk(2, dim=-1)
        turned = torch.cat([first * self._cos - second * self._sin, second * self._cos + first * self._sin], dim=-1)
        if self._n_unplaced:
            turned = torch.cat([groups[..., : self._n_unplaced, :], turned], dim=-2)
        return turned.flatten(-3, -2)


class MemoryAttention:
    """Conditions features on memories.

    Parameters
    ----------
    module : transformers.Sam2VideoMemoryAttention, or one built like it
        Whose weights are used.
    position : Tensor, (h * w, 1, C)
        Fixed encoding of the grid of tokens.
    dtype : torch.dtype
        In which numbers are multiplied on a CPU, see `napari_sam2.models.sam2.kernels.Linear`.
    turn_memory : Turn, optional
        Where the tokens of one memory lie; on the grid of the slice by default.
    """

    def __init__(
        self, module: Any, position: Tensor, dtype: torch.dtype = torch.float32, turn_memory: Turn | None = None
    ) -> None:
        self._turn = Turn(module, module.position_ids)
        self._turn_memory = turn_memory or self._turn
        self._position = position.squeeze(1) * POSITION_SHARE
        self._layers = [_Layer(layer, dtype) for layer in module.layers]
        self._norm = module.layer_norm

    def __call__(self, top: Tensor, memories: Sequence[MemoryTokens]) -> Tensor:
        """Features (B, C, h, w), each conditioned on the memories of its own."""
        tokens = top.flatten(2).transpose(1, 2) + self._position
        for layer in self._layers:
            tokens = layer(tokens, memories, self._turn, self._turn_memory)
        conditioned: Tensor = self._norm(tokens).transpose(1, 2).reshape(top.shape)
        return conditioned


class _Layer:
    """One layer: attention within the slice, attention to memories, feed-forward; each added to its input."""

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        within, across = layer.self_attn, layer.cross_attn_image
        self._dtype = dtype
        self._scale = float(within.scaling)
        self._norms = (layer.layer_norm1, layer.layer_norm2, layer.layer_norm3)
        self._query, self._key = _halves(within.q_proj, dtype), _halves(within.k_proj, dtype)
        self._value = _joined(within.v_proj, within.o_proj, dtype)
        self._memory_query, self._memory_key = _halves(across.q_proj, dtype), _halves(across.k_proj, dtype)
        self._memory_value = _joined(across.v_proj, across.o_proj, dtype)
        first, second, _ = _feed_forward_of(layer)
        self._first, self._second = (Linear(part.weight, part.bias, dtype) for part in (first, second))

    def __call__(self, tokens: Tensor, memories: Sequence[MemoryTokens], turn: Turn, turn_memory: Turn) -> Tensor:
        x = self._norms[0](tokens)
        query, key = turn(self._query(x)), turn(self._key(x))
        tokens = tokens + attend_each(query, zip(key, self._value(x), strict=True), self._scale, self._dtype)
        query = turn(self._memory_query(self._norms[1](tokens)))
        remembered = ((self._keys(memory, turn_memory), memory.values()) for memory in memories)
        attended = attend_each(query, remembered, self._scale, self._dtype)
        tokens = tokens + self._memory_value(attended)
        return tokens + feed_forward(self._norms[2](tokens), self._first, self._second, "relu")

    def _keys(self, memory: MemoryTokens, turn: Turn) -> Tensor:
        keys = self._memory_key(memory.keys())
        n_placed = len(keys) - len(memory.pointers)
        return torch.cat([turn(keys[:n_placed]), keys[n_placed:]]) if n_placed else keys


def supports(module: Any) -> bool:
    """Whether a module is built as `MemoryAttention` expects it."""
    return all(
        layer.self_attn.num_attention_heads == 1
        and layer.cross_attn_image.num_attention_heads == 1
        and _same_function(_feed_forward_of(layer)[2], ACTIVATIONS["relu"])
        for layer in module.layers
    )


def _feed_forward_of(layer: Any) -> tuple[Any, Any, Any]:
    """Both layers and the activation between them, as SAM 2 and as EdgeTAM call them."""
    if hasattr(layer, "mlp"):
        return layer.mlp.up_proj, layer.mlp.down_proj, layer.mlp.act_fn
    return layer.linear1, layer.linear2, layer.activation


def _same_function(one: Any, other: Any) -> bool:
    probe = torch.linspace(-3, 3, 13)
    return bool(torch.equal(one(probe), other(probe)))


def _halves(projection: Any, dtype: torch.dtype) -> Linear:
    """A projection whose even output channels come first; scores do not depend on the order of channels."""
    weight, bias = projection.weight.detach(), projection.bias.detach()
    return Linear(torch.cat([weight[::2], weight[1::2]]), torch.cat([bias[::2], bias[1::2]]), dtype)


def _joined(value: Any, output: Any, dtype: torch.dtype) -> Linear:
    """The value projection followed by the output projection, as one layer."""
    return Linear(*in_one(value.weight, value.bias, output.weight, output.bias), dtype)
