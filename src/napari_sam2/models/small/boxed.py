"""What a tight box says of a slice beyond the network's answer.

Two things that the network uses too little, neither of them learned. What is in the box and what is in the ring around
it have different intensities: the log-likelihood ratio of their histograms (`histograms.near_ratio`) is added to the
network's logits. And a person draws a box so that the object touches its four sides: the threshold is lowered until
the answer does (the prior of Lempitsky et al., Image segmentation with a bounding box prior, ICCV 2009, without their
optimisation). Only the largest connected part is kept, without holes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_sam2.models.small.channels import boxed_evidence, rectangles

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["agreed_with_box", "refined_by_box"]

#: Weight of the histograms; 0.5 to 3 are within 0.003 Dice on the scans it was chosen on.
EVIDENCE = 1.0
#: Gap between the answer and a side of the box, over the box's extent, from which on it counts as touched.
GAP = 0.06
#: How far the threshold is lowered at most, and in which steps; in logits.
LOWEST, STEP = 1.5, 0.25
#: Logit of what was filled, and of what was left out.
FILLED, LEFT_OUT = 0.5, -2.0


def refined_by_box(logits: Tensor, image: Tensor, box: Tensor) -> Tensor:
    """A network's answer to a box, made to agree with the box.

    Parameters
    ----------
    logits : Tensor, (S, S)
        The network's answer; above 0 is the object.
    image : Tensor, (S, S)
        The view, in [0, 1].
    box : Tensor, (4,)
        Outer edges x0, y0, x1, y1 in pixels of the view.

    Returns
    -------
    Tensor, (S, S)
        Logits on the device of the first ones; as they were where nothing of the object is left in the box.
    """
    inside, evidence = boxed_evidence(image[None], box[None])
    rectangle = inside[0].cpu().numpy()
    known = logits.float().cpu().numpy()
    return _agreed(logits, known + rectangle * EVIDENCE * evidence[0].cpu().numpy(), rectangle, box)


def agreed_with_box(logits: Tensor, box: Tensor) -> Tensor:
    """An answer, made to touch the sides of a box.

    Of one part, and without holes.

    Parameters
    ----------
    logits : Tensor, (S, S)
        Above 0 is the object.
    box : Tensor, (4,)
        Outer edges x0, y0, x1, y1 in pixels of the view.
    """
    rectangle = rectangles(box[None], logits.shape[-1])[0].cpu().numpy()
    return _agreed(logits, logits.float().cpu().numpy(), rectangle, box)


def _agreed(logits: Tensor, fused: NDArray[np.float32], rectangle: NDArray[np.float32], box: Tensor) -> Tensor:
    edges = [float(edge) for edge in box]
    shift, part = _touching(fused, rectangle, edges)
    if part is None:
        return logits
    answer = fused + shift * rectangle
    answer = np.where((answer > 0) & ~part, LEFT_OUT, answer)
    answer = np.where(part & (answer <= 0), FILLED, answer)
    return torch.from_numpy(answer.astype(np.float32)).to(logits.device)


def _touching(
    fused: NDArray[np.float32], rectangle: NDArray[np.float32], box: list[float]
) -> tuple[float, NDArray[np.bool_] | None]:
    """The least lowering at which the answer touches the box.

    Or comes nearest to it; and the largest part of the answer then.
    """
    best: tuple[float, float, NDArray[np.bool_] | None] = (np.inf, 0.0, None)
    # No answer reaches beyond the one at the lowest threshold.
    window = _around(fused + LOWEST * rectangle > 0)
    inner, inside = fused[window], rectangle[window]
    for shift in np.arange(0, LOWEST + STEP / 2, STEP):
        part = _largest(inner + shift * inside > 0)
        gap = _widest_gap(part, window, box)
        if gap < best[0]:
            best = (gap, float(shift), part)
        if gap <= GAP:
            break
    _, shift, chosen = best
    if chosen is None:
        return shift, None
    whole = np.zeros(fused.shape, bool)
    whole[window] = ndimage.binary_fill_holes(chosen)
    return shift, whole


def _around(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns that hold all of a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(parts == 1 + np.bincount(parts.ravel())[1:].argmax(), bool)


def _widest_gap(mask: NDArray[np.bool_], window: tuple[slice, slice], box: list[float]) -> float:
    """The widest gap between a mask in a window and the box's sides.

    Over the box's extent along the same axis.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return float("inf")
    rows, columns = rows + window[0].start, columns + window[1].start
    x0, y0, x1, y1 = box
    wide, tall = max(x1 - x0, 1e-6), max(y1 - y0, 1e-6)
    return float(
        max(
            (columns[0] - 0.5 - x0) / wide,
            (x1 - columns[-1] - 0.5) / wide,
            (rows[0] - 0.5 - y0) / tall,
            (y1 - rows[-1] - 0.5) / tall,
        )
    )
