"""The label layer that shows a session's masks.

It is painted slice by slice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_sam2.core.labels import compose_slice, painting_order
from napari_sam2.plugin.scan.prompt_layers import layer_placement
from napari_sam2.plugin.scan.volumes import geometry_metadata
from napari_sam2.terms.structures import colour_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam2.plugin.scan.volumes import ShownVolume
    from napari_sam2.session.snapshot import SessionSnapshot

Colour = tuple[float, float, float]

__all__ = ["HOVER_COLOURS", "ScanResultLayer", "changed_slices"]

OPACITY: Final = 0.45

N_COLOURS: Final = 255
"""Ids that get a colour of their own; beyond, the colours are those of napari's default entry."""


class ScanResultLayer:
    """A Labels layer on the image's grid that always shows one snapshot.

    Parameters
    ----------
    viewer : ViewerModel
        Where it is added.
    image : Image
        What is segmented.
    shown : ShownVolume
        Its volume and grid.
    """

    def __init__(self, viewer: ViewerModel, image: Image, shown: ShownVolume) -> None:
        self._shown = shown
        self.hidden: frozenset[int] = frozenset()
        self._own: dict[int, Colour] = {}
        shape = shown.grid.shown(np.broadcast_to(np.uint8(0), shown.volume.shape)).shape
        # Without a proof of the grid, napari's own Save asks where the labels lie.
        proven = shown.proven and not shown.grid.leading
        place = layer_placement(image, shown)
        geometry = (shown.volume, shown.grid.axes_map, shown.volume.voxels, place)
        metadata = geometry_metadata(*geometry) if proven else {}
        self.home = Labels(np.zeros((1,) * len(shape), dtype=np.uint8), **place)
        """Lies where the layer was made, whatever is done to it."""
        self.layer: Labels = viewer.add_labels(
            np.zeros(shape, dtype=np.uint16),
            name=f"{image.name} segmentation",
            opacity=OPACITY,
            metadata=metadata,
            colormap=_colours((), {}),
            **place,
        )

    def hide_objects(self, hidden: Iterable[int]) -> None:
        """Draw everything but these objects."""
        self.hidden = frozenset(hidden)
        self.layer.colormap = _colours(self.hidden, self._own)

    def colour_of(self, object_id: int) -> Colour:
        """Red, green, blue of an object in [0, 1].

        That of its term, else one of the palette.
        """
        return _colour_of(object_id, self._own)

    def paint(
        self, snapshot: SessionSnapshot, slices: Iterable[tuple[int, int]], on_view: tuple[int, int] | None = None
    ) -> None:
        """Show (axis, index) slices as the snapshot has them, and draw once.

        With the slice `on_view` known, nothing is drawn when it was not painted.
        """
        volume, voxels = self._shown.volume, self._shown.grid.stored(self.layer.data)
        objects = [obj.masks for obj in snapshot.objects.values()]
        on_screen = False
        for axis, index in slices:
            labels = compose_slice(volume, objects, axis, index, snapshot.overlap)
            volume.plane(axis).take(voxels, index)[...] = labels
            on_screen = on_screen or on_view is None or on_view[0] != axis or on_view[1] == index
        if on_screen:
            self.layer.refresh(thumbnail=False, highlight=False, extent=False)

    def show(
        self, before: SessionSnapshot | None, after: SessionSnapshot, on_view: tuple[int, int] | None = None
    ) -> None:
        """Repaint what differs between two snapshots."""
        own = {i: _unit(obj.colour) for i, obj in after.objects.items() if obj.colour is not None}
        if own != self._own:
            self._own = own
            self.hide_objects(self.hidden)
        self.paint(after, changed_slices(before, after), on_view)


def changed_slices(before: SessionSnapshot | None, after: SessionSnapshot) -> set[tuple[int, int]]:
    """The (axis, index) slices whose masks differ.

    All of an object whose rank or state changed.
    """
    old: dict[int, Any] = {} if before is None else dict(before.objects)
    slices: set[tuple[int, int]] = set()
    reordered = before is not None and _painted(before, after) != _painted(after, before)
    for object_id, obj in after.objects.items():
        earlier = old.pop(object_id, None)
        everything = reordered or earlier is None or earlier.axis != obj.axis or earlier.finished != obj.finished
        if earlier is not None and everything:
            slices |= {(earlier.axis, i) for i in earlier.slices}
        if everything:
            slices |= {(obj.axis, i) for i in obj.slices}
            continue
        for index in obj.slices.keys() | earlier.slices.keys():
            if obj.slices.get(index) is not earlier.slices.get(index):
                slices.add((obj.axis, index))
    for removed in old.values():
        slices |= {(removed.axis, i) for i in removed.slices}
    return slices


def _painted(state: SessionSnapshot, other: SessionSnapshot) -> list[int]:
    """Ids in the order in which they are painted over each other, of objects that another state has as well."""
    masks = [obj.masks for object_id, obj in state.objects.items() if object_id in other.objects]
    return [obj.object_id for obj in painting_order(masks, state.overlap)]


def _unit(colour: tuple[int, int, int]) -> Colour:
    red, green, blue = (channel / 255 for channel in colour)
    return red, green, blue


def _colour_of(object_id: int, own: Mapping[int, Colour]) -> Colour:
    return own.get(object_id) or _unit(colour_of(object_id))


def _colours(hidden: Iterable[int], own: Mapping[int, Colour]) -> DirectLabelColormap:
    hidden = set(hidden)
    ids = {*range(1, N_COLOURS + 1), *own}
    colours: dict[int | None, tuple[float, ...]] = {None: (*_unit(colour_of(1)), 1.0), 0: (0, 0, 0, 0)}
    colours |= {i: (*_colour_of(i, own), 0.0 if i in hidden else 1.0) for i in ids}
    return DirectLabelColormap(color_dict=colours)


HOVER_COLOURS: Final = DirectLabelColormap(color_dict={None: (0, 0, 0, 0), 0: (0, 0, 0, 0), 1: (0.2, 0.95, 1.0, 1.0)})
"""Cyan: what is only proposed has no object's colour yet, and white is not seen on what is bright."""
