"""The workspace of a viewer: chosen image, open works, status line.

It knows no helper and no Qt.

Whatever shows or changes something takes this model and listens to its signals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from psygnal import Signal

from napari_sam2.plugin.settings import Preferences

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_sam2.finding.candidate import Proposer
    from napari_sam2.plugin.background.worker import InferenceThread
    from napari_sam2.plugin.control.work import Work

__all__ = ["Switch", "Workspace"]


class Switch:
    """Something that is on or off."""

    changed = Signal(bool)

    def __init__(self, on: bool) -> None:
        self.on = on

    def toggle(self) -> None:
        """Turn it on or off."""
        self.set(not self.on)

    def set(self, on: bool) -> None:
        """Turn it on, or off.

        Nothing is told when it is so already.
        """
        if on != self.on:
            self.on = on
            self.changed.emit(on)


class Workspace:
    """State of one viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are segmented.
    thread : InferenceThread
        Runs everything that touches a model or a session.
    preferences : callable
        What is set in Preferences now.

    Attributes
    ----------
    image : Image, optional
        The chosen image.
    works : dict of Image to Work
        Images that are open.
    opening : Image, optional
        The image that is being opened.
    preview : Switch
        The hover preview, of all works.
    planes : Switch
        Whether the two other planes of a scan are shown beside the canvas.
    side_by_side : Switch
        Whether the other scan is shown beside the canvas.
    figures : Switch
        Whether the table of figures is shown.
    layer_lists : Switch
        Whether napari's own lists of layers are shown beside the picture.
    memory : Proposer, optional
        Finished scans that places of named structures are taken from.
    """

    status_changed = Signal(str)
    """The one line that says what is going on."""

    warned = Signal(str)
    """A sentence that needs attention, with the next step."""

    image_changed = Signal()
    """Another image is chosen, or its work has opened or closed."""

    objects_changed = Signal()
    """Objects, masks, scores or the current object have changed."""

    progressed = Signal(object)
    """A `Progress`, or None at the end of a run."""

    def __init__(
        self, viewer: ViewerModel, thread: InferenceThread, preferences: Callable[[], Preferences] = Preferences
    ) -> None:
        # Not the viewer itself: a closed viewer must be free to go, and everything here with it.
        self._viewer = ref(viewer)
        self.thread = thread
        self.preferences = preferences
        self.image: Image | None = None
        self.works: dict[Image, Work] = {}
        self.opening: Image | None = None
        self.preview = Switch(preferences().preview)
        self.planes = Switch(False)
        self.side_by_side = Switch(False)
        self.figures = Switch(False)
        self.layer_lists = Switch(True)
        self.memory: Proposer | None = None
        self.status = ""

    @property
    def viewer(self) -> ViewerModel:
        """The viewer, as long as it exists."""
        viewer = self._viewer()
        if viewer is None:
            raise RuntimeError("The viewer is closed.")
        return viewer

    @property
    def has_viewer(self) -> bool:
        """Whether the viewer still exists."""
        return self._viewer() is not None

    @property
    def work(self) -> Work | None:
        """The work on the chosen image; None until it is open."""
        return None if self.image is None else self.works.get(self.image)

    @property
    def is_opening(self) -> bool:
        """Whether the chosen image is being opened."""
        return self.opening is not None and self.opening is self.image

    def owner_of(self, layer: Layer | None) -> Image | None:
        """The open image that a layer is or belongs to."""
        for image, work in self.works.items():
            if layer is image or layer in work.layers:
                return image
        return None

    def shown_by(self, layer: Layer) -> Image | None:
        """The open image that a layer shows in another channel."""
        return next((image for image, work in self.works.items() if layer in work.companions), None)

    def say(self, sentence: str) -> None:
        """Put a sentence on the status line."""
        self.status = sentence
        self.status_changed.emit(sentence)

    def fail(self, sentence: str) -> None:
        """Say what did not work.

        On the status line and as a notification.
        """
        self.say(sentence.splitlines()[0])
        self.warned.emit(sentence)
