"""Low-rank adapters of SAM 2's image encoder, through peft.

Hu et al., "LoRA: Low-rank adaptation of large language models" (2021). They are merged in the end, so that the weights
have the names of before and every loader takes them.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

from napari_sam2.errors import EnvironmentLacksError

__all__ = ["adapted", "merged"]

RANK: Final = 8
TARGETS: Final = r"vision_encoder\.backbone\.blocks\.\d+\.attn\.(qkv|proj)"
"""Queries, keys, values and projections of all blocks of the encoder."""


def adapted(network: Any, seed: int) -> Any:
    """A network with adapters in its encoder.

    Nothing but the adapters learns there.

    Parameters
    ----------
    network : transformers.Sam2VideoModel
        It gets the adapters itself.
    seed : int
        Of the adapters' first weights; at first they change nothing.

    Raises
    ------
    EnvironmentLacksError
        If peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise EnvironmentLacksError(
            "Tuning the encoder needs peft; run 'pip install napari-sam2[tune]', or use --device cpu."
        ) from error
    import torch

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft 0.21 asks transformers 5 by a name that it will drop.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        torch.manual_seed(seed)
        return get_peft_model(network, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=TARGETS))


def merged(wrapped: Any) -> Any:
    """The plain network with its adapters added to its weights."""
    return wrapped.merge_and_unload().eval()
