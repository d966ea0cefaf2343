"""Training of the network of `napari_sam2.engine.consolidation`.

First on what runs and clicks leave, then also on what is left where the network itself has gone over the object after
each click.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from napari_sam2.engine.consolidation import Consolidator, normed
from napari_sam2.engine.consolidation_evidence import CLICKED_FEATURES, FEATURES
from napari_sam2.training.consolidation.lessons import invented_lessons, lessons_of_all
from napari_sam2.training.corrections.lessons import GATHERED, average, learn, turning
from napari_sam2.training.corrections.torch_net import CorrectionNet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.training.consolidation.examples import Example
    from napari_sam2.training.consolidation.lessons import Lesson
    from napari_sam2.training.pool import PoolVolume

__all__ = ["INVENTED", "OWN_WAY", "NetRecipe", "Training", "train_net"]

logger = logging.getLogger(__name__)

JITTER: Final = 0.1
"""Spreads of what is added to all cells of a feature alike."""

LOOKED_AT_AFTER: Final = 100
"""Updates from one report to the next."""

INVENTED: Final = "invented"
"""The set of objects whose masks are invented."""

OWN_WAY: Final = "own way"
"""The set of carried objects along the network's own answers."""


@dataclass(frozen=True, slots=True)
class NetRecipe:
    """How the network is trained.

    Attributes
    ----------
    updates : int
        Of four lessons each.
    own_way_from : int
        Updates after which lessons are also made along the network's own answers, as it is then.
    own_way : int
        Carried objects of which they are made, spread over all.
    invented : int
        Objects whose masks are invented.
    invented_cells : tuple of int
        Cells along their longest side, from and to.
    invented_shares : mapping of str to float
        How often each pool is drawn from for them.
    first, then : mapping of str to float
        How often each set of objects is drawn from, before and after that.
    unclicked : float
        Share of lessons before the first click.
    rate : float
        AdamW's highest.
    decay : float
        Of the averaged weights, which are those that are written.
    seed : int
        Of all that is drawn.
    """

    updates: int
    own_way_from: int
    own_way: int
    invented: int
    invented_cells: tuple[int, int]
    invented_shares: Mapping[str, float]
    first: Mapping[str, float]
    then: Mapping[str, float]
    unclicked: float = 0.3
    rate: float = 2e-3
    decay: float = 0.998
    seed: int = 1


class Training:
    """The network on its way.

    Parameters
    ----------
    sets : mapping of str to sequence of sequence of Lesson
        Lessons by object and set.
    recipe : NetRecipe
        How it is trained.
    start : mapping of str to array, optional
        Weights of a network that knew no clicks, from which it begins.
    """

    def __init__(
        self,
        sets: Mapping[str, Sequence[Sequence[Lesson]]],
        recipe: NetRecipe,
        start: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self._recipe = recipe
        self._rng = np.random.default_rng(recipe.seed)
        self._mean, self._spread = _spread_of(
            [lesson for of_set in sets.values() for made in of_set for lesson in made]
        )
        self._net = CorrectionNet(CLICKED_FEATURES)
        if start is not None:
            self._begin_from(start)
        self._slow = copy.deepcopy(self._net).eval()
        self._optimizer = torch.optim.AdamW(self._net.parameters(), recipe.rate, weight_decay=0.02)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, recipe.rate, total_steps=recipe.updates, pct_start=0.1, final_div_factor=20
        )
        self._update = 0

    def _begin_from(self, start: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over what a network without clicks has learned; nothing is added of clicks at first."""
        old = FEATURES - 1
        for mine, its in ((self._mean, start["mean"]), (self._spread, start["spread"])):
            mine[:old], mine[-1] = its[:-1], its[-1]
        weights = {name: torch.from_numpy(v.copy()) for name, v in start.items() if name not in ("mean", "spread")}
        enter = torch.zeros_like(self._net.enter.weight)
        enter[:, :old], enter[:, -1] = weights["enter.weight"][:, :-1], weights["enter.weight"][:, -1]
        self._net.load_state_dict(weights | {"enter.weight": enter})

    def learn(self, sets: Mapping[str, Sequence[Sequence[Lesson]]], shares: Mapping[str, float], until: int) -> None:
        """Go on to an update.

        Parameters
        ----------
        sets
            Lessons by object and set.
        shares : mapping of str to float
            How often each set is drawn from.
        until : int
            The last update.
        """
        names = [name for name in shares if sets[name]]
        chances = np.array([shares[name] for name in names])
        losses = []
        while self._update < until:
            self._update += 1
            for _ in range(GATHERED):
                of_set = sets[names[int(self._rng.choice(len(names), p=chances / chances.sum()))]]
                made = of_set[int(self._rng.integers(len(of_set)))]
                begun = self._rng.random() < self._recipe.unclicked or len(made) == 1
                lesson = made[0 if begun else int(self._rng.integers(1, len(made)))]
                losses.append(_learn(self._net, lesson, self._rng, self._mean, self._spread))
            torch.nn.utils.clip_grad_norm_(self._net.parameters(), 1.0, error_if_nonfinite=True)
            self._optimizer.step()
            self._schedule.step()
            self._optimizer.zero_grad()
            average(self._slow, self._net, self._recipe.decay, self._update)
            if self._update % LOOKED_AT_AFTER == 0:
                logger.info("%d: loss %.4f", self._update, np.mean(losses[-LOOKED_AT_AFTER * GATHERED :]))

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The averaged weights, by their names in the file."""
        weights = {name: values.numpy().copy() for name, values in self._slow.state_dict().items()}
        return weights | {"mean": self._mean.astype(np.float32), "spread": self._spread.astype(np.float32)}


def train_net(
    carried: Mapping[str, Sequence[Example]],
    pools: Mapping[str, Sequence[PoolVolume]],
    recipe: NetRecipe,
    start: Mapping[str, NDArray[np.float32]] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Weights of the network, by their names in the file.

    Parameters
    ----------
    carried : mapping of str to sequence of Example
        Sets of carried objects.
    pools : mapping of str to sequence of PoolVolume
        Where objects with invented masks are drawn from.
    recipe : NetRecipe
        How it is trained.
    start : mapping of str to array, optional
        As for `Training`.
    """
    sets = {name: lessons_of_all(examples, recipe.seed) for name, examples in carried.items()}
    sets[INVENTED] = invented_lessons(
        pools, recipe.seed, recipe.invented, recipe.invented_cells, recipe.invented_shares
    )
    logger.info("%s", {name: len(of_set) for name, of_set in sets.items()})
    training = Training(sets, recipe, start)
    training.learn(sets, recipe.first, recipe.own_way_from)
    way = Consolidator(training.weights())
    every = [example for examples in carried.values() for example in examples]
    chosen = [every[index] for index in np.linspace(0, len(every) - 1, min(recipe.own_way, len(every))).astype(int)]
    sets[OWN_WAY] = lessons_of_all(chosen, recipe.seed + 1, way)
    training.learn(sets, recipe.then, recipe.updates)
    return training.weights()


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
