"""Prompts: what a person points at, in voxel coordinates.

There is one set per object.

A prompt lies on a slice: the plane with one index fixed. A box's two corners agree in exactly one
index, which is its slice axis; a point may be used on any axis; a mask names its axis and slice.
An object lies on the plane of its first box or mask; boxes on other planes make it a box in 3-D.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.errors import PromptError, UserInputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = [
    "OTHER_PLANE",
    "Box",
    "MaskPrompt",
    "ObjectPrompts",
    "Point",
    "Prompt",
    "SlicePrompts",
    "check_prompts",
    "plain",
    "slice_axis_of",
]

OTHER_PLANE = -1
"""No slice: where a box on another plane lies on an object's own."""

LARGEST_ID = 2**31 - 1
"""Label maps are at most int32 on disk."""

_AXIS_NAMES = "ijk"


def plain(value: Any) -> Any:
    """Numbers and arrays of NumPy as Python's own.

    Arrays and lists become tuples; anything else stays as it is.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return tuple(plain(part) for part in value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True, slots=True)
class Point:
    """A click.

    Attributes
    ----------
    voxel : tuple of float
        (i, j, k); integers are voxel centres, so 3.4 lies inside voxel 3.
    positive : bool
        True includes the place, False excludes it.
    """

    voxel: tuple[float, float, float]
    positive: bool = True

    def __post_init__(self) -> None:
        """Take NumPy's numbers as well: journals and sidecars hold Python's."""
        object.__setattr__(self, "voxel", plain(self.voxel))
        object.__setattr__(self, "positive", plain(self.positive))

    def slice_index(self, axis: int) -> int:
        """The slice across `axis` that holds the point."""
        return math.floor(self.voxel[axis] + 0.5)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on one slice.

    Both corners belong to it, in any order.

    Attributes
    ----------
    corners : tuple of two (i, j, k)
        Opposite corners, which agree in exactly one index: the slice.
    """

    corners: tuple[tuple[int, int, int], tuple[int, int, int]]

    def __post_init__(self) -> None:
        """Take NumPy's numbers as well, as `Point` does."""
        object.__setattr__(self, "corners", plain(self.corners))

    def slice_index(self, axis: int) -> int:
        """The slice across `axis` that the box lies on.

        `OTHER_PLANE` when it lies across another axis.
        """
        return self.low[axis] if axis in self.fixed_axes else OTHER_PLANE

    @property
    def low(self) -> tuple[int, int, int]:
        """The smaller index along each axis."""
        a, b = self.corners
        return min(a[0], b[0]), min(a[1], b[1]), min(a[2], b[2])

    @property
    def high(self) -> tuple[int, int, int]:
        """The larger index along each axis; it belongs to the box."""
        a, b = self.corners
        return max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2])

    @property
    def fixed_axes(self) -> tuple[int, ...]:
        """Axes in which the corners agree; exactly one in a valid box."""
        a, b = self.corners
        return tuple(axis for axis in range(3) if a[axis] == b[axis])


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrompt:
    """A mask drawn or computed elsewhere, given on one slice.

    Attributes
    ----------
    mask : (A, B) bool array
        The slice in stored order: the two axes other than `axis`, in rising order.
    axis, index : int
        The slice it lies on.
    """

    mask: NDArray[np.bool_]
    axis: int
    index: int

    def __post_init__(self) -> None:
        """Take NumPy's numbers as well, as `Point` does."""
        object.__setattr__(self, "axis", plain(self.axis))
        object.__setattr__(self, "index", plain(self.index))

    def slice_index(self, axis: int) -> int:
        """The slice that the mask lies on."""
        return self.index


Prompt = Point | Box | MaskPrompt


