"""A dock that follows the chosen scan while it is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_sam2.plugin.scan.work import ScanWork

if TYPE_CHECKING:
    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_sam2.plugin.control.controller import Controller

__all__ = ["FollowingBox"]

DELAY_MS: Final = 60
"""How long further changes are waited for before anything is drawn."""


class FollowingBox(QWidget):
    """Follows slice, objects and chosen image; draws nothing that is not seen.

    Parameters
    ----------
    controller : Controller
        Of the viewer.
    delay_ms : int
        How long further changes are waited for.
    """

    follows_slices: ClassVar[bool] = True
    """Whether another slice on the canvas is a change."""

    def __init__(self, controller: Controller, parent: QWidget | None = None, delay_ms: int = DELAY_MS) -> None:
        super().__init__(parent)
        self._controller = controller
        self._followed: ScanWork | None = None
        self._connected = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(delay_ms)
        self._timer.timeout.connect(self.show_now)

    def show_now(self) -> None:
        """Draw what is true now."""
        raise NotImplementedError

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Begin to follow."""
        super().showEvent(event)
        self._connect(True)
        self._follow_work()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Let go: nothing is drawn that is not seen."""
        super().hideEvent(event)
        self._connect(False)
        self._timer.stop()

    def _signals(self, work: ScanWork) -> tuple[Any, ...]:
        """Signals of the chosen work that mean a change."""
        return ()

    def _connect(self, on: bool) -> None:
        if on == self._connected:
            return
        self._connected = on
        workspace = self._controller.workspace
        if self.follows_slices:
            dims = workspace.viewer.dims.events
            for event in (dims.current_step, dims.order):
                event.connect(self._soon) if on else event.disconnect(self._soon)
        for signal, slot in ((workspace.objects_changed, self._soon), (workspace.image_changed, self._follow_work)):
            signal.connect(slot) if on else signal.disconnect(slot)
        if not on:
            self._follow(None)

    def _follow_work(self) -> None:
        self._follow(self._work())
        self._soon()

    def _follow(self, work: ScanWork | None) -> None:
        if self._followed is not None:
            for signal in self._signals(self._followed):
                signal.disconnect(self._soon)
        self._followed = work
        if work is not None:
            for signal in self._signals(work):
                signal.connect(self._soon)

    def _soon(self, _event: Any = None) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _work(self) -> ScanWork | None:
        """The work on the chosen scan; None for films and slides."""
        work = self._controller.work
        return work if isinstance(work, ScanWork) and work.kind == "scan" else None
