"""What is under the mouse: voxel, place in the patient, intensity, object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["place_text"]


def place_text(work: ScanWork, world: Sequence[float]) -> str:
    """Two lines about a napari world position; empty outside of the image.

    Voxel index (i, j, k) and intensity first, with HU named for a CT; the place in RAS+ millimetres below, where the
    image has one.
    """
    shown = work.shown
    if len(world) < work.image.ndim:
        return ""
    voxel = shown.grid.world_to_voxel(work.image, world)
    if not shown.grid.contains(voxel):
        return ""
    i, j, k = (int(c) for c in np.clip(np.floor(voxel + 0.5), 0, np.array(shown.volume.shape) - 1))
    value = shown.volume.voxels[i, j, k]
    if shown.volume.is_rgb:
        told = "RGB " + " ".join(str(int(c)) for c in value)
    else:
        told = f"{float(value):.6g}{' HU' if work.is_ct else ''}"
    first = f"voxel {i}, {j}, {k}: {told}"
    object_id = next((n for n in reversed(list(work.snapshot.objects)) if work.holds(n, (i, j, k))), None)
    if object_id is not None:
        first += f", {work.name_of(object_id)}"
    if not shown.volume.oriented or shown.is_film:
        return first
    at = shown.volume.voxel_to_world([voxel])[0]
    sides = (plus if c >= 0 else minus for c, plus, minus in zip(at, "RAS", "LPI", strict=True))
    return f"{first}\n" + "  ".join(f"{side} {abs(c):.1f}" for side, c in zip(sides, at, strict=True)) + " mm"
