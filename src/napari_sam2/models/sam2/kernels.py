"""Fast linear layers and attention for constant weights.

As fast as a processor allows.

On a CPU, PyTorch hands fp32 matrix products to MKL, which runs at half speed or less on processors that
are not Intel's. oneDNN, which PyTorch carries as well, does not: packing the weights for it once makes the
same product up to 2.4 times faster, and attention in blocks that fit the cache twice as fast. Numbers
differ only by the order of summation. bfloat16 doubles the speed again where the processor has it.

Everything here is for inference: there are no gradients.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

__all__ = [
    "ACTIVATIONS",
    "Linear",
    "attend",
    "attend_each",
    "attend_padded",
    "feed_forward",
    "in_one",
    "pack_linear_modules",
]

_LOG = logging.getLogger(__name__)

ROWS_IN_CACHE: Final = 1 << 22
"""Scores computed at a time: 16 MiB in fp32, which a large last-level cache holds."""

TOKENS_IN_CACHE: Final = 1024
"""Tokens that go through both layers of a feed-forward block at a time."""

ACTIVATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "none": lambda x: x,
    "gelu": F.gelu,
    "relu": F.relu,
}
"""Activations by the name that oneDNN gives them too; GELU is the exact one."""

MAX_ROWS: Final = 256
MIN_ROWS: Final = 64
"""Queries answered at a time; fewer than 64 leave the matrix units idle."""


class Linear:
    """``x @ weight.T + bias`` with weights that never change.

    Parameters
    ----------
    weight : Tensor, (out, in)
        The weights.
    bias : Tensor, (out,), optional
        The bias.
    dtype : torch.dtype
        In which numbers are multiplied: float32, or bfloat16 where the CPU has it and float32 where it has
        not. What comes in and goes out is float32 all the same; sums are kept in float32.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype = torch.float32) -> None:
        self._weight = weight.detach()
        self._packed = _packed(self._weight, dtype)
        self._dtype = torch.float32 if self._packed is None else dtype
        self._bias = None if bias is None else bias.detach().to(self._dtype)

    def __call__(self, x: Tensor, activation: str = "none") -> Tensor:
        """The layer's answer (..., out) to (..., in), through one of `ACTIVATIONS`."""
        return self.narrow(x, activation).float()

    def __deepcopy__(self, memo: dict[int, object]) -> Linear:
        """Itself: it never changes, and packed weights cannot be copied."""
        return self

    def narrow(self, x: Tensor, activation: str = "none") -> Tensor:
        """The same, left in the type that was multiplied in.

        For another product to follow.
        """
        if self._packed is None:
            return ACTIVATIONS[activation](F.linear(x.to(self._weight.dtype), self._weight, self._bias))
        return _pointwise(x.to(self._dtype), self._packed, self._bias, activation)


def feed_forward(x: Tensor, first: Linear, second: Linear, activation: str) -> Tensor:
    """Two linear layers with an activation between.

    (..., C) -> (..., C), a few thousand tokens at a time on a CPU.

    What lies between is four to eight times as wide; in pieces it stays in the cache.
    """
    tokens = x.reshape(-1, x.shape[-1])
    if x.device.type != "cpu" or len(tokens) <= TOKENS_IN_CACHE:
        return second(first.narrow(x, activation))
    out = torch.empty_like(tokens)
    for start in range(0, len(tokens), TOKENS_IN_CACHE):
        out[start : start + TOKENS_IN_CACHE] = second(first.narrow(tokens[start : start + TOKENS_IN_CACHE], activation))
    return out.view(x.shape)


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Scaled dot-product attention of one head.

    Parameters
    ----------
    query : Tensor, (S, E)
        Who asks.
    key : Tensor, (L, E)
        Who is asked.
    value : Tensor, (L, V)
        What they say.
    scale : float
        Factor of the scores.
    dtype : torch.dtype
        As in `Linear`; used on a CPU only.

    Returns
    -------
    Tensor, (S, V)
        float32 on a CPU.
    """
    keys = _packed(key, dtype) if query.device.type == "cpu" else None
    values = None if keys is None else _packed(value.t().contiguous(), dtype)
    if keys is None or values is None:
        return F.scaled_dot_product_attention(query[None, None], key[None, None], value[None, None], scale=scale)[0, 0]
    rows = max(MIN_ROWS, min(MAX_ROWS, ROWS_IN_CACHE // len(key)))
    query = (query * scale).to(dtype)
    out = torch.empty(len(query), value.shape[1], device=query.device)
    for start in range(0, len(query), rows):
        scores = _pointwise(query[start : start + rows], keys, None)
        out[start : start + rows] = _pointwise(torch.softmax(scores, dim=-1), values, None)
    return out


def attend_each(
    query: Tensor,
    keys_and_values: Iterable[tuple[Tensor, Tensor]],
    scale: float,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Attention of each item of a batch to its own keys.

    There may be any number of keys.

    Parameters
    ----------
    query : Tensor, (B, S, E)
        Who asks.
    keys_and_values : iterable of tuple of Tensor, (L_b, E) and (L_b, V)
        Who is asked and what they say, by item; on a CPU taken one after the other.
    scale, dtype
        As in `attend`.

    Returns
    -------
    Tensor, (B, S, V)
        On a CPU item by item, since nothing is gained by padding; elsewhere in one masked call.
    """
    if query.device.type == "cpu":
        pairs = zip(query, keys_and_values, strict=True)
        return torch.stack([attend(one, key, value, scale, dtype) for one, (key, value) in pairs])
    keys, values = zip(*keys_and_values, strict=True)
    return attend_padded(query, keys, values, scale)


