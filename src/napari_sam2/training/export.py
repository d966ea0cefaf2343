"""From a checkpoint to a weight file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors.torch import load_file

from napari_sam2.errors import ModelError
from napari_sam2.models.small.weights import write_weights
from napari_sam2.training.checkpoint import TENSORS

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.training.config import TrainConfig

__all__ = ["export_weights"]


def export_weights(folder: Path, config: TrainConfig, path: Path) -> str:
    """Write a checkpoint's averaged weights in half precision; returns the file's SHA-256.

    Parameters
    ----------
    folder : Path
        Holds the checkpoint.
    config : TrainConfig
        The run's configuration; the last stage's size becomes the model's view size.
    path : Path
        The weight file to write.
    """
    source = folder / TENSORS
    if not source.is_file():
        message = f"{folder} holds no checkpoint to export"
        raise ModelError(message)
    prefix = "ema."
    state = {k.removeprefix(prefix): v for k, v in load_file(source).items() if k.startswith(prefix)}
    return write_weights(path, state, config.net, config.stages[-1].size, config.name, config.mirrored)
