"""Hand tools as values.

What is done to a mask, on one slice or on all.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from napari_sam2.core.checked import flag_of, known_of, list_of, number_of
from napari_sam2.core.hand_tools.edges import snap_to_edge
from napari_sam2.core.hand_tools.shaping import fill_holes, grow, keep_largest, keep_part, shrink, smooth
from napari_sam2.core.hand_tools.strokes import brushed, lassoed
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "Brush",
    "FillHoles",
    "Grow",
    "HandTool",
    "KeepLargest",
    "KeepPart",
    "Lasso",
    "Shrink",
    "Smooth",
    "SnapToEdge",
    "tool_from_json",
    "tool_to_json",
]

MOST_MM: Final = 1000.0
"""Millimetres: no tool reaches farther than a body."""

Path = tuple[tuple[float, float], ...]
"""(row, column) of the corners of a stroke on a slice."""


@dataclass(frozen=True, slots=True)
class HandTool:
    """Something that is done to the masks of one object.

    ``name`` is that of journals. A tool with ``by_slice`` works on each slice for itself, the others on the whole
    object where all slices are asked for. One with ``on_slice`` needs a slice. One with ``sees`` looks at the image.
    """

    name: ClassVar[str]
    by_slice: ClassVar[bool] = False
    on_slice: ClassVar[bool] = False
    sees: ClassVar[bool] = False

    def check(self, spacing: Sequence[float]) -> None:
        """Refuse what cannot be meant at a spacing, in millimetres.

        Raises
        ------
        UserInputError
            With the remedy.
        """

    def use(
        self, mask: NDArray[np.bool_], image: NDArray[np.floating] | None, spacing: Sequence[float]
    ) -> NDArray[np.bool_]:
        """The mask afterwards; two or three dimensions, rows and columns last."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _OfDistance(HandTool):
    mm: float

    def check(self, spacing: Sequence[float]) -> None:
        """Refuse distances that are none, or too short to change anything."""
        if not (math.isfinite(self.mm) and 0 < self.mm <= MOST_MM):
            raise UserInputError(f"The distance must be above 0 and at most {MOST_MM:g} mm; got {self.mm:g}.")


@dataclass(frozen=True, slots=True)
class _Step(_OfDistance):
    def check(self, spacing: Sequence[float]) -> None:
        """Refuse distances that no voxel can be moved by."""
        _OfDistance.check(self, spacing)
        if self.mm < min(spacing) * (1 - 1e-6):
            raise UserInputError(
                f"{self.mm:g} mm changes nothing where voxels are {min(spacing):.3g} mm apart; give that much or more."
            )


class Grow(_Step):
    """Adds what lies within a distance of the mask."""

    name = "grow"

    def use(self, mask: NDArray[np.bool_], image: Any, spacing: Sequence[float]) -> NDArray[np.bool_]:
        """See `grow`."""
        return grow(mask, self.mm, spacing)


class Shrink(_Step):
    """Takes away what lies within a distance of the outside."""

    name = "shrink"

    def use(self, mask: NDArray[np.bool_], image: Any, spacing: Sequence[float]) -> NDArray[np.bool_]:
        """See `shrink`."""
        return shrink(mask, self.mm, spacing)


class Smooth(_OfDistance):
    """Takes away detail finer than a distance."""

    name = "smooth"

    def use(self, mask: NDArray[np.bool_], image: Any, spacing: Sequence[float]) -> NDArray[np.bool_]:
        """See `smooth`."""
        return smooth(mask, self.mm, spacing)


class SnapToEdge(_OfDistance):
    """Moves the border to the nearest edge, at most by a distance."""

    name, by_slice, sees = "snap to edge", True, True

    def use(self, mask: NDArray[np.bool_], image: Any, spacing: Sequence[float]) -> NDArray[np.bool_]:
        """See `snap_to_edge`."""
        return snap_to_edge(image, mask, self.mm, spacing)


class FillHoles(HandTool):
    """Fills what the mask encloses on a slice."""

    name, by_slice = "fill holes", True

    def use(self, mask: NDArray[np.bool_], image: Any, spacing: Sequence[float]) -> NDArray[np.bool_]:
        """See `fill_holes`."""
        return fill_holes(mask)


class KeepLargest(HandTool):
    """Keeps the largest connected part."""

    name = "keep largest"

    def use(self, mask: NDArray[np.bool_], image: Any, spacing: Sequence[float]) -> NDArray[np.bool_]:
        """See `keep_largest`."""
        return keep_largest(mask)


