"""Which slices a run may write.

Two fields, and buttons that take the slice on view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from napari_sam2.plugin.widgets.buttons import action_button

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RangeBox"]


class RangeBox(QWidget):
    """Shows a range, and signals when another one is typed.

    Parameters
    ----------
    do : callable
        Does the action of a name.
    """

    edited = Signal(int, int)
    """First and last slice, both inside."""

    def __init__(self, do: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.first, self.last = QSpinBox(), QSpinBox()
        for field, tooltip in ((self.first, "First"), (self.last, "Last")):
            field.setToolTip(f"{tooltip} slice that a run may write.")
            field.setKeyboardTracking(False)
            field.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
            # napari gives fields 90 pixels at least; two of them and their labels have 260.
            field.setStyleSheet("min-width: 30px; padding: 1px 4px;")
            field.valueChanged.connect(self._on_edited)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        fields, buttons = QHBoxLayout(), QHBoxLayout()
        for widget in (QLabel("Slices"), self.first, QLabel("to"), self.last):
            fields.addWidget(widget, int(isinstance(widget, QSpinBox)))
        for name in ("range_from_here", "range_to_here"):
            buttons.addWidget(action_button(name, do))
        layout.addLayout(fields)
        layout.addLayout(buttons)
        self.show_range(None, 1)

    def show_range(self, ends: tuple[int, int] | None, n_slices: int) -> None:
        """Show first and last slice; None for the whole volume of `n_slices`."""
        for field, value in zip((self.first, self.last), ends or (0, n_slices - 1), strict=True):
            field.blockSignals(True)
            field.setRange(0, n_slices - 1)
            field.setValue(value)
            field.blockSignals(False)

    def _on_edited(self) -> None:
        self.edited.emit(self.first.value(), self.last.value())
