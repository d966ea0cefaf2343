"""Loading a checkpoint of the first SAM from a folder.

It is in transformers' format.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import ModelError
from napari_sam2.models.checkpoint import PREPARATION, card_of, known_only, read_network
from napari_sam2.models.quality import refuse_other_sizes
from napari_sam2.models.sam1.adapter import Normalisation, Sam1Model
from napari_sam2.models.sam2.encoder import IMAGE_MEAN, IMAGE_STD

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from napari_sam2.models.base import ModelCard

__all__ = ["load_sam1", "read_normalisation"]

_TAKEN_BY_NETWORK: Final = 16
"""Pixels per token of every SAM."""


def load_sam1(
    folder: Path,
    settings: dict[str, Any],
    device: torch.device,
    card: ModelCard | None = None,
    *,
    quality: str = "best",
    input_size: int | None = None,
) -> Sam1Model:
    """Load a checkpoint; parameters and errors as in `napari_sam2.models.registry.load_folder`."""
    from transformers import SamConfig, SamModel

    config = SamConfig(**known_only(settings, SamConfig().to_dict()))
    sizes = (config.vision_config.image_size, config.prompt_encoder_config.image_size)
    patches = (config.vision_config.patch_size, config.prompt_encoder_config.patch_size)
    if sizes[0] != sizes[1] or patches != (_TAKEN_BY_NETWORK, _TAKEN_BY_NETWORK) or sizes[0] % _TAKEN_BY_NETWORK:
        raise ModelError(f"{folder.name} is a SAM of a build that is not known here; it is not used.")
    refuse_other_sizes("SAM", sizes[0], quality, input_size)
    normalisation = read_normalisation(folder)
    network = read_network(folder, SamModel, config)
    full_card = card_of(folder, card, "sam1", "A SAM checkpoint from a folder.")
    return Sam1Model(network.to(device), full_card, normalisation)


def read_normalisation(folder: Path) -> Normalisation:
    """What a checkpoint's ``preprocessor_config.json`` says of intensities.

    SAM's own where there is none.

    Raises
    ------
    ModelError
        If the file is damaged.
    """
    path = folder / PREPARATION
    if not path.is_file():
        return Normalisation(IMAGE_MEAN, IMAGE_STD)
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        if not settings.get("do_normalize", True):
            return Normalisation((0.0,) * 3, (1.0,) * 3)
        mean, std = (
            tuple(float(value) for value in settings.get(key, default))
            for key, default in (("image_mean", IMAGE_MEAN), ("image_std", IMAGE_STD))
        )
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{folder.name}/{PREPARATION} is not what transformers writes; fetch it again.") from error
    if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
        raise ModelError(f"{folder.name}/{PREPARATION} needs three means and three positive deviations.")
    return Normalisation(mean, std)
