"""Batches of prompts of different lengths: padding is masked in attention.

transformers' mask decoder takes prompts of one length. Its own padding (label -10) is a token of zeros, which
attention still spreads its weight over; here the padded tokens are left out of every softmax, so that each
prompt is answered as alone.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = ["ignoring", "let_keys_be_ignored"]


class _Masked(nn.Module):
    """Attention of transformers' mask decoder with keys that may be left out."""

    seen: Tensor | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.seen is not None:
            kwargs["attention_similarity"] = self.seen
        return super().forward(*args, **kwargs)


def let_keys_be_ignored(decoder: Any) -> None:
    """Prepare a ``Sam2VideoMaskDecoder``, or one built like it, for `ignoring`."""
    for module in _attending_to_tokens(decoder):
        kind = type(module)
        if not issubclass(kind, _Masked):
            module.__class__ = type(f"Masked{kind.__name__}", (_Masked, kind), {})


@contextmanager
def ignoring(decoder: Any, padded: Tensor) -> Iterator[None]:
    """Mask padded prompt tokens in a decoder's attention.

    Parameters
    ----------
    decoder : transformers.Sam2VideoMaskDecoder
        Prepared by `let_keys_be_ignored`.
    padded : Tensor, (B, N) bool
        Which of the prompt's tokens are padding; nothing changes when none is.
    """
    if not bool(padded.any()):
        yield
        return
    # Before the prompt's tokens come those of presence, of IoU and of the masks.
    own = torch.ones(len(padded), 2 + decoder.num_mask_tokens, dtype=torch.bool, device=padded.device)
    visible = torch.cat([own, ~padded], dim=1)[:, None, None, :]
    modules = _attending_to_tokens(decoder)
    try:
        for module in modules:
            module.seen = visible
        yield
    finally:
        for module in modules:
            module.seen = None


def _attending_to_tokens(decoder: Any) -> list[Any]:
    return [part for layer in decoder.transformer.layers for part in (layer.self_attn, layer.cross_attn_image_to_token)]
