"""The plane of a stack that is on view.

The layer's sliders choose it; clicks, outlines and runs mean it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam2.slides.objects import SlideObject
    from napari_sam2.slides.session import SlideSession

__all__ = ["SlidePlanes"]

T = TypeVar("T")


class SlidePlanes:
    """What the sliders say.

    Parameters
    ----------
    viewer : ViewerModel
        With the sliders.
    image : Image
        The layer: its first axes are those of the planes.
    planes : mapping of str to int
        The axes by letter and their lengths, in the layer's order; empty for a slide of one plane.
    """

    def __init__(self, viewer: ViewerModel, image: Image, planes: Mapping[str, int]) -> None:
        self._viewer, self._image, self._planes = viewer, image, dict(planes)
        self._moved: Callable[[], None] | None = None
        self._last = self.current

    @property
    def current(self) -> dict[str, int]:
        """The plane on view, by axis."""
        if not self._planes or self._image.ndim != len(self._planes) + 2:
            return {}
        place = self._image.world_to_data(self._viewer.dims.point[-self._image.ndim :])
        return {a: min(max(round(float(place[n])), 0), c - 1) for n, (a, c) in enumerate(self._planes.items())}

    @property
    def z_and_t(self) -> tuple[int, int]:
        """The same as objects have it."""
        return self.current.get("Z", 0), self.current.get("T", 0)

    def on_view(self, objects: Iterable[SlideObject]) -> tuple[SlideObject, ...]:
        """The objects that lie on the plane on view.

        All of them on a slide of one plane.
        """
        if not self._planes:
            return tuple(objects)
        shown = self.z_and_t
        return tuple(obj for obj in objects if obj.plane == shown)

    def before(self, work: Callable[[SlideSession], T]) -> Callable[[SlideSession], T]:
        """The same, on the plane that is on view now."""
        plane = self.current
        if not plane:
            return work

        def on_plane(session: SlideSession) -> T:
            session.show_plane(plane)
            return work(session)

        return on_plane

    def go_to(self, obj: SlideObject) -> None:
        """Move the sliders to an object."""
        wanted = {"Z": obj.plane[0], "T": obj.plane[1]}
        if not self._planes or obj.plane == self.z_and_t:
            return
        place = [float(wanted.get(axis, self.current[axis])) for axis in self._planes]
        world = self._image.data_to_world((*place, 0.0, 0.0))
        first = self._viewer.dims.ndim - self._image.ndim
        for n in range(len(self._planes)):
            self._viewer.dims.set_point(first + n, world[n])

    def watch(self, moved: Callable[[], None]) -> None:
        """Call when another plane has come on view."""
        if self._planes:
            self._moved = moved
            self._viewer.dims.events.current_step.connect(self._on_step)

    def close(self) -> None:
        """Stop watching."""
        if self._moved is not None:
            self._viewer.dims.events.current_step.disconnect(self._on_step)
            self._moved = None

    def _on_step(self, _event: Any = None) -> None:
        now = self.current
        if self._moved is not None and now != self._last:
            self._last = now
            self._moved()
