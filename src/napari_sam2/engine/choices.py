"""The masks that a click may mean.

A part, the whole, or what holds it.

A model that has several masks for one click gives its own (Kirillov et al., "Segment Anything", ICCV 2023: three);
one that has a single mask is asked on views of several sizes, as `find_from_clicks` does, and what differs counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from napari_sam2.core.slice_masks import SliceScores, iou
from napari_sam2.engine.click_search import click_answers
from napari_sam2.engine.engine import Anchor
from napari_sam2.models.base import DecodeRequest, ManyMaskModel

if TYPE_CHECKING:
    from napari_sam2.core.prompts import SlicePrompts
    from napari_sam2.engine.engine import Engine

__all__ = ["MOST", "choices"]

MOST: Final = 3
"""As many as SAM has."""

SAME: Final = 0.9
"""IoU from which on two masks are no choice."""


def choices(engine: Engine, index: int, prompts: SlicePrompts) -> list[Anchor]:
    """Different masks for clicks on a slice.

    Parameters
    ----------
    engine : Engine
        Of the volume.
    index : int
        The slice.
    prompts : SlicePrompts
        Clicks alone.

    Returns
    -------
    list of Anchor
        At least one, at most `MOST`, the best first; any two of them differ.
    """
    first = engine.predict(index, prompts)
    kept = [first]
    with torch.inference_mode():
        for anchor in sorted(_others(engine, index, prompts, first), key=lambda a: -a.scores.predicted_iou):
            if anchor.mask.n_voxels and all(iou(anchor.mask, other.mask) < SAME for other in kept):
                kept.append(anchor)
    return kept[:MOST]


def _others(engine: Engine, index: int, prompts: SlicePrompts, first: Anchor) -> list[Anchor]:
    model = engine.model
    if isinstance(model, ManyMaskModel):
        view = first.view
        features = engine.features.get([(index, view)])[0]
        request = DecodeRequest(features, view.prompts(prompts, model.device), n_slices=engine.plane.n_slices)
        answers = [(view, decoded, engine.mask_of(decoded, view)) for decoded in model.decode_all([request])[0]]
    elif model.view_policy.zoom:
        answers = click_answers(engine, index, prompts)
    else:
        answers = []
    return [
        Anchor(index, view, mask, SliceScores(decoded.object_score, decoded.predicted_iou), decoded)
        for view, decoded, mask in answers
    ]
