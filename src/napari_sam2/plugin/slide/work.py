"""The work on one slide.

Its session behind the inference thread, its layers, and what they show.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from napari.layers import Shapes

from napari_sam2.io.names import without_suffix
from napari_sam2.plugin.control.autosave import JournalKind
from napari_sam2.plugin.control.base_work import BaseWork
from napari_sam2.plugin.scan.volumes import file_behind
from napari_sam2.plugin.slide.automatic import AutomaticRun
from napari_sam2.plugin.slide.channels import SlideChannels
from napari_sam2.plugin.slide.choices import SlideChoices
from napari_sam2.plugin.slide.drawn_outlines import geometries_of
from napari_sam2.plugin.slide.hand_strokes import SlideStrokes
from napari_sam2.plugin.slide.mask_choice import MaskChoice
from napari_sam2.plugin.slide.one_by_one import OneByOne
from napari_sam2.plugin.slide.opening import SLIDE_KEY, shown_mix
from napari_sam2.plugin.slide.planes import SlidePlanes
from napari_sam2.plugin.slide.pointing import SlidePointer
from napari_sam2.plugin.slide.prompt_layers import SlidePromptLayers
from napari_sam2.plugin.slide.result_layer import SlideResultLayer
from napari_sam2.plugin.slide.review import SlideReview
from napari_sam2.plugin.slide.view import ScreenView, show_object, view_of
from napari_sam2.record.journal import Journal
from napari_sam2.slides.formats.write import FORMATS
from napari_sam2.slides.objects import SlideObject, new_id
from napari_sam2.slides.session import SlideSession
from napari_sam2.slides.snapshot import SlideSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.layers import Image, Layer

    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.plugin.control.autosave import Autosave
    from napari_sam2.plugin.control.work import Kind
    from napari_sam2.plugin.control.workspace import Workspace
    from napari_sam2.slides.prompts import SlidePrompt

__all__ = ["SLIDES", "SlideWork"]

T = TypeVar("T")

SLIDES: Final[JournalKind[SlideSession]] = JournalKind(
    lambda session: f"slide-{session.slide.key}", Journal, tuple(FORMATS)
)
"""How sessions on slides are kept."""


class SlideWork(BaseWork[SlideSession, SlideSnapshot]):
    """What one slide or picture is being segmented into.

    Parameters
    ----------
    workspace : Workspace
        Of the viewer.
    image : Image
        What is segmented.
    session : SlideSession
        Owned by the inference thread from now on.
    autosave : Autosave
        Its journal.

    Attributes
    ----------
    current : str
        The object that gets what is pointed at; a UUID.
    selected : tuple of str
        Rows of the table that are selected.
    row_order : callable
        Ids of all objects as a table shows them.
    """

    def __init__(
        self, workspace: Workspace, image: Image, session: SlideSession, autosave: Autosave[SlideSession]
    ) -> None:
        self.planes = SlidePlanes(workspace.viewer, image, session.slide.planes)
        super().__init__(workspace, image, session, autosave)
        self.shape = session.slide.shape
        self.name = session.slide.name
        self.notes = [note for note in (*session.slide.notes, autosave.note) if note]
        self.current = new_id()
        self.selected: tuple[str, ...] = ()
        self._waiting: list[tuple[str, SlidePrompt]] = []
        viewer = workspace.viewer
        active = viewer.layers.selection.active
        self.result = SlideResultLayer(viewer, image, workspace.thread.queue)
        self.prompts = SlidePromptLayers(viewer, image)
        # What napari shows as active stays what the user had chosen.
        viewer.layers.selection.active = active
        self.run: AutomaticRun = AutomaticRun(self)
        self.run.progressed.connect(self._on_progress)
        self.review = SlideReview(self)
        self.pointer = SlidePointer(self)
        self.choices = SlideChoices(self)
        self.channels = SlideChannels(self)
        self.hand = SlideStrokes(self)
        self.hand.changed.connect(lambda _: self.changed.emit())
        self.masks = MaskChoice(self)
        self.one_by_one = OneByOne(self)
        self.row_order: Callable[[], Sequence[str]] = self._creation_order
        self.result.edited.connect(self._on_edited)
        self.result.removed.connect(self.remove)
        self.result.drawn.connect(self._on_drawn)
        self.result.picked.connect(self.select)
        self.planes.watch(self._on_plane)
        if not image.rgb:
            image.events.contrast_limits.connect(self._on_limits)

    @property
    def kind(self) -> Kind:
        """A slide, also of a plain picture."""
        return "slide"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that belong to it."""
        return self.result.layer, *self.prompts.layers

    @property
    def current_object(self) -> SlideObject | None:
        """The current object; None before its first prompt is answered."""
        return self.snapshot.find(self.current)

    @property
    def targets(self) -> tuple[str, ...]:
        """The objects that class and removal mean.

        The selected rows if the current one is among them, else it.
        """
        ids = self.selected if self.current in self.selected else (self.current,)
        return tuple(i for i in ids if self.snapshot.find(i) is not None)

    @property
    def is_begun(self) -> bool:
        """Whether the current object has begun.

        It has an outline, or a prompt whose answer is on its way.
        """
        return self.current_object is not None or any(owner == self.current for owner, _ in self._waiting)

    def enter(self) -> None:
        """The slide is chosen."""
        self.draw()

    def leave(self) -> None:
        """Another image is chosen."""
        self.pointer.clear_preview()
        self.review.forget()

    def close(self) -> None:
        """Let go of session, slide and model.

        The layers stay in the viewer.
        """
        super().close()
        self.planes.close()
        self.result.close()
        if not self.image.rgb:
            self.image.events.contrast_limits.disconnect(self._on_limits)

    def view(self) -> ScreenView | None:
        """What is on the screen; None when the viewer is closed."""
        workspace = self.workspace
        return view_of(workspace.viewer, self.image, self.shape) if workspace.has_viewer else None

    def show(self, snapshot: SlideSnapshot) -> None:
        """Take over a newer snapshot and draw what differs."""
        super().show(snapshot)
        self.draw()
        self.changed.emit()

    def draw(self) -> None:
        """Draw what is in view.

        To be called when the view has moved.
        """
        view = self.view()
        if view is not None:
            self.result.show(self.planes.on_view(self.snapshot.objects), self.current, view)
            waiting = (prompt for owner, prompt in self._waiting if owner == self.current)
            obj = self.current_object
            is_here = obj is None or bool(self.planes.on_view((obj,)))
            answered = self.snapshot.prompts.get(self.current, ()) if is_here else ()
            self.prompts.show_prompts((*answered, *waiting), view.pixel)

    def select(self, object_id: str) -> None:
        """Give what is pointed at from now on to an object."""
        if object_id != self.current:
            self.current = object_id
            self.draw()
            self.changed.emit()

    def go_to_object(self, object_id: str) -> None:
        """Select an object and bring it into view."""
        obj = self.snapshot.find(object_id)
        if obj is None:
            return
        self.select(object_id)
        self.planes.go_to(obj)
        if not obj.geometry.is_empty:
            show_object(self.workspace.viewer, self.image, obj.geometry)
            self.draw()

    def ask(self, work: Callable[[SlideSession], T], *rest: Any, **how: Any) -> None:
        """Do something with the session, on the plane on view."""
        super().ask(self.planes.before(work), *rest, **how)

    def ask_quietly(self, work: Callable[[SlideSession], T], done: Callable[[T], None], key: str | None = None) -> None:
        """Ask something that changes nothing, on the plane on view."""
        super().ask_quietly(self.planes.before(work), done, key)

    def add_prompt(self, prompt: SlidePrompt) -> None:
        """Ask for the current object with one more prompt."""
        object_id, view = self.current, self.view()
        field = None if view is None else view.field
        entry = object_id, prompt
        self._waiting.append(entry)
        self.told.emit("Looking for the object ...")
        self.draw()
        class_name = self.choices.for_new

        def answer(session: SlideSession) -> SlideObject:
            return session.add_prompt(prompt, object_id, field=field, class_name=class_name)

        self.ask(answer, self._on_answered, arrived=lambda: self._waiting.remove(entry))

    # -- objects --------------------------------------------------------------------------------

    def next_object(self) -> None:
        """Begin another object."""
        if not self.is_begun:
            self.told.emit("This object has no prompt yet: click inside it, or Shift-drag a box.")
            return
        self.select(new_id())
        self.told.emit("A new object: click inside it, or Shift-drag a box.")

    def step_object(self, step: int) -> None:
        """Go `step` rows on in the table.

        The zoom stays as it is; behind the last row comes the first.
        """
        order = list(self.row_order())
        if not order:
            self.told.emit("There is no object yet.")
            return
        here = order.index(self.current) if self.current in order else -1 if step > 0 else 0
        self.go_to_object(order[(here + step) % len(order)])
        obj = self.current_object
        if obj is not None:
            what = f", {obj.class_name}" if obj.class_name else ""
            self.told.emit(f"{obj.name or 'Object'}{what}: {order.index(obj.object_id) + 1} of {len(order)}.")

    def _creation_order(self) -> Sequence[str]:
        return [obj.object_id for obj in self.snapshot.objects]

    def change(self, object_id: str, **fields: Any) -> None:
        """Change an object's name or class."""
        if self.snapshot.find(object_id) is not None:
            self.ask(lambda session: session.change(object_id, **fields))

    def finish(self, object_id: str, finished: bool) -> None:
        """Declare an object finished, so that nothing changes it, or reopen it."""
        if self.snapshot.find(object_id) is not None:
            self.ask(lambda session: (session.finish_object if finished else session.reopen_object)(object_id))

    def finish_object(self) -> None:
        """Declare the current object finished, or reopen it.

        An object on a slide has no slices to accept.
        """
        self.review.accept()

    def remove(self, object_id: str) -> None:
        """Remove an object."""
        if self.snapshot.find(object_id) is not None:
            self.ask(lambda session: session.remove(object_id))

    def remove_object(self) -> None:
        """Remove the current object, or all that are selected with it."""
        object_ids = self.targets
        if not object_ids:
            self.told.emit("There is no outline to remove yet.")
            return

        obj = self.current_object
        name = "" if obj is None else obj.name

        def done(count: int) -> None:
            what = f"{name or 'Object'} is" if len(object_ids) == 1 else f"{count} objects are"
            kept = len(object_ids) - count
            self.told.emit(f"{what} removed{_kept(kept)}. Ctrl+Z brings {'it' if count == 1 else 'them'} back.")

        self.ask(lambda session: session.remove_objects(object_ids), done)

    def refine_object(self) -> None:
        """Look at the current object's outline at twice the resolution."""
        obj = self.current_object
        if obj is None:
            self.told.emit("There is no outline to refine yet.")
            return
        self.told.emit("Refining ...")
        self.ask(
            lambda session: session.refine(obj.object_id), lambda _: self.told.emit("Refined; Ctrl+Z takes it back.")
        )

    def use_layer(self, layer: Layer | None) -> None:
        """Take a layer's shapes as objects.

        A Shapes layer of the user's own: its selected ones, or all.
        """
        if not isinstance(layer, Shapes) or layer in self.layers or not len(layer.data):
            self.told.emit("Select a Shapes layer of your own with outlines in it, then use it.")
            return
        geometries = geometries_of(layer, self.image)
        objects = [SlideObject(g, name=f"{layer.name} {n}") for n, g in enumerate(geometries, start=1) if g.area > 0]
        self.ask(
            lambda session: session.add_objects(objects),
            lambda count: self.told.emit(f"{layer.name}: {count} outline{'' if count == 1 else 's'} taken."),
        )

    def load(self, path: Path) -> None:
        """Take over the objects of a file, as one step; see `take_objects`."""

        def read(session: SlideSession) -> tuple[int, tuple[str, ...]]:
            from napari_sam2.slides.formats.take import take_objects

            taken = take_objects(path, session.slide.shape)
            return session.add_objects(taken.objects), taken.notes

        def done(read: tuple[int, tuple[str, ...]]) -> None:
            count, notes = read
            for note in notes:
                self.workspace.warned.emit(note)
            self.told.emit(f"Loaded {count} object{'' if count == 1 else 's'} from {path.name}.")

        self.ask(read, done)

    def suggested_path(self) -> Path:
        """Beside the file of the slide, for QuPath."""
        source = file_behind(self.image) or self.image.metadata.get("napari_sam2_path")
        folder = Path("~") if source is None else Path(source).parent
        return folder / f"{without_suffix(self.image.name)}.geojson"

    def _write(self, session: SlideSession, path: Path, *, overwrite: bool, **how: Any) -> str:
        count = session.export(path, overwrite=overwrite)
        return f"Saved {path.name} with {count} object{'' if count == 1 else 's'}."

    def _set_model(self, session: SlideSession, model: AnyModel) -> None:
        session.use_model(model)

    def _on_answered(self, obj: SlideObject) -> None:
        self.answered.emit(obj)
        score = "" if obj.score is None else f", score {obj.score:.2f}"
        then = "Correct it with a click, or N for the next one."
        if self.one_by_one.on:
            then = "The next click begins another one; a right click takes away from this one."
        self.told.emit(f"{obj.name or 'Object'}{score}. {then}")

    def _on_history(self, past: str, verb: str, step: str) -> None:
        if self.current_object is None and self.snapshot.objects:
            self.select(self.snapshot.objects[-1].object_id)
        super()._on_history(past, verb, step)

    def _on_resumed(self) -> None:
        """Go to where the work ended."""
        super()._on_resumed()
        self.channels.bring_back()
        many = len(self.snapshot.objects)
        if many:
            last = self.snapshot.objects[-1]
            self.select(last.object_id)
            self.choices.for_new = last.class_name
            self.told.emit(f"Resumed with {many} object{'' if many == 1 else 's'}. Undo goes on where it was.")

    def _on_edited(self, object_id: str, geometry: Any) -> None:
        self.ask(lambda session: session.edit(object_id, geometry))

    def _on_plane(self) -> None:
        """Another plane has come on view: its outlines are drawn."""
        self.pointer.clear_preview()
        self.draw()

    def _on_drawn(self, geometry: Any) -> None:
        object_id = new_id()
        self.current = object_id
        class_name = self.choices.for_new
        self.ask(lambda session: session.draw(geometry, object_id, class_name=class_name))

    def _on_limits(self, _event: Any = None) -> None:
        """The model sees grey values as they are shown, from the next answer on."""
        mix = shown_mix(self.image)
        if SLIDE_KEY not in self.image.metadata:
            self.ask_quietly(lambda session: session.show_channels(mix), lambda _: None, key="limits")


def _kept(count: int) -> str:
    return f", {count} finished {'one stays' if count == 1 else 'ones stay'}" if count else ""
