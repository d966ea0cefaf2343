"""The dock of a cohort's review.

What is looked at, and four buttons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_sam2.plugin.widgets.wrapped_label import WrappedLabel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.plugin.cohort.review import CohortReview

__all__ = ["CohortBox"]


class CohortBox(QWidget):
    """Accept, flag, next.

    Parameters
    ----------
    review : CohortReview
        What the buttons do.
    """

    def __init__(self, review: CohortReview, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.review = review
        self.text = WrappedLabel()
        self.accept = _button("Accept", "This mask is right, or I have corrected it with clicks.", review.accept)
        self.flag = _button("Flag", "Somebody else has to look at it; the report says so.", review.flag)
        self.next = _button("Next", "Decide another time.", review.next)
        buttons = QHBoxLayout()
        for button in (self.accept, self.flag, self.next):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addLayout(buttons)
        layout.addStretch()
        review.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        item, ready = self.review.item, self.review.shown
        for button in (self.accept, self.flag, self.next):
            button.setEnabled(item is not None and ready)
        if item is None:
            self.text.setText("Nothing is left to review.")
        else:
            self.text.setText(
                f"{item.case}: {item.name}, slice {item.index}, doubt {item.doubt:.2f}; {self.review.left} left"
            )


def _button(label: str, tooltip: str, press: Callable[[], None]) -> QPushButton:
    button = QPushButton(label)
    button.setToolTip(tooltip)
    # Keys go on working for the image after a click on a button.
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    button.clicked.connect(press)
    return button
