"""Tuning of the bundled network.

With the roll-outs that it was trained with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari_sam2.errors import UserInputError
from napari_sam2.models.small.folder import write_folder
from napari_sam2.training.checkpoint import averaged_weights, holds_checkpoint
from napari_sam2.training.config import Stage, TrainConfig
from napari_sam2.training.sampler import ClipSampler, Shares
from napari_sam2.training.train import CURVE, Trainer
from napari_sam2.training.validate import PROTOCOLS, fixed_clips
from napari_sam2.tuning.learner import CurvePoint, read_curve
from napari_sam2.tuning.material import MOST_VOXELS, pool_volume, rehearsal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_sam2.models.small.model import SmallModel
    from napari_sam2.training.pool import PoolVolume
    from napari_sam2.tuning.cases import FinishedScan

__all__ = ["SmallLearner"]

REHEARSED: Final = 1 / 3
"""Share of invented slabs among what is learned from."""

RATE: Final = 1e-3
"""Half the rate of the bundled network's own training."""

AVERAGED: Final = 0.99
"""Decay of the averaged weights: over about a hundred updates."""

CURVE_CLIPS: Final = 12
CARRIED: Final = "box-propagate"
"""What the learning curve shows."""


class SmallLearner:
    """The bundled network, or one tuned from it, as `napari_sam2.tuning.learner.Learner`.

    Parameters
    ----------
    parent : SmallModel
        What to begin with; it is left as it is.
    scans : sequence of FinishedScan
        What to learn from.
    folder : Path
        Where checkpoints go.
    steps, chunk, seed : int
        As in `napari_sam2.tuning.plan.Plan`.
    """

    def __init__(
        self, parent: SmallModel, scans: Sequence[FinishedScan], folder: Path, steps: int, chunk: int, seed: int
    ) -> None:
        self._parent, self._folder, self._chunk = parent, folder, chunk
        weights = parent.weights
        stage = Stage(
            rollouts=steps, size=weights.input_size, batch=12, steps=5, correct=0.25, teacher=0.1, refine=0.2,
            ending=0.4, closest=0.6, imperfect=0.15, closeup=0.3, annotated=0.2, short=0.3, judged=True,
        )  # fmt: skip
        config = TrainConfig(
            name=weights.name, seed=seed, stages=(stage,), learning_rate=RATE, warm_up=50, first=1.5, ema=AVERAGED,
            shares=Shares(synthetic=REHEARSED, pasted=0.0, labelled=1 - REHEARSED), net=weights.net.config,
            mirrored=weights.mirrored, validate_every=chunk, keep_every=chunk, validate_hidden=False,
        )  # fmt: skip
        material = [_material(scan, MOST_VOXELS // len(scans)) for scan in scans]
        if not any(volume.objects for volume in material):
            raise UserInputError("The scans to learn from hold no structure of 30 voxels or more; add larger ones.")
        slabs = rehearsal()
        self._trainer = Trainer(config, folder, folder, labelled=material, synthetic=slabs, start=weights.net)
        self.learned = "all weights"
        self._trainer.protocols = tuple(p for p in PROTOCOLS if p.name == CARRIED)
        self._trainer.validation = {
            "own": fixed_clips(ClipSampler([], [], Shares(0.0, 0.0, 1.0), material), CURVE_CLIPS),
            "rehearsed": fixed_clips(ClipSampler(slabs, [], Shares(1.0, 0.0)), CURVE_CLIPS),
        }

    def step(self) -> None:
        """Work through one batch of clips."""
        self._trainer.one_rollout()

    def run(self, on_step: Callable[[int], None], should_stop: Callable[[], bool]) -> bool:
        """Learn to the end of the plan, from the checkpoint if any."""
        if holds_checkpoint(self._folder):
            self._trainer.resume()
        trainer = self._trainer

        def asked() -> bool:
            on_step(trainer.rollout)
            return should_stop()

        trainer.run(should_stop=asked)
        return trainer.rollout >= trainer.config.rollouts

    def curve(self) -> list[CurvePoint]:
        """The curve so far.

        Points of parts that were done twice count once.
        """
        rows = read_curve(self._folder / CURVE)
        ends = {row["rollout"]: row for row in rows if "rollout" in row and row["rollout"] % self._chunk == 0}
        return [
            CurvePoint(step, row[f"own/{CARRIED}"], row[f"rehearsed/{CARRIED}"]) for step, row in sorted(ends.items())
        ]

    def write(self, folder: Path) -> None:
        """Write the averaged weights, in half precision."""
        state = averaged_weights(self._folder)[0]
        write_folder(folder, state, self._parent.weights)


def _material(scan: FinishedScan, most_voxels: int) -> PoolVolume:
    """A scan to learn from, with what a person gave on it."""
    volume, labels, names = scan.read()
    image, _ = scan.image_seen(volume)
    return pool_volume(scan.key, image, labels, names, most_voxels, scan.prompts(volume))
