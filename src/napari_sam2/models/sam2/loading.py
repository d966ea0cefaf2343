"""Loading a SAM 2 or SAM 2.1 video checkpoint from a folder.

It is in transformers' format.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import ModelError
from napari_sam2.models.checkpoint import CONFIG, card_of, known_only, read_network
from napari_sam2.models.quality import choose_quality
from napari_sam2.models.sam2.attention import supports as supports_attention
from napari_sam2.models.sam2.encoder import supports as supports_encoder
from napari_sam2.models.sam2.sizing import resize_config

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from napari_sam2.models.base import ModelCard
    from napari_sam2.models.sam2.adapter import Sam2Model

__all__ = ["keep_rope", "load_sam2", "read_sam2_network"]

logger = logging.getLogger(__name__)

_LEGACY_ROPE: Final = "memory_attention_rope_theta"
"""How transformers 4.56 spelt ``rope_parameters["rope_theta"]``; the hub's checkpoints still do."""


def load_sam2(
    folder: Path,
    settings: dict[str, Any],
    device: torch.device,
    card: ModelCard | None = None,
    *,
    quality: str = "best",
    input_size: int | None = None,
) -> Sam2Model:
    """Load a checkpoint; parameters and errors as in `napari_sam2.models.registry.load_folder`.

    ``input_size`` is a multiple of 32; by default what `quality` says, yet no more than the checkpoint's own.
    """
    from napari_sam2.models.sam2.adapter import Sam2Model

    chosen = choose_quality(quality, device)
    network = read_sam2_network(folder, settings, chosen.input_size, input_size).to(device)
    full_card = card_of(folder, card, "sam2", "A SAM 2 checkpoint from a local folder.")
    return Sam2Model(network, full_card, chosen.policy, half=chosen.half)


def read_sam2_network(
    folder: Path, settings: dict[str, Any], at_most: int | None = None, input_size: int | None = None
) -> Any:
    """The network of a checkpoint, as transformers builds it, on the CPU.

    Parameters
    ----------
    folder : Path
        Of the checkpoint.
    settings : dict
        Its configuration, see `napari_sam2.models.checkpoint.read_settings`.
    at_most : int, optional
        Largest side of the views in pixels, unless `input_size` says otherwise.
    input_size : int, optional
        Side of the views in pixels.

    Raises
    ------
    ModelError
        As `load_sam2`.
    """
    from transformers import Sam2VideoConfig, Sam2VideoModel

    config = Sam2VideoConfig(**known_only(settings, Sam2VideoConfig().to_dict()))
    keep_rope(config, settings)
    grid = config.image_size // config.prompt_encoder_config.patch_size
    if list(config.memory_attention_rope_feat_sizes) != [grid, grid]:
        raise ModelError(f"{folder.name}/{CONFIG} names two sizes of views; fetch or copy it again.")
    if input_size is not None:
        resize_config(config, input_size)
    elif at_most is not None and at_most < config.image_size:
        resize_config(config, at_most)
    network = read_network(folder, Sam2VideoModel, config)
    if not (supports_encoder(network.vision_encoder) and supports_attention(network.memory_attention)):
        logger.warning("%s is a SAM 2 of another build: transformers runs it, which is slower.", folder.name)
    return network


def keep_rope(config: Any, settings: dict[str, Any]) -> None:
    """Give a configuration the rotary base of older files.

    They spell it in their own way.
    """
    if _LEGACY_ROPE in settings:
        config.rope_parameters = {**config.rope_parameters, "rope_theta": float(settings[_LEGACY_ROPE])}
