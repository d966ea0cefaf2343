"""A label of a fixed number of lines, in whatever font."""

from __future__ import annotations

from typing import Final

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

__all__ = ["LinesLabel"]

MARGIN: Final = 8
"""Pixels above and below the lines together, as napari's style has them."""


class LinesLabel(QLabel):
    """Always as high as its lines, so that nothing below moves.

    Parameters
    ----------
    lines : int
        How many.
    margin : int
        Pixels above and below them together.
    """

    def __init__(self, lines: int, parent: QWidget | None = None, margin: int = MARGIN) -> None:
        super().__init__(parent)
        self._lines, self._margin = lines, margin
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        # A long word is cut rather than making the panel wider.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:  # noqa: N802
        """In the font of this moment.

        napari sets it after the label was made.
        """
        return QSize(0, self.heightForWidth(self.width()))

    def heightForWidth(self, _width: int) -> int:  # noqa: N802
        """The height of all lines, however few are filled."""
        return int(self._lines * self.fontMetrics().lineSpacing() + self._margin)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """The same."""
        return self.sizeHint()
