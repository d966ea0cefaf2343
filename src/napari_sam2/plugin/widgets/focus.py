"""Keys that go on working for the picture.

Also after a click in the panel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QAbstractScrollArea, QAbstractSpinBox, QComboBox, QLineEdit

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

__all__ = ["leave_keys_to_the_picture"]


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
