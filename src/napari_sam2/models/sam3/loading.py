"""Loading the tracker of a SAM 3 checkpoint from a folder.

It is in transformers' format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.errors import ModelError
from napari_sam2.models.checkpoint import card_of, known_only, read_network
from napari_sam2.models.quality import QUALITIES, refuse_other_sizes
from napari_sam2.models.sam2.attention import supports
from napari_sam2.models.sam2.loading import keep_rope

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from napari_sam2.models.base import ModelCard
    from napari_sam2.models.sam3.adapter import Sam3Tracker

__all__ = ["load_sam3"]


def load_sam3(
    folder: Path,
    settings: dict[str, Any],
    device: torch.device,
    card: ModelCard | None = None,
    *,
    quality: str = "best",
    input_size: int | None = None,
) -> Sam3Tracker:
    """Load a tracker saved alone, or inside a whole SAM 3.

    The detector is left on the disk.

    Parameters and errors as in `napari_sam2.models.registry.load_folder`.
    """
    from transformers import Sam3TrackerVideoConfig, Sam3TrackerVideoModel

    from napari_sam2.models.sam3.adapter import Sam3Tracker

    # A whole SAM 3 (`sam3_video`) keeps the tracker's settings inside its own.
    own = settings.get("tracker_config", settings)
    if not isinstance(own, dict):
        raise ModelError(f"{folder.name} says nothing of its tracker; fetch or copy it again.")
    accepted = known_only(own, Sam3TrackerVideoConfig().to_dict())
    config = Sam3TrackerVideoConfig(**{**accepted, "image_size": own.get("image_size", 1008)})
    keep_rope(config, own)
    refuse_other_sizes("SAM 3", config.image_size, quality, input_size)
    network = read_network(folder, Sam3TrackerVideoModel, config)
    if not supports(network.memory_attention) or len(config.vision_config.scale_factors) != 4:
        raise ModelError(f"{folder.name} is a SAM 3 of a build that is not known here; it is not used.")
    full_card = card_of(folder, card, "sam3", "A SAM 3 tracker from a folder.")
    return Sam3Tracker(network.to(device), full_card, QUALITIES["best"].policy)