@dataclass(frozen=True, slots=True)
class KeepPart(HandTool):
    """Keeps the connected part at a voxel (i, j, k).

    Whoever uses it lays it out as (slice, row, column) first.
    """

    name: ClassVar[str] = "keep part"
    at: tuple[int, int, int]

    def use(self, mask: NDArray[np.bool_], image: Any, spacing: Sequence[float]) -> NDArray[np.bool_]:
        """See `keep_part`."""
        at = self.at[-mask.ndim :]
        if not all(0 <= place < n for place, n in zip(at, mask.shape, strict=True)):
            raise UserInputError("The place of the part to keep lies outside the image; click inside it.")
        return keep_part(mask, at)


@dataclass(frozen=True, slots=True)
class Brush(HandTool):
    """Paints or erases along a path.

    It changes only places where the image lies in a range of intensities.

    Attributes
    ----------
    path : tuple of (row, column)
    radius : float
        Millimetres.
    low, high : float
        Of the image's own values; without limits it paints everything.
    erase : bool
    """

    name: ClassVar[str] = "brush"
    on_slice: ClassVar[bool] = True
    sees: ClassVar[bool] = True
    path: Path
    radius: float
    low: float = -math.inf
    high: float = math.inf
    erase: bool = False

    def check(self, spacing: Sequence[float]) -> None:
        """Refuse a brush without a path or a size.

        A range that is turned round is refused too.
        """
        if not self.path or not 0 < self.radius <= MOST_MM:
            raise UserInputError(f"A brush needs a path and a radius above 0 and at most {MOST_MM:g} mm.")
        if self.low > self.high:
            raise UserInputError(f"The range of intensities {self.low:g} to {self.high:g} is empty; turn it round.")

    def use(self, mask: NDArray[np.bool_], image: Any, spacing: Sequence[float]) -> NDArray[np.bool_]:
        """See `brushed`."""
        touched = brushed(image, np.array(self.path), self.radius, spacing, (self.low, self.high))
        return mask & ~touched if self.erase else mask | touched


@dataclass(frozen=True, slots=True)
class Lasso(HandTool):
    """Adds or takes away what an outline holds.

    Its corners are (row, column).
    """

    name: ClassVar[str] = "lasso"
    on_slice: ClassVar[bool] = True
    path: Path
    erase: bool = False

    def use(self, mask: NDArray[np.bool_], image: Any, spacing: Sequence[float]) -> NDArray[np.bool_]:
        """See `lassoed`."""
        inside = lassoed(np.array(self.path, dtype=np.float64).reshape(-1, 2), (mask.shape[0], mask.shape[1]))
        return mask & ~inside if self.erase else mask | inside


_TOOLS: Final[Mapping[str, type[HandTool]]] = {
    tool.name: tool
    for tool in (Grow, Shrink, Smooth, SnapToEdge, FillHoles, KeepLargest, KeepPart, Brush, Lasso)
}  # fmt: skip


def tool_to_json(tool: HandTool) -> dict[str, Any]:
    """A tool with its settings, as plain values.

    What is infinite is left out.
    """
    settings = {key: value for key, value in asdict(tool).items() if value not in (math.inf, -math.inf)}
    return {"tool": tool.name, **settings}


def tool_from_json(written: Mapping[str, Any]) -> HandTool:
    """A tool as it was written.

    Raises
    ------
    ValueError
        If it cannot have been.
    """
    kind = _TOOLS[known_of(written["tool"], _TOOLS, "the hand tool")]
    if issubclass(kind, _OfDistance):
        return kind(number_of(written["mm"]))
    if issubclass(kind, KeepPart):
        place = [int(number_of(value)) for value in list_of(written["at"], 3)]
        return KeepPart((place[0], place[1], place[2]))
    if kind not in (Brush, Lasso):
        return kind()
    corners = [list_of(corner, 2) for corner in list_of(written["path"])]
    path = tuple((number_of(row), number_of(col)) for row, col in corners)
    erase = flag_of(written.get("erase", False))
    if kind is Lasso:
        return Lasso(path, erase)
    low, high = (
        number_of(written[key]) if key in written else limit for key, limit in (("low", -math.inf), ("high", math.inf))
    )
    return Brush(path, number_of(written["radius"]), low, high, erase)
