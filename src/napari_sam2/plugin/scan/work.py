"""The work on one scan: its session behind the inference thread, its layers, and what they show.

The session itself is touched on the inference thread only. What is kept here is its latest snapshot;
every request brings back a newer one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.io.names import without_suffix
from napari_sam2.plugin.canvas.placement import lies_alike
from napari_sam2.plugin.control.base_work import BaseWork
from napari_sam2.plugin.scan.label_saving import save_scan
from napari_sam2.plugin.scan.painting import Painting
from napari_sam2.plugin.scan.plane_check import PlaneCheck
from napari_sam2.plugin.scan.pointing import ScanPointer
from napari_sam2.plugin.scan.prompt_changes import PromptChange
from napari_sam2.plugin.scan.prompt_layers import ScanPromptLayers
from napari_sam2.plugin.scan.prompting import ScanPrompting
from napari_sam2.plugin.scan.propagation import Propagation
from napari_sam2.plugin.scan.result_layer import ScanResultLayer
from napari_sam2.plugin.scan.review import ScanReview
from napari_sam2.plugin.scan.slice_range import SliceRange
from napari_sam2.plugin.scan.view import ScanView
from napari_sam2.plugin.scan.volumes import file_behind
from napari_sam2.session.snapshot import ObjectSnapshot, SessionSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari.layers import Image, Layer

    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.slice_masks import SliceMask, SliceResult
    from napari_sam2.core.window import Window
    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.plugin.control.autosave import Autosave
    from napari_sam2.plugin.control.work import Kind
    from napari_sam2.plugin.control.workspace import Workspace
    from napari_sam2.plugin.scan.volumes import ShownVolume
    from napari_sam2.session.session import Session
    from napari_sam2.terms.terminology import Term

__all__ = ["ScanWork"]


class ScanWork(BaseWork["Session", SessionSnapshot]):
    """What one scan, film or radiograph is being segmented into.

    Parameters
    ----------
    workspace : Workspace
        Of the viewer.
    image : Image
        What is segmented.
    shown : ShownVolume
        Its volume and grid.
    session : Session
        Owned by the inference thread from now on.
    autosave : Autosave
        Its journal.
    is_ct : bool
        Whether intensities are Hounsfield units, so that presets mean something.

    Attributes
    ----------
    current : int
        The object that gets what is pointed at.
    """

    def __init__(
        self,
        workspace: Workspace,
        image: Image,
        shown: ShownVolume,
        session: Session,
        autosave: Autosave[Session],
        *,
        is_ct: bool = False,
    ) -> None:
        super().__init__(workspace, image, session, autosave)
        self.shown = shown
        self.view = ScanView(workspace, image, shown)
        self.auto_window = session.window
        self.is_ct = is_ct
        self.current = 1
        viewer = workspace.viewer
        active = viewer.layers.selection.active
        self.result = ScanResultLayer(viewer, image, shown)
        self.prompts = ScanPromptLayers(viewer, image, shown)
        # What napari shows as active stays what the user had chosen.
        viewer.layers.selection.active = active
        self.range = SliceRange()
        self.run: Propagation = Propagation(self)
        self.review = ScanReview(self)
        self.check = PlaneCheck(self)
        self.pointer = ScanPointer(self)
        self.painting = Painting(self, workspace.thread.queue)
        self.prompting = ScanPrompting(self)
        self.range.changed.connect(self.changed.emit)
        self.run.finished.connect(self._on_run_ended)
        self.run.progressed.connect(self._on_progress)
        self.run.checked.connect(self.check.show)
        self.select(self.current)

    @property
    def kind(self) -> Kind:
        """Whether slices are positions, frames, or one picture."""
        if self.shown.is_film:
            return "film"
        return "picture" if self.shown.grid.n_spatial == 2 else "scan"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that belong to it."""
        return (*self.prompts.layers, self.result.layer)

    @property
    def notes(self) -> list[str]:
        """What the user should know before working on it."""
        return [note for note in (*self.shown.volume.source.notes, self.shown.note, self.autosave.note) if note]

    @property
    def current_object(self) -> ObjectSnapshot:
        """The current object; an empty one when it has not begun."""
        return self.object(self.current)

    def enter(self) -> None:
        """The scan is chosen: show it upright, in the plane in which it was left."""
        self.view.turn_upright()
        self.select(self.current)

    def leave(self) -> None:
        """Another image is chosen: end what belongs to looking at this one."""
        self.view.remember()
        self.run.stop()
        self.pointer.clear_preview()
        self.check.discard()
        self.review.forget()

    def close(self) -> None:
        """Let go of session, volume and model; the layers stay in the viewer."""
        self.leave()
        super().close()
        self.prompts.close()
        self.painting.close()
        self.prompting.close()

    def object(self, object_id: int) -> ObjectSnapshot:
        """An object as it is now; an empty one when it has not begun."""
        return self.snapshot.objects.get(object_id) or ObjectSnapshot(object_id)

    def holds(self, object_id: int, voxel: tuple[int, ...]) -> bool:
        """Whether an object's mask holds a voxel (i, j, k), whoever is shown there."""
        obj = self.object(object_id)
        result = obj.slices.get(voxel[obj.axis])
        if result is None:
            return False
        plane = self.shown.volume.plane(obj.axis)
        row, col = np.floor(plane.to_plane(np.array([voxel], dtype=float))[0] + 0.5).astype(int)
        return bool(result.mask.full(plane.shape)[row, col])

    def name_of(self, object_id: int) -> str:
        """What an object is called in a sentence."""
        return self.object(object_id).name or f"object {object_id}"

    def select(self, object_id: int) -> None:
        """Give what is pointed at or drawn from now on to an object."""
        self.current = object_id
        self.prompts.use_object(object_id)
        self.result.layer.selected_label = object_id
        self.changed.emit()

    # -- prompts --------------------------------------------------------------------------------

    def add_prompt(self, prompt: Prompt, axis: int | None = None) -> None:
        """Ask for the current object with one more prompt; `axis` is the slice axis of its first click."""
        self.prompting.send(PromptChange(self.current, added=(prompt,), replaces=True), axis)

    def on_answered(self, results: list[SliceResult]) -> None:
        """Say what came out, and carry a correction to the slices around it."""
        self.answered.emit(results)
        if not results:
            return
        last = results[-1]
        obj = self.object(last.object_id)
        self.told.emit(
            f"Object {last.object_id}, slice {last.index}: {last.mask.n_voxels} voxels. Propagate, or correct it."
        )
        if any(not result.prompted for result in obj.slices.values()):
            self.run.spread(last.object_id, [result.index for result in results], self.range.slices(obj.axis))

    # -- what is shown --------------------------------------------------------------------------

    def show(self, snapshot: SessionSnapshot) -> None:
        """Take over a newer snapshot and show what differs."""
        before = self.snapshot
        super().show(snapshot)
        self.result.show(before, snapshot, self.view.slice())
        self.prompting.show()
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
        self.result.paint(self.snapshot, slices, self.view.slice())
        self.changed.emit()

    def axis_of(self, object_id: int) -> int:
        """The voxel axis of an object's slices; the one on view when it has not begun."""
        obj = self.object(object_id)
        return obj.axis if obj.slices or obj.prompts else self.view.axis()

    def show_object(self, object_id: int, visible: bool) -> None:
        """Show or hide an object; its masks are not touched."""
        self.result.hide_objects(self.result.hidden - {object_id} if visible else self.result.hidden | {object_id})
        self.changed.emit()

    # -- objects --------------------------------------------------------------------------------

    def next_object(self) -> None:
        """Begin another object."""
        begun = self.snapshot.objects
        if begun and self.current not in begun:
            self.told.emit(f"Object {self.current} has no prompt yet: click inside it.")
        self.select(max(begun, default=0) + 1)

    def describe(self, object_id: int, term: Term) -> None:
        """Give an object the name of a term with its code and colour, also before its first prompt."""

        def change(session: Session) -> None:
            if object_id not in session.objects:
                session.add_object(object_id, term.name)
            session.describe(object_id, term)

        self.ask(change)

    def use_terms(self, terms: Mapping[int, Term]) -> None:
        """Name objects by their id from now on, and those that have no name yet."""

        def change(session: Session) -> None:
            session.terms = terms
            for obj in list(session.objects.values()):
                if not obj.name and obj.object_id in terms:
                    session.describe(obj.object_id, terms[obj.object_id])

        self.ask(change)

    def finish(self, object_id: int, finished: bool) -> None:
        """Declare an object finished: it keeps its voxels, and nothing changes it."""
        if object_id in self.snapshot.objects:
            self.ask(lambda session: (session.finish_object if finished else session.reopen_object)(object_id))

    def finish_object(self) -> None:
        """Declare the current object finished, or reopen it."""
        if self.current not in self.snapshot.objects:
            self.told.emit(f"Object {self.current} has no prompt yet: there is nothing to finish.")
            return
        finished = not self.current_object.finished
        self.finish(self.current, finished)
        self.told.emit(f"Object {self.current} is {'finished: nothing changes it' if finished else 'open again'}.")

    def remove_object(self) -> None:
        """Remove the current object with its prompts and masks."""
        object_id, name = self.current, self.name_of(self.current)
        if object_id not in self.snapshot.objects:
            self.told.emit(f"Object {object_id} has not begun: there is nothing to remove.")
            return

        def done(_: None) -> None:
            self.select(max(self.snapshot.objects, default=object_id))
            self.told.emit(f"{name[0].upper()}{name[1:]} is removed. Ctrl+Z brings it back.")

        self.ask(lambda session: session.remove_object(object_id), done)

    def edit_masks(self, object_id: int, axis: int, masks: Mapping[int, SliceMask]) -> None:
        """Take over painted masks by slice index; what may not be painted is put back."""

        def change(session: Session) -> None:
            for index, mask in masks.items():
                session.edit_mask(object_id, axis, index, mask)

        def failed(error: BaseException) -> None:
            self.result.paint(self.snapshot, {(axis, index) for index in masks})
            self.fail(error)

        self.ask(change, failed=failed)

    # -- runs and settings ----------------------------------------------------------------------

    def propagate(self, direction: str) -> None:
        """Carry the current object ``"both"`` ways, ``"forward"`` or ``"backward"``; stop when a run goes on."""
        obj = self.current_object
        if self.run.running:
            self.run.stop()
        elif not obj.slices:
            self.told.emit(f"Object {self.current} has no mask yet: click inside it, or Shift-drag a box.")
        elif obj.finished:
            self.told.emit(f"Object {self.current} is finished; untick Done to change it.")
        else:
            self.run.start([self.current], direction, self.range.slices(obj.axis))

    def begin_range(self) -> None:
        """Let runs write from the slice on view upwards only."""
        axis, index = self._slice_for_range()
        if index is not None:
            self.range.begin_at(axis, index, self.shown.volume.shape[axis])

    def end_range(self) -> None:
        """Let runs write up to the slice on view only."""
        axis, index = self._slice_for_range()
        if index is not None:
            self.range.end_at(axis, index, self.shown.volume.shape[axis])

    def set_range(self, first: int, last: int) -> None:
        """Let runs write slices `first` to `last` only."""
        axis = self.axis_of(self.current)
        self.range.set(axis, first, last, self.shown.volume.shape[axis])

    def clear_range(self) -> None:
        """Let runs write every slice again."""
        self.range.clear(self.axis_of(self.current))

    def use_layer(self, layer: Layer | None) -> None:
        """Take a Points or Shapes layer of the user's own as prompts, and follow it."""
        self.prompting.use_layer(layer)

    def use_overlap(self, rule: str) -> None:
        """Choose which object keeps a voxel that several claim; see `napari_sam2.core.labels.OVERLAP_RULES`."""
        if rule != self.snapshot.overlap:
            self.ask(lambda session: setattr(session, "overlap", rule), key="overlap")

    def use_window(self, window: Window) -> None:
        """Let the model see intensities through another window, from the next answer on."""
        if window != self.snapshot.window:
            self.ask(lambda session: setattr(session, "window", window), key="window")

    def save(self, path: Path, **how: Any) -> None:
        """Write the label map, unless its layer is shown elsewhere than it would be saved."""
        if lies_alike(self.result.layer, self.result.home, self.result.layer.data.shape):
            super().save(path, **how)
        else:
            self.failed.emit(
                f"{self.result.layer.name} was moved, so it is not seen where it would be saved. Put the layer back."
            )

    def suggested_path(self) -> Path:
        """Beside the file of the scan, under a name made from its own."""
        source = file_behind(self.image)
        ending = ".ome.tif" if self.shown.is_film else ".nii.gz"
        folder = Path("~") if source is None else source.parent
        return folder / f"{without_suffix(self.image.name)}_labels{ending}"

    def _write(self, session: Session, path: Path, *, overwrite: bool, **how: Any) -> str:
        return save_scan(session, self.shown, path, overwrite=overwrite, **how)

    def _set_model(self, session: Session, model: SegmentationModel) -> None:
        session.model = model

    def _slice_for_range(self) -> tuple[int, int | None]:
        """The slice axis of the current object, and the slice on view when it lies across that axis."""
        axis, on_view = self.axis_of(self.current), self.view.slice()
        if on_view is None or on_view[0] == axis:
            return axis, None if on_view is None else on_view[1]
        plane = self.shown.volume.plane_name(axis)
        self.told.emit(f"Object {self.current} lies on {plane} slices; show one to set its range.")
        return axis, None

    def _on_history(self, past: str, verb: str, step: str) -> None:
        self.prompts.let_go()
        self.prompting.show()
        super()._on_history(past, verb, step)

    def _on_resumed(self) -> None:
        """Go to where the work ended."""
        super()._on_resumed()
        if not self.snapshot.objects:
            return
        last = list(self.snapshot.objects.values())[-1]
        self.select(last.object_id)
        if last.prompts:
            self.view.go_to(last.axis, last.prompts[-1].slice_index(last.axis))
        many = len(self.snapshot.objects)
        self.told.emit(f"Resumed with {many} object{'' if many == 1 else 's'}. Undo goes on where it was.")

    def _on_run_ended(self, done: int, seconds: float, stopped: bool) -> None:
        if done:
            self.told.emit(f"{'Stopped after' if stopped else 'Propagated through'} {done} slices in {seconds:.1f} s.")
        elif stopped:
            # A check, or a correction that changed nothing.
            self.told.emit("Stopped.")
