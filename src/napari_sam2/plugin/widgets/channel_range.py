"""The range of a channel, as a slider with two handles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QSizePolicy
from superqt import QDoubleRangeSlider

from napari_sam2.plugin.widgets.window_choice import WINDOW_DELAY_MS

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

__all__ = ["ChannelRange"]


class ChannelRange(QDoubleRangeSlider):
    """Shows a range, and tells when the hand that moves it rests.

    Dragging sends dozens of events; what is slow waits for `rested`.
    """

    rested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setMinimumWidth(60)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(WINDOW_DELAY_MS)
        self._rest.timeout.connect(self.rested)

    @property
    def is_moving(self) -> bool:
        """Whether the hand has not rested yet."""
        return bool(self._rest.isActive())

    def rest_soon(self) -> None:
        """Tell after a while, unless it is moved again."""
        self._rest.start()

    def forget(self) -> None:
        """Tell nothing of what was moved."""
        self._rest.stop()

    def show_range(self, limits: tuple[float, float], window: tuple[float, float]) -> None:
        """Show a range within limits, and tell nobody."""
        self.blockSignals(True)
        self.setRange(*limits)
        self.setValue(window)
        self.blockSignals(False)
