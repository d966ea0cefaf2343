"""One channel in the panel.

Eye, name, window, and whether the model sees it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QWidget

from napari_sam2.plugin.widgets.channel_range import ChannelRange

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image

    from napari_sam2.plugin.scan.channels import ChannelRow, ScanChannels

__all__ = ["ChannelLine"]

NAME_WIDTH: Final = 66
"""Pixels of the name; what is longer is cut, and told by the tooltip."""


class ChannelLine(QWidget):
    """Shows a channel, and lets it be changed.

    Parameters
    ----------
    channels : callable
        Gives the channels of the chosen scan, or None.
    """

    def __init__(self, channels: Callable[[], ScanChannels | None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._channels = channels
        self._row: ChannelRow | None = None
        self._followed: Image | None = None
        self.eye, self.use = QCheckBox("see"), QCheckBox("use")
        self.eye.setToolTip("Show this channel on the canvas, above the others.")
        self.use.setToolTip("Whether the model sees this channel of the current object, and of new ones.")
        self.name = QLabel()
        self.name.setFixedWidth(NAME_WIDTH)
        self.window_slider = ChannelRange()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.eye, self.name):
            layout.addWidget(widget)
        layout.addWidget(self.window_slider, 1)
        layout.addWidget(self.use)
        for widget in (self.eye, self.use, self.window_slider):
            # Keys go on working for the image after a click here.
            widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.eye.clicked.connect(self._on_eye)
        self.use.clicked.connect(self._on_use)
        self.window_slider.valueChanged.connect(self._on_slid)
        self.window_slider.rested.connect(self._on_rest)

    def show_row(self, row: ChannelRow) -> None:
        """Show a channel as it is."""
        self._row = row
        self.name.setText(self.name.fontMetrics().elidedText(row.name, Qt.TextElideMode.ElideRight, NAME_WIDTH))
        self.name.setToolTip(f"{row.name}: {row.placed}")
        self.eye.setChecked(row.layer is not None and row.layer.visible)
        self.use.setChecked(row.used)
        if row.layer is not self._followed:
            self.let_go()
            self._followed = row.layer
            if row.layer is not None:
                row.layer.events.contrast_limits.connect(self._on_limits)
                row.layer.events.visible.connect(self._on_visible)
        self.window_slider.setEnabled(row.layer is not None)
        self._show_limits()

    def let_go(self) -> None:
        """Stop following the layer."""
        self.window_slider.forget()
        if self._followed is not None:
            self._followed.events.contrast_limits.disconnect(self._on_limits)
            self._followed.events.visible.disconnect(self._on_visible)
            self._followed = None

    def _show_limits(self) -> None:
        layer = self._followed
        if layer is None:
            return
        low, high = (float(value) for value in layer.contrast_limits)
        least, most = (float(value) for value in layer.contrast_limits_range)
        self.window_slider.show_range((min(least, low), max(most, high)), (low, high))
        self.window_slider.setToolTip(f"Window of this channel, for eye and model: {low:g} to {high:g}.")

    def _on_limits(self, _event: Any = None) -> None:
        self._show_limits()
        self.window_slider.rest_soon()

    def _on_visible(self, _event: Any = None) -> None:
        self.eye.setChecked(self._followed is not None and self._followed.visible)

    def _on_slid(self, limits: tuple[float, float]) -> None:
        if self._followed is not None and limits[1] > limits[0]:
            self._followed.contrast_limits = limits

    def _on_rest(self) -> None:
        channels = self._channels()
        if channels is not None and self._row is not None:
            channels.follow_window(self._row)

    def _on_eye(self, on: bool) -> None:
        channels = self._channels()
        if channels is not None and self._row is not None:
            channels.set_seen(self._row, on)

    def _on_use(self, on: bool) -> None:
        channels = self._channels()
        if channels is not None and self._row is not None:
            channels.use(self._row.number, on)
