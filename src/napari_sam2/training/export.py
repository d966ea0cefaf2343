"""From a checkpoint to a weight file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.models.small.net import SmallNet
from napari_sam2.models.small.weights import write_weights
from napari_sam2.training.checkpoint import averaged_weights
from napari_sam2.training.start import blended

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.training.config import TrainConfig

__all__ = ["export_weights"]


#: The layer that gives the scores, and which of them is presence.
SCORES, PRESENCE = "scores.2.bias", 1


def export_weights(folder: Path, config: TrainConfig, path: Path, root: Path) -> str:
    """Write a checkpoint's averaged weights in half precision; returns the file's SHA-256.

    Parameters
    ----------
    folder : Path
        Holds the checkpoint.
    config : TrainConfig
        The run's configuration; the size of the stage that was reached becomes the model's view size.
    path : Path
        The weight file to write.
    root : Path
        Folder that the configuration's paths are relative to.

    Raises
    ------
    ModelError
        If the folder holds no checkpoint.
    """
    state, progress = averaged_weights(folder)
    if config.start and config.blend < 1:
        state = blended(SmallNet(config.net), root / config.start, state, config.blend)
    state[SCORES] = state[SCORES].clone()
    state[SCORES][PRESENCE] += config.presence_shift
    size = config.at(max(0, progress.rollout - 1)).size
    return write_weights(path, state, config.net, size, config.name, config.mirrored)
