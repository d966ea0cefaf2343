"""Tri-planar check in the viewer: a layer of agreement, taken or discarded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari.utils.colormaps import DirectLabelColormap

from napari_sam2.plugin.scan.prompt_layers import layer_placement
from napari_sam2.session.triplanar import TriplanarCheck, accept_consensus

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["PlaneCheck"]

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


class PlaneCheck:
    """The check of an object of a scan.

    And what is waiting for a decision.

    Parameters
    ----------
    work : ScanWork
        Whose objects.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._layer: Labels | None = None
        self.pending: TriplanarCheck | None = None

    @property
    def summary(self) -> str:
        """The figures of the check that waits, in a sentence.

        Empty when none does.
        """
        if self.pending is None:
            return ""
        name = self._work.shown.volume.plane_name
        pairs = (f"{name(a)}-{name(b)} {value:.2f}" for (a, b), value in self.pending.dice.items())
        return f"Object {self.pending.object_id}, Dice between planes: {', '.join(pairs)}."

    def start(self) -> None:
        """Check the current object along all three axes."""
        work = self._work
        if not work.current_object.slices:
            work.told.emit(f"Object {work.current} has no mask yet: prompt it before it is checked.")
        elif work.run.running:
            work.told.emit("Something is running; stop it, or wait for its end.")
        else:
            self.discard()
            work.run.check(work.current)

    def show(self, check: TriplanarCheck) -> None:
        """Show where the axes agree, and wait for a decision."""
        work = self._work
        viewer = work.workspace.viewer
        self.pending = check
        active = viewer.layers.selection.active
        self._layer = viewer.add_labels(
            work.shown.grid.shown(check.votes),
            name=f"{work.image.name} agreement",
            opacity=0.6,
            colormap=AGREEMENT_COLOURS,
            **layer_placement(work.image, work.shown),
        )
        self._layer.editable = False
        viewer.layers.selection.active = active
        work.told.emit("Blue: all planes agree; yellow: two; red: one alone. Take what most say, or discard it.")
        work.changed.emit()

    def accept(self) -> None:
        """Replace the object by the consensus, as one action."""
        check = self.pending
        if check is None:
            self._work.told.emit("No check is waiting: check the object along all planes first.")
            return
        self.discard()
        self._work.ask(lambda session: accept_consensus(session, check), self._on_accepted)

    def discard(self) -> None:
        """Take the layer of agreement away.

        The object stays as it is.
        """
        layer, workspace = self._layer, self._work.workspace
        self.pending = self._layer = None
        if layer is not None and workspace.has_viewer and layer in workspace.viewer.layers:
            workspace.viewer.layers.remove(layer)
        self._work.changed.emit()

    def _on_accepted(self, n_slices: int) -> None:
        self._work.told.emit(f"The consensus changed {n_slices} slice{'' if n_slices == 1 else 's'}.")
