"""From a checkpoint to a weight file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.models.small.weights import write_weights
from napari_sam2.training.checkpoint import averaged_weights

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
        The run's configuration; the size of the stage that was reached becomes the model's view size.
    path : Path
        The weight file to write.

    Raises
    ------
    ModelError
        If the folder holds no checkpoint.
    """
    state, progress = averaged_weights(folder)
    size = config.at(max(0, progress.rollout - 1)).size
    return write_weights(path, state, config.net, size, config.name, config.mirrored)