@dataclass(frozen=True, slots=True, eq=False)
class ObjectPrompts:
    """All prompts of one object.

    Attributes
    ----------
    object_id : int
        Its value in the label map, 1 or more.
    prompts : tuple of Prompt
        In the order in which they were given.
    name : str
        For people; need not be unique.
    origin : str
        Who proposed the prompts and from what, where a person or a program did not give them itself.
    whole : (I, J, K) bool array, optional
        The object itself, where it is known already; no model is asked, and there are no prompts.
    """

    object_id: int
    prompts: tuple[Prompt, ...]
    name: str = ""
    origin: str = ""
    whole: NDArray[np.bool_] | None = None

    def on_slices(self, slices: range | None, axis: int) -> ObjectPrompts:
        """The same with nothing outside of slices across an axis.

        Raises
        ------
        UserInputError
            If nothing of it lies on them.
        """
        if slices is None or self.whole is None:
            return self
        kept = self.whole.copy()
        across = np.moveaxis(kept, axis, 0)
        across[: max(slices.start, 0)] = False
        across[max(slices.stop, 0) :] = False
        if not kept.any():
            name = self.name or f"object {self.object_id}"
            raise UserInputError(f"{name} lies on none of the slices that may be written.")
        return replace(self, whole=kept)


@dataclass(frozen=True, slots=True, eq=False)
class SlicePrompts:
    """The prompts of one object on one slice.

    In (row, column) of the slice's plane.

    Attributes
    ----------
    points : (N, 2) float array
        Clicks.
    positive : (N,) bool array
        Their polarity.
    box : (4,) float array, optional
        Outer edges: row0, column0, row1, column1; a box around pixel 3 alone spans 2.5 to 3.5.
    mask : (rows, columns) bool array, optional
        A given mask.
    """

    points: NDArray[np.float64]
    positive: NDArray[np.bool_]
    box: NDArray[np.float64] | None = None
    mask: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, prompts: Iterable[Prompt], volume: Volume, axis: int) -> dict[int, SlicePrompts]:
        """Sort checked prompts by the slice across `axis` that they lie on.

        Boxes on other planes are left out.
        """
        plane = volume.plane(axis)
        by_slice: dict[int, list[Prompt]] = {}
        for prompt in prompts:
            if prompt.slice_index(axis) != OTHER_PLANE:
                by_slice.setdefault(prompt.slice_index(axis), []).append(prompt)
        sorted_slices = sorted(by_slice.items())
        return {index: _on_plane(on_slice, plane, volume) for index, on_slice in sorted_slices}


def slice_axis_of(prompts: Iterable[Prompt]) -> int | None:
    """The axis that boxes and masks fix.

    The first one of them decides; None when there are only points.
    """
    for prompt in prompts:
        if isinstance(prompt, MaskPrompt):
            return prompt.axis
        if isinstance(prompt, Box) and len(prompt.fixed_axes) == 1:
            return prompt.fixed_axes[0]
    return None


def check_prompts(
    objects: Sequence[ObjectPrompts], volume: Volume, axis: int | None = None, begun: Collection[int] = ()
) -> None:
    """Refuse prompts that cannot be meant, listing every fault.

    Parameters
    ----------
    objects : sequence of ObjectPrompts
        What was asked for.
    volume : Volume
        The volume they must lie in.
    axis : int, optional
        The slice axis that the caller insists on; boxes and masks on another one are faults.
    begun : collection of int
        Ids of objects that have masks already: excluding a place says enough there.

    Raises
    ------
    PromptError
        With one sentence per fault.
    """
    faults: list[str] = []
    if not objects:
        faults.append("There is no prompt: give a box, a point or a mask.")
    ids: set[int] = set()
    for obj in objects:
        where = f"object {obj.object_id}"
        if not 1 <= obj.object_id <= LARGEST_ID:
            faults.append(f"{where}: the id must be 1 to {LARGEST_ID}.")
        if obj.object_id in ids:
            faults.append(f"{where}: the id is used twice.")
        ids.add(obj.object_id)
        faults.extend(f"{where}: {fault}" for fault in _object_faults(obj, volume, axis))
        includes = obj.whole is not None or any(isinstance(p, Box | MaskPrompt) or p.positive for p in obj.prompts)
        if not includes and obj.object_id not in begun:
            faults.append(f"{where}: it has no positive prompt, so nothing says what to include.")
    if faults:
        raise PromptError(faults)


