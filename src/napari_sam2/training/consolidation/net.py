"""Training of the network of `napari_sam2.engine.consolidation`.

Lessons are objects as the product carried them, and others with a mask gone wrong in one to three of the ways of
`napari_sam2.training.corrections.wrong_masks`.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from napari_sam2.engine.consolidation import normed
from napari_sam2.engine.consolidation_evidence import FEATURES, Run, survey
from napari_sam2.engine.correction_evidence import averaged
from napari_sam2.evaluation.challenge import extent_of
from napari_sam2.measures.metrics import dice
from napari_sam2.training.consolidation.examples import CELLS, Example
from napari_sam2.training.corrections.lessons import GATHERED, average, learn, turning
from napari_sam2.training.corrections.practice import Practice, draw_practice
from napari_sam2.training.corrections.torch_net import CorrectionNet
from napari_sam2.training.corrections.wrong_masks import wrong_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.training.pool import PoolVolume

__all__ = ["Lesson", "NetRecipe", "gather", "lesson_of", "practice_of", "run_of", "train_net"]

logger = logging.getLogger(__name__)

NEAR: Final = 0.4
"""Radii of the boxed section: as near as that to the mask a cell counts in full."""

FAR_WEIGHT: Final = 0.15
"""Of a cell that lies further away and is not the object's."""

LEAST_OVERLAP: Final = 0.15
"""Dice of a carried mask below which there is nothing to be made of it."""

JITTER: Final = 0.1
"""Spreads of what is added to all cells of a feature alike."""

NOT_TOLD: Final = 0.5
"""Share of invented masks whose slices are not told."""

JUST_TOLD: Final = 0.3
"""Share of those whose slices are told just as they are; of the rest a few too many are."""

LOOKED_AT_AFTER: Final = 100
"""Updates from one report to the next."""


