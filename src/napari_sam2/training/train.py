"""The training loop.

Roll-outs, one update per decode, averaged weights, resumable at any roll-out.
"""

from __future__ import annotations

import json
import logging
import math
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sam2.models.small.net import SmallNet
from napari_sam2.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from napari_sam2.training.losses import dice, loss
from napari_sam2.training.pool import read_pool
from napari_sam2.training.rollout import Rollout, RolloutSettings
from napari_sam2.training.sampler import ClipSampler, Shares
from napari_sam2.training.start import begin_from
from napari_sam2.training.validate import PROTOCOLS, fixed_clips, validate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from napari_sam2.training.clip import Clip
    from napari_sam2.training.config import TrainConfig
    from napari_sam2.training.pool import PoolVolume
    from napari_sam2.training.validate import Protocol

__all__ = ["Trainer"]

logger = logging.getLogger(__name__)

#: Gradients longer than this are shortened to it.
CLIP_GRADIENT = 3.0
#: Steps of a short roll-out.
SHORT = 2
#: Probability of a correction at each step of a clip that is mostly corrected.
ANNOTATED = 0.8
#: The learning rate ends at this share of its peak.
LAST_RATE = 0.02
CURVE = "curve.jsonl"


class Trainer:
    """One run.

    Parameters
    ----------
    config : TrainConfig
    root : Path
        Folder that the pool paths of the configuration are relative to.
    folder : Path
        Where checkpoints and the learning curve go.
    labelled, synthetic : sequence of PoolVolume
        Further volumes beside those of the pools.
    start : SmallNet, optional
        A network of the configuration's sizes to begin with.
    """

    def __init__(
        self,
        config: TrainConfig,
        root: Path,
        folder: Path,
        *,
        labelled: Sequence[PoolVolume] = (),
        synthetic: Sequence[PoolVolume] = (),
        start: SmallNet | None = None,
    ) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.config, self.folder = config, folder
        self.rng = np.random.default_rng(config.seed)
        self.net = SmallNet(config.net)
        if config.start:
            begin_from(self.net, root / config.start)
        if start is not None:
            self.net.load_state_dict(start.state_dict())
        self.ema = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        self.optimizer = _optimizer(self.net, config)
        self.rollout = self.update = self.samples = 0
        self.seconds = 0.0
        self.recent: list[float] = []
        slab_pools = [read_pool(root / p) for p in config.synthetic_pools]
        real = [v for p in config.real_pools for v in read_pool(root / p)]
        held_out = [v for p in config.validation_pools for v in read_pool(root / p)]
        labelled = [*(v for p in config.labelled_pools for v in read_pool(root / p)), *labelled]
        maps = [v for p in config.map_pools for v in read_pool(root / p)]
        slabs = [*(v for p in slab_pools for v in p[config.held_out :]), *synthetic]
        self.sampler = ClipSampler(slabs, real, config.shares, labelled, maps)
        self.validation: dict[str, list[Clip]] = {}
        self.protocols: Sequence[Protocol] = PROTOCOLS
        if config.held_out:
            kept = ClipSampler([v for p in slab_pools for v in p[: config.held_out]], [], Shares(1.0, 0.0))
            self.validation["synthetic"] = fixed_clips(kept, config.validation_clips)
        if held_out:
            kept = ClipSampler([], held_out, Shares(0.0, 0.0))
            self.validation["real"] = fixed_clips(kept, config.validation_clips)
        anatomy = [v for p in config.held_out_pools for v in read_pool(root / p)]
        if anatomy:
            kept = ClipSampler([], [], Shares(0.0, 0.0, 1.0), anatomy)
            self.validation["anatomy"] = fixed_clips(kept, 2 * config.validation_clips)

    def resume(self) -> None:
        """Go on from the folder's checkpoint."""
        self.ema, progress = load_checkpoint(self.folder, self.net, self.optimizer)
        self.rollout, self.update = progress.rollout, progress.update
        self.samples, self.seconds = progress.samples, progress.seconds
        self.rng.bit_generator.state = progress.generator

    def run(self, seconds: float | None = None, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Train to the end of the configuration.

        Or for so many seconds, or until `should_stop`, which is asked after each roll-out. Always leaves a checkpoint.
        """
        started = time.monotonic()
        before, validated = self.seconds, -1
        while self.rollout < self.config.rollouts:
            self.one_rollout()
            self.seconds = before + time.monotonic() - started
            if self.rollout % self.config.validate_every == 0:
                self._validate()
                validated = self.rollout
            if self.rollout % self.config.keep_every == 0:
                self._save()
            if should_stop() or (seconds is not None and time.monotonic() - started > seconds):
                break
        if validated != self.rollout:
            self._validate()
        self._save()

    def one_rollout(self) -> None:
        """Draw a batch of clips and work through it.

        Each decode is followed by an update.
        """
        stage = self.config.at(self.rollout)
        short = self.rng.random() < stage.short
        steps = SHORT if short else stage.steps
        clips = [self.sampler.draw(self.rng, steps, stage.ending) for _ in range(stage.batch)]
        names = list(self.config.kinds)
        shares = np.array([self.config.kinds[name] for name in names])
        kinds = [str(k) for k in self.rng.choice(names, stage.batch, p=shares / shares.sum())]
        settings = RolloutSettings(
            stage.size,
            teacher=stage.teacher,
            keep=self.config.keep_channels or None,
            refine=stage.refine,
            closest=stage.closest,
            imperfect=stage.imperfect,
            closeup=stage.closeup,
            judged=stage.judged,
            channels=self.config.net.channels,
        )
        rollout = Rollout(clips, kinds, self.rng, settings, self.config.net.widths[2])
        habits = np.where((self.rng.random(stage.batch) < stage.annotated) | short, ANNOTATED, stage.correct)
        for step in range(steps):
            inputs = rollout.inputs()
            with _half_precision():
                output = self.net(inputs.channels, inputs.tokens)
            rollout.receive(output)
            weight = 1.0 if step else self.config.first
            self._learn(weight * loss(output, inputs.truth, inputs.visible, self.config.loss))
            self.recent.append(float(dice(output.logits, inputs.truth).mean()))
            self.samples += stage.batch
            if step + 1 < steps:
                corrected = [bool(c) for c in self.rng.random(stage.batch) < habits]
                rollout.go_on(corrected, last=step + 2 == steps)
        self.rollout += 1

    def _learn(self, value: Tensor) -> None:
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), CLIP_GRADIENT)
        self.optimizer.step()
        self.update += 1
        decay = min(self.config.ema, (self.update + 1) / (self.update + 15))
        with torch.no_grad():
            current = self.net.state_dict()
            torch._foreach_lerp_(list(self.ema.values()), [current[k] for k in self.ema], 1 - decay)

    def _rate(self) -> float:
        warm = min(1.0, (self.update + 1) / max(1, self.config.warm_up))
        done = self.rollout / max(1, self.config.rollouts)
        done = min(1.0, max(0.0, done - self.config.hold) / max(1e-9, 1 - self.config.hold))
        cosine = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done))
        return self.config.learning_rate * warm * cosine

    def _validate(self) -> None:
        net = SmallNet(self.config.net).eval()
        net.load_state_dict(self.ema)
        stage = self.config.at(max(0, self.rollout - 1))
        record: dict[str, object] = {
            "samples": self.samples,
            "seconds": round(self.seconds, 1),
            "rollout": self.rollout,
            "size": stage.size,
            "train_dice": float(np.mean(self.recent[-300:])) if self.recent else 0.0,
        }
        for name, clips in self.validation.items():
            scores = validate(
                net, clips, stage.size, self.config.keep_channels or None, self.config.validate_hidden, self.protocols
            )
            record |= {f"{name}/{key}": round(value, 4) for key, value in scores.items()}
        self.recent = self.recent[-300:]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / CURVE).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        logger.info("%s", json.dumps(record))

    def _save(self) -> None:
        progress = Progress(self.rollout, self.update, self.samples, self.seconds, dict(self.rng.bit_generator.state))
        save_checkpoint(self.folder, self.net, self.ema, self.optimizer, progress)


def _optimizer(net: SmallNet, config: TrainConfig) -> torch.optim.AdamW:
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), foreach=True)


def _half_precision() -> torch.autocast | nullcontext[None]:
    """Bfloat16 where the processor has instructions for it; elsewhere it would only be slower."""
    if torch.cpu._is_avx512_bf16_supported():
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return nullcontext()
