"""The channels of a slide in the panel.

One line each: on view, colour, range.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.plugin.widgets.channel_range import ChannelRange
from napari_sam2.plugin.widgets.class_box import swatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.slides.image.channel_rows import ChannelRow

__all__ = ["SlideChannelLine", "SlideChannelsBox"]

NAME_WIDTH: Final = 84
"""Pixels of the name; what is longer is cut, and told by the tooltip."""


class SlideChannelLine(QWidget):
    """Shows a channel, and lets it be changed."""

    changed = Signal(object)
    """The channel as it is wanted, a `ChannelRow`."""

    def __init__(self, row: ChannelRow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = row
        self.seen = QCheckBox()
        self.seen.setFixedWidth(NAME_WIDTH)
        self.colour = QPushButton()
        self.colour.setFixedWidth(28)
        self.colour.setToolTip("The colour of this channel.")
        self.window_slider = ChannelRange()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.seen)
        layout.addWidget(self.colour)
        layout.addWidget(self.window_slider, 1)
        for widget in (self.seen, self.colour, self.window_slider):
            # Keys go on working for the image after a click here.
            widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.seen.clicked.connect(lambda on: self.changed.emit(replace(self._row, shown=on)))
        self.colour.clicked.connect(self._on_colour)
        self.window_slider.valueChanged.connect(self._on_slid)
        self.window_slider.rested.connect(self._on_rest)
        self.show_row(row)

    def show_row(self, row: ChannelRow) -> None:
        """Show a channel as it is, unless its range is being moved."""
        if self.window_slider.is_moving:
            return
        self._row = row
        self.seen.setText(self.seen.fontMetrics().elidedText(row.name, Qt.TextElideMode.ElideRight, NAME_WIDTH - 22))
        self.seen.setToolTip(f"{row.name}: whether it is seen, by you and by the model.")
        self.seen.setChecked(row.shown)
        self.colour.setIcon(swatch(row.colour))
        self.window_slider.show_range(row.limits, row.window)
        self._show_window(row.window)

    def _show_window(self, window: tuple[float, float]) -> None:
        self.window_slider.setToolTip(f"Shown from {window[0]:g} (black) to {window[1]:g} (full colour).")

    def _on_slid(self, window: tuple[float, float]) -> None:
        self._show_window(window)
        self.window_slider.rest_soon()

    def _on_rest(self) -> None:
        low, high = (float(value) for value in self.window_slider.value())
        if low < high:
            self.changed.emit(replace(self._row, window=(low, high)))
        else:
            self.show_row(self._row)

    def _on_colour(self) -> None:
        picked = QColorDialog.getColor(QColor(*self._row.colour), self)
        if picked.isValid():
            self.changed.emit(replace(self._row, colour=(picked.red(), picked.green(), picked.blue())))


class SlideChannelsBox(QWidget):
    """A line per channel; hidden for pictures of plain colours."""

    changed = Signal(int, object)
    """Number of a channel, and how it is wanted."""

    measured = Signal()
    """All ranges are to be measured."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lines: list[SlideChannelLine] = []
        self.auto = QPushButton("Auto range")
        self.auto.setToolTip("Give every channel the range that its intensities suggest.")
        self.auto.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.auto.clicked.connect(self.measured)
        head = QHBoxLayout()
        head.addWidget(QLabel("Channels"), 1)
        head.addWidget(self.auto)
        self._lines = QVBoxLayout()
        self._lines.setSpacing(2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addLayout(self._lines)
        self.setVisible(False)

    def show_rows(self, rows: Sequence[ChannelRow]) -> None:
        """Show the channels of the chosen slide."""
        while len(self.lines) > len(rows):
            line = self.lines.pop()
            self._lines.removeWidget(line)
            line.deleteLater()
        for number, row in enumerate(rows):
            if number < len(self.lines):
                self.lines[number].show_row(row)
                continue
            line = SlideChannelLine(row)
            line.changed.connect(lambda wanted, number=number: self.changed.emit(number, wanted))
            self.lines.append(line)
            self._lines.addWidget(line)
        self.setVisible(bool(rows))
