"""Training of the network of `napari_sam2.engine.object_net` on its own corrections.

Every episode draws an object and a wrong mask; the network cuts it anew, a click follows in the largest error that is
left, and so on: it practises on the masks that it makes itself.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch.nn import functional

from napari_sam2.engine.correction_evidence import averaged, on_voxels
from napari_sam2.engine.object_evidence import look_at
from napari_sam2.engine.object_net import ObjectNet
from napari_sam2.training.corrections.practice import bounds_of, draw_practice, next_click
from napari_sam2.training.corrections.wrong_masks import wrong_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam2.engine.object_evidence import Click, ObjectEvidence
    from napari_sam2.training.corrections.practice import Practice
    from napari_sam2.training.pool import PoolVolume

__all__ = ["NetRecipe", "train_object_net", "weights_of"]

logger = logging.getLogger(__name__)

CELLS: Final = (16, 28)
"""Cells of the grid in training; in use it may be finer."""

NEAR_CLICK: Final = 3.0
"""How much more a cell counts at the click than far from it."""

WARM_UP: Final = 40
"""Updates until the rate has reached its height."""


@dataclass(frozen=True, slots=True)
class NetRecipe:
    """How the network is trained.

    Attributes
    ----------
    episodes : int
        Objects drawn.
    clicks : int
        Clicks on each, after a first look without any.
    rate : float
        AdamW's highest.
    decay : float
        Of the averaged weights, which are those that are written.
    seed : int
        Of all that is drawn.
    """

    episodes: int = 1500
    clicks: int = 5
    rate: float = 3e-3
    decay: float = 0.995
    seed: int = 1


def train_object_net(
    pools: Mapping[str, Sequence[PoolVolume]],
    shares: Mapping[str, float],
    recipe: NetRecipe,
    keep: Callable[[ObjectNet], None] = lambda net: None,
) -> ObjectNet:
    """Train a network; `keep` is given the averaged one now and then."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    net = ObjectNet()
    mean = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=0.01)
    updates = recipe.episodes * 2
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda n: min((n + 1) / WARM_UP, 0.5 * (1 + np.cos(np.pi * min(n / updates, 1))) + 0.01)
    )
    known: list[list[float]] = [[] for _ in range(recipe.clicks + 1)]
    for episode in range(recipe.episodes):
        practice = draw_practice(rng, pools, shares)
        practice.object, boxed = wrong_mask(rng, practice)
        for looks, overlap in enumerate(_episode(rng, net, practice, boxed, recipe.clicks), start=1):
            known[looks - 1].append(overlap)
            if looks % 3 == 0 or looks == recipe.clicks + 1:
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                with torch.no_grad():
                    for slow, fast in zip(mean.parameters(), net.parameters(), strict=True):
                        slow.lerp_(fast, 1 - min(recipe.decay, (episode + 1) / (episode + 10)))
        if episode % 50 == 49:
            logger.info("%d: %s", episode + 1, " ".join(f"{np.mean(v[-50:]):.3f}" for v in known if v))
            keep(mean)
    return mean


def weights_of(net: ObjectNet) -> dict[str, NDArray[np.float32]]:
    """The weights by their names in the weight file."""
    return {name: np.ascontiguousarray(values.detach().numpy()) for name, values in net.state_dict().items()}


def _episode(rng: np.random.Generator, net: ObjectNet, practice: Practice, boxed: int, clicks: int):  # type: ignore[no-untyped-def]
    """Look, learn, take over the answer, click; the Dice before every look."""
    given: list[Click] = []
    for count in range(clicks + 1):
        if count:
            click = next_click(rng, practice)
            if click is None:
                return
            given.append(click)
        yield_dice = _dice(practice.object, practice.truth)
        if not practice.object.any():
            return
        cells = int(rng.integers(*CELLS))
        evidence = look_at(practice, bounds_of(practice.object), given, [boxed], cells)
        logits = net(torch.from_numpy(evidence.channels)[None])[0]
        _loss(logits, evidence, practice).backward()
        answer = on_voxels(logits.detach().numpy().astype(np.float64), evidence.window, evidence.strides) > 0
        practice.object = practice.object.copy()
        practice.object[evidence.window] = answer
        for click in given:
            practice.object[click.voxel] = click.include
        yield yield_dice


def _loss(logits: Tensor, evidence: ObjectEvidence, practice: Practice) -> Tensor:
    wanted = torch.from_numpy(averaged(practice.truth[evidence.window].astype(np.float32), evidence.strides))
    weights = 1 + NEAR_CLICK * torch.from_numpy(np.abs(evidence.channels[14]))
    entropy = (functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * weights).sum()
    given = torch.sigmoid(logits)
    overlap = (2 * (given * wanted).sum() + 1) / (given.sum() + wanted.sum() + 1)
    return entropy / weights.sum() + 0.5 * (1 - overlap)


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return 2 * float((one & other).sum()) / max(int(one.sum() + other.sum()), 1)
