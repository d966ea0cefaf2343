"""Hand tools of the panel.

Buttons that shape the whole object, and modes of the drag.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QLineEdit, QWidget

from napari_sam2.plugin.widgets.buttons import action_button

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HandBox"]

_MODES: Final = {"brush": "brush", "erase": "erase", "lasso": "lasso", "keep_part": "keep part"}

_ROWS: Final = (
    ("grow", "shrink"),
    ("smooth", "fill_holes"),
    ("keep_largest", "snap_to_edge"),
    ("brush", "erase"),
    ("lasso", "keep_part"),
)


class HandBox(QWidget):
    """Buttons of the hand tools, and the fields of the brush.

    Parameters
    ----------
    do : callable
        Does the action of a name.
    """

    brush_changed = Signal(float, float, float)
    """Radius in millimetres, least and greatest intensity."""

    def __init__(self, do: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        self.buttons = {name: action_button(name, do) for pair in _ROWS for name in pair}
        for row, pair in enumerate(_ROWS):
            for column, name in enumerate(pair):
                grid.addWidget(self.buttons[name], row, column)
        for name in _MODES:
            self.buttons[name].setCheckable(True)
        fields = QHBoxLayout()
        self.radius, self.low, self.high = QLineEdit(), QLineEdit(), QLineEdit()
        for label, field, tooltip in (
            ("mm", self.radius, "Radius of brush and eraser, in millimetres."),
            ("from", self.low, "Least intensity that brush and eraser touch; empty for any."),
            ("to", self.high, "Greatest intensity that brush and eraser touch; empty for any."),
        ):
            field.setToolTip(tooltip)
            # napari gives fields 90 pixels at least, and Qt asks for 17 letters.
            field.setStyleSheet("min-width: 24px; max-width: 44px; padding: 1px 4px;")
            field.setPlaceholderText("any" if field is not self.radius else "")
            fields.addWidget(QLabel(label))
            fields.addWidget(field, 1)
            field.editingFinished.connect(self._on_edited)
        grid.addLayout(fields, len(_ROWS), 0, 1, 2)

    def show_mode(self, mode: str) -> None:
        """Show which mode the drag has."""
        for name, of_button in _MODES.items():
            self.buttons[name].setChecked(mode == of_button)

    def show_brush(self, radius: float, limits: tuple[float, float]) -> None:
        """Show radius and limits, unless one types."""
        for field, value in ((self.radius, radius), (self.low, limits[0]), (self.high, limits[1])):
            if not field.hasFocus():
                field.setText(f"{value:g}" if math.isfinite(value) else "")

    def _on_edited(self) -> None:
        try:
            radius = float(self.radius.text())
            low, high = (
                float(field.text()) if field.text().strip() else limit
                for field, limit in ((self.low, -math.inf), (self.high, math.inf))
            )
        except ValueError:
            return
        self.brush_changed.emit(radius, low, high)
