"""Keys and wheel: what the panel's fields leave alone.

Keys go on working for the picture, also after a click in the panel.
"""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QSlider,
    QWidget,
)

__all__ = ["WheelScrolls", "leave_keys_to_the_picture"]


def leave_keys_to_the_picture(panel: QWidget) -> None:
    """Let nothing but text fields take keys, and those only until Return.

    A button or list that has the focus would swallow the arrow keys, which move through slices.
    """
    for kind in (QAbstractButton, QComboBox, QAbstractScrollArea):
        for widget in panel.findChildren(kind):
            widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    for line in panel.findChildren(QLineEdit):
        field = line.parentWidget()
        if isinstance(field, QAbstractSpinBox):
            field.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
            line.returnPressed.connect(field.clearFocus)
        elif not isinstance(field, QComboBox):
            line.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
            line.returnPressed.connect(line.clearFocus)


class WheelScrolls(QObject):
    """The wheel scrolls the panel, and changes no choice under the mouse.

    Parameters
    ----------
    panel : QWidget
        Whose lists, numbers and sliders it passes over; a number that is being typed keeps it.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        for kind in (QComboBox, QAbstractSpinBox, QSlider):
            for widget in panel.findChildren(kind):
                widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """An ignored event goes on to the parent, which scrolls."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return bool(super().eventFilter(watched, event))
