"""A small network as a folder, which is what a tuning leaves.

``config.json`` says which kind of network it is, ``model.safetensors`` holds the weights with their own settings.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import UserInputError
from napari_sam2.models.base import ModelCard
from napari_sam2.models.checkpoint import CONFIG, WEIGHTS, check_header
from napari_sam2.models.small.model import SmallModel
from napari_sam2.models.small.weights import read_weights, write_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from torch import Tensor

    from napari_sam2.models.small.weights import SmallWeights

__all__ = ["MODEL_TYPE", "load_small_folder", "write_folder"]

MODEL_TYPE: Final = "napari_sam2_small"

SUMMARY: Final = "The bundled network, tuned on finished scans; its card.md says which and how good it is."
LICENSE: Final = "Apache-2.0"


def write_folder(folder: Path, state: Mapping[str, Tensor], like: SmallWeights) -> None:
    """Write weights and configuration into a folder that exists.

    Parameters
    ----------
    folder : Path
        Where.
    state : mapping of str to Tensor
        The weights.
    like : SmallWeights
        A network of the same sizes; its name, view size and mirroring are kept.
    """
    write_weights(folder / WEIGHTS, state, like.net.config, like.input_size, like.name, like.mirrored)
    settings = {"model_type": MODEL_TYPE, "license": LICENSE, "summary": SUMMARY}
    (folder / CONFIG).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def load_small_folder(
    folder: Path,
    settings: Mapping[str, Any],
    device: torch.device,
    card: ModelCard | None = None,
    *,
    quality: str = "best",
    input_size: int | None = None,
) -> SmallModel:
    """Load a folder of `write_folder`; see `napari_sam2.models.registry.load_folder`.

    Raises
    ------
    UserInputError
        If another quality or input size than its own is asked for.
    ModelError
        If the weights are missing, damaged or of another kind.
    """
    if quality not in ("auto", "best") or input_size is not None:
        raise UserInputError(f"{folder.name} is a small network, which has one quality and size; leave both out.")
    path = folder / WEIGHTS
    check_header(path)
    weights = read_weights(path)
    full_card = card or ModelCard(folder.name, "bundled")
    return SmallModel(
        weights,
        device,
        ModelCard(
            name=full_card.name,
            kind="bundled",
            revision=weights.name,
            sha256=weights.sha256,
            license=full_card.license or str(settings.get("license", "")),
            summary=str(settings.get("summary", "")),
        ),
    )