def _object_faults(obj: ObjectPrompts, volume: Volume, axis: int | None) -> list[str]:
    faults: list[str] = []
    if obj.whole is not None:
        if obj.prompts:
            faults.append("it is given as a whole, so it has no prompts.")
        if obj.whole.shape != volume.shape:
            faults.append(f"it has shape {obj.whole.shape}, but the image has {volume.shape}.")
        elif not obj.whole.any():
            faults.append("it is empty.")
    own_axis = slice_axis_of(obj.prompts) if axis is None else axis
    for number, prompt in enumerate(obj.prompts, start=1):
        # Boxes on several planes are one box in 3-D, unless the caller insists on an axis.
        needed_axis = axis if isinstance(prompt, Box) else own_axis
        faults.extend(f"prompt {number}, {fault}" for fault in _prompt_faults(prompt, volume, needed_axis))
    return faults


def _prompt_faults(prompt: Prompt, volume: Volume, axis: int | None) -> list[str]:
    if isinstance(prompt, Point):
        return _coordinate_faults(f"point {_show(prompt.voxel)}", prompt.voxel, volume)
    if isinstance(prompt, Box):
        name = f"box {_show(prompt.corners[0])} to {_show(prompt.corners[1])}"
        faults = [fault for corner in prompt.corners for fault in _coordinate_faults(name, corner, volume)]
        if len(prompt.fixed_axes) != 1:
            faults.append(
                f"{name}: the corners must agree in exactly one index, the slice; they agree in "
                f"{len(prompt.fixed_axes)}."
            )
        elif axis is not None and prompt.fixed_axes[0] != axis:
            faults.append(
                f"{name}: it lies on a slice across {_AXIS_NAMES[prompt.fixed_axes[0]]}, but the other "
                f"prompts lie across {_AXIS_NAMES[axis]}."
            )
        return faults
    name = f"mask on slice {prompt.index}"
    if prompt.axis not in (0, 1, 2):
        return [f"{name}: the axis must be 0, 1 or 2; got {prompt.axis}."]
    faults = []
    if axis is not None and prompt.axis != axis:
        faults.append(
            f"{name}: it lies across {_AXIS_NAMES[prompt.axis]}, but the other prompts lie across {_AXIS_NAMES[axis]}."
        )
    if not 0 <= prompt.index < volume.shape[prompt.axis]:
        faults.append(
            f"{name}: slices across {_AXIS_NAMES[prompt.axis]} run from 0 to {volume.shape[prompt.axis] - 1}."
        )
    expected = tuple(n for a, n in enumerate(volume.shape) if a != prompt.axis)
    if prompt.mask.shape != expected:
        faults.append(f"{name}: it has shape {prompt.mask.shape}, but the slice has {expected}.")
    elif not prompt.mask.any():
        faults.append(f"{name}: it is empty.")
    return faults


def _coordinate_faults(name: str, voxel: Sequence[float], volume: Volume) -> list[str]:
    if not all(math.isfinite(c) for c in voxel):
        return [f"{name}: every coordinate must be a finite number."]
    outside = [
        f"{_AXIS_NAMES[axis]} = {_number(c)} (0 to {n - 1})"
        for axis, (c, n) in enumerate(zip(voxel, volume.shape, strict=True))
        if not -0.5 <= c <= n - 0.5
    ]
    return [f"{name}: outside the volume in {', '.join(outside)}."] if outside else []


def _on_plane(prompts: Sequence[Prompt], plane: Any, volume: Volume) -> SlicePrompts:
    points = [p for p in prompts if isinstance(p, Point)]
    # The last box and the last mask count: drawing again replaces.
    box = next((p for p in reversed(prompts) if isinstance(p, Box)), None)
    mask = next((p for p in reversed(prompts) if isinstance(p, MaskPrompt)), None)
    edges = None
    if box is not None:
        corners = plane.to_plane(np.array(box.corners))
        edges = np.concatenate([corners.min(axis=0) - 0.5, corners.max(axis=0) + 0.5])
    return SlicePrompts(
        points=plane.to_plane(np.array([p.voxel for p in points]).reshape(-1, 3)),
        positive=np.array([p.positive for p in points], dtype=bool),
        box=edges,
        mask=None if mask is None else plane.take(np.expand_dims(mask.mask, mask.axis), 0),
    )


def _show(voxel: Sequence[float]) -> str:
    return "(" + ", ".join(_number(c) for c in voxel) + ")"


def _number(value: float) -> str:
    return f"{value:g}"
