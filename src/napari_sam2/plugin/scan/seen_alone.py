"""One scan is seen at a time, unless others lie on it.

One canvas has one orientation: what is stored in another order would lie turned in it, and cover what is worked on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.plugin.canvas.placement import lies_alike

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["SeenAlone"]


class SeenAlone:
    """Puts a scan's layers away while another one is worked on.

    Parameters
    ----------
    work : ScanWork
        The scan.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._away: tuple[Layer, ...] = ()
        self.said = ""
        """Which scans were put away for this one, in a sentence; empty for none."""

    def show(self) -> None:
        """Show this scan again, and put others away that lie elsewhere."""
        work = self._work
        for layer in self._away:
            layer.visible = True
        self._away = ()
        hidden = []
        for other in work.workspace.works.values():
            if isinstance(other, type(work)) and other is not work and other.image.visible and not self._lies_on(other):
                other.alone.put_away()
                hidden.append(other.image.name)
        name = " and ".join(hidden)
        self.said = f" {name} is hidden; 5 shows it beside." if hidden else ""

    def put_away(self) -> None:
        """Hide all layers of this scan that are seen."""
        work = self._work
        self._away = tuple(layer for layer in (work.image, *work.layers, *work.drawn_layers) if layer.visible)
        for layer in self._away:
            layer.visible = False

    def _lies_on(self, other: ScanWork) -> bool:
        image, theirs = self._work.image, other.image
        if image.multiscale or theirs.multiscale or image.data.shape != theirs.data.shape:
            return False
        return lies_alike(theirs, image, image.data.shape[: image.ndim])
