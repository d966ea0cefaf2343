"""Consolidation: a carried object, looked over as a whole.

A propagation sees one slice after another. When it has come to its end, a U-Net in three dimensions sees the whole
object with its surroundings (`consolidation_evidence`), and says of every voxel whether it belongs to it. What it is
sure of is changed: ends that were run past, parts that were lost on the way, leaks. Prompted and accepted slices stay
as they are, and so does what lies outside the slices that a person told.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from safetensors.numpy import load_file
from scipy import ndimage

from napari_sam2.engine.consolidation_evidence import on_grid, survey
from napari_sam2.engine.consolidation_rules import (
    AFTER_CLICKS,
    BY_BORDERS,
    BY_FIRST,
    BY_NETWORK,
    BY_THE_CLICK,
    RULES,
    TOLD,
)
from napari_sam2.engine.correction import Change
from napari_sam2.engine.correction_evidence import at_places, on_voxels
from napari_sam2.engine.correction_net import Network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_sam2.engine.consolidation_evidence import Run, Survey
    from napari_sam2.engine.consolidation_rules import Rule
    from napari_sam2.engine.correction_evidence import Scene, Voxel, Window

__all__ = [
    "Consolidator",
    "along_border",
    "changed",
    "consolidate",
    "mean_trust",
    "normed",
    "reconsider",
    "shipped",
]

_FAR: Final = 5.0
"""Spreads from the mean at which features are clipped."""

_FINE: Final = 1.01
"""Of the finest step, up to which an axis is as fine."""

_AHEAD, _BEHIND = slice(1, None), slice(None, -1)

_MIRRORED = slice(None), slice(None, None, -1), slice(None, None, -1), slice(None, None, -1)
"""Maps of the object mirrored along every axis: none of them has a direction."""


def consolidate(
    scene: Scene, run: Run, by: str = BY_BORDERS, consolidator: Consolidator | None = None
) -> Change | None:
    """What changes when a carried object is looked over as a whole.

    Parameters
    ----------
    scene : Scene
        Object and image.
    run : Run
        What is known of the propagation.
    by : str
        Which network, of `RULES`.
    consolidator : Consolidator, optional
        Who looks over it instead.

    Returns
    -------
    Change or None
        None where the model was sure, and where the known slices hold nothing of the object.
    """
    rule = RULES[by] if by == BY_FIRST or run.told is None else TOLD
    if mean_trust(run) >= rule.sure:
        return None
    seen = survey(scene, replace(run, clicks=None if by == BY_FIRST else ()))
    if seen is None:
        return None
    logits = (consolidator or shipped(by))(seen.maps)
    change = changed(seen, run, logits, rule) | along_border(seen, run, logits, scene.spacing, rule)
    return Change(seen.window, change)


def reconsider(
    scene: Scene,
    run: Run,
    corrected: Change | None,
    consolidator: Consolidator | None = None,
    rule: Rule = AFTER_CLICKS,
) -> Change | None:
    """What else of the whole object changes after a click.

    When the click itself has been answered around it.

    All clicks are evidence: where the network's own answer disagrees with one of them, nothing changes. What changes
    is what the last click has told the network more of. What the click itself changed stays, and so does what is nearer
    to a click than what disagrees with it.

    Parameters
    ----------
    scene : Scene
        Object, with the click's correction, and image.
    run : Run
        What is known of it, with all clicks.
    corrected : Change, optional
        What the last click changed.
    consolidator : Consolidator, optional
        Who goes over it; the network that ships by default.
    rule : Rule
        What is asked.

    Returns
    -------
    Change or None
        None where nothing is to change.
    """
    seen = survey(scene, run)
    if seen is None:
        return None
    network = consolidator or shipped(BY_NETWORK)
    logits = network(seen.maps)
    if not _agrees(seen, run, logits):
        return None
    change, beside = changed(seen, run, logits, rule), along_border(seen, run, logits, scene.spacing, rule)
    if rule.mirrored and (change.any() or beside.any()):
        again = network(np.ascontiguousarray(seen.maps[_MIRRORED]))[_MIRRORED[1:]]
        change &= changed(seen, run, again, rule)
        beside &= along_border(seen, run, again, scene.spacing, rule)
    if seen.before is not None and change.any():
        places = np.argwhere(change)
        told = at_places(logits - network(seen.before()), places, seen.strides)
        change[change] = np.where(seen.mask[change], -told, told) > BY_THE_CLICK
    change |= beside
    change &= ~_proved(seen, run, scene.spacing, corrected)
    lost = change & seen.mask
    emptied = lost.sum(axis=(1, 2)) > rule.most_of_slice * seen.mask.sum(axis=(1, 2))
    change[emptied] &= ~seen.mask[emptied]
    return Change(seen.window, change) if change.any() else None


def _inside(window: Window, run: Run) -> list[tuple[Voxel, bool]]:
    """The clicks in a window, from its first voxel."""
    return on_grid(run.clicks or (), window, (1, 1, 1))


def _agrees(seen: Survey, run: Run, logits: NDArray[np.float64]) -> bool:
    """Whether the network says of every click what the click says."""
    clicks = _inside(seen.window, run)
    wanted = at_places(logits, np.array([voxel for voxel, _ in clicks]).reshape(-1, 3), seen.strides)
    return all((logit > 0) == include for logit, (_, include) in zip(wanted, clicks, strict=True))


def _proved(seen: Survey, run: Run, spacing: tuple[float, float, float], corrected: Change | None) -> NDArray[np.bool_]:
    """What clicks have settled: voxels nearer to one than what disagrees with it, and what the last one changed."""
    settled = np.zeros(seen.mask.shape, bool)
    for voxel, include in _inside(seen.window, run):
        depth = _depth(seen.mask, voxel, include, spacing)
        reach = [max(1, math.ceil(depth / step)) for step in spacing]
        around = tuple(slice(max(0, at - n), at + n + 1) for at, n in zip(voxel, reach, strict=True))
        offsets = np.ogrid[around]
        away = np.sqrt(sum(((o - at) * step) ** 2 for o, at, step in zip(offsets, voxel, spacing, strict=True)))
        settled[around] |= (away <= depth)[tuple(slice(0, n) for n in settled[around].shape)]
    if corrected is not None:
        shared = [
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in zip(seen.window, corrected.window, strict=True)
        ]
        if all(part.start < part.stop for part in shared):
            here, there = (
                tuple(slice(p.start - w.start, p.stop - w.start) for p, w in zip(shared, window, strict=True))
                for window in (seen.window, corrected.window)
            )
            settled[here] |= corrected.voxels[there]
    return settled


def _depth(mask: NDArray[np.bool_], voxel: Voxel, include: bool, spacing: tuple[float, float, float]) -> float:
    """From a click to the nearest voxel that says otherwise; a step of the finest axis at least."""
    finest = min(spacing)
    for steps in (4, 16, 64, 10_000):
        reach = [max(1, math.ceil(steps * finest / step)) for step in spacing]
        around = tuple(slice(max(0, at - n), at + n + 1) for at, n in zip(voxel, reach, strict=True))
        other = np.argwhere(mask[around] != include)
        if len(other):
            away = (other + [part.start for part in around] - np.array(voxel)) * spacing
            nearest = float(np.sqrt((away**2).sum(axis=1)).min())
            if nearest <= steps * finest or steps == 10_000:
                return max(nearest, finest)
    return finest


def mean_trust(run: Run) -> float:
    """The mean of what the model thinks of its masks.

    0 where nothing is known.
    """
    trust = [run.trust.get(index, np.nan) for index in range(run.bounds[0].start, run.bounds[0].stop)]
    known = [value for value in trust if np.isfinite(value)]
    return float(np.mean(known)) if known else 0.0


def changed(seen: Survey, run: Run, logits: NDArray[np.float64], rule: Rule) -> NDArray[np.bool_]:
    """Voxels of the window that change sides.

    Parameters
    ----------
    seen : Survey
        The grid.
    run : Run
        Says which slices stay.
    logits : (slices, rows, columns) array
        Of cells, that they belong to the object.
    rule : Rule
        The logits that changes ask for.
    """
    wanted = on_voxels(logits, seen.window, seen.strides)
    change: NDArray[np.bool_] = np.where(seen.mask, wanted < -rule.lost, wanted > rule.gained)
    added = at_places(logits - seen.maps[-1], np.argwhere(change), seen.strides)
    change[change] = np.where(seen.mask[change], added < -rule.lost, added > rule.gained)
    gained = change & ~seen.mask
    _keep(change, seen, run)
    after = seen.mask ^ change
    parts, _ = ndimage.label(after)
    kept = np.unique(parts[after & seen.mask])
    return change & ~(gained & ~np.isin(parts, kept))


def along_border(
    seen: Survey, run: Run, logits: NDArray[np.float64], spacing: tuple[float, float, float], rule: Rule
) -> NDArray[np.bool_]:
    """Voxels beside the border that change sides.

    A step of the finest axis from it: what is wrong there is small, and there is much of it.

    Parameters
    ----------
    seen, run, logits, rule
        As for `changed`.
    spacing : tuple of float
        Millimetres from voxel to voxel.
    """
    beside = np.zeros(seen.mask.shape, bool)
    if math.isinf(min(rule.border_gained, rule.border_lost)):
        return beside
    for axis, step in enumerate(spacing):
        if step > _FINE * min(spacing):
            continue
        ahead, behind = (tuple(part if a == axis else slice(None) for a in range(3)) for part in (_AHEAD, _BEHIND))
        apart = seen.mask[ahead] != seen.mask[behind]
        beside[ahead] |= apart
        beside[behind] |= apart
    _keep(beside, seen, run)
    wanted = at_places(logits, np.argwhere(beside), seen.strides)
    beside[beside] = np.where(seen.mask[beside], wanted < -rule.border_lost, wanted > rule.border_gained)
    return beside


def _keep(change: NDArray[np.bool_], seen: Survey, run: Run) -> None:
    """Leave the slices that stay as they are."""
    first = seen.window[0].start
    for index in run.known:
        if 0 <= index - first < len(change):
            change[index - first] = False


def normed(maps: NDArray[np.float32], mean: NDArray[np.floating], spread: NDArray[np.floating]) -> NDArray[np.float32]:
    """Maps as the network sees them.

    The last is left as it is.
    """
    across = (-1, 1, 1, 1)
    values = np.clip((maps - mean.reshape(across)) / spread.reshape(across), -_FAR, _FAR)
    values[-1] = maps[-1]
    as_seen: NDArray[np.float32] = values.astype(np.float32)
    return as_seen


class Consolidator:
    """The network, with what its channels are normed with.

    Parameters
    ----------
    weights : mapping of str to array
        Of the U-Net, and ``mean`` and ``spread`` of the features.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._mean, self._spread = (weights[name].astype(np.float64) for name in ("mean", "spread"))
        self._net = Network({name: values for name, values in weights.items() if name not in ("mean", "spread")})

    def __call__(self, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits (slices, rows, columns) that cells belong to the object, from (features, slices, rows, columns)."""
        return self._net(normed(maps, self._mean, self._spread))


@lru_cache(maxsize=2)
def shipped(by: str) -> Consolidator:
    """The network of that name, of `RULES`."""
    return Consolidator(load_file(Path(__file__).parent / f"{by.partition('+')[0]}.safetensors"))
