"""An annotation: one image layer being segmented, with its session, its layers and what they show.

The session itself is touched on the inference thread only. What is kept here is its latest snapshot;
every request brings back a newer one.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING
from weakref import ref

from psygnal import Signal

from napari_sam2.core.prompts import MaskPrompt, Prompt
from napari_sam2.plugin.background.session_owner import Asking
from napari_sam2.plugin.scan.own_layers import Borrowing
from napari_sam2.plugin.scan.painting import Painting
from napari_sam2.plugin.scan.prompt_layers import PromptLayers
from napari_sam2.plugin.scan.result_layer import ResultLayer
from napari_sam2.session.snapshot import ObjectSnapshot, SessionSnapshot
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_sam2.core.slice_masks import SliceMask, SliceResult
    from napari_sam2.core.window import Window
    from napari_sam2.plugin.background.worker import InferenceThread
    from napari_sam2.plugin.control.autosave import Autosave
    from napari_sam2.plugin.scan.volumes import ShownVolume
    from napari_sam2.session.session import Session

__all__ = ["Annotation"]


class Annotation(Asking["Session", SessionSnapshot]):
    """What one image is being segmented into.

    Parameters
    ----------
    viewer : ViewerModel
        Where its layers are.
    image : Image
        What is segmented.
    shown : ShownVolume
        Its volume and grid.
    session : Session
        Owned by the inference thread from now on.
    autosave : Autosave
        Its journal.
    thread : InferenceThread
        Who does the work.
    is_ct : bool
        Whether intensities are Hounsfield units, so that presets mean something.
    """

    changed = Signal()
    """There is a newer snapshot."""

    told = Signal(str)
    """Something was done that is not seen at once; a sentence."""

    resumed = Signal()
    """Earlier work is back."""

    answered = Signal(object)
    """Prompts were answered: the list of SliceResult."""

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        shown: ShownVolume,
        session: Session,
        autosave: Autosave[Session],
        thread: InferenceThread,
        *,
        is_ct: bool = False,
    ) -> None:
        super().__init__(session, thread)
        self.image = image
        self.shown = shown
        self.auto_window = session.window
        self.is_ct = is_ct
        self.autosave = autosave
        self.earlier = autosave.earlier
        self._viewer = ref(viewer)
        active = viewer.layers.selection.active
        self.result = ResultLayer(viewer, image, shown)
        self.prompts = PromptLayers(viewer, image, shown)
        # What napari shows as active stays what the person had chosen.
        viewer.layers.selection.active = active
        self._sent: dict[int, list[Prompt]] = {}
        self._masks: dict[int, list[MaskPrompt]] = {}
        self._first_axis: dict[int, int] = {}
        self.painting = Painting(self, thread.mailbox)
        self.borrowing = Borrowing(self)
        self.prompts.edited.connect(self.send_prompts)
        self.prompts.drawn.connect(self.give_masks)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that belong to it."""
        return (*self.prompts.layers, self.result.layer)

    def close(self) -> None:
        """Let go of session, volume and model; the layers stay in the viewer."""
        self.closed = True
        self.prompts.close()
        self.painting.close()
        self.borrowing.close()
        self._thread.request(self.autosave.close, lambda _: None, lambda _: None)
        # A request that is still waiting finds no session and does nothing.
        self._session = None

    def object(self, object_id: int) -> ObjectSnapshot:
        """An object as it is now; an empty one when it has not begun."""
        return self.snapshot.objects.get(object_id) or ObjectSnapshot(object_id)

    def begin_on(self, object_id: int, axis: int) -> None:
        """Take the slices across `axis` for an object that has no prompt yet."""
        if not self.object(object_id).prompts:
            self._first_axis[object_id] = axis

    def show(self, snapshot: SessionSnapshot) -> None:
        """Take over a newer snapshot and paint what differs."""
        if snapshot.undo:
            # Something was done: the earlier journal is no longer on offer.
            self.earlier = None
        before = self.snapshot
        super().show(snapshot)
        self.result.show(before, snapshot, self.slice_on_view())
        self.changed.emit()

    def show_results(self, results: Iterable[SliceResult]) -> None:
        """Take over results that came while a run goes on."""
        objects = dict(self.snapshot.objects)
        slices = set()
        for result in results:
            obj = objects.get(result.object_id)
            if obj is None or obj.axis != result.axis:
                continue
            objects[result.object_id] = replace(obj, results={**obj.slices, result.index: result})
            slices.add((result.axis, result.index))
        self.snapshot = replace(self.snapshot, objects=MappingProxyType(objects))
        self.result.paint(self.snapshot, slices, self.slice_on_view())
        self.changed.emit()

    def send_prompts(self) -> None:
        """Ask for answers to whatever differs between the layers and what was sent before."""
        in_layers = self.prompts.read()
        ids = in_layers.keys() | self._masks.keys() | self._sent.keys()
        for object_id in sorted(ids):
            given = in_layers.get(object_id, [])
            boxes = [p for p in given if not hasattr(p, "positive")]
            wanted = [*boxes, *self._masks.get(object_id, []), *given[len(boxes) :]]
            if wanted != self._sent.get(object_id, []):
                self._sent[object_id] = wanted
                self._ask_prompts(object_id, wanted)

    def give_masks(self, object_id: int, prompts: Sequence[Prompt]) -> None:
        """Take masks that were drawn, one per slice: a newer one replaces an older one."""
        for prompt in prompts:
            if isinstance(prompt, MaskPrompt):
                kept = [m for m in self._masks.get(object_id, []) if m.index != prompt.index]
                self._masks[object_id] = [*kept, prompt]
        self.send_prompts()

    def rename(self, object_id: int, name: str) -> None:
        """Give an object a name of one's own, also before its first prompt."""
        self.describe(object_id, Term(name))

    def describe(self, object_id: int, term: Term) -> None:
        """Give an object the name of a term with its code and colour, also before its first prompt."""

        def work(session: Session) -> None:
            if object_id not in session.objects:
                session.add_object(object_id, term.name)
            session.describe(object_id, term)

        self.ask(work)

    def use_terms(self, terms: Mapping[int, Term]) -> None:
        """Name objects by their id from now on, and those that have no name yet."""

        def work(session: Session) -> None:
            session.terms = terms
            for obj in list(session.objects.values()):
                if not obj.name and obj.object_id in terms:
                    session.describe(obj.object_id, terms[obj.object_id])

        self.ask(work)

    def finish(self, object_id: int, finished: bool) -> None:
        """Declare an object finished: it keeps its voxels, and nothing changes it."""
        if object_id in self.snapshot.objects:
            self.ask(lambda session: session.protect(object_id, finished))

    def show_object(self, object_id: int, visible: bool) -> None:
        """Show or hide an object; its masks are not touched."""
        self.result.hide_objects(self.result.hidden - {object_id} if visible else self.result.hidden | {object_id})
        self.changed.emit()

    def edit_masks(self, object_id: int, axis: int, masks: Mapping[int, SliceMask]) -> None:
        """Take over painted masks by slice index; what may not be painted is put back."""

        def work(session: Session) -> None:
            for index, mask in masks.items():
                session.edit_mask(object_id, axis, index, mask)

        def failed(error: BaseException) -> None:
            self.result.paint(self.snapshot, {(axis, index) for index in masks})
            self.fail(error)

        self.ask(work, lambda _: self.restore_prompts(), failed=failed)

    def slice_on_view(self) -> tuple[int, int] | None:
        """The voxel axis and slice index that the canvas shows, or None in 3-D view."""
        viewer = self._viewer()
        return None if viewer is None else self.shown.grid.slice_on_view(self.image, viewer.dims)

    def axis_on_view(self) -> int:
        """The voxel axis across which the canvas shows slices; the default one in 3-D view."""
        on_view = self.slice_on_view()
        return self.shown.volume.default_slice_axis if on_view is None else on_view[0]

    def axis_of(self, object_id: int) -> int:
        """The voxel axis of an object's slices; the one on view when it has not begun."""
        obj = self.object(object_id)
        return obj.axis if obj.slices or obj.prompts else self.axis_on_view()

    def use_overlap(self, rule: str) -> None:
        """Decide who keeps a voxel that several objects claim; see `napari_sam2.core.labels.OVERLAP_RULES`."""
        if rule != self.snapshot.overlap:
            self.ask(lambda session: setattr(session, "overlap", rule), key="overlap")

    def use_window(self, window: Window) -> None:
        """Let the model see intensities through another window, from the next answer on."""
        if window != self.snapshot.window:
            self.ask(lambda session: setattr(session, "window", window), key="window")

    def resume(self) -> None:
        """Go on where the journal of an earlier session ended."""
        self.earlier = None

        def done(_: None) -> None:
            self.restore_prompts()
            self.resumed.emit()

        self.ask(self.autosave.resume, done)

    def start_afresh(self) -> None:
        """Leave the earlier session alone."""
        self.earlier = None
        self.changed.emit()

    def undo(self) -> None:
        """Take back the last action."""
        self.ask(lambda session: session.undo(), lambda label: self._show_history("undo", label))

    def redo(self) -> None:
        """Do the last undone action again."""
        self.ask(lambda session: session.redo(), lambda label: self._show_history("redo", label))

    def restore_prompts(self) -> None:
        """Show the session's prompts in the layers, and nothing else."""
        self._sent = {i: list(obj.prompts) for i, obj in self.snapshot.objects.items() if obj.prompts}
        self._masks = {i: [p for p in given if isinstance(p, MaskPrompt)] for i, given in self._sent.items()}
        self.prompts.write(self._sent)

    def _put_back(self) -> None:
        self.restore_prompts()

    def _ask_prompts(self, object_id: int, wanted: list[Prompt]) -> None:
        axis = self._first_axis.get(object_id)

        def answer(session: Session) -> list[SliceResult]:
            known = session.objects.get(object_id)
            if axis is not None and (known is None or not known.prompts):
                session.axis = axis
            return session.set_prompts(object_id, wanted)

        self.ask(answer, self.answered.emit, key=f"prompts of {object_id}")

    def _show_history(self, way: str, label: str) -> None:
        self.restore_prompts()
        done = {"undo": "Taken back", "redo": "Done again"}[way]
        self.told.emit(f"{done}: {label}." if label else f"There is nothing to {way}.")
