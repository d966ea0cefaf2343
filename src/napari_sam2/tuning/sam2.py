"""Tuning of SAM 2.

Mask decoder and memory attention learn on features that are computed once. Where there is a GPU, adapters in the
encoder learn as well; features are then computed at each step.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from napari_sam2.errors import UserInputError
from napari_sam2.models.base import Decoded, DecodeRequest, MemoryRef, RememberRequest, ViewPrompts
from napari_sam2.models.checkpoint import CONFIG, PREPARATION, read_settings
from napari_sam2.models.sam2.learning import LearningSam2
from napari_sam2.models.sam2.loading import read_sam2_network
from napari_sam2.training.checkpoint import Progress, holds_checkpoint, load_checkpoint, save_checkpoint
from napari_sam2.training.losses import dice
from napari_sam2.tuning.clips import REACH, clips_of
from napari_sam2.tuning.learner import CurvePoint, read_curve
from napari_sam2.tuning.lora import adapted, merged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from napari_sam2.models.base import Features
    from napari_sam2.models.sam2.adapter import Sam2Model
    from napari_sam2.tuning.cases import FinishedScan
    from napari_sam2.tuning.clips import ViewClip

__all__ = ["Sam2Learner"]

RATE: Final = 5e-5
"""Of AdamW; the official recipe for fine-tuning SAM 2.1 (MOSE) ends at 5e-6 and begins there, on eight GPUs."""

WARM_UP: Final = 20
LAST_RATE: Final = 0.02
LONGEST_GRADIENT: Final = 1.0
JITTER: Final = 0.05
"""Spread of a box's edges over its sides."""

CURVE: Final = "curve.jsonl"
CURVE_CLIPS: Final = 8


