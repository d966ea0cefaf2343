"""A part of the panel that is folded away.

A click on its headline opens it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QSize
from superqt import QCollapsible

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

__all__ = ["FoldedBox"]

SPACING: Final = 4
"""Pixels between the rows inside."""


class FoldedBox(QCollapsible):
    """Looks like a headline in every theme.

    Parameters
    ----------
    headline : str
        What is clicked.
    """

    def __init__(self, headline: str, parent: QWidget | None = None) -> None:
        # Text instead of superqt's icons, which keep the colour of the theme in which they were made. superqt 0.9
        # takes an empty icon for none under PySide6, and then misses it.
        super().__init__("", parent, expandedIcon=" ", collapsedIcon=" ")
        self.toggleButton().setIconSize(QSize(0, 0))
        self.setDuration(0)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(0)
        self.content().layout().setContentsMargins(0, 0, 0, 0)
        self.content().layout().setSpacing(SPACING)
        # napari paints a checked button in its highlight colour.
        self.toggleButton().setStyleSheet("text-align: left; border: none; background: transparent; padding: 2px;")
        self.toggled.connect(lambda unfolded: self.setText(f"{'▾' if unfolded else '▸'} {headline}"))
        self.setText(f"▸ {headline}")
