"""What the work on a scan can do with runs.

Begin one, and limit it to a range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.plugin.scan.object_verbs import ObjectVerbs

if TYPE_CHECKING:
    from napari_sam2.plugin.scan.propagation import Propagation
    from napari_sam2.plugin.scan.slice_range import SliceRange
    from napari_sam2.plugin.scan.view import ScanView
    from napari_sam2.plugin.scan.volumes import ShownVolume


__all__ = ["RunVerbs"]


class RunVerbs(ObjectVerbs):
    """The verbs of a scan's work that run.

    They propagate, and limit what runs may write.
    """

    shown: ShownVolume
    view: ScanView
    range: SliceRange
    run: Propagation

    def propagate(self, direction: str) -> None:
        """Carry the current object, or stop a run.

        ``"both"`` ways, ``"forward"`` or ``"backward"``; stop when a run goes on.
        """
        obj = self.current_object
        if self.run.running:
            self.run.stop()
        elif not obj.slices:
            self.told.emit(f"Object {self.current} has no mask yet: click inside it, or Shift-drag a box.")
        elif obj.finished:
            self.told.emit(f"Object {self.current} is finished; untick Done to change it.")
        else:
            self.run.start([self.current], direction, self.range.slices(obj.axis))

    def begin_range(self) -> None:
        """Let runs write from the slice on view upwards only."""
        axis, index = self._slice_for_range()
        if index is not None:
            self.range.begin_at(axis, index, self.shown.volume.shape[axis])

    def end_range(self) -> None:
        """Let runs write up to the slice on view only."""
        axis, index = self._slice_for_range()
        if index is not None:
            self.range.end_at(axis, index, self.shown.volume.shape[axis])

    def set_range(self, first: int, last: int) -> None:
        """Let runs write slices `first` to `last` only."""
        axis = self.axis_of(self.current)
        self.range.set(axis, first, last, self.shown.volume.shape[axis])

    def clear_range(self) -> None:
        """Let runs write every slice again."""
        self.range.clear(self.axis_of(self.current))

    def _slice_for_range(self) -> tuple[int, int | None]:
        """The slice axis of the current object, and the slice on view when it lies across that axis."""
        axis, on_view = self.axis_of(self.current), self.view.slice()
        if on_view is None or on_view[0] == axis:
            return axis, None if on_view is None else on_view[1]
        plane = self.shown.volume.plane_name(axis)
        self.told.emit(f"Object {self.current} lies on {plane} slices; show one to set its range.")
        return axis, None

    def axis_of(self, object_id: int) -> int:
        """The voxel axis of an object's slices.

        The one on view when it has not begun.
        """
        obj = self.object(object_id)
        return obj.axis if obj.slices or obj.prompts else self.view.axis()
