"""Corrections: what a click changes around it.

In three dimensions, at the resolution of the error.

What is known of every voxel near the click (`correction_evidence`) is weighed, first voxel by voxel by a perceptron,
then as a whole by a U-Net (`correction_net`); what they give to the click's side and is connected with the click
changes sides, and nothing else does. Neither sees polarity: an exclude click on an object is an include click on its
outside. Both were trained on simulated clicks on wrong masks of labelled scans, for the most part invented ones, and
are not told which model made a mask, so they serve every model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from safetensors.numpy import load_file
from scipy import ndimage

from napari_sam2.engine.correction_evidence import FEATURES, WIDE, gather, on_voxels
from napari_sam2.engine.correction_net import Network, channels_of, slices_away
from napari_sam2.engine.correction_odds import BOUNDED, BY_NETWORK, BY_PERCEPTRON, Odds
from napari_sam2.engine.one_thread import ONE_THREAD
from napari_sam2.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from napari_sam2.engine.correction_evidence import Evidence, Scene, Voxel, Window

__all__ = ["CAREFUL_REACH", "Change", "Perceptron", "correct", "correct_widely", "nearest", "taken"]

WEIGHTS: Final = f"{BY_PERCEPTRON}.safetensors"
"""Of the perceptron, beside this module; docs/corrections.md says what they were trained on."""

NETWORK_WEIGHTS: Final = f"{BY_NETWORK}.safetensors"
"""Of the U-Net."""

LEAST_LOGIT: Final = 0.7
"""Odds of two to one that a voxel is the click's: a wrong change costs more than a missing one, which the next
click brings. 1.5 did a little less harm (5 of 120 clicks instead of 6) and gained less."""

HARDLY: Final = 0.5
"""Share of the perceptron's change below which the network's is not an answer: of a mask that is lost almost wholly the
network changes one voxel, the perceptron a ball."""

TRUSTED_REACH: Final = 2.2
"""Depths from the click within which the perceptron alone is believed: without the limit 6 of 120 clicks did harm,
with it 3."""

OBEYED: Final = 0.5
"""Depths around the click within which the image hardly counts: a click that changes nothing would come again."""

OBEYED_LOGIT: Final = 3.0
"""What is added there."""

CAREFUL_REACH: Final = 1.0
"""Depths from an exclude click within which a careful answer stays."""

_NEVER: Final = -10.0
"""Logit of what may not change."""

_ALREADY: Final = 0.5
"""Logit of what is on the click's side already, where the grid is brought back to voxels."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Voxels that a click changes.

    Attributes
    ----------
    window : tuple of slice
        Part of the volume, as (slices, rows, columns).
    voxels : bool array
        Inside the window: those that change sides.
    """

    window: Window
    voxels: NDArray[np.bool_]


def correct(
    scene: Scene,
    click: tuple[int, int, int],
    include: bool,
    earlier: Sequence[tuple[Voxel, bool]] = (),
    fixed_slices: Sequence[int] = (),
    reach: float = TRUSTED_REACH,
    perceptron: Perceptron | None = None,
) -> Change | None:
    """What a click changes, by the perceptron alone.

    Parameters
    ----------
    scene : Scene
        Object and image.
    click : tuple of int
        (slice, row, column).
    include : bool
        Whether the voxel belongs to the object.
    earlier : sequence of (voxel, bool)
        The clicks before this one, and whether they belong to the object; voxels that say otherwise stay.
    fixed_slices : sequence of int
        Slices that do not change, such as accepted ones.
    reach : float
        Depths from the click within which voxels may change.
    perceptron : Perceptron, optional
        Who weighs the voxels; the one that ships by default.

    Returns
    -------
    Change or None
        Connected with the click, which is part of it; None when the mask says already what the click says.
    """
    evidence = gather(scene, click, include, earlier)
    if evidence is None:
        return None
    logits = np.full(evidence.open.shape, _NEVER)
    far = evidence.features[:, 0] > reach
    weighed = (perceptron or _shipped())(evidence.features)
    weighed[evidence.features[:, 0] <= OBEYED] += OBEYED_LOGIT
    logits[evidence.open] = np.where(far, _NEVER, weighed)
    return taken(scene, evidence, logits, click, include, earlier, fixed_slices)


def correct_widely(
    scene: Scene,
    click: Voxel,
    include: bool,
    earlier: Sequence[tuple[Voxel, bool]] = (),
    fixed_slices: Sequence[int] = (),
    trusted: Collection[int] = (),
    size: float = math.inf,
    odds: Odds = BOUNDED,
    network: Network | None = None,
) -> Change | None:
    """What a click changes, as far as the error goes.

    The perceptron's answer where the network finds hardly anything.

    Parameters
    ----------
    scene, click, include, earlier, fixed_slices
        As for `correct`.
    trusted : collection of int
        Slices that a person boxed, accepted or painted.
    size : float
        Voxels of the object, of which an exclude click takes a part at most.
    odds : Odds
        What is asked of a voxel.
    network : Network, optional
        Who weighs the whole; the one that ships by default.

    Returns
    -------
    Change or None
        As for `correct`.
    """
    evidence = gather(scene, click, include, earlier, WIDE)
    if evidence is None:
        return None
    perceptron = _shipped()
    alone = perceptron(evidence.features)
    logits = (network or _shipped_network())(channels_of(evidence, perceptron.mean, perceptron.spread, alone, trusted))
    away = evidence.maps[..., 0]
    logits -= (odds.include_doubt if include else odds.exclude_doubt) * np.maximum(away - 1, 0)
    logits[away <= OBEYED] += OBEYED_LOGIT
    logits[~evidence.open] = _NEVER
    near = correct(scene, click, include, earlier, fixed_slices)

    def answer(asked: NDArray[np.float64], least: float) -> Change:
        wide = taken(scene, evidence, asked, click, include, earlier, fixed_slices, least)
        return near if near is not None and wide.voxels.sum() < HARDLY * near.voxels.sum() else wide

    if include:
        return answer(logits, odds.include)
    change = answer(logits, odds.exclude)
    if change.voxels.sum() <= odds.small * size:
        return change
    fading = np.exp(-slices_away(evidence, trusted) / odds.trusted_depths).reshape(-1, 1, 1)
    bounded = np.where(evidence.open, logits - odds.trusted * fading, logits)
    for rise in odds.rises:
        change = answer(bounded, odds.exclude + rise)
        if change.voxels.sum() <= odds.small * size or _is_allowed(
            change, scene, evidence, bounded, odds, size, trusted
        ):
            return change
    last = correct(scene, click, include, earlier, fixed_slices, reach=CAREFUL_REACH)
    return nearest(last, click, scene.spacing, odds.most_removed * size) if last and odds.last_bounded else last


def nearest(change: Change, click: Voxel, spacing: tuple[float, float, float], most: float) -> Change:
    """No more voxels of a change than that.

    The click, and those that lie nearest to it and hang together with it.
    """
    places = np.argwhere(change.voxels)
    if len(places) <= most:
        return change
    first = [part.start for part in change.window]
    away = (((places + first - np.asarray(click)) * spacing) ** 2).sum(axis=1)
    kept = np.zeros_like(change.voxels)
    kept[tuple(places[np.argsort(away, kind="stable")[: max(1, int(most))]].T)] = True
    parts, _ = ndimage.label(kept)
    return Change(change.window, parts == parts[tuple(at - start for at, start in zip(click, first, strict=True))])


def _is_allowed(
    change: Change,
    scene: Scene,
    evidence: Evidence,
    logits: NDArray[np.float64],
    odds: Odds,
    size: float,
    trusted: Collection[int],
) -> bool:
    """Whether an exclude click is sure of what it takes, and takes no more than its share."""
    first, count = change.window[0].start, len(change.voxels)
    known = [index - first for index in trusted if 0 <= index - first < count]
    on_trusted = int(scene.mask(change.window)[known].sum())
    inside = tuple(
        slice(part.start - whole.start, part.stop - whole.start)
        for part, whole in zip(change.window, evidence.window, strict=True)
    )
    given = on_voxels(logits, evidence.window, evidence.strides)[inside][change.voxels]
    return bool(
        given.mean() >= odds.sure
        and change.voxels.sum() <= odds.most_removed * size
        and change.voxels[known].sum() <= odds.most_of_trusted * on_trusted
    )


def taken(
    scene: Scene,
    evidence: Evidence,
    logits: NDArray[np.float64],
    click: Voxel,
    include: bool,
    earlier: Sequence[tuple[Voxel, bool]] = (),
    fixed_slices: Sequence[int] = (),
    least: float = LEAST_LOGIT,
) -> Change:
    """What is taken over of an answer.

    The click, and what is connected with it.

    Parameters
    ----------
    scene, click, include, earlier, fixed_slices
        As for `correct`.
    evidence : Evidence
        The grid.
    logits : float array
        Of its cells, that they belong to the click's side; changed.
    least : float
        The logit above which a voxel changes sides.
    """
    logits[evidence.side] = _ALREADY
    wins = on_voxels(logits, evidence.window, evidence.strides) > least
    wins &= scene.mask(evidence.window) != include
    first = [w.start for w in evidence.window]
    for index in fixed_slices:
        if 0 <= index - first[0] < wins.shape[0]:
            wins[index - first[0]] = False
    for voxel in (*(voxel for voxel, of in earlier if of is not include), click):
        at = tuple(v - f for v, f in zip(voxel, first, strict=True))
        if all(0 <= a < n for a, n in zip(at, wins.shape, strict=True)):
            wins[at] = voxel == click
    parts, _ = ndimage.label(wins)
    return Change(evidence.window, parts == parts[tuple(c - f for c, f in zip(click, first, strict=True))])


class Perceptron:
    """Three layers of a perceptron.

    In double precision, so that a journal replays alike on any machine.
    """

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self._weights = {name: values.astype(np.float64) for name, values in weights.items()}
        self.mean, self.spread = self._weights["mu"], self._weights["sd"]
        """Of the features, with which they are normed."""

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits (N,) that voxels belong to the click's side."""
        with ONE_THREAD:
            return self._answer(features)

    def _answer(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        known = self._weights
        values = np.clip((features - self.mean) / self.spread, -5, 5)
        for layer in (0, 2):
            values = values @ known[f"net.{layer}.weight"].T + known[f"net.{layer}.bias"]
            values = values / (1 + np.exp(-values))
        logits: NDArray[np.float64] = (values @ known["net.4.weight"].T + known["net.4.bias"])[:, 0]
        return logits


@lru_cache(maxsize=1)
def _shipped() -> Perceptron:
    weights = load_file(Path(__file__).parent / WEIGHTS)
    if weights["mu"].shape != (FEATURES,):
        raise ModelError(f"{WEIGHTS} belongs to another version of the program; install the package again.")
    return Perceptron(weights)


@lru_cache(maxsize=1)
def _shipped_network() -> Network:
    return Network(load_file(Path(__file__).parent / NETWORK_WEIGHTS))