@dataclass(frozen=True, slots=True)
class NetRecipe:
    """How the network is trained.

    Attributes
    ----------
    updates : int
        Of four lessons each.
    invented : int
        Further objects, whose masks are invented.
    real : float
        Share of lessons with a mask that the product carried.
    rate : float
        AdamW's highest.
    decay : float
        Of the averaged weights, which are those that are written.
    seed : int
        Of all that is drawn.
    """

    updates: int = 2200
    invented: int = 480
    real: float = 0.65
    rate: float = 3e-3
    decay: float = 0.995
    seed: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A carried object on its grid, and what it should be.

    Attributes
    ----------
    maps : (FEATURES, slices, rows, columns) float16 array
    wanted : float16 array
        Share of every cell that belongs to the object.
    weights : float16 array
        What a cell counts.
    """

    maps: NDArray[np.float16]
    wanted: NDArray[np.float16]
    weights: NDArray[np.float16]


def told_of(rng: np.random.Generator, truth: NDArray[np.bool_]) -> range | None:
    """The slices that a person might tell of an object.

    None, just its own, or some more.
    """
    chance = rng.random()
    if chance < NOT_TOLD:
        return None
    held = extent_of(truth, 0)
    if chance < NOT_TOLD + JUST_TOLD:
        return held
    more = max(2, len(held) // 2)
    low, high = (int(n) for n in rng.integers(0, more, 2, endpoint=True))
    return range(max(0, held.start - low), min(len(truth), held.stop + high))


def lesson_of(example: Example) -> Lesson | None:
    """What there is to learn from an example.

    None where its boxed slice is empty.
    """
    seen = survey(example.practice(), example.run()) if example.carried.any() else None
    if seen is None:
        return None
    wanted = averaged(example.truth[seen.window].astype(np.float32), seen.strides)
    near = (seen.maps[1] > -NEAR) | (wanted > 0)
    weights = np.where(near, 1.0, FAR_WEIGHT)
    return Lesson(
        seen.maps.astype(np.float16), wanted.astype(np.float16), (weights / weights.mean()).astype(np.float16)
    )


def gather(
    examples: Sequence[Example],
    pools: Mapping[str, Sequence[PoolVolume]],
    shares: Mapping[str, float],
    recipe: NetRecipe,
) -> tuple[list[Lesson], list[Lesson]]:
    """Lessons with carried masks, and lessons with invented ones.

    Parameters
    ----------
    examples : sequence of Example
        Carried objects.
    pools, shares
        Where further objects are drawn from, as for `draw_practice`.
    recipe : NetRecipe
        How many.
    """
    worth = [example for example in examples if dice(example.carried, example.truth) > LEAST_OVERLAP]
    real = [lesson for example in worth if (lesson := lesson_of(example)) is not None]
    invented = [
        lesson
        for number in range(recipe.invented)
        if (lesson := _invented(np.random.default_rng([recipe.seed, number]), pools, shares)) is not None
    ]
    logger.info("%d carried, %d invented", len(real), len(invented))
    return real, invented


def train_net(real: Sequence[Lesson], invented: Sequence[Lesson], recipe: NetRecipe) -> dict[str, NDArray[np.float32]]:
    """Weights of the network, by their names in the file.

    Parameters
    ----------
    real, invented
        As `gather` gives them.
    recipe : NetRecipe
        How it is trained.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    mean, spread = _spread_of(real)
    net = CorrectionNet(FEATURES)
    slow = copy.deepcopy(net).eval()
    optimizer = torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=recipe.updates, pct_start=0.15, final_div_factor=20
    )
    losses = []
    for update in range(1, recipe.updates + 1):
        for _ in range(GATHERED):
            own = real if not invented or rng.random() < recipe.real else invented
            losses.append(_learn(net, own[int(rng.integers(len(own)))], rng, mean, spread))
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0, error_if_nonfinite=True)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        average(slow, net, recipe.decay, update)
        if update % LOOKED_AT_AFTER == 0:
            logger.info("%d: loss %.4f", update, np.mean(losses[-LOOKED_AT_AFTER * GATHERED :]))
    weights = {name: values.numpy().copy() for name, values in slow.state_dict().items()}
    return weights | {"mean": mean.astype(np.float32), "spread": spread.astype(np.float32)}


def _invented(
    rng: np.random.Generator, pools: Mapping[str, Sequence[PoolVolume]], shares: Mapping[str, float]
) -> Lesson | None:
    """A lesson of an object whose mask went wrong by invention."""
    practice = draw_practice(rng, pools, shares, CELLS)
    mask, boxed = wrong_mask(rng, practice)
    told = told_of(rng, practice.truth)
    if told is not None:
        mask[: told.start] = mask[told.stop :] = False
    trust = np.full(len(mask), np.nan, np.float32)
    return lesson_of(Example("", practice.voxels, practice.truth, mask, trust, boxed, told, practice.spacing))


def _spread_of(lessons: Sequence[Lesson]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and spread of every feature, all lessons counting alike."""
    means = np.array([lesson.maps.astype(np.float32).mean(axis=(1, 2, 3)) for lesson in lessons], dtype=np.float64)
    squares = np.array(
        [(lesson.maps.astype(np.float32) ** 2).mean(axis=(1, 2, 3)) for lesson in lessons], dtype=np.float64
    )
    mean = means.mean(axis=0)
    return mean, np.sqrt(np.maximum(squares.mean(axis=0) - mean**2, 0)) + 1e-3


def _learn(
    net: CorrectionNet,
    lesson: Lesson,
    rng: np.random.Generator,
    mean: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> float:
    turned = turning(rng)
    maps = normed(lesson.maps.astype(np.float32), mean, spread)
    maps[:-1] += (JITTER * rng.standard_normal(len(maps) - 1)).astype(np.float32).reshape(-1, 1, 1, 1)
    return learn(net, turned(maps), turned(lesson.wanted), turned(lesson.weights), 1.0)
