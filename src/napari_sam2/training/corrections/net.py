"""Training of the network of `napari_sam2.engine.correction_net`, on its own corrections.

Every episode draws an object and a wrong mask, clicks in its errors and takes the network's answers over, so that it
practises on the masks that it leaves itself. Clicks are kept for a while and learned from several times.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from napari_sam2.engine.correction import OBEYED, OBEYED_LOGIT, Perceptron, taken
from napari_sam2.engine.correction_evidence import WIDE, averaged, gather
from napari_sam2.engine.correction_net import channels_of
from napari_sam2.measures.metrics import dice
from napari_sam2.training.corrections.carried import carried_mask
from napari_sam2.training.corrections.lessons import GATHERED, average, learn, turning
from napari_sam2.training.corrections.practice import draw_practice, next_click
from napari_sam2.training.corrections.torch_net import CorrectionNet
from napari_sam2.training.corrections.wrong_masks import DICE, wrong_mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.engine.correction_evidence import Voxel
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.training.corrections.practice import Practice
    from napari_sam2.training.pool import PoolVolume

__all__ = ["Lesson", "NetRecipe", "lessons_of", "train_net"]

logger = logging.getLogger(__name__)

CELLS: Final = (22, 72)
"""Cells along an object's longest side: finer than for the perceptron, for errors are seen whole."""

UNTRUSTED: Final = 0.2
"""Share of episodes in which no slice is known to be right."""

WARM_UP: Final = 100
"""Updates until the rate has reached its height."""

KEPT: Final = 600
"""Clicks that are learned from."""

FIRST: Final = 100
"""Clicks that are gathered before the first update."""

MOST_WEIGHT: Final = 50.0
"""Of a cell, over the mean of all."""

LOOKED_AT_AFTER: Final = 50
"""Episodes from one report to the next."""


@dataclass(frozen=True, slots=True)
class NetRecipe:
    """How the network is trained.

    Attributes
    ----------
    episodes : int
        Objects drawn.
    clicks : int
        Clicks on each.
    times : float
        How often a click is learned from, in the mean.
    carried : float
        Share of episodes that begin with a mask of the product's own, not an invented one.
    rate : float
        AdamW's highest.
    decay : float
        Of the averaged weights, which are those that are written.
    seed : int
        Of all that is drawn.
    """

    episodes: int = 300
    clicks: int = 5
    times: float = 4.0
    carried: float = 0.25
    rate: float = 2e-3
    decay: float = 0.998
    seed: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A click and what it should change.

    Attributes
    ----------
    channels : (CHANNELS, slices, rows, columns) float16 array
    wanted : float16 array
        Share of every cell that belongs to the click's side.
    weights : float16 array
        What a cell counts; 0 where nothing can change.
    """

    channels: NDArray[np.float16]
    wanted: NDArray[np.float16]
    weights: NDArray[np.float16]


def train_net(
    pools: Mapping[str, Sequence[PoolVolume]],
    shares: Mapping[str, float],
    recipe: NetRecipe,
    known: Mapping[str, NDArray[np.float32]],
    model: AnyModel | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Weights of the network, by their names in the file.

    Parameters
    ----------
    pools, shares
        As for `draw_practice`.
    recipe : NetRecipe
        How it is trained.
    known : mapping of str to array
        The perceptron's weights.
    model : SegmentationModel, optional
        Makes carried masks; without one all are invented.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    perceptron = Perceptron(dict(known))
    net = CorrectionNet()
    mean = copy.deepcopy(net).eval()
    optimizer = torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min((n + 1) / WARM_UP, 1.0))
    lessons: list[Lesson] = []
    updates, due, seen, overlaps = 0, 0.0, 0, []
    for episode in range(1, recipe.episodes + 1):
        practice = draw_practice(rng, pools, shares, CELLS)
        boxed = begin(rng, practice, model if rng.random() < recipe.carried else None)
        overlaps.append([dice(practice.object, practice.truth)])
        for lesson in lessons_of(rng, practice, boxed, recipe.clicks, perceptron, mean):
            lessons.append(lesson) if len(lessons) < KEPT else lessons.__setitem__(seen % KEPT, lesson)
            seen, due = seen + 1, due + recipe.times / GATHERED
            overlaps[-1].append(dice(practice.object, practice.truth))
        while due >= 1 and len(lessons) >= FIRST:
            for chosen in rng.integers(len(lessons), size=GATHERED):
                _learn(net, lessons[int(chosen)], rng)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0, error_if_nonfinite=True)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            updates, due = updates + 1, due - 1
            average(mean, net, recipe.decay, updates)
        if episode % LOOKED_AT_AFTER == 0:
            recent = [o for o in overlaps[-LOOKED_AT_AFTER:] if len(o) == recipe.clicks + 1]
            logger.info("%d: %d clicks, %s", episode, seen, np.mean(recent, axis=0).round(3))
    return {name: values.numpy().copy() for name, values in mean.state_dict().items()}


def begin(rng: np.random.Generator, practice: Practice, model: AnyModel | None) -> int | None:
    """Let an object's mask go wrong.

    Returns the slice on which it is nearly right, where that is told.
    """
    boxed = None
    if model is not None:
        mask, boxed = carried_mask(practice, model)
        if DICE[0] < dice(mask, practice.truth) < DICE[1]:
            practice.object = mask
        else:
            boxed = None
    if boxed is None:
        practice.object, boxed = wrong_mask(rng, practice)
    return None if rng.random() < UNTRUSTED else boxed


def lessons_of(
    rng: np.random.Generator,
    practice: Practice,
    boxed: int | None,
    clicks: int,
    perceptron: Perceptron,
    net: CorrectionNet,
) -> Iterator[Lesson]:
    """Click, learn, take the answer over, and click again."""
    earlier: list[tuple[Voxel, bool]] = []
    trusted = () if boxed is None else (boxed,)
    for _ in range(clicks):
        click = next_click(rng, practice)
        if click is None or not practice.object.any():
            return
        evidence = gather(practice, click.voxel, click.include, earlier, WIDE)
        if evidence is None or not evidence.open.any():
            return
        alone = perceptron(evidence.features)
        channels = channels_of(evidence, perceptron.mean, perceptron.spread, alone, trusted)
        right = practice.truth == click.include
        share = averaged(right[evidence.window].astype(np.float32), evidence.strides)
        away = evidence.maps[..., 0]
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            logits = net(torch.from_numpy(channels)[None])[0].float().numpy().astype(np.float64)
        logits[away <= OBEYED] += OBEYED_LOGIT
        change = taken(practice, evidence, logits, click.voxel, click.include, earlier)
        earlier.append((click.voxel, click.include))
        practice.object = practice.object.copy()
        practice.object[change.window] ^= change.voxels
        weights = np.where(evidence.open, 1 / (0.5 + away), 0)
        # In half precision a weight beyond 65504 is infinite: one open cell among many would have it.
        weights = np.minimum(weights / weights.mean(), MOST_WEIGHT)
        yield Lesson(channels.astype(np.float16), share.astype(np.float16), weights.astype(np.float16))


def _learn(net: CorrectionNet, lesson: Lesson, rng: np.random.Generator) -> None:
    turned = turning(rng)
    weights = turned(lesson.weights)
    learn(net, turned(lesson.channels), turned(lesson.wanted), weights, weights)
