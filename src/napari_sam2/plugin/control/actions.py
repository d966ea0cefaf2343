"""Actions: what every key, button and command does. The names are those of `keys.ACTIONS`."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from napari_sam2.errors import UserInputError
from napari_sam2.plugin.canvas.planes import show_plane, show_slice

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.plugin.control.controller import Controller

__all__ = ["Actions"]


def _on_slides_too(method: Callable[[Actions], None]) -> Callable[[Actions], None]:
    """While a slide is chosen, the action of the same name of `SlideActions` is meant."""

    @wraps(method)
    def run(self: Actions) -> None:
        slides = self.controller.slides
        if slides.is_chosen:
            getattr(slides.actions, method.__name__)()
        else:
            method(self)

    return run


class Actions:
    """One method per action, without arguments.

    Parameters
    ----------
    controller : Controller
        On what they act.
    """

    def __init__(self, controller: Controller) -> None:
        self.controller = controller

    @_on_slides_too
    def next_object(self) -> None:
        """Begin another object."""
        controller = self.controller
        begun = [] if controller.annotation is None else list(controller.annotation.snapshot.objects)
        if begun and controller.current_object not in begun:
            controller.say(f"Object {controller.current_object} has no prompt yet: click inside it.")
        controller.select_object(max(begun, default=0) + 1)

    def propagate_both(self) -> None:
        """Carry the current object both ways; stop when a run goes on."""
        self._propagate("both")

    def propagate_forward(self) -> None:
        """Carry the current object towards higher slices."""
        self._propagate("forward")

    def propagate_backward(self) -> None:
        """Carry the current object towards lower slices."""
        self._propagate("backward")

    @_on_slides_too
    def stop(self) -> None:
        """End the run; what is there stays."""
        self.controller.propagation.stop()

    def range_from_here(self) -> None:
        """Let runs write from the slice on view upwards only."""
        self._set_range("begin_at")

    def range_to_here(self) -> None:
        """Let runs write up to the slice on view only."""
        self._set_range("end_at")

    def clear_range(self) -> None:
        """Let runs write every slice again."""
        controller = self.controller
        if controller.annotation is not None:
            controller.slice_range.clear(controller.annotation.axis_of(controller.current_object))

    @_on_slides_too
    def use_layer(self) -> None:
        """Take the active Points or Shapes layer as prompts."""
        controller = self.controller
        annotation, layer = controller.annotation, controller.viewer.layers.selection.active
        if annotation is None or layer is None or layer in annotation.layers:
            controller.say("Select a Points or Shapes layer of your own, then use it as prompts.")
            return
        try:
            count = annotation.borrowing.use(layer, controller.current_object)
        except UserInputError as error:
            controller.say(str(error))
            return
        controller.say(f"{layer.name}: {count} prompt{'' if count == 1 else 's'} taken; changes are followed.")

    @_on_slides_too
    def next_doubt(self) -> None:
        """Go to the most doubtful slice."""
        self.controller.reviewing.next()

    @_on_slides_too
    def accept_slice(self) -> None:
        """Accept the slice on view, or reopen it."""
        self.controller.reviewing.accept()

    @_on_slides_too
    def finish_object(self) -> None:
        """Declare the current object finished, or reopen it."""
        controller = self.controller
        annotation, object_id = controller.annotation, controller.current_object
        if annotation is None or object_id not in annotation.snapshot.objects:
            controller.say(f"Object {object_id} has no prompt yet: there is nothing to finish.")
            return
        finished = not annotation.object(object_id).protected
        annotation.finish(object_id, finished)
        controller.say(f"Object {object_id} is {'finished: nothing changes it' if finished else 'open again'}.")

    def check_planes(self) -> None:
        """Carry the current object along all three axes and show where they agree."""
        self.controller.checking.start()

    def take_consensus(self) -> None:
        """Replace the checked object by what most planes say."""
        self.controller.checking.accept()

    def discard_check(self) -> None:
        """Leave the checked object as it is."""
        self.controller.checking.discard()

    @_on_slides_too
    def toggle_preview(self) -> None:
        """Switch the hover preview on or off."""
        self.controller.hover.toggle()

    @_on_slides_too
    def undo(self) -> None:
        """Take back the last action."""
        if self.controller.annotation is not None:
            self.controller.annotation.undo()

    @_on_slides_too
    def redo(self) -> None:
        """Do the last undone action again."""
        if self.controller.annotation is not None:
            self.controller.annotation.redo()

    def show_axial(self) -> None:
        """Turn the view to axial slices."""
        self._show("axial")

    def show_coronal(self) -> None:
        """Turn the view to coronal slices."""
        self._show("coronal")

    def show_sagittal(self) -> None:
        """Turn the view to sagittal slices."""
        self._show("sagittal")

    def go_to_slice(self, axis: int, index: int) -> None:
        """Show slice `index` across a voxel axis."""
        annotation = self.controller.annotation
        if annotation is not None:
            show_slice(self.controller.viewer, annotation.image, annotation.shown, axis, index)

    def _show(self, plane: str) -> None:
        annotation = self.controller.annotation
        if annotation is not None and annotation.shown.is_film:
            self.controller.say("A film is seen frame by frame.")
        elif annotation is not None:
            show_plane(self.controller.viewer, annotation.image, annotation.shown, plane)

    def _propagate(self, direction: str) -> None:
        controller = self.controller
        annotation = controller.annotation
        if controller.propagation.running:
            self.stop()
        elif annotation is None:
            controller.say("Open or select an image to begin.")
        elif not annotation.object(controller.current_object).slices:
            controller.say(f"Object {controller.current_object} has no mask yet: click inside it, or Shift-drag a box.")
        elif annotation.object(controller.current_object).protected:
            controller.say(f"Object {controller.current_object} is finished; untick Done to change it.")
        else:
            slices = controller.slice_range.slices(annotation.axis_of(controller.current_object))
            controller.propagation.start(annotation, [controller.current_object], direction, slices)

    def _set_range(self, end: str) -> None:
        controller = self.controller
        annotation, on_view = controller.annotation, controller.reviewing.slice_on_view()
        if annotation is None or on_view is None:
            return
        axis, volume = annotation.axis_of(controller.current_object), annotation.shown.volume
        if on_view[0] != axis:
            plane = volume.plane_name(axis)
            controller.say(f"Object {controller.current_object} lies on {plane} slices; show one to set its range.")
            return
        getattr(controller.slice_range, end)(axis, on_view[1], volume.shape[axis])
