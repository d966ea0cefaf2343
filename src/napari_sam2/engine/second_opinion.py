"""A second opinion on large corrections.

Most harm comes from clicks that change a large part of an object. Before such a change is made, the network that knows
the whole object (`engine.consolidation`) sees the mask as it was with the click as evidence: what it does not give to
the click stays as it was, but for what lies nearer to the click than what agrees with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from napari_sam2.engine.consolidation import shipped
from napari_sam2.engine.consolidation_evidence import survey
from napari_sam2.engine.consolidation_rules import BY_NETWORK
from napari_sam2.engine.correction import Change, nearest
from napari_sam2.engine.correction_evidence import depth_of, on_voxels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.engine.consolidation import Consolidator
    from napari_sam2.engine.consolidation_evidence import Run
    from napari_sam2.engine.correction_evidence import Scene

__all__ = ["SECOND", "Doubts", "second_opinion"]


@dataclass(frozen=True, slots=True)
class Doubts:
    """When a second opinion is asked, and what it must say.

    Attributes
    ----------
    large : float
        Share of the object that a click must change.
    include, exclude : float
        The logit, for the click's side, below which a voxel stays as it was.
    most_added : float
        How many times the object's size an include click may add, at most; then what lies nearest to it.
    """

    large: float
    include: float
    exclude: float
    most_added: float


SECOND: Final = Doubts(0.15, 0.0, 0.5, 3.0)


def second_opinion(
    scene: Scene, run: Run, change: Change, doubts: Doubts = SECOND, consolidator: Consolidator | None = None
) -> Change:
    """What of a correction stands.

    Parameters
    ----------
    scene : Scene
        Object, as it was before the click, and image.
    run : Run
        What is known of it, with all clicks; the last one is answered.
    change : Change
        What the click would change.
    doubts : Doubts
        When and what is asked.
    consolidator : Consolidator, optional
        Who is asked; the network that ships by default.

    Returns
    -------
    Change
        The same, or a part of it that hangs together with the click. An include click that the network does not
        believe is not doubted: there it misses the whole error.
    """
    clicks = run.clicks or ()
    voxel, include = clicks[-1]
    size = float(scene.mask(run.bounds).sum())
    if change.voxels.sum() <= doubts.large * size:
        return change
    stands = _standing(scene, run, change, doubts, consolidator)
    if stands is not None:
        parts, _ = ndimage.label(stands)
        at = tuple(v - part.start for v, part in zip(voxel, change.window, strict=True))
        change = Change(change.window, parts == parts[at])
    return nearest(change, voxel, scene.spacing, doubts.most_added * size) if include else change


def _standing(
    scene: Scene, run: Run, change: Change, doubts: Doubts, consolidator: Consolidator | None
) -> NDArray[np.bool_] | None:
    """What the network gives to the last click as well; None where it is not asked or does not believe the click."""
    seen = survey(scene, run)
    if seen is None:
        return None
    voxel, include = (run.clicks or ())[-1]
    wanted = on_voxels((consolidator or shipped(BY_NETWORK))(seen.maps), seen.window, seen.strides)
    at = tuple(v - part.start for v, part in zip(voxel, seen.window, strict=True))
    inside = all(0 <= a < n for a, n in zip(at, wanted.shape, strict=True))
    if include and not (inside and wanted[at] > 0):
        return None
    places = np.argwhere(change.voxels)
    from_first = places + [part.start for part in change.window]
    away = np.sqrt((((from_first - np.asarray(voxel)) * scene.spacing) ** 2).sum(axis=1))
    stays = away <= max(depth_of(scene, voxel, include), min(scene.spacing))
    in_view = from_first - [part.start for part in seen.window]
    viewed = ((in_view >= 0) & (in_view < wanted.shape)).all(axis=1)
    given = wanted[tuple(in_view[viewed].T)] * (1 if include else -1)
    stays[viewed] |= given > (doubts.include if include else doubts.exclude)
    stays[~viewed] = True
    standing = np.zeros_like(change.voxels)
    standing[tuple(places[stays].T)] = True
    return standing
