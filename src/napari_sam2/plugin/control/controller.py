"""The controller: joins viewer, workspace, model and works.

One per viewer, whatever panels are open.

It knows no Qt. Panels call its methods and listen to the workspace; so do commands and tests.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_sam2.errors import UserInputError
from napari_sam2.plugin.canvas.early_gestures import EarlyGestures
from napari_sam2.plugin.canvas.gestures import GestureTarget, GestureTool
from napari_sam2.plugin.control.action_table import action
from napari_sam2.plugin.control.models import ModelChoice, ModelHolder
from napari_sam2.plugin.control.names import NameList
from napari_sam2.plugin.control.workspace import Workspace
from napari_sam2.plugin.scan.opening import open_scan
from napari_sam2.plugin.scan.work import ScanWork
from napari_sam2.plugin.settings import Preferences
from napari_sam2.plugin.slide.opening import is_slide, open_slide_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.plugin.background.worker import InferenceThread
    from napari_sam2.plugin.control.progress import Progress
    from napari_sam2.plugin.control.work import Kind, Opened, Work
    from napari_sam2.plugin.scan.channel_layers import ChannelToOpen

__all__ = ["Controller", "plain"]


class Controller:
    """Composes the parts of one viewer, and opens and closes works.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are segmented.
    thread : InferenceThread
        Runs everything that touches a model or a session.
    preferences : callable
        What is set in Preferences now.
    """

    def __init__(
        self, viewer: ViewerModel, thread: InferenceThread, preferences: Callable[[], Preferences] = Preferences
    ) -> None:
        self.workspace = Workspace(viewer, thread, preferences)
        self.models = ModelHolder(preferences().model)
        self.names = NameList()
        self.gestures = GestureTool(viewer, lambda: self.pointer)
        self._early = EarlyGestures(lambda: self.workspace.is_opening)
        self._panels = 0
        self._greeted = False
        self._after_opening: list[Callable[[], None]] = []
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self._on_active)
        self.workspace.preview.changed.connect(self._on_preview)
        self.names.changed.connect(self._on_names)

    @property
    def thread(self) -> InferenceThread:
        """Where models and sessions are."""
        return self.workspace.thread

    @property
    def work(self) -> Work | None:
        """The work on the chosen image; None until it is open."""
        return self.workspace.work

    @property
    def kind(self) -> Kind:
        """What the chosen image is segmented as.

        Also while it is being opened.
        """
        if self.work is not None:
            return self.work.kind
        return "slide" if is_slide(self.workspace.image) else "scan"

    @property
    def pointer(self) -> GestureTarget:
        """What the mouse does now."""
        return self._early if self.work is None else self.work.pointer

    def do(self, name: str) -> None:
        """Do an action of the table."""
        action(name).do(self.workspace)

    # -- panels ---------------------------------------------------------------------------------

    @property
    def has_panel(self) -> bool:
        """Whether a panel is visible.

        So that what is said can be read.
        """
        return self._panels > 0

    def panel_shown(self) -> None:
        """A panel has become visible.

        Listen to the mouse, and take the active image when there is none.
        """
        self._panels += 1
        self.gestures.attach()
        if not self._greeted:
            self._greeted = True
            names = self.workspace.preferences().names
            if names is not None:
                self.load_names(names)
        self._load_model()
        if self.workspace.image is None:
            self.use_image(self.suggested_image())

    def panel_hidden(self) -> None:
        """A panel has gone.

        With the last one, the mouse belongs to napari alone again.
        """
        self._panels = max(0, self._panels - 1)
        if self._panels == 0:
            self.gestures.detach()
            if not self.workspace.works:
                # The window is closing, or nothing was done: weights can take gigabytes.
                self.models.forget()

    def close(self) -> None:
        """Stop everything and let go of volumes and models."""
        self.gestures.detach()
        for work in self.workspace.works.values():
            work.close()
        self.workspace.works.clear()
        self._early.forget()
        self.workspace.image = self.workspace.opening = None
        self.models.forget()

    # -- images and models ----------------------------------------------------------------------

    def suggested_image(self) -> Image | None:
        """The active layer if it is an image, else the topmost image."""
        layers = self.workspace.viewer.layers
        if isinstance(layers.selection.active, Image):
            return plain(layers.selection.active)
        return next((plain(layer) for layer in reversed(layers) if isinstance(layer, Image)), None)

    def use_image(self, image: Image | None) -> None:
        """Segment this image from now on."""
        workspace = self.workspace
        image = None if image is None else plain(image)
        if image is workspace.image:
            return
        if workspace.work is not None:
            workspace.work.leave()
        self._early.forget()
        workspace.image = image
        if workspace.work is not None:
            workspace.work.enter()
        workspace.image_changed.emit()
        workspace.objects_changed.emit()
        if image is None:
            workspace.say("Open or select an image to begin.")
        elif workspace.work is not None:
            self._say_ready()
        elif workspace.opening is not image:
            self._open(image)

    def use_model(self, choice: ModelChoice) -> None:
        """Load another model in the background.

        Masks stay, and it answers from then on.
        """
        self.models.choose(choice)
        self._load_model()
        for work in self.workspace.works.values():
            work.use_model(self.models.get, self._say_ready)

    def load_names(self, path: Path) -> bool:
        """Offer the names of a file; whether it was read.

        One that cannot be read is explained.
        """
        try:
            count = self.names.load(path)
        except UserInputError as error:
            self.workspace.warned.emit(str(error))
            return False
        self.workspace.say(f"{count} names from {path.name} are offered.")
        return True

    def name_object(self, object_id: int, text: str) -> None:
        """Give an object of a scan a name.

        One that is in the list brings its code and colour.
        """
        if isinstance(self.work, ScanWork):
            self.work.describe(object_id, self.names.term(text))

    def open_labels(self, path: Path) -> None:
        """Open saved labels as objects of the chosen scan.

        Once it is open, when it is being opened.
        """
        if isinstance(self.work, ScanWork):
            self.work.open_labels(path)
        elif self.work is not None:
            self.workspace.say("Labels of a slide are loaded with Load objects.")
        elif self.suggested_image() is None:
            self.workspace.say("Open the image of these labels first.")
        else:
            self.when_open(lambda: self.open_labels(path))

    def open_channels(self, channels: Sequence[ChannelToOpen], *, register: bool = False) -> None:
        """Let scans be channels of the chosen one.

        Once that is open; with a layer each, hidden at first.
        """

        def add() -> None:
            if isinstance(self.work, ScanWork):
                for channel in channels:
                    self.work.channels.open(channel, register=register)

        if self.work is None:
            self.when_open(add)
        else:
            add()

    def when_open(self, call: Callable[[], None]) -> None:
        """Call something once the image that is being opened is open."""
        self._after_opening.append(call)

    # -- behind the scenes ----------------------------------------------------------------------

    def _open(self, image: Image) -> None:
        workspace = self.workspace
        workspace.opening = image
        workspace.say(f"Opening {image.name} ...")
        open_image = self._opener(image)

        def done(opened: Opened) -> None:
            if image is workspace.opening:
                workspace.opening = None
                if image in workspace.viewer.layers:
                    self._begin(image, opened)

        def failed(error: BaseException) -> None:
            if image is workspace.opening:
                workspace.opening = workspace.image = None
                self._after_opening.clear()
                workspace.fail(str(error))
                workspace.image_changed.emit()

        workspace.thread.request(lambda: open_image(self.models.get()), done, failed, key=(id(self), "open"))

    def _opener(self, image: Image) -> Callable[[AnyModel], Opened]:
        """What opens an image on the inference thread: as a scan or as a slide, decided here alone."""
        preferences = self.workspace.preferences()
        if is_slide(image):
            return partial(open_slide_image, image, preferences=preferences)
        leading = tuple(int(s) for s in self.workspace.viewer.dims.current_step[: max(0, image.ndim - 3)])
        return partial(open_scan, image, leading, terms=self.names.by_id, preferences=preferences)

    def _begin(self, image: Image, opened: Opened) -> None:
        workspace = self.workspace
        work = opened.begin(workspace)
        workspace.works[image] = work
        work.changed.connect(workspace.objects_changed.emit)
        work.failed.connect(workspace.fail)
        work.told.connect(workspace.say)
        work.run.progressed.connect(self._on_progress)
        workspace.image_changed.emit()
        workspace.objects_changed.emit()
        for note in work.notes:
            workspace.warned.emit(note)
        self._say_ready()
        work.remember_image()
        waiting, self._after_opening = self._after_opening, []
        for call in waiting:
            call()
        self._early.replay(work.pointer)

    def _load_model(self) -> None:
        self.models.load(self.thread, self.workspace.say, self.workspace.warned.emit)

    def _say_ready(self) -> None:
        if self.work is not None and self.work.earlier is not None:
            next_step = "Resume brings back earlier work on this image; or click inside an object"
        else:
            next_step = "Click inside the object, or Shift-drag a box"
        hidden = self.work.alone.said if isinstance(self.work, ScanWork) else ""
        self.workspace.say(f"{self.models.description}. {next_step}.{hidden}")

    def _on_progress(self, progress: Progress | None) -> None:
        self.workspace.progressed.emit(progress)

    def _on_preview(self, on: bool) -> None:
        if not on and self.work is not None:
            self.work.pointer.clear_preview()

    def _on_names(self) -> None:
        if isinstance(self.work, ScanWork):
            self.work.use_terms(self.names.by_id)

    def _on_active(self, event: Any) -> None:
        """The panel follows the layer that is selected: an image, or what belongs to one."""
        if not self.has_panel or event.value is None:
            return
        layer = plain(event.value)
        image = self.workspace.shown_by(layer)
        if image is None:
            image = layer if isinstance(layer, Image) else self.workspace.owner_of(layer)
        if image is not None:
            self.use_image(image)

    def _heal(self, name: str) -> None:
        """Bring back what a layer of ours showed that was deleted: the session has all of it."""
        work = self.workspace.work
        if work is not None and work.earlier is not None:
            work.resume()
            # After what resuming says of itself.
            sentence = f"{name} shows the work itself, so it is made again from the journal; nothing is lost."
            thread = self.workspace.thread
            thread.request(lambda: None, lambda _: self.workspace.say(sentence), lambda _: None)

    def _remove_dead(self, dead: Sequence[Layer]) -> None:
        """Take layers of a closed work away: nothing follows them any more, or they are made again."""
        if self.workspace.has_viewer:
            layers = self.workspace.viewer.layers
            for layer in dead:
                if layer in layers:
                    layers.remove(layer)

    def _on_removed(self, event: Any) -> None:
        removed: Layer = event.value
        workspace = self.workspace
        owner = workspace.owner_of(removed)
        if owner is not None:
            work = workspace.works.pop(owner)
            work.close()
            heals = self.has_panel and work.has_objects and removed is not owner is workspace.image
            dead = work.layers if heals and owner in workspace.viewer.layers else work.prompts.layers
            # Not from within napari's own removal.
            workspace.thread.queue.put(lambda: self._remove_dead(dead))
            if owner is workspace.image and removed is not owner:
                workspace.image = None
                workspace.image_changed.emit()
                workspace.objects_changed.emit()
                workspace.say(f"{removed.name} was removed, so this work is closed. Select the image to begin again.")
                if self.has_panel and owner in workspace.viewer.layers:
                    self.use_image(owner)
                    if heals:
                        self.when_open(lambda: self._heal(removed.name))
        if removed is workspace.image:
            self.use_image(self.suggested_image())
            if owner is not None and work.has_objects:
                workspace.say(f"{owner.name} was removed. Its work is kept; open the image again to go on with it.")


def plain(proxy: Any) -> Any:
    """What a napari proxy stands for.

    Layers and viewers are told apart by identity.
    """
    return getattr(proxy, "__wrapped__", proxy)
