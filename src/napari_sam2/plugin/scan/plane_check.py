"""The tri-planar check in the viewer: asked for, shown as a layer of agreement, taken or discarded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import ref

from napari.utils.colormaps import DirectLabelColormap

from napari_sam2.plugin.scan.prompt_layers import layer_placement
from napari_sam2.session.triplanar import TriplanarCheck, accept_consensus

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_sam2.plugin.control.controller import Controller

__all__ = ["Checking"]

AGREEMENT_COLOURS: Final = DirectLabelColormap(
    color_dict={
        None: (0, 0, 0, 0),
        0: (0, 0, 0, 0),
        1: (0.84, 0.37, 0.00, 1.0),
        2: (0.94, 0.89, 0.26, 1.0),
        3: (0.34, 0.71, 0.91, 0.5),
    }
)
"""One of three planes: vermilion; two: yellow; all: blue (Okabe and Ito). Yellow and blue are the consensus."""


class Checking:
    """The check of the chosen image's current object, and what is waiting for a decision.

    Parameters
    ----------
    controller : Controller
        Knows the image, the object, and whether a run goes on.
    viewer : ViewerModel
        Where the layer of agreement is shown.
    """

    def __init__(self, controller: Controller, viewer: ViewerModel) -> None:
        self._controller = controller
        self._viewer = ref(viewer)
        self._layer: Labels | None = None
        self.pending: TriplanarCheck | None = None

    @property
    def told(self) -> str:
        """The figures of the check that waits, in a sentence; empty when none does."""
        annotation = self._controller.annotation
        if self.pending is None or annotation is None:
            return ""
        name = annotation.shown.volume.plane_name
        pairs = (f"{name(a)}-{name(b)} {value:.2f}" for (a, b), value in self.pending.dice.items())
        return f"Object {self.pending.object_id}, Dice between planes: {', '.join(pairs)}."

    def start(self) -> None:
        """Check the current object along all three axes."""
        controller = self._controller
        annotation = controller.annotation
        if annotation is None or not annotation.object(controller.current_object).slices:
            controller.say(f"Object {controller.current_object} has no mask yet: prompt it before it is checked.")
        elif annotation.shown.is_film:
            controller.say("A film is seen frame by frame: there are no planes to compare.")
        elif controller.propagation.running:
            controller.say("Something is running; stop it, or wait for its end.")
        else:
            self.discard()
            controller.propagation.check(annotation, controller.current_object)

    def show(self, check: TriplanarCheck) -> None:
        """Show where the axes agree, and wait for a decision."""
        viewer, annotation = self._viewer(), self._controller.annotation
        if viewer is None or annotation is None:
            return
        self.pending = check
        active = viewer.layers.selection.active
        self._layer = viewer.add_labels(
            annotation.shown.grid.shown(check.votes),
            name=f"{annotation.image.name} agreement",
            opacity=0.6,
            colormap=AGREEMENT_COLOURS,
            **layer_placement(annotation.image, annotation.shown),
        )
        self._layer.editable = False
        viewer.layers.selection.active = active
        self._controller.say("Blue: all planes agree; yellow: two; red: one alone. Take what most say, or discard it.")
        self._controller.objects_changed.emit()

    def accept(self) -> None:
        """Replace the object by the consensus, as one action."""
        check, annotation = self.pending, self._controller.annotation
        if check is None or annotation is None:
            self._controller.say("No check is waiting: check the object along all planes first.")
            return
        self.discard()
        annotation.ask(lambda session: accept_consensus(session, check), self._on_accepted)

    def discard(self) -> None:
        """Take the layer of agreement away and leave the object as it is."""
        viewer, layer = self._viewer(), self._layer
        self.pending = self._layer = None
        if viewer is not None and layer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)
        self._controller.objects_changed.emit()

    def _on_accepted(self, n_slices: int) -> None:
        self._controller.say(f"The consensus changed {n_slices} slice{'' if n_slices == 1 else 's'}.")
