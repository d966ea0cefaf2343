"""Load an EdgeTAM checkpoint in transformers' format from a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import ModelError
from napari_sam2.models.checkpoint import card_of, known_only, read_network
from napari_sam2.models.quality import QUALITIES, refuse_other_sizes
from napari_sam2.models.sam2.attention import supports
from napari_sam2.models.sam2.encoder import supports_neck
from napari_sam2.models.sam2.loading import keep_rope

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from napari_sam2.models.base import ModelCard
    from napari_sam2.models.edgetam.adapter import EdgeTamModel

__all__ = ["load_edgetam", "make_config"]

PIXELS_PER_TOKEN: Final = 16
"""Side of the square that one token of the coarsest map used for memories stands for."""

_BACKBONES: Final = ("repvit_m1", "repvit_m1.dist_in1k", "timm/repvit_m1.dist_in1k")
"""How checkpoints name the one image encoder that EdgeTAM was published with."""


def load_edgetam(
    folder: Path,
    settings: dict[str, Any],
    device: torch.device,
    card: ModelCard | None = None,
    *,
    quality: str = "best",
    input_size: int | None = None,
) -> EdgeTamModel:
    """Load a checkpoint; parameters and errors as in `napari_sam2.models.registry.load_folder`."""
    from transformers import EdgeTamVideoModel

    from napari_sam2.models.edgetam.adapter import EdgeTamModel

    config = make_config(settings, folder.name)
    refuse_other_sizes("EdgeTAM", config.image_size, quality, input_size)
    network = read_network(folder, EdgeTamVideoModel, config)
    if not (supports(network.memory_attention) and supports_neck(config.vision_config)):
        raise ModelError(f"{folder.name} is an EdgeTAM of a build that is not known here; it is not used.")
    full_card = card_of(folder, card, "edgetam", "An EdgeTAM checkpoint from a folder.")
    return EdgeTamModel(network.to(device), full_card, QUALITIES["best"].policy)


def make_config(settings: dict[str, Any], name: str) -> Any:
    """An ``EdgeTamVideoConfig`` whose image encoder is ours instead of timm's.

    Raises
    ------
    ModelError
        If the image encoder is another one, or the input size is not possible.
    """
    from transformers import EdgeTamVideoConfig, EdgeTamVisionConfig

    from napari_sam2.models.edgetam.repvit import RepVitConfig

    vision = settings.get("vision_config") or {}
    backbone = vision.get("backbone_config") or {}
    if backbone.get("model_type") == RepVitConfig.model_type:
        ours = RepVitConfig(**known_only(backbone, {"widths": 0, "depths": 0}))
    elif backbone.get("architecture", _BACKBONES[0]) in _BACKBONES:
        ours = RepVitConfig()
    else:
        raise ModelError(f"{name} has the image encoder {backbone['architecture']!r}; EdgeTAM's is {_BACKBONES[0]!r}.")
    known_vision = known_only({**vision, "backbone_config": None}, EdgeTamVisionConfig(backbone_config=ours).to_dict())
    vision_config = EdgeTamVisionConfig(**{**known_vision, "backbone_config": ours})
    accepted = known_only(settings, EdgeTamVideoConfig(vision_config=vision_config).to_dict())
    config = EdgeTamVideoConfig(**{**accepted, "vision_config": vision_config})
    keep_rope(config, settings)
    side = round(config.perceiver_resampler_num_latents_2d**0.5)
    if config.image_size % (PIXELS_PER_TOKEN * side):
        raise ModelError(
            f"{name} is an EdgeTAM for {config.image_size} pixels; its memories need a multiple of "
            f"{PIXELS_PER_TOKEN * side}."
        )
    return config
