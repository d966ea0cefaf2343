"""What ``napari-sam2 train`` does, as one plain function."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from napari_sam2.errors import UserInputError
from napari_sam2.training.checkpoint import holds_checkpoint
from napari_sam2.training.config import read_config
from napari_sam2.training.export import export_weights
from napari_sam2.training.prepare import write_missing_pools
from napari_sam2.training.train import Trainer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["train_command"]

logger = logging.getLogger(__name__)


def train_command(config: Path, output: Path, resume: bool = False, seconds: float | None = None) -> Path:
    """Train a small model as a configuration says.

    Parameters
    ----------
    config : Path
        TOML file; see `napari_sam2.training.config.TrainConfig`. Pool paths in it are
        relative to it; pools that are not there are made as its ``prepare`` tables say.
    output : Path
        Folder for checkpoints, the learning curve and the weights.
    resume : bool
        Go on from the folder's checkpoint.
    seconds : float, optional
        Stop after so long, with a checkpoint to resume from.

    Returns
    -------
    Path
        The weight file, in half precision, with the averaged weights.

    Raises
    ------
    UserInputError
        If the folder holds a run already and ``resume`` is False.
    """
    settings = read_config(config)
    if holds_checkpoint(output) and not resume:
        raise UserInputError(f"{output} holds a run already; give --resume to go on, or another folder.")
    write_missing_pools(settings.prepare, config.parent)
    trainer = Trainer(settings, config.parent, output)
    if resume:
        trainer.resume()
    trainer.run(seconds)
    weights = output / f"{settings.name}.safetensors"
    logger.info("%s: SHA-256 %s", weights, export_weights(output, settings, weights, config.parent))
    return weights
