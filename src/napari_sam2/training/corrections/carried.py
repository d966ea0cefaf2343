"""Wrong masks as the product's own runs leave them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.evaluation.challenge import middle_box
from napari_sam2.session.session import Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.training.corrections.practice import Practice

__all__ = ["carried_mask"]


def carried_mask(practice: Practice, model: AnyModel) -> tuple[NDArray[np.bool_], int]:
    """The mask that a box on the middle slice gives.

    Carried through the volume without a fit; and the slice of the box.
    """
    volume = Volume(practice.voxels, np.diag([*practice.spacing, 1.0]))
    session = Session(volume, model, window=Window(0.0, 1.0, "practice"), axis=0, fit=None, look_over=False)
    box = middle_box(practice.truth, 0)
    session.add_prompt(1, box)
    for _ in session.propagate([1]):
        pass
    return np.asarray(session.label_map() == 1), box.slice_index(0)
