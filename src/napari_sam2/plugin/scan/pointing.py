"""Pointing at a scan.

What a click, a box or a resting mouse means for the current object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.prompts import Box, Point
from napari_sam2.plugin.scan.hover_preview import HoverPreview
from napari_sam2.plugin.scan.prompt_changes import DECIMALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["ScanPointer"]


class ScanPointer:
    """Turns pointing at a scan into prompts.

    Of the current object.

    Parameters
    ----------
    work : ScanWork
        The scan.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self.preview = HoverPreview(work)

    def click_at(self, world: Sequence[float], *, positive: bool) -> None:
        """Include or exclude a place of the current object."""
        pointed = self._pointed_at(world)
        if pointed is None or not self._work.shown.grid.contains(pointed[0]):
            return
        if self._work.is_seen_at(world):
            self.click_voxel(*pointed, positive=positive)

    def click_voxel(self, voxel: NDArray[np.float64], axis: int, *, positive: bool) -> None:
        """Include or exclude a voxel (3,).

        It was pointed at on a slice across `axis`.
        """
        if not self._work.shown.grid.contains(voxel) or (not positive and self._is_anothers(voxel)):
            return
        self.preview.clear()
        i, j, k = (float(c) for c in np.round(voxel, DECIMALS))
        self._work.add_prompt(Point((i, j, k), positive), axis)

    def box_between(self, start: Sequence[float], end: Sequence[float]) -> None:
        """Put a box around the current object."""
        self._work.prompts.hide_rubber_band()
        first, last = self._pointed_at(start), self._pointed_at(end)
        box = None if first is None or last is None else self._box(first[0], last[0], first[1])
        if box is not None and self._work.is_seen_at(_middle(start, end)):
            self._work.add_prompt(box)

    def box_voxels(self, first: NDArray[np.float64], last: NDArray[np.float64], axis: int) -> None:
        """Put a box over voxels.

        From one corner (3,) to the other, on a slice across `axis`.
        """
        box = self._box(first, last, axis)
        if box is not None:
            self._work.add_prompt(box)

    def box_preview(self, start: Sequence[float], end: Sequence[float] | None) -> None:
        """Show the box that is being drawn."""
        first = self._pointed_at(start)
        last = None if end is None else self._pointed_at(end)
        if first is None or last is None:
            self._work.prompts.hide_rubber_band()
        else:
            self._work.prompts.show_rubber_band(first[0], last[0], first[1])

    def hover_at(self, world: Sequence[float]) -> None:
        """Preview what a click here would give."""
        if not self._work.workspace.preview.on:
            return
        pointed = self._pointed_at(world)
        if pointed is not None and self._work.shown.grid.contains(pointed[0]):
            self.preview.ask(*pointed)

    @property
    def draws(self) -> bool:
        """Whether a hand tool is chosen."""
        return bool(self._work.hand.mode)

    def stroke_preview(self, path: Sequence[Sequence[float]]) -> None:
        """Show the stroke that is being drawn."""
        pointed = [self._pointed_at(world) for world in path]
        found = [place for place in pointed if place is not None]
        if len(found) > 1:
            self._work.prompts.show_stroke(np.array([voxel for voxel, _ in found]))

    def stroke_along(self, path: Sequence[Sequence[float]]) -> None:
        """Use the chosen hand tool along a stroke."""
        work = self._work
        work.prompts.hide_rubber_band()
        pointed = [self._pointed_at(world) for world in path]
        found = [place for place in pointed if place is not None]
        if not found or not work.shown.grid.contains(found[-1][0]) or not work.is_seen_at(path[-1]):
            return
        voxels, axis = np.array([voxel for voxel, _ in found]), found[0][1]
        self.preview.clear()
        work.hand.stroke(voxels, axis, int(voxels[0][axis]))

    def clear_preview(self) -> None:
        """Take the hover preview away, and drop answers on their way."""
        self.preview.remove()

    def _is_anothers(self, voxel: NDArray[np.float64]) -> bool:
        """Whether a place belongs to another object alone, so that excluding it would not mean the current one."""
        work = self._work
        place = tuple(np.floor(voxel + 0.5).astype(int))
        owner = int(work.shown.grid.stored(np.asarray(work.result.layer.data))[place])
        if owner in (0, work.current) or work.holds(work.current, place):
            return False
        work.told.emit(
            f"This is {work.name_of(owner)}; the current object is {work.name_of(work.current)}. Select "
            f"{work.name_of(owner)} in the table to correct it."
        )
        return True

    def _pointed_at(self, world: Sequence[float]) -> tuple[NDArray[np.float64], int] | None:
        """Voxel coordinates of a place on the slice that is shown, and the slice axis."""
        on_view = self._work.view.slice()
        if on_view is None:
            return None
        voxel = self._work.shown.grid.world_to_voxel(self._work.image, world)
        voxel[on_view[0]] = on_view[1]
        return voxel, on_view[0]

    def _box(self, first: NDArray[np.float64], last: NDArray[np.float64], axis: int) -> Box | None:
        """The box over the voxels under both corners; None when it is too thin to be meant."""
        top = np.array(self._work.shown.volume.shape) - 1
        a, b = (np.clip(np.floor(v + 0.5), 0, top).astype(int) for v in (first, last))
        b[axis] = a[axis]
        if np.count_nonzero(a != b) < 2:
            return None
        return Box((_triple(a), _triple(b)))


def _middle(start: Sequence[float], end: Sequence[float]) -> tuple[float, ...]:
    return tuple((a + b) / 2 for a, b in zip(start, end, strict=True))


def _triple(voxel: NDArray[Any]) -> tuple[int, int, int]:
    return int(voxel[0]), int(voxel[1]), int(voxel[2])
