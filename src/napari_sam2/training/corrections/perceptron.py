"""Training of the perceptron of `napari_sam2.engine.correction`.

Which voxels around a click change sides.

Two rounds: the first on clicks on wrong masks, the second on the masks that the first one's weights leave as well.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch.nn import functional

from napari_sam2.engine.correction import Perceptron, correct
from napari_sam2.engine.correction_evidence import FEATURES, averaged, gather
from napari_sam2.training.corrections.practice import draw_practice, next_click
from napari_sam2.training.corrections.wrong_masks import wrong_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.engine.correction_evidence import Voxel
    from napari_sam2.training.corrections.practice import Practice
    from napari_sam2.training.pool import PoolVolume

__all__ = ["PerceptronRecipe", "train_perceptron"]

logger = logging.getLogger(__name__)

HIDDEN: Final = 48
"""Width of both hidden layers."""

VOXELS: Final = 2500
"""Taken of every click, more of them near it than far."""

BATCH: Final = 4096

JITTER: Final = 0.03
"""Standard deviations of noise on every feature."""


@dataclass(frozen=True, slots=True)
class PerceptronRecipe:
    """How the perceptron is trained.

    Attributes
    ----------
    episodes : int
        Objects drawn in each of two rounds.
    clicks : int
        Clicks on each.
    steps : int
        Updates after each round.
    rate : float
        The highest of a one-cycle schedule.
    seed : int
        Of all that is drawn.
    """

    episodes: int = 250
    clicks: int = 5
    steps: int = 1800
    rate: float = 6e-3
    seed: int = 1


def train_perceptron(
    pools: Mapping[str, Sequence[PoolVolume]], shares: Mapping[str, float], recipe: PerceptronRecipe
) -> dict[str, NDArray[np.float32]]:
    """The weights, by their names in the weight file."""
    rng = np.random.default_rng(recipe.seed)
    features: list[NDArray[np.float32]] = []
    wanted: list[NDArray[np.float32]] = []
    weights: dict[str, NDArray[np.float32]] = {}
    for _ in range(2):
        known = Perceptron(weights) if weights else None
        for _ in range(recipe.episodes):
            practice = draw_practice(rng, pools, shares)
            practice.object, _ = wrong_mask(rng, practice)
            _practise(rng, practice, known, recipe.clicks, features, wanted)
        weights = _fitted(np.concatenate(features), np.concatenate(wanted), recipe)
        logger.info("perceptron: %d voxels of %d clicks", sum(map(len, wanted)), len(wanted))
    return weights


def _practise(
    rng: np.random.Generator,
    practice: Practice,
    known: Perceptron | None,
    clicks: int,
    features: list[NDArray[np.float32]],
    wanted: list[NDArray[np.float32]],
) -> None:
    """Click and learn; between clicks the mask is corrected by what is known, or drawn anew."""
    earlier: list[tuple[Voxel, bool]] = []
    for _ in range(clicks):
        click = next_click(rng, practice)
        if click is None or not practice.object.any():
            return
        evidence = gather(practice, click.voxel, click.include, earlier)
        if evidence is None:
            return
        side = practice.truth == click.include
        share = averaged(side[evidence.window].astype(np.float32), evidence.strides)[evidence.open]
        near = 1 / (0.3 + evidence.features[:, 0]) ** 1.5
        taken = rng.choice(len(near), min(VOXELS, len(near)), replace=False, p=near / near.sum())
        features.append(evidence.features[taken])
        wanted.append(share[taken])
        if known is None:
            practice.object, _ = wrong_mask(rng, practice)
            continue
        change = correct(practice, click.voxel, click.include, earlier, perceptron=known)
        earlier.append((click.voxel, click.include))
        if change is not None:
            practice.object = practice.object.copy()
            practice.object[change.window] ^= change.voxels


def _fitted(
    features: NDArray[np.float32], wanted: NDArray[np.float32], recipe: PerceptronRecipe
) -> dict[str, NDArray[np.float32]]:
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    mean, spread = features.mean(0), features.std(0) + 1e-3
    normed = torch.from_numpy((features - mean) / spread)
    target = torch.from_numpy(wanted)
    net = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, HIDDEN), torch.nn.SiLU(),
        torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.SiLU(),
        torch.nn.Linear(HIDDEN, 1),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), recipe.rate / 2, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, recipe.steps)
    for _ in range(recipe.steps):
        taken = rng.integers(len(target), size=BATCH)
        given = (normed[taken] + JITTER * torch.randn(BATCH, FEATURES)).clamp(-5, 5)
        loss = functional.binary_cross_entropy_with_logits(net(given)[:, 0], target[taken])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    layers = {f"net.{name}": values.detach().numpy().copy() for name, values in net.state_dict().items()}
    return {"mu": mean.astype(np.float32), "sd": spread.astype(np.float32), **layers}