class Sam2Learner:
    """SAM 2, SAM 2.1 or MedSAM2, as `napari_sam2.tuning.learner.Learner`.

    Parameters
    ----------
    parent : Sam2Model
        What to begin with; it computes the features.
    checkpoint : Path
        Its folder.
    scans : sequence of FinishedScan
        What to learn from.
    folder : Path
        Where checkpoints go.
    steps, chunk, seed : int
        As in `napari_sam2.tuning.plan.Plan`.
    encoder : bool
        Whether adapters in the encoder learn too.
    """

    def __init__(
        self, parent: Sam2Model, checkpoint: Path, scans: Sequence[FinishedScan], folder: Path, steps: int, chunk: int,
        seed: int, *, encoder: bool = False,
    ) -> None:  # fmt: skip
        self._checkpoint, self._folder, self._steps, self._chunk = checkpoint, folder, steps, chunk
        network = read_sam2_network(checkpoint, read_settings(checkpoint), input_size=parent.input_size)
        network.requires_grad_(False)
        self._wrapped = adapted(network, seed) if encoder else None
        self._network = network.to(parent.device)
        for part in (network.mask_decoder, network.memory_attention):
            part.requires_grad_(True)
        if not encoder:
            # These two belong to the features, which are kept.
            network.mask_decoder.conv_s0.requires_grad_(False)
            network.mask_decoder.conv_s1.requires_grad_(False)
        self.learned = "mask decoder and memory attention" + (", adapters (LoRA) in the encoder" if encoder else "")
        self._model = LearningSam2(network, parent.view_policy)
        self._clips = clips_of(scans, self._model)
        if not self._clips:
            raise UserInputError("The scans to learn from hold no structure of 25 pixels or more; add larger ones.")
        self._kept = None if encoder else [_features(parent, clip) for clip in self._clips]
        self._weights = nn.ParameterList(p for p in network.parameters() if p.requires_grad)
        self._optimizer = torch.optim.AdamW(self._weights, lr=RATE, weight_decay=0.01)
        self._rng = np.random.default_rng(seed)
        self._done = 0

    def step(self) -> None:
        """Learn from one clip, prompted, then carried.

        The prompt is a box, or what a person gave.
        """
        number = int(self._rng.integers(len(self._clips)))
        way = int(self._rng.choice([-1, 1]))
        shifts = self._rng.normal(0, JITTER, 4)
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        self._optimizer.zero_grad()
        answers = self._carried(number, way, shifts)
        loss = torch.stack([_loss(decoded.logits, score, truth) for decoded, score, truth in answers]).mean()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self._weights, LONGEST_GRADIENT)
        self._optimizer.step()
        self._done += 1

    def run(self, on_step: Callable[[int], None], should_stop: Callable[[], bool]) -> bool:
        """Learn to the end of the plan, from the checkpoint if any."""
        if holds_checkpoint(self._folder):
            _, progress = load_checkpoint(self._folder, self._weights, self._optimizer)
            self._done, self._rng.bit_generator.state = progress.rollout, progress.generator
        while self._done < self._steps:
            self.step()
            if self._done % self._chunk == 0 or self._done == self._steps:
                self._note()
                self._save()
            on_step(self._done)
            if should_stop() and self._done < self._steps:
                self._save()
                return False
        return True

    def curve(self) -> list[CurvePoint]:
        """The curve so far.

        Points of parts that were done twice count once.
        """
        rows = read_curve(self._folder / CURVE)
        points = {
            row["step"]: row["own"] for row in rows if {"step", "own"} <= row.keys() and row["step"] % self._chunk == 0
        }
        return [CurvePoint(step, own, math.nan) for step, own in sorted(points.items())]

    def write(self, folder: Path) -> None:
        """Write all weights, with names and configuration of before."""
        network = self._network if self._wrapped is None else merged(self._wrapped)
        _write_quietly(network, folder)
        for name in (CONFIG, PREPARATION):
            if (self._checkpoint / name).is_file():
                (folder / name).write_bytes((self._checkpoint / name).read_bytes())

    def _carried(self, number: int, way: int, shifts: Any) -> list[tuple[Decoded, Tensor, Tensor]]:
        """Answer, presence score and truth of the boxed slice, and of those it is carried to."""
        clip, model = self._clips[number], self._model
        places = [clip.anchor + way * k for k in range(REACH + 1)]
        places = [k for k in places if 0 <= k < len(clip.masks)]
        features = self._features_of(number, places)
        truths = clip.masks[places].to(model.device)
        first = _box(truths[0], shifts) if clip.given is None else clip.given
        request = DecodeRequest(features[0], first, n_slices=clip.n_slices)
        answers: list[tuple[Decoded, Tensor, Tensor]] = []
        passed: list[Any] = []
        for k, truth in enumerate(truths):
            if k:
                memories = [MemoryRef(passed[0], -k, True), *([MemoryRef(passed[-1], -1, False)] if k > 1 else [])]
                request = DecodeRequest(features[k], memories=tuple(memories), n_slices=clip.n_slices)
            (decoded,), scores = model.answer([request])
            answers.append((decoded, scores[0], truth))
            seen = Decoded(decoded.logits.detach(), decoded.object_score, decoded.predicted_iou, decoded.state)
            passed += model.memories([RememberRequest(features[k], seen, k == 0)])
        return answers

    def _features_of(self, number: int, places: list[int]) -> list[Features]:
        if self._kept is not None:
            return [self._kept[number][k] for k in places]
        maps = self._model.features(self._clips[number].images[places].to(self._model.device))
        return [tuple(level[n] for level in maps) for n in range(len(places))]

    def _rate(self) -> float:
        warm = min(1.0, (self._done + 1) / WARM_UP)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self._done / self._steps)))
        return RATE * warm * (LAST_RATE + (1 - LAST_RATE) * cosine)

    @torch.no_grad()
    def _note(self) -> None:
        """Write a point of the curve: Dice of carried slices of clips that never change."""
        chosen = range(0, len(self._clips), max(1, len(self._clips) // CURVE_CLIPS))
        values = [
            float(dice(decoded.logits[None], _coarse(truth, decoded.logits)[None])[0])
            for number in chosen
            for decoded, _, truth in self._carried(number, 1, np.zeros(4))[1:]
        ]
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / CURVE).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": self._done, "own": float(np.mean(values)) if values else 0.0}) + "\n")

    def _save(self) -> None:
        state = dict(self._rng.bit_generator.state)
        progress = Progress(self._done, self._done, self._done, 0.0, state)
        save_checkpoint(self._folder, self._weights, {}, self._optimizer, progress)


def _features(parent: Sam2Model, clip: ViewClip) -> list[Features]:
    """Kept features of a clip's slices; copies, since what was made in inference mode cannot be learned from."""
    kept = [parent.encode(image[None].to(parent.device))[0] for image in clip.images]
    return [tuple(level.float().clone() for level in features) for features in kept]


def _write_quietly(network: Any, folder: Path) -> None:
    """Write a network without a progress bar."""
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        network.save_pretrained(folder)
    finally:
        if bars:
            transformers_logging.enable_progress_bar()


def _box(mask: Tensor, shifts: Any) -> ViewPrompts:
    """The box of a mask, its edges moved by parts of its sides."""
    rows, columns = torch.nonzero(mask.any(1)).flatten(), torch.nonzero(mask.any(0)).flatten()
    edges = torch.stack([columns[0], rows[0], columns[-1], rows[-1]]).float() + torch.tensor(
        [-0.5, -0.5, 0.5, 0.5], device=mask.device
    )
    sides = (edges[2:] - edges[:2]).repeat(2)
    moved = edges + sides * torch.from_numpy(np.asarray(shifts, np.float32)).to(mask.device)
    nothing = torch.zeros(0, 2, device=mask.device)
    return ViewPrompts(nothing, torch.zeros(0, dtype=torch.bool, device=mask.device), box=moved)


def _coarse(truth: Tensor, logits: Tensor) -> Tensor:
    """The truth at the resolution of an answer, 0 or 1."""
    return (functional.interpolate(truth[None, None], size=logits.shape, mode="area")[0, 0] > 0.5).float()


def _loss(logits: Tensor, score: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy and Dice of the mask where the object is, and of its presence everywhere."""
    target = _coarse(truth, logits)
    present = (target.sum() > 0).float()
    probability = torch.sigmoid(logits)
    overlap = (2 * (probability * target).sum() + 1) / (probability.sum() + target.sum() + 1)
    mask_loss = functional.binary_cross_entropy_with_logits(logits, target) + 1 - overlap
    return mask_loss * present + functional.binary_cross_entropy_with_logits(score, present)