def attend_padded(query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], scale: float) -> Tensor:
    """`attend_each` in one call: keys padded to the longest, the padding masked."""
    lengths = [len(key) for key in keys]
    longest = max(lengths)
    padded = torch.stack([F.pad(key, (0, 0, 0, longest - n)) for key, n in zip(keys, lengths, strict=True)])
    said = torch.stack([F.pad(value, (0, 0, 0, longest - n)) for value, n in zip(values, lengths, strict=True)])
    mask = None
    if min(lengths) < longest:
        there = torch.arange(longest, device=query.device)[None] < torch.tensor(lengths, device=query.device)[:, None]
        mask = there[:, None, None, :]
    return F.scaled_dot_product_attention(
        query[:, None], padded[:, None], said[:, None], attn_mask=mask, scale=scale
    ).squeeze(1)


def in_one(first: Tensor, first_bias: Tensor, second: Tensor, second_bias: Tensor) -> tuple[Tensor, Tensor]:
    """Two linear layers, one after the other, as one.

    Weight and bias, multiplied in double precision.
    """
    device = first.device
    first, first_bias, second, second_bias = (
        t.detach().cpu().double() for t in (first, first_bias, second, second_bias)
    )
    return (second @ first).float().to(device), (second @ first_bias + second_bias).float().to(device)


class _PackedLinear(torch.nn.Linear):
    """A linear module that multiplies with packed weights; its parameters stay where they were."""

    packed: Linear | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.packed is None:
            self.packed = Linear(self.weight, self.bias)
        return self.packed(x)


def pack_linear_modules(network: torch.nn.Module) -> None:
    """Let all plain linear modules of a network use `Linear`.

    The network is then good for inference only.
    """
    for module in network.modules():
        if type(module) is torch.nn.Linear and module.weight.device.type == "cpu":
            module.__class__ = _PackedLinear


def _packed(weight: Tensor, dtype: torch.dtype) -> Tensor | None:
    if weight.device.type != "cpu" or not _onednn_works(dtype):
        return None
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype).contiguous(), None)
    return packed


def _pointwise(x: Tensor, packed: Tensor, bias: Tensor | None, activation: str = "none") -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, activation, [], "none")
    return out


@lru_cache
def _onednn_works(dtype: torch.dtype) -> bool:
    """Whether this PyTorch and processor have oneDNN's linear operators in a number type, and they are right.

    They are what ``torch.compile`` emits on CPUs, yet not public: a missing or changed one costs speed only.
    bfloat16 needs AVX-512, AVX-NE-CONVERT or Arm's BF16; without them oneDNN raises a RuntimeError.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    tolerance = 1e-4 if dtype == torch.float32 else 0.05
    try:
        x, weight, bias = torch.linspace(-1, 1, 96).view(4, 24), torch.linspace(-2, 2, 192).view(8, 24), torch.ones(8)
        with torch.inference_mode():
            packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype), None)
            plain, fused = (_pointwise(x.to(dtype), packed, bias.to(dtype), name).float() for name in ("none", "gelu"))
            expected = x @ weight.T + bias
        return all(
            torch.allclose(answer, reference, rtol=tolerance, atol=tolerance)
            for answer, reference in ((plain, expected), (fused, F.gelu(expected)))
        )
    except (AttributeError, RuntimeError, NotImplementedError, TypeError) as error:
        _LOG.info("oneDNN's linear operators cannot be used in %s: %s", dtype, error)
        return False
