"""The Shapes layer that shows objects of a slide.

They are edited with napari's own tools.

It holds what is in view only, the largest first: napari's cost of a change grows with the shapes in a layer,
and a slide may have thousands. A part of an object is one shape, a hole another one, marked in the features.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from psygnal import Signal

from napari_sam2.plugin.canvas.placement import placement
from napari_sam2.plugin.slide.reader import polygon_of_shape, shapes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Shapes
    from numpy.typing import NDArray

    from napari_sam2.plugin.background.worker import MainThreadQueue
    from napari_sam2.plugin.slide.view import ScreenView
    from napari_sam2.slides.objects import SlideObject

__all__ = ["SlideResultLayer"]

MOST: Final = 250
"""Objects drawn at once; with 300 shapes in a layer one more costs napari 35 ms."""

AT_ONCE: Final = 8
VERTICES_AT_ONCE: Final = 4000
"""Objects, and vertices of them, drawn before the event loop gets its turn."""

SMALLEST: Final = 2.0
"""Screen pixels; an object smaller than that is a dot, and is left out."""

WIDTH, CURRENT_WIDTH = 2.0, 4.0
"""Screen pixels of an outline, and of the current object's."""

_SETTLED: Final = ("added", "removed", "changed")


class SlideResultLayer:
    """Draws objects, and tells what a person changes in the layer.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer is added.
    image : Image
        What is segmented.
    queue : MainThreadQueue
        For going on with drawing after the event loop had its turn.
    """

    edited = Signal(str, object)
    """An outline was changed by hand: object id, geometry in level-0 pixel corners."""

    removed = Signal(str)
    """All of an object's shapes were deleted."""

    drawn = Signal(object)
    """A new outline was drawn: its geometry."""

    picked = Signal(str)
    """An object was selected in the layer."""

    def __init__(self, viewer: ViewerModel, image: Image, queue: MainThreadQueue) -> None:
        self._queue = queue
        self._quiet = self._drawing = False
        self._by_hand: dict[str, Any] = {}
        self._current = ""
        self._pixel = 1.0
        self._shown: dict[str, SlideObject] = {}
        self._waiting: list[SlideObject] = []
        self._arrays: list[tuple[str, NDArray[np.float64]]] = []
        self.layer: Shapes = viewer.add_shapes(
            ndim=2,
            name=f"{image.name} outlines",
            features=_no_features(),
            feature_defaults={"object_id": "", "name": "", "class": "", "is_hole": False},
            opacity=1.0,
            edge_color=[0.1, 0.6, 0.3, 1.0],
            face_color=[0, 0, 0, 0],
            **placement(image, 2),
        )
        self.layer.events.data.connect(self._on_data)
        self.layer.selected_data.events.items_changed.connect(self._on_selected)

    @property
    def shown(self) -> frozenset[str]:
        """Ids of the objects that are drawn, or about to be."""
        return frozenset(self._shown) | frozenset(obj.object_id for obj in self._waiting)

    def close(self) -> None:
        """Stop listening; the layer stays."""
        self.layer.events.data.disconnect(self._on_data)
        self.layer.selected_data.events.items_changed.disconnect(self._on_selected)

    def show(self, objects: Sequence[SlideObject], current: str, view: ScreenView) -> None:
        """Draw what of `objects` is in view.

        Only what differs from what is drawn is touched.
        """
        if self._drawing:
            # Not under the person's hand; what is drawn comes back as an object and is shown then.
            return
        chosen = self._choose(objects, current, view)
        by_id = {obj.object_id: obj for obj in chosen}
        self._take_over_edits(by_id)
        stale = {i for i, obj in self._shown.items() if not _looks_the_same(obj, by_id.get(i))}
        if stale:
            self._shown = {i: obj for i, obj in self._shown.items() if i not in stale}
            self._remove(stale)
        self._shown |= {i: obj for i, obj in by_id.items() if i in self._shown}
        waiting = bool(self._waiting)
        # The current object is what the person is looking at.
        fresh = [obj for obj in chosen if obj.object_id not in self._shown]
        self._waiting = sorted(fresh, key=lambda obj: obj.object_id != current)
        self._current, self._pixel = current, view.pixel
        self._set_widths()
        if not waiting:
            self._draw_some()

    def _choose(self, objects: Sequence[SlideObject], current: str, view: ScreenView) -> list[SlideObject]:
        import shapely

        full = [obj for obj in objects if not obj.geometry.is_empty]
        if not full:
            return []
        col0, row0, col1, row1 = shapely.bounds([obj.geometry for obj in full]).T
        inside = (row1 >= view.row0) & (row0 <= view.row1) & (col1 >= view.col0) & (col0 <= view.col1)
        sizes = np.maximum(row1 - row0, col1 - col0)
        is_current = np.array([obj.object_id == current for obj in full])
        rank = np.where(is_current, np.inf, np.where(inside & (sizes >= SMALLEST * view.pixel), sizes, 0.0))
        return [full[n] for n in np.argsort(-rank, kind="stable")[:MOST] if rank[n] > 0]

    def _take_over_edits(self, wanted: dict[str, SlideObject]) -> None:
        """An outline that came out as it was drawn by hand is on the screen already."""
        edits, self._by_hand = self._by_hand, {}
        for object_id, geometry in edits.items():
            obj = wanted.get(object_id)
            if obj is not None and obj.geometry.equals_exact(geometry):
                self._shown[object_id] = obj
            elif obj is not None and obj is self._shown.get(object_id):
                # Not answered yet.
                self._by_hand[object_id] = geometry
            else:
                self._shown.pop(object_id, None)
                self._remove({object_id})

    def _draw_some(self) -> None:
        import shapely

        sizes = np.cumsum([shapely.get_num_coordinates(obj.geometry) for obj in self._waiting[:AT_ONCE]])
        count = max(1, int(np.searchsorted(sizes, VERTICES_AT_ONCE)))
        now, self._waiting = self._waiting[:count], self._waiting[count:]
        if now:
            self._add(now)
        if self._waiting:
            self._queue.put(self._draw_some)

    def _add(self, objects: Iterable[SlideObject]) -> None:
        objects = list(objects)
        outlines, fields = shapes_of(objects)
        features = fields["features"]
        with self._silently():
            old_features = self.layer.features
            self.layer.add_polygons(
                outlines,
                edge_width=[self._width(owner) for owner in features["object_id"]],
                edge_color=fields["edge_color"],
                face_color=[[0, 0, 0, 0]] * len(outlines),
            )
            self.layer.features = pd.concat([old_features, pd.DataFrame(features)], ignore_index=True)
            self.layer.selected_data = set()
        self._shown |= {obj.object_id: obj for obj in objects}
        self._remember()

    def _remove(self, object_ids: set[str]) -> None:
        self._take_out({n for n, owner in enumerate(self._owners()) if owner in object_ids})

    def _remember(self) -> None:
        """What the layer holds now, to tell later what a person has changed."""
        self._arrays = [(str(o), np.array(a)) for o, a in zip(self._owners(), self.layer.data, strict=True)]

    def _width(self, object_id: str) -> float:
        return self._pixel * (CURRENT_WIDTH if object_id == self._current else WIDTH)

    def _set_widths(self) -> None:
        widths = [self._width(owner) for owner in self._owners()]
        with self._silently():
            # Of what is drawn next; napari gives it to what is selected as well.
            self.layer.current_edge_width = self._pixel * WIDTH
            if widths and not np.allclose(widths, self.layer.edge_width, rtol=0.02):
                self.layer.edge_width = widths

    def _on_data(self, event: Any) -> None:
        if self._quiet:
            return
        action = str(event.action)
        if action not in _SETTLED:
            self._drawing = action == "adding"
            return
        self._drawing = False
        now = [(str(o), np.asarray(a)) for o, a in zip(self._owners(), self.layer.data, strict=True)]
        # What napari adds gets the features of what was selected last; a new shape belongs to nobody.
        n_known = len(self._arrays) if action == "added" else len(now)
        before, after = _by_owner(self._arrays), _by_owner(now[:n_known])
        self._take_out(set(range(n_known, len(now))))
        for owner, rings in before.items():
            if owner not in after:
                self._shown.pop(owner, None)
                self.removed.emit(owner)
            elif not _same(rings, after[owner]):
                self._by_hand[owner] = self._geometry(owner)
                self.edited.emit(owner, self._by_hand[owner])
        for _, vertices in now[n_known:]:
            self.drawn.emit(polygon_of_shape(vertices))

    def _on_selected(self, _event: Any) -> None:
        picked = {self._owners()[n] for n in self.layer.selected_data if n < len(self._arrays)}
        if not self._quiet and len(picked) == 1:
            self.picked.emit(str(picked.pop()))

    def _owners(self) -> list[Any]:
        return list(self.layer.features["object_id"])

    def _geometry(self, object_id: str) -> Any:
        import shapely

        features = self.layer.features
        parts: dict[bool, list[Any]] = {False: [], True: []}
        for number in np.flatnonzero(features["object_id"].to_numpy() == object_id):
            is_hole = bool(features["is_hole"].iloc[number])
            parts[is_hole].append(polygon_of_shape(self.layer.data[number]))
        return shapely.union_all(parts[False]).difference(shapely.union_all(parts[True]))

    def _take_out(self, numbers: set[int]) -> None:
        """Take shapes out without reporting it, and know what is left."""
        if numbers:
            with self._silently():
                self.layer.selected_data = numbers
                self.layer.remove_selected()
        self._remember()

    @contextmanager
    def _silently(self) -> Iterator[None]:
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before


def _looks_the_same(shown: SlideObject, wanted: SlideObject | None) -> bool:
    return wanted is not None and shown.geometry is wanted.geometry and shown.shown_colour == wanted.shown_colour


def _by_owner(arrays: Iterable[tuple[str, NDArray[np.float64]]]) -> dict[str, list[NDArray[np.float64]]]:
    by_owner: dict[str, list[NDArray[np.float64]]] = {}
    for owner, vertices in arrays:
        by_owner.setdefault(owner, []).append(vertices)
    return by_owner


def _same(before: list[NDArray[np.float64]], after: list[NDArray[np.float64]]) -> bool:
    return len(before) == len(after) and all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def _no_features() -> pd.DataFrame:
    columns = {"object_id": str, "name": str, "class": str, "is_hole": bool}
    return pd.DataFrame({name: pd.Series([], dtype=object if kind is str else kind) for name, kind in columns.items()})
