"""Tools of the hand for a slide: what clicks and drags do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QSlider, QWidget

from napari_sam2.plugin.widgets.buttons import action_button

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SlideHandBox"]

_MODES: Final = ("brush", "erase", "lasso")

_ROWS: Final = (("brush", "erase"), ("lasso", "one_by_one"), ("other_mask", "next_row"))

LEAST_RADIUS, GREATEST_RADIUS = 2, 60
"""Of the brush, in pixels of the screen."""


class SlideHandBox(QWidget):
    """Buttons of the hand tools, and the width of the brush.

    Parameters
    ----------
    do : callable
        Does the action of a name.
    """

    radius_chosen = Signal(float)
    """Of the brush, in pixels of the screen."""

    def __init__(self, do: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        self.buttons = {name: action_button(name, do) for pair in _ROWS for name in pair}
        for row, pair in enumerate(_ROWS):
            for column, name in enumerate(pair):
                grid.addWidget(self.buttons[name], row, column)
        for name in (*_MODES, "one_by_one"):
            self.buttons[name].setCheckable(True)
        self.radius = QSlider(Qt.Orientation.Horizontal)
        self.radius.setRange(LEAST_RADIUS, GREATEST_RADIUS)
        self.radius.setToolTip("Radius of brush and eraser on the screen; zoom in for a finer one.")
        self.radius.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        width = QHBoxLayout()
        width.addWidget(QLabel("Brush"))
        width.addWidget(self.radius, 1)
        grid.addLayout(width, len(_ROWS), 0, 1, 2)
        self.radius.valueChanged.connect(lambda value: self.radius_chosen.emit(float(value)))

    def show_hands(self, mode: str, one_by_one: bool, radius: float) -> None:
        """Show what drags and clicks do, and the brush."""
        for name in _MODES:
            self.buttons[name].setChecked(mode == name)
        self.buttons["one_by_one"].setChecked(one_by_one)
        self.radius.setValue(round(radius))
