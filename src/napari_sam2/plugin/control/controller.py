"""The controller: joins viewer, layers, model and panels. One per viewer, whatever panels are open.

It knows no Qt. Panels call its methods and listen to its signals; so do commands and tests.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.layers import Image
from psygnal import Signal

from napari_sam2.plugin.canvas.gestures import GestureTool
from napari_sam2.plugin.canvas.planes import show_plane
from napari_sam2.plugin.control.actions import Actions
from napari_sam2.plugin.control.models import ModelChoice, ModelHolder
from napari_sam2.plugin.scan.hover_preview import HoverPreview
from napari_sam2.plugin.scan.names import Naming
from napari_sam2.plugin.scan.opening import Opened, open_image
from napari_sam2.plugin.scan.plane_check import Checking
from napari_sam2.plugin.scan.pointing import Pointing
from napari_sam2.plugin.scan.propagation import Progress, Propagation
from napari_sam2.plugin.scan.review import Reviewing
from napari_sam2.plugin.scan.save_action import Saver
from napari_sam2.plugin.scan.slice_range import SliceRange
from napari_sam2.plugin.scan.window_change import AUTO, show_window
from napari_sam2.plugin.scan.work import Annotation
from napari_sam2.plugin.settings import Preferences
from napari_sam2.plugin.slide.desk import GestureRouter, SlideDesk

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_sam2.plugin.background.worker import InferenceThread
    from napari_sam2.session.session import Session

__all__ = ["Controller", "plain"]


class Controller:
    """What a person does with a viewer's images, as calls; what they should see, as signals.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are segmented.
    thread : InferenceThread
        Who does the work.
    preferences : callable
        What is set in Preferences now.
    """

    status_changed = Signal(str)
    """The one line that says what is going on."""

    warned = Signal(str)
    """Something needs the person's attention, with the next step."""

    image_changed = Signal()
    """Another image is being segmented, or none."""

    objects_changed = Signal()
    """Objects, masks, scores or the current object have changed."""

    progressed = Signal(object)
    """A `Progress`, or None at the end of a run."""

    def __init__(
        self, viewer: ViewerModel, thread: InferenceThread, preferences: Callable[[], Preferences] = Preferences
    ) -> None:
        # Not the viewer itself: a closed viewer must be free to go, and its controller with it.
        self._viewer = ref(viewer)
        self.thread = thread
        self.preferences = preferences
        self.models = ModelHolder(preferences().model)
        self.propagation = Propagation(thread)
        self.pointing = Pointing(self)
        self.actions = Actions(self)
        self.reviewing = Reviewing(self)
        self.hover = HoverPreview(self, viewer)
        self.checking = Checking(self, viewer)
        self.slides = SlideDesk(self)
        self.gestures = GestureTool(viewer, GestureRouter(self))
        self.image: Image | None = None
        self.current_object = 1
        self.slice_range = SliceRange()
        self.naming = Naming(self)
        self.saver = Saver(self)
        self.hover.enabled = preferences().preview
        self.status = ""
        self._annotations: dict[Image, Annotation] = {}
        self._opening: Image | None = None
        self._panels = 0
        self._greeted = False
        viewer.layers.events.removed.connect(self._on_removed)
        self.propagation.progressed.connect(self._on_progress)
        self.propagation.finished.connect(self._on_propagated)
        self.propagation.checked.connect(self.checking.show)
        self.slice_range.changed.connect(self.objects_changed.emit)

    @property
    def viewer(self) -> ViewerModel:
        """The viewer, as long as it exists."""
        viewer = self._viewer()
        if viewer is None:
            raise RuntimeError("The viewer is closed.")
        return viewer

    # -- panels ---------------------------------------------------------------------------------

    @property
    def has_panel(self) -> bool:
        """Whether a panel is visible, so that what is said can be read."""
        return self._panels > 0

    def panel_shown(self) -> None:
        """A panel has become visible: listen to the mouse, and take the active image when there is none."""
        self._panels += 1
        self.gestures.attach()
        if not self._greeted:
            self._greeted = True
            names = self.preferences().names
            if names is not None:
                self.naming.load(names)
        self.models.load(self.thread, self.say, self.warned.emit)
        if self.image is None:
            self.use_image(self.suggested_image())

    def panel_hidden(self) -> None:
        """A panel has gone; with the last one, the mouse belongs to napari alone again."""
        self._panels = max(0, self._panels - 1)
        if self._panels == 0:
            self.gestures.detach()
            if not self._annotations:
                # The window is closing, or nothing was done: weights can take gigabytes.
                self.models.forget()

    def close(self) -> None:
        """Stop everything and let go of volumes and models."""
        self.propagation.stop()
        self.gestures.detach()
        for annotation in self._annotations.values():
            annotation.close()
        self.checking.discard()
        self._annotations.clear()
        self.slides.close()
        self.pointing.forget()
        self.image = self._opening = None
        self.models.forget()

    # -- images and models ----------------------------------------------------------------------

    @property
    def annotation(self) -> Annotation | None:
        """What the chosen image is being segmented into; None until its volume is open."""
        return None if self.image is None else self._annotations.get(self.image)

    @property
    def is_opening(self) -> bool:
        """Whether the chosen image's volume is being opened."""
        return self._opening is not None

    def suggested_image(self) -> Image | None:
        """The active layer if it is an image, else the topmost image."""
        active = self.viewer.layers.selection.active
        if isinstance(active, Image):
            return plain(active)
        return next((plain(layer) for layer in reversed(self.viewer.layers) if isinstance(layer, Image)), None)

    def use_image(self, image: Image | None) -> None:
        """Segment this image from now on."""
        image = None if image is None else plain(image)
        if image is self.image:
            return
        self.propagation.stop()
        self.pointing.forget()
        self.hover.clear()
        self.reviewing.forget()
        self.checking.discard()
        self.slice_range.forget()
        self.image = image
        self.image_changed.emit()
        self.objects_changed.emit()
        if image is None:
            self.say("Open or select an image to begin.")
        elif self.slides.is_chosen:
            self.slides.use(image)
        elif image in self._annotations:
            self.select_object(max(self._annotations[image].snapshot.objects, default=1))
            self._say_ready()
        else:
            self._open(image)

    def forget_image(self, reason: str) -> None:
        """Go back to no image, because the chosen one could not be opened."""
        self.image = None
        self.tell_failure(reason)
        self.image_changed.emit()

    def use_model(self, choice: ModelChoice) -> None:
        """Load another model in the background; masks stay, and it answers from then on."""
        self.models.choose(choice)
        self.models.load(self.thread, self.say, self.warned.emit)
        for annotation in self._annotations.values():
            annotation.ask(self._change_model, lambda _: self._say_ready())
        self.slides.use_model()

    # -- objects --------------------------------------------------------------------------------

    def select_object(self, object_id: int) -> None:
        """Give what is drawn from now on to an object."""
        self.current_object = object_id
        if self.annotation is not None:
            self.annotation.prompts.use_object(object_id)
            self.annotation.result.layer.selected_label = object_id
        self.objects_changed.emit()

    # -- behind the scenes ----------------------------------------------------------------------

    def _open(self, image: Image) -> None:
        self._opening = image
        self.say(f"Opening {image.name} ...")
        leading = tuple(int(s) for s in self.viewer.dims.current_step[: max(0, image.ndim - 3)])

        terms, set_to = self.naming.by_id, self.preferences()

        def done(opened: Opened) -> None:
            if image is self._opening and image in self.viewer.layers:
                self._opening = None
                self._begin(image, opened)

        def failed(error: BaseException) -> None:
            if image is self._opening:
                self._opening = None
                self.forget_image(str(error))

        work = partial(open_image, image, leading, terms=terms, set_to=set_to)
        self.thread.request(lambda: work(model=self.models.get()), done, failed, key=(id(self), "open"))

    def _begin(self, image: Image, opened: Opened) -> None:
        shown, session = opened.shown, opened.session
        annotation = Annotation(self.viewer, image, shown, session, opened.autosave, self.thread, is_ct=opened.is_ct)
        if not self._annotations and shown.volume.oriented and self.viewer.dims.ndisplay == 2:
            show_plane(self.viewer, image, shown, shown.volume.plane_name(session.axis))
        self._annotations[image] = annotation
        if not shown.volume.is_rgb:
            show_window(annotation, AUTO)
        annotation.changed.connect(self.objects_changed.emit)
        annotation.failed.connect(self.tell_failure)
        annotation.answered.connect(self._on_answered)
        annotation.told.connect(self.say)
        annotation.resumed.connect(self._on_resumed)
        self.select_object(1)
        self.image_changed.emit()
        for note in opened.notes:
            self.warned.emit(note)
        self._say_ready()
        self.pointing.replay()

    def _change_model(self, session: Session) -> None:
        session.model = self.models.get()

    def say(self, status: str) -> None:
        """Put a sentence on the state line."""
        self.status = status
        self.status_changed.emit(status)

    def _say_ready(self) -> None:
        self.say(f"{self.models.description}. Click inside the object, or Shift-drag a box.")

    def _on_answered(self, results: list[Any]) -> None:
        annotation = self.annotation
        if not results or annotation is None:
            return
        last = results[-1]
        obj = annotation.object(last.object_id)
        self.say(f"Object {last.object_id}, slice {last.index}: {last.mask.n_voxels} voxels. Propagate, or correct it.")
        if any(not result.prompted for result in obj.slices.values()):
            slices = self.slice_range.slices(obj.axis)
            self.propagation.spread(annotation, last.object_id, [result.index for result in results], slices)

    def tell_failure(self, sentence: str) -> None:
        """Say what did not work, on the state line and as a notification."""
        self.say(sentence.splitlines()[0])
        self.warned.emit(sentence)

    def _on_resumed(self) -> None:
        """Go to where the work ended."""
        annotation = self.annotation
        if annotation is None or not annotation.snapshot.objects:
            return
        last = list(annotation.snapshot.objects.values())[-1]
        self.select_object(last.object_id)
        if last.prompts:
            self.actions.go_to_slice(last.axis, last.prompts[-1].slice_index(last.axis))
        many = len(annotation.snapshot.objects)
        self.say(f"Resumed with {many} object{'' if many == 1 else 's'}. Undo goes on where it was.")

    def _on_progress(self, progress: Progress) -> None:
        self.progressed.emit(progress)

    def _on_propagated(self, done: int, seconds: float, stopped: bool) -> None:
        self.progressed.emit(None)
        if done == 0:
            # A check, or a correction that changed nothing.
            if stopped:
                self.say("Stopped.")
            return
        self.say(f"{'Stopped after' if stopped else 'Propagated through'} {done} slices in {seconds:.1f} s.")

    def _on_removed(self, event: Any) -> None:
        gone: Layer = event.value
        for image, annotation in list(self._annotations.items()):
            if gone is image or gone in annotation.layers:
                self._forget(image, annotation, by_layer=gone)
        self.slides.removed(gone)
        if gone is self.image:
            self.use_image(self.suggested_image())

    def _forget(self, image: Image, annotation: Annotation, by_layer: Layer) -> None:
        self.propagation.stop()
        annotation.close()
        del self._annotations[image]
        if image is self.image and by_layer is not image:
            self.image = None
            self.image_changed.emit()
            self.objects_changed.emit()
            self.say(f"{by_layer.name} was removed, so this segmentation is closed. Select the image to begin again.")


def plain(thing: Any) -> Any:
    """What a napari proxy stands for: layers and viewers are told apart by identity."""
    return getattr(thing, "__wrapped__", thing)
