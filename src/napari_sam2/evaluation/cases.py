"""A case of an evaluation.

One labelled object of one volume, and the slice on which it is prompted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from napari_sam2.channels.mix import AUTO
from napari_sam2.channels.stack import ChannelStack
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window, choose_window
from napari_sam2.errors import GeometryError, UserInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Case", "blanked", "largest_component", "make_case", "slice_stack"]

BLANK: Final = 0.5
"""Intensity of a hidden image."""

LUMA: Final = (0.299, 0.587, 0.114)
"""Rec. 601 weights with which classical methods see colours."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One object to be segmented.

    Attributes
    ----------
    name : str
        The volume, for per-volume means.
    label : str
        The object.
    volume : Volume
        The scan.
    window : Window
        How the model sees it.
    truth : (I, J, K) bool array
        The object: the largest connected part of the label.
    axis, index : int
        Slice axis, and the slice on which the object is largest: prompts are given there.
    channels : ChannelStack, optional
        The scan with its further channels.
    fusion : str
        How they become the image for the model, see `napari_sam2.channels.mix.named_mix`.
    """

    name: str
    label: str
    volume: Volume
    window: Window
    truth: NDArray[np.bool_]
    axis: int
    index: int
    channels: ChannelStack | None = None
    fusion: str = AUTO


def make_case(name: str, label: str, volume: Volume, mask: NDArray[np.bool_], window: Window | None = None) -> Case:
    """A case from a volume and a labelled structure.

    Both lie on the same grid.

    Raises
    ------
    GeometryError
        If the mask has another shape.
    UserInputError
        If it is empty.
    """
    if mask.shape != volume.shape:
        raise GeometryError(f"{name}: the labels have shape {mask.shape}, the image {volume.shape}.")
    if not mask.any():
        raise UserInputError(f"{name}: there is no voxel of {label}; choose another label.")
    truth = largest_component(mask)
    axis = volume.default_slice_axis
    areas = truth.sum(tuple(a for a in range(3) if a != axis))
    return Case(name, label, volume, window or choose_window(volume), truth, axis, int(areas.argmax()))


def blanked(case: Case) -> Case:
    """The same case with a constant image.

    What is left is what the prompt alone gives.
    """
    voxels = np.full(case.volume.shape, BLANK, np.float32)
    hidden = Volume(voxels, case.volume.affine, case.volume.oriented, case.volume.source)
    window = Window(0.0, 1.0, "blank")
    stack = case.channels
    if stack is not None:
        further = (replace(channel, volume=hidden, laid=hidden, window=window) for channel in stack.further)
        stack = ChannelStack(hidden, tuple(further), stack.name)
    return replace(case, volume=hidden, channels=stack, window=window)


def slice_stack(case: Case) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Grey image in [0, 1] and truth, as the model sees them.

    Both are (slices, rows, columns).
    """
    plane = case.volume.plane(case.axis)
    images = [case.window.apply(plane.take(case.volume.voxels, k)) for k in range(plane.n_slices)]
    if case.volume.is_rgb:
        images = [image @ np.array(LUMA, np.float32) for image in images]
    masks = [plane.take(case.truth, k) for k in range(plane.n_slices)]
    return np.stack(images), np.stack(masks)


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part, voxels touching by faces."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask.astype(bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == int(sizes.argmax()))
