"""The work on one scan.

Its session behind the inference thread, its layers, and what they show.

The session itself is touched on the inference thread only. What is kept here is its latest snapshot;
every request brings back a newer one.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_sam2.core.prompts import OTHER_PLANE, Box
from napari_sam2.plugin.canvas.placement import lies_alike
from napari_sam2.plugin.scan.channel_resuming import resume_with_channels
from napari_sam2.plugin.scan.channels import ScanChannels
from napari_sam2.plugin.scan.comparing import Comparison
from napari_sam2.plugin.scan.cross import Cross, middle_of
from napari_sam2.plugin.scan.cross_lines import CrossLines
from napari_sam2.plugin.scan.finding import Finding
from napari_sam2.plugin.scan.hand_strokes import HandStrokes
from napari_sam2.plugin.scan.in_3d import ObjectsIn3d
from napari_sam2.plugin.scan.label_saving import save_scan
from napari_sam2.plugin.scan.labels_opening import open_label_file, open_label_layer
from napari_sam2.plugin.scan.measuring import Measuring
from napari_sam2.plugin.scan.other_scan import OtherScan
from napari_sam2.plugin.scan.painting import Painting
from napari_sam2.plugin.scan.plane_check import PlaneCheck
from napari_sam2.plugin.scan.plane_picture import thumbnail
from napari_sam2.plugin.scan.pointing import ScanPointer
from napari_sam2.plugin.scan.prompt_changes import PromptChange
from napari_sam2.plugin.scan.prompt_layers import ScanPromptLayers
from napari_sam2.plugin.scan.prompting import ScanPrompting
from napari_sam2.plugin.scan.propagation import Propagation
from napari_sam2.plugin.scan.result_layer import ScanResultLayer
from napari_sam2.plugin.scan.review import ScanReview
from napari_sam2.plugin.scan.run_verbs import RunVerbs
from napari_sam2.plugin.scan.seen_alone import SeenAlone
from napari_sam2.plugin.scan.slice_range import SliceRange
from napari_sam2.plugin.scan.suggested_path import suggested_path
from napari_sam2.plugin.scan.view import ScanView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from napari.layers import Image, Layer
    from numpy.typing import NDArray

    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.core.window import Window
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.plugin.control.autosave import Autosave
    from napari_sam2.plugin.control.work import Kind
    from napari_sam2.plugin.control.workspace import Workspace
    from napari_sam2.plugin.scan.figures import FigureTable
    from napari_sam2.plugin.scan.volumes import ShownVolume
    from napari_sam2.record.listing import JournalNote
    from napari_sam2.session.session import Session
    from napari_sam2.session.snapshot import ObjectSnapshot, SessionSnapshot

__all__ = ["ScanWork"]


class ScanWork(RunVerbs):
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
        self.cross = Cross(shown, self.view)
        self.auto_window = session.window
        self.is_ct = is_ct
        self.terms = session.terms
        self.current = next(iter(self.terms), 1)
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
        self.hand = HandStrokes(self)
        self.finding = Finding(self)
        self.channels = ScanChannels(self)
        self.figures: FigureTable | None = None
        self.other = OtherScan(self)
        self.measuring = Measuring(self)
        self.comparison = Comparison(self)
        self.cross_lines = CrossLines(self)
        self.alone = SeenAlone(self)
        self.in_3d = ObjectsIn3d(self)
        self.pointer = ScanPointer(self)
        self.painting = Painting(self, workspace.thread.queue)
        self.prompting = ScanPrompting(self)
        self.range.changed.connect(self.changed.emit)
        self.hand.changed.connect(lambda _: self.changed.emit())
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
    def companions(self) -> tuple[Image, ...]:
        """The layers of its further channels."""
        return self.channels.layers.all

    @property
    def drawn_layers(self) -> tuple[Layer, ...]:
        """Layers that show something about it; deleting one changes nothing."""
        drawn = (self.measuring.layer, self.comparison.layer, self.cross_lines.layer)
        return tuple(layer for layer in drawn if layer is not None)

    @property
    def notes(self) -> list[str]:
        """What the user should know before working on it."""
        return [note for note in (*self.shown.volume.source.notes, self.shown.note, self.autosave.note) if note]

    def image_path(self) -> Path | None:
        """The file or folder of the scan, where it is known."""
        return self.shown.volume.source.path or super().image_path()

    def thumbnail(self) -> NDArray[np.uint8] | None:
        """The fullest slice of the largest object."""
        return thumbnail(self)

    def enter(self) -> None:
        """The scan is chosen.

        Show it upright, in the plane in which it was left.
        """
        self.alone.show()
        self.view.turn_upright()
        self.select(self.current)
        self.cross_lines.draw()

    def leave(self) -> None:
        """Another image is chosen: end what belongs to looking at this one."""
        self.view.remember()
        self.run.stop()
        self.pointer.clear_preview()
        self.check.discard()
        self.finding.discard()
        self.channels.discard()
        self.measuring.stop()
        self.comparison.stop()
        self.review.forget()

    def close(self) -> None:
        """Let go of session, volume and model.

        The layers stay in the viewer.
        """
        self.leave()
        self.measuring.hide()
        self.comparison.discard()
        self.cross_lines.close()
        self.in_3d.close()
        super().close()
        self.prompts.close()
        self.painting.close()
        self.prompting.close()

    def holds(self, object_id: int, voxel: tuple[int, ...]) -> bool:
        """Whether an object's mask holds a voxel (i, j, k).

        Whatever object is shown there.
        """
        obj = self.object(object_id)
        result = obj.slices.get(voxel[obj.axis])
        if result is None:
            return False
        plane = self.shown.volume.plane(obj.axis)
        row, col = np.floor(plane.to_plane(np.array([voxel], dtype=float))[0] + 0.5).astype(int)
        return bool(result.mask.full(plane.shape)[row, col])

    # -- prompts --------------------------------------------------------------------------------

    def add_prompt(self, prompt: Prompt, axis: int | None = None) -> None:
        """Ask for the current object with one more prompt.

        `axis` is the slice axis of its first click.
        """
        self.prompting.send(PromptChange(self.current, added=(prompt,), replaces=True), axis)

    def on_answered(self, results: list[SliceResult]) -> None:
        """Say what came out, and spread a correction.

        To the slices around it.
        """
        self.answered.emit(results)
        if not results:
            return
        last = results[-1]
        obj = self.object(last.object_id)
        self._meet_at_prompt(obj)
        self.told.emit(
            f"{_capital(self.name_of(last.object_id))}, slice {last.index}: {last.mask.n_voxels} voxels. {_advice(obj)}"
        )
        if any(not result.prompted for result in obj.slices.values()):
            self.run.spread(last.object_id, [result.index for result in results], self.range.slices(obj.axis))

    def meet_at(self, world: Sequence[float]) -> None:
        """Let the planes meet at a napari world position.

        If the scan is there.
        """
        voxel = self.shown.grid.world_to_voxel(self.image, world)
        on_view = self.view.slice()
        if on_view is not None and self.shown.grid.contains(voxel):
            voxel[on_view[0]] = on_view[1]
            self.cross.meet_at(voxel)

    def _meet_at_prompt(self, obj: ObjectSnapshot) -> None:
        """Let the other planes go through the middle of the last prompt."""
        middle = middle_of(obj.prompts[-1]) if obj.prompts else None
        if middle is not None:
            self.cross.meet_at(middle)

    # -- what is shown --------------------------------------------------------------------------

    def show(self, snapshot: SessionSnapshot) -> None:
        """Take over a newer snapshot and show what differs."""
        before = self.snapshot
        super().show(snapshot)
        self.result.show(before, snapshot, self.view.slice())
        self.channels.show(before, snapshot)
        self.prompting.show()
        self.changed.emit()

    def show_figures(self, table: FigureTable) -> None:
        """Show a table of figures, until there is a newer one."""
        self.figures = table
        self.workspace.figures.set(True)
        self.changed.emit()

    @property
    def figures_are_fresh(self) -> bool:
        """Whether nothing has changed since the table of figures was made."""
        return self.measuring.is_fresh or self.comparison.is_fresh

    def show_results(self, results: Iterable[SliceResult]) -> None:
        """Take over results that came while a run goes on."""
        before, objects = self.snapshot, dict(self.snapshot.objects)
        for result in results:
            obj = objects.get(result.object_id)
            if obj is None or obj.axis != result.axis:
                continue
            objects[result.object_id] = replace(obj, results={**obj.slices, result.index: result})
        self.snapshot = replace(before, objects=MappingProxyType(objects))
        # Which object keeps shared voxels may change with the size of one: on all slices, not those that came alone.
        self.result.show(before, self.snapshot, self.view.slice())
        self.changed.emit()

    # -- settings and saving --------------------------------------------------------------------

    def use_layer(self, layer: Layer | None) -> None:
        """Take a layer of the user's own.

        A Points or Shapes layer as prompts, which are followed; a Labels layer as objects.
        """
        if isinstance(layer, Labels) and layer not in self.layers:
            open_label_layer(self, layer)
        else:
            self.prompting.use_layer(layer)

    def open_labels(self, path: Path) -> None:
        """Open saved labels as objects."""
        open_label_file(self, path)

    def use_overlap(self, rule: str) -> None:
        """Choose which object keeps a voxel that several claim; see `napari_sam2.core.labels.OVERLAP_RULES`."""
        if rule != self.snapshot.overlap:
            self.ask(lambda session: setattr(session, "overlap", rule), key="overlap")

    def use_window(self, window: Window) -> None:
        """Let the model see intensities through another window.

        From the next answer on.
        """
        if window != self.snapshot.window:
            self.ask(lambda session: setattr(session, "window", window), key="window")

    def save(self, path: Path, **how: Any) -> None:
        """Write the label map.

        Not while its layer is shown elsewhere than it would be saved.
        """
        if lies_alike(self.result.layer, self.result.home, self.result.layer.data.shape):
            super().save(path, **how)
        else:
            self.failed.emit(
                f"{self.result.layer.name} was moved, so it is not seen where it would be saved. Put the layer back."
            )

    def suggested_path(self) -> Path:
        """A path beside the file of the scan.

        Under a name made from its own.
        """
        return suggested_path(self.image.name, self.image_path(), ".ome.tif" if self.shown.is_film else ".nii.gz")

    def _write(self, session: Session, path: Path, *, overwrite: bool, **how: Any) -> str:
        return save_scan(session, self.shown, path, overwrite=overwrite, **how)

    def _bringing_back(self, note: JournalNote) -> Callable[[Session], None]:
        layers = self.channels.offered()
        return lambda session: resume_with_channels(self, session, note, layers)

    def _set_model(self, session: Session, model: AnyModel) -> None:
        session.model = model

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
        on_slices = [index for p in last.prompts if (index := p.slice_index(last.axis)) != OTHER_PLANE]
        if on_slices:
            self.view.go_to(last.axis, on_slices[-1])
        many = len(self.snapshot.objects)
        self.told.emit(f"Resumed with {many} object{'' if many == 1 else 's'}. Undo goes on where it was.")

    def _on_run_ended(self, done: int, seconds: float, stopped: bool) -> None:
        self.remember_image()
        if done:
            self.told.emit(f"{'Stopped after' if stopped else 'Propagated through'} {done} slices in {seconds:.1f} s.")
        elif stopped:
            # A check, or a correction that changed nothing.
            self.told.emit("Stopped.")


def _advice(obj: ObjectSnapshot) -> str:
    """What to do after an answer; after the first box, how to say where the object ends."""
    if len(obj.prompts) == 1 and isinstance(obj.prompts[0], Box):
        return "G carries it on; , and . or the strip say where it ends, or box it on the other planes (7)."
    return "Propagate, or correct it."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
