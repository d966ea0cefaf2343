"""Training of the second network on boxed views."""

from __future__ import annotations

import copy
import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch.nn import functional

from napari_sam2.models.small.box_net import CHANNELS, BoxNet, Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from napari_sam2.models.small.box_net import BoxNetConfig
    from napari_sam2.training.boxed.views import Views

__all__ = ["LearningRecipe", "learned"]

logger = logging.getLogger(__name__)

SLICES: Final = 3
"""The first channels are three slices."""

ALONE: Final = 0.1
"""Share of views whose neighbours are taken away, as at the end of a volume or in a photograph."""

SHADES: Final = 0.15
"""Spread of the factor and of the shift of the slices' intensities."""

INVERTED: Final = 0.05
"""Share of views whose intensities are turned round."""

HIDDEN: Final = 0.1
"""Share of views without the first answer."""

CHECKPOINT: Final = "checkpoint.pt"
"""What a run that is cut off goes on from."""

AT_ONCE: Final = 32
"""Kept views that are looked at together."""

EXCHANGED: Final = [*range(Place.ACROSS), Place.DOWN, Place.ACROSS, *range(Place.DOWN + 1, CHANNELS)]
"""Channels of a view whose rows and columns are exchanged."""

OUTSIDE: Final = 0.2
"""What a pixel outside the box counts in the cross-entropy."""


@dataclass(frozen=True, slots=True)
class LearningRecipe:
    """How the network is trained.

    Attributes
    ----------
    updates : int
    batch : int
        Views of an update.
    rate : float
        AdamW's highest.
    decay : float
        Of the averaged weights, which are those that are written.
    every : int
        Updates from one look at the kept views, and one checkpoint, to the next.
    seed : int
    """

    updates: int
    batch: int = 16
    rate: float = 2e-3
    decay: float = 0.998
    every: int = 500
    seed: int = 1


def learned(views: Views, kept: Views, config: BoxNetConfig, recipe: LearningRecipe, folder: Path) -> dict[str, Tensor]:
    """Weights of the network.

    Parameters
    ----------
    views, kept : Views
        To learn from, and to be looked at.
    config : BoxNetConfig
    recipe : LearningRecipe
    folder : Path
        Holds ``curve.jsonl`` and the checkpoint from which a run that was cut off goes on.
    """
    torch.manual_seed(recipe.seed)
    net: BoxNet = BoxNet(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    slow = copy.deepcopy(net).eval()
    optimizer = torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=recipe.updates, pct_start=0.08, final_div_factor=50
    )
    rng = np.random.default_rng(recipe.seed)
    parts: dict[str, Any] = {"net": net, "slow": slow, "optimizer": optimizer, "schedule": schedule}
    update = _resumed(folder, parts, rng)
    losses, begun = [], time.perf_counter()
    while update < recipe.updates:
        chosen = torch.from_numpy(rng.integers(len(views), size=recipe.batch))
        losses.append(_learn(net, rng, views, chosen))
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0, error_if_nonfinite=True)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        update += 1
        _average(slow, net, min(recipe.decay, update / (update + 10)))
        if update % recipe.every == 0 or update == recipe.updates:
            line = {
                "update": update,
                "seconds": round(time.perf_counter() - begun, 1),
                "loss": round(float(np.mean(losses)), 4),
            }
            line |= _looked_at(slow, kept)
            with (folder / "curve.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            logger.info("%s", line)
            losses = []
            _keep(folder, parts, rng, update)
    return {name: values.detach().clone() for name, values in slow.state_dict().items()}


def _learn(net: BoxNet, rng: np.random.Generator, views: Views, chosen: Tensor) -> float:
    channels, before, truth = (values[chosen].float() for values in (views.channels, views.before, views.truth))
    channels, before, truth, inside = _altered(rng, channels, before, truth)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(channels.contiguous(memory_format=torch.channels_last), before)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    weights = OUTSIDE + (1 - OUTSIDE) * inside
    entropy = (entropy * weights).sum((1, 2)) / weights.sum((1, 2))
    answer = torch.sigmoid(logits)
    overlap = (2 * (answer * truth).sum((1, 2)) + 1) / ((answer + truth).sum((1, 2)) + 1)
    loss = (entropy + 1 - overlap).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def _altered(
    rng: np.random.Generator, channels: Tensor, before: Tensor, truth: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Views mirrored, rows and columns exchanged, shades changed, neighbours or the first answer taken away.

    The last result is 1 inside the box.
    """
    count = len(channels)
    alone = torch.from_numpy(rng.random(count) < ALONE)
    channels[alone, :SLICES] = channels[alone, 1:2]
    shades = torch.from_numpy(rng.normal(0, SHADES, (2, count, 1, 1, 1)).astype(np.float32))
    channels[:, :SLICES] = (channels[:, :SLICES] * (1 + shades[0]) + shades[1]).clamp(-1, 1)
    if rng.random() < 0.5:
        channels[:, :SLICES] = channels[:, [2, 1, 0]]
    inverted = torch.from_numpy(rng.random(count) < INVERTED)
    channels[inverted, : SLICES + 1] = -channels[inverted, : SLICES + 1]
    hidden = torch.from_numpy(rng.random(count) < HIDDEN)
    channels[hidden, Place.ANSWER : Place.BEFORE + 1] = 0
    before[hidden] = 0
    mirrored = [axis for axis in (-2, -1) if rng.random() < 0.5]
    channels, before, truth = (values.flip(mirrored) for values in (channels, before, truth))
    if rng.random() < 0.5:
        channels, before, truth = (values.transpose(-1, -2) for values in (channels, before, truth))
        channels = channels[:, EXCHANGED]
    return channels, before, truth, (channels[:, Place.DISTANCE] > 0).float()


def _average(slow: BoxNet, net: BoxNet, decay: float) -> None:
    with torch.no_grad():
        for kept, now in zip(slow.parameters(), net.parameters(), strict=True):
            kept.lerp_(now, 1 - decay)


@torch.inference_mode()
def _looked_at(net: BoxNet, kept: Views) -> dict[str, float]:
    """Mean Dice in the close view, of the first answer and of the network's."""
    scores = []
    for start in range(0, len(kept), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        before, wanted = kept.before[part].float(), kept.truth[part] > 0.5
        logits = net(kept.channels[part].float(), before)
        scores.append(torch.stack([_dice(answer > 0, wanted) for answer in (before, logits)]))
    both = torch.cat(scores, 1).mean(1)
    return {"before": round(float(both[0]), 4), "dice": round(float(both[1]), 4)}


def _dice(answer: Tensor, wanted: Tensor) -> Tensor:
    return (2 * (answer & wanted).sum((1, 2)) + 1) / (answer.sum((1, 2)) + wanted.sum((1, 2)) + 1)


def _keep(folder: Path, parts: Mapping[str, Any], rng: np.random.Generator, update: int) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= {"update": update, "numpy": json.dumps(rng.bit_generator.state), "torch": torch.get_rng_state()}
    torch.save(state, folder / f"{CHECKPOINT}.part")
    (folder / f"{CHECKPOINT}.part").replace(folder / CHECKPOINT)


def _resumed(folder: Path, parts: Mapping[str, Any], rng: np.random.Generator) -> int:
    """Take up what a run that was cut off has left; the number of its updates."""
    if not (folder / CHECKPOINT).is_file():
        return 0
    state = torch.load(folder / CHECKPOINT, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    rng.bit_generator.state = json.loads(state["numpy"])
    torch.set_rng_state(state["torch"])
    return int(state["update"])
