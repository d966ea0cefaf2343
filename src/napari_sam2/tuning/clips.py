"""Neighbouring slices of finished structures, as SAM 2 sees them.

One view, several slices, the object on each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from napari_sam2.core.prompts import MaskPrompt, SlicePrompts
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.engine.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam2.models.base import SegmentationModel, ViewPrompts
    from napari_sam2.tuning.cases import FinishedScan

__all__ = ["REACH", "ViewClip", "clips_of"]

REACH: Final = 2
"""Slices on either side of the prompted one."""

MOST_VIEWS: Final = 160
"""Views of all clips together; the features of one are about 4 MB at 512 pixels."""

LEAST_PIXELS: Final = 25
"""Of an object on the slice that is prompted."""


@dataclass(frozen=True, slots=True, eq=False)
class ViewClip:
    """Slices around a prompted one.

    Attributes
    ----------
    images : Tensor, (T, C, S, S)
        The view of each slice, in [0, 1].
    masks : Tensor, (T, S, S)
        The object, 0 or 1.
    anchor : int
        Which of them is prompted.
    n_slices : int
        Of the whole volume.
    given : ViewPrompts, optional
        What a person gave on the prompted slice.
    """

    images: Tensor
    masks: Tensor
    anchor: int
    n_slices: int
    given: ViewPrompts | None = None


def clips_of(scans: Sequence[FinishedScan], model: SegmentationModel) -> list[ViewClip]:
    """Clips of every structure of every scan, spread evenly over its extent.

    Parameters
    ----------
    scans : sequence of FinishedScan
        To learn from.
    model : SegmentationModel
        Whose views they are cut for.
    """
    structures = sum(len(scan.names) for scan in scans)
    each = max(1, MOST_VIEWS // ((2 * REACH + 1) * max(1, structures)))
    return [clip for scan in scans for clip in _clips(scan, model, each)]


def _clips(scan: FinishedScan, model: SegmentationModel, each: int) -> Iterator[ViewClip]:
    volume, labels, names = scan.read()
    image, window = scan.image_seen(volume)
    engine = Engine(image, model, window, volume.default_slice_axis)
    prompts = scan.prompts(volume)
    for label_id in names:
        drawn = [p for p in prompts.get(label_id, ()) if not isinstance(p, MaskPrompt)]
        given = SlicePrompts.of(drawn, volume, engine.plane.axis)
        inside = np.asarray(labels == label_id)
        areas = inside.sum(tuple(a for a in range(3) if a != engine.plane.axis))
        usable = np.flatnonzero(areas >= LEAST_PIXELS)
        spread = np.unique(np.linspace(0, len(usable) - 1, min(each, len(usable))).round().astype(int))
        begun = [k for k in usable.tolist() if k in given and (given[k].box is not None or given[k].positive.any())]
        for place in [*begun, *(k for k in usable[spread].tolist() if k not in begun)][:each]:
            yield _clip(engine, inside, place, given[place] if place in begun else None)


def _clip(engine: Engine, inside: NDArray[np.bool_], anchor: int, given: SlicePrompts | None) -> ViewClip:
    plane = engine.plane
    slices = [k for k in range(anchor - REACH, anchor + REACH + 1) if 0 <= k < plane.n_slices]
    masks = [np.asarray(plane.take(inside, k), np.float32) for k in slices]
    bounds = SliceMask.of(masks[slices.index(anchor)] > 0).bounds
    view = engine.view_around(bounds, engine.model.view_policy.factor)
    images = torch.stack([view.image(engine.slice_image(k)) for k in slices])
    seen = torch.stack([(view.image(mask)[0] > 0.5).float() for mask in masks])
    drawn = None if given is None else view.prompts(given, engine.model.device)
    return ViewClip(images, seen, slices.index(anchor), plane.n_slices, drawn)
