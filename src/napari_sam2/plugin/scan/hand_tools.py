"""Hand tools of the panel.

The current object is shaped on all its slices, in steps of a voxel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari_sam2.core.hand_tools.tools import FillHoles, Grow, KeepLargest, Shrink, Smooth, SnapToEdge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.core.hand_tools.tools import HandTool
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["use_tool"]

SNAP_VOXELS: Final = 3
"""Half the width of the band in which an edge is looked for."""


def use_tool(work: ScanWork, name: str) -> None:
    """Use a tool on the current object.

    It is known by its name; what it did is said.

    A step is the finer in-plane voxel, so that thick slices change in their plane.
    """
    obj = work.current_object
    if not any(result.mask.n_voxels for result in obj.slices.values()):
        work.told.emit(f"Object {work.current} has no mask yet: there is nothing to shape.")
        return
    tool = _tool(name, work.shown.volume.plane(obj.axis).spacing)

    def done(changed: list[SliceResult]) -> None:
        distance = getattr(tool, "mm", None)
        by = "" if distance is None else f" by {distance:.3g} mm"
        work.told.emit(f"{name[0].upper()}{name[1:]}{by}: {len(changed)} slices changed. Ctrl+Z takes it back.")

    work.ask(lambda session: session.use_tool(obj.object_id, tool), done)


def _tool(name: str, spacing: Sequence[float]) -> HandTool:
    step = min(spacing)
    tools: tuple[HandTool, ...] = (
        Grow(step), Shrink(step), Smooth(step), FillHoles(), KeepLargest(), SnapToEdge(SNAP_VOXELS * step)
    )  # fmt: skip
    return next(tool for tool in tools if tool.name == name)
