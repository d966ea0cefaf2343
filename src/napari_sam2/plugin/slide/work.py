"""The work on one slide: its session behind the inference thread, its layers, and what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from psygnal import Signal

from napari_sam2.plugin.background.session_owner import Asking
from napari_sam2.plugin.control.autosave import JournalKind
from napari_sam2.plugin.slide.opening import SLIDE_KEY, shown_mix
from napari_sam2.plugin.slide.prompt_layers import Marks
from napari_sam2.plugin.slide.result_layer import Outlines
from napari_sam2.plugin.slide.view import ScreenView, view_of
from napari_sam2.record.slide_journal import SlideJournal, restore_slide
from napari_sam2.slides.formats.write import FORMATS
from napari_sam2.slides.objects import new_id
from napari_sam2.slides.session import SlideSession
from napari_sam2.slides.snapshot import SlideSnapshot

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_sam2.plugin.background.worker import InferenceThread, Stream
    from napari_sam2.plugin.control.autosave import Autosave
    from napari_sam2.slides.objects import SlideObject
    from napari_sam2.slides.prompts import SlidePrompt

__all__ = ["SLIDES", "SlideWork"]

SLIDES: Final[JournalKind[SlideSession]] = JournalKind(
    lambda session: f"slide-{session.slide.key}", SlideJournal, restore_slide, tuple(FORMATS)
)
"""How sessions on slides are kept."""


class SlideWork(Asking[SlideSession, SlideSnapshot]):
    """What one picture is being segmented into.

    Parameters
    ----------
    viewer : ViewerModel
        Where its layers are.
    image : Image
        What is segmented.
    session : SlideSession
        Owned by the inference thread from now on.
    autosave : Autosave
        Its journal.
    thread : InferenceThread
        Who does the work.
    """

    changed = Signal()
    """There is a newer snapshot, or another current object."""

    answered = Signal(object)
    """A prompt was answered: the SlideObject."""

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        session: SlideSession,
        autosave: Autosave[SlideSession],
        thread: InferenceThread,
    ) -> None:
        super().__init__(session, thread)
        self.image = image
        self.shape = session.slide.shape
        self.name = session.slide.name
        self.notes = session.slide.notes
        self.autosave = autosave
        self.earlier = autosave.earlier
        self.current = new_id()
        self._asked: set[str] = set()
        self._viewer = ref(viewer)
        active = viewer.layers.selection.active
        self.outlines = Outlines(viewer, image, thread.mailbox)
        self.marks = Marks(viewer, image)
        viewer.layers.selection.active = active
        self.outlines.edited.connect(self._on_edited)
        self.outlines.removed.connect(self.remove)
        self.outlines.drawn.connect(self._on_drawn)
        self.outlines.picked.connect(self.select)
        if not image.rgb:
            image.events.contrast_limits.connect(self._on_limits)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that belong to it."""
        return self.outlines.layer, *self.marks.layers

    @property
    def object(self) -> SlideObject | None:
        """The current object; None before its first prompt is answered."""
        return self.snapshot.find(self.current)

    @property
    def is_begun(self) -> bool:
        """Whether the current object has an outline, or a prompt whose answer is on its way."""
        return self.current in self._asked or self.object is not None

    def close(self) -> None:
        """Let go of session, slide and model; the layers stay in the viewer."""
        self.closed = True
        self.outlines.close()
        if not self.image.rgb:
            self.image.events.contrast_limits.disconnect(self._on_limits)
        self._thread.request(self.autosave.close, lambda _: None, lambda _: None)
        # A request that is still waiting finds no session and does nothing.
        self._session = None

    def view(self) -> ScreenView | None:
        """What is on the screen; None when the viewer is closed."""
        viewer = self._viewer()
        return None if viewer is None else view_of(viewer, self.image, self.shape)

    def show(self, snapshot: SlideSnapshot) -> None:
        """Take over a newer snapshot and draw what differs."""
        if snapshot.position:
            # Something was done: the earlier journal is no longer on offer.
            self.earlier = None
        super().show(snapshot)
        self.draw()
        self.changed.emit()

    def draw(self) -> None:
        """Draw what is in view; to be called when the view has moved."""
        view = self.view()
        if view is not None:
            self.outlines.show(self.snapshot.objects, self.current, view)
            self.marks.show_prompts(self.snapshot.prompts.get(self.current, ()), view.pixel)

    def select(self, object_id: str) -> None:
        """Give what is pointed at from now on to an object."""
        if object_id != self.current:
            self.current = object_id
            self.draw()
            self.changed.emit()

    def add_prompt(self, prompt: SlidePrompt) -> None:
        """Ask for the current object with one more prompt."""
        object_id, view = self.current, self.view()
        field = None if view is None else view.field
        self._asked.add(object_id)

        def done(obj: SlideObject) -> None:
            self._asked.discard(object_id)
            self.answered.emit(obj)

        def failed(error: BaseException) -> None:
            self._asked.discard(object_id)
            self.fail(error)

        self.ask(lambda session: session.add_prompt(prompt, object_id, field=field), done, failed=failed)

    def remove(self, object_id: str) -> None:
        """Remove an object."""
        if self.snapshot.find(object_id) is not None:
            self.ask(lambda session: session.remove(object_id))

    def change(self, object_id: str, **fields: Any) -> None:
        """Change an object's name or lock."""
        if self.snapshot.find(object_id) is not None:
            self.ask(lambda session: session.change(object_id, **fields))

    def stream(
        self,
        run: Callable[[threading.Event], Iterator[Any]],
        each: Callable[[list[Any]], None],
        done: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> Stream[Any]:
        """Run something long between requests; see `InferenceThread.stream`."""
        return self._thread.stream(run, each, done, failed)

    def resume(self) -> None:
        """Go on where the journal of an earlier session ended."""
        self.earlier = None

        def done(_: None) -> None:
            if self.snapshot.objects:
                self.select(self.snapshot.objects[-1].object_id)

        self.ask(self.autosave.resume, done)

    def start_afresh(self) -> None:
        """Leave the earlier session alone."""
        self.earlier = None
        self.changed.emit()

    def _put_back(self) -> None:
        self.draw()

    def _on_edited(self, object_id: str, geometry: Any) -> None:
        self.ask(lambda session: session.edit(object_id, geometry))

    def _on_drawn(self, geometry: Any) -> None:
        object_id = new_id()
        self.current = object_id
        self.ask(lambda session: session.draw(geometry, object_id))

    def _on_limits(self, _event: Any = None) -> None:
        """The model sees grey values as they are shown, from the next answer on."""
        mix = shown_mix(self.image)
        if SLIDE_KEY not in self.image.metadata:
            self.ask_quietly(lambda session: session.show_channels(mix), lambda _: None, key="limits")
