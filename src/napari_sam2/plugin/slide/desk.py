"""The desk: which pictures are worked on as slides, and the chosen one among them. One per controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Shapes

from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.plugin.control.autosave import Autosave
from napari_sam2.plugin.slide.actions import SlideActions
from napari_sam2.plugin.slide.automatic import AutomaticRun
from napari_sam2.plugin.slide.choices import SlideChoices
from napari_sam2.plugin.slide.drawn_outlines import geometries_of
from napari_sam2.plugin.slide.opening import is_slide, slide_of
from napari_sam2.plugin.slide.pointing import SlidePointing
from napari_sam2.slides.objects import SlideObject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.plugin.slide.work import SlideWork
    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.session import SlideSession

__all__ = ["GestureRouter", "SlideDesk"]


class SlideDesk:
    """What a person does with slides, as calls; what they should see goes through the controller's signals.

    Parameters
    ----------
    controller : Controller
        Knows the viewer, the model and the chosen image.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._works: dict[Image, SlideWork] = {}
        self._opening: Image | None = None
        self._may_replace: set[Path] = set()
        self.actions = SlideActions(self)
        self.pointing = SlidePointing(self)
        self.automatic = AutomaticRun(self)
        self.choices = SlideChoices(self)

    @property
    def viewer(self) -> ViewerModel:
        """The viewer, as long as it exists."""
        return self._controller.viewer

    @property
    def is_chosen(self) -> bool:
        """Whether the chosen image is a slide, open or being opened."""
        return is_slide(self._controller.image)

    @property
    def is_opening(self) -> bool:
        """Whether the chosen image is a slide that is being opened."""
        return self._opening is not None and self._opening is self._controller.image

    @property
    def current(self) -> SlideWork | None:
        """The work on the chosen image; None when that is no slide, or is not open yet."""
        image = self._controller.image
        return None if image is None else self._works.get(image)

    @property
    def preview_enabled(self) -> bool:
        """Whether the hover preview is on, on scans and slides alike."""
        return self._controller.hover.enabled

    def toggle_preview(self) -> None:
        """Switch the hover preview on or off."""
        self._controller.hover.toggle()
        self.pointing.clear_preview()

    def say(self, sentence: str) -> None:
        """Put a sentence on the state line."""
        self._controller.say(sentence)

    def use(self, image: Image) -> None:
        """Work on this slide from now on."""
        self.actions.forget()
        self.pointing.forget()
        if image in self._works:
            self._works[image].draw()
            self._say_ready()
        elif self._opening is not image:
            self._open(image)

    def use_model(self) -> None:
        """Let the controller's model answer from now on."""
        models = self._controller.models
        for work in self._works.values():
            work.ask(lambda session: session.use_model(models.get()), lambda _: self._say_ready())

    def take_shapes(self) -> None:
        """Take the shapes of the active Shapes layer as objects: its selected ones, or all."""
        work, layer = self.current, self.viewer.layers.selection.active
        if work is None or not isinstance(layer, Shapes) or layer in work.layers or not len(layer.data):
            self.say("Select a Shapes layer of your own with outlines in it, then use it.")
            return
        geometries = geometries_of(layer, work.image)
        objects = [SlideObject(g, name=f"{layer.name} {n}") for n, g in enumerate(geometries, start=1) if g.area > 0]
        work.ask(
            lambda session: session.add_objects(objects),
            lambda count: self.say(f"{layer.name}: {count} outline{'' if count == 1 else 's'} taken."),
        )

    def save(self, path: Path) -> None:
        """Write the objects; the name decides the format. An existing file is replaced when Save is pressed twice."""
        work = self.current
        if work is None:
            self.say("There is nothing to save yet.")
            return
        again = path in self._may_replace
        if path.exists() and not again:
            self._may_replace.add(path)
            self.say(f"{path.name} exists already. Press Save again to replace it, or choose another name.")
            return
        self.say(f"Saving {path.name} ...")

        def write(session: SlideSession) -> int:
            count = session.export(path, overwrite=again)
            work.autosave.copy_beside(path)
            return count

        def done(count: int) -> None:
            self._may_replace.add(path)
            self.say(f"Saved {path.name} with {count} object{'' if count == 1 else 's'}.")

        work.ask(write, done)

    def load(self, path: Path) -> None:
        """Take over the objects of a GeoJSON file, as one step."""
        work = self.current
        if work is None:
            return

        def read(session: SlideSession) -> int:
            from napari_sam2.slides.formats.geojson import read_geojson

            objects = [obj for obj in read_geojson(path) if obj.geometry.area > 0]
            if not objects:
                raise UserInputError(f"{path.name} holds no outlines.")
            return session.add_objects(objects)

        work.ask(read, lambda count: self.say(f"Loaded {count} object{'' if count == 1 else 's'} from {path.name}."))

    def removed(self, layer: Layer) -> None:
        """A layer has gone from the viewer: close the work that it belonged to."""
        for image, work in list(self._works.items()):
            if layer is image or layer in work.layers:
                self.automatic.stop()
                work.close()
                del self._works[image]
                if image is self._controller.image and layer is not image:
                    self._controller.use_image(None)
                    self.say(f"{layer.name} was removed, so this work is closed. Select the image to begin again.")

    def close(self) -> None:
        """Let go of everything."""
        self.automatic.stop()
        self.pointing.forget()
        for work in self._works.values():
            work.close()
        self._works.clear()
        self._opening = None

    def _open(self, image: Image) -> None:
        controller = self._controller
        folder = controller.preferences().autosave
        self._opening = image
        self.say(f"Opening {image.name} ...")

        def open_it() -> tuple[SlideSession, Autosave[SlideSession]]:
            try:
                from napari_sam2.plugin.slide.work import SLIDES
                from napari_sam2.slides.session import SlideSession
            except ImportError as error:
                raise EnvironmentLacksError(
                    'Slides need a library that is not installed; run: pip install "napari-sam2[slide]".'
                ) from error
            slide: Slide = slide_of(image)
            session = SlideSession(slide, controller.models.get())
            return session, Autosave(session, SLIDES, folder)

        def done(answer: tuple[SlideSession, Autosave[SlideSession]]) -> None:
            if image is self._opening and image in self.viewer.layers:
                self._opening = None
                self._begin(image, *answer)

        def failed(error: BaseException) -> None:
            if image is self._opening:
                self._opening = None
                controller.forget_image(str(error))

        controller.thread.request(open_it, done, failed, key=(id(self), "open"))

    def _begin(self, image: Image, session: SlideSession, autosave: Autosave[SlideSession]) -> None:
        from napari_sam2.plugin.slide.work import SlideWork

        controller = self._controller
        work = SlideWork(self.viewer, image, session, autosave, controller.thread)
        self._works[image] = work
        work.changed.connect(controller.objects_changed.emit)
        work.failed.connect(controller.tell_failure)
        work.answered.connect(self._on_answered)
        controller.image_changed.emit()
        controller.objects_changed.emit()
        for note in (*work.notes, autosave.note):
            if note:
                controller.warned.emit(note)
        self._say_ready()
        self.pointing.replay()

    def _say_ready(self) -> None:
        self.say(f"{self._controller.models.description}. Click inside the object, or Shift-drag a box.")

    def _on_answered(self, obj: SlideObject) -> None:
        score = "" if obj.score is None else f", score {obj.score:.2f}"
        self.say(f"{obj.name or 'Object'}{score}. Correct it with a click, or N for the next one.")


class GestureRouter:
    """The target of the gesture tool: whoever works on the chosen image.

    Parameters
    ----------
    controller : Controller
        Knows which image is chosen.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def click_at(self, world: Sequence[float], *, positive: bool) -> None:
        """A click at a place."""
        self._target().click_at(world, positive=positive)

    def box_between(self, start: Sequence[float], end: Sequence[float]) -> None:
        """A box was drawn from one corner to the other."""
        self._target().box_between(start, end)

    def box_preview(self, start: Sequence[float], end: Sequence[float] | None) -> None:
        """A box is being drawn; None: it was given up."""
        self._target().box_preview(start, end)

    def hover_at(self, world: Sequence[float]) -> None:
        """The mouse rests at a place."""
        self._target().hover_at(world)

    def _target(self) -> Any:
        controller = self._controller
        return controller.slides.pointing if controller.slides.is_chosen else controller.pointing
