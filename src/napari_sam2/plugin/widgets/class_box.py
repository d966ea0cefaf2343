"""The class of the current object, and of new ones.

It is chosen from a list that a person edits in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QColorDialog, QComboBox, QHBoxLayout, QPushButton, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.slides.objects import ObjectClass

__all__ = ["ClassBox", "swatch"]

NONE = "no class"

SWATCH: Final = 14
"""Pixels along a side of a class's colour."""

BRIGHT: Final = 380
"""Sum of red, green and blue above which a black digit is read better than a white one."""


class ClassBox(QWidget):
    """A list of classes, with a colour and a remove button.

    To choose from or to type a new name into; the button takes a class off the list. The first nine have the keys
    1 to 9, which their colours show.
    """

    chosen = Signal(str)
    """Name of the class for the current object; empty for none."""

    coloured = Signal(str, object)
    """A class and its new colour (red, green, blue)."""

    dropped = Signal(str)
    """A class to be taken off the list."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.names = QComboBox()
        self.names.setEditable(True)
        self.names.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.names.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.names.setMinimumContentsLength(8)
        self.names.setIconSize(QSize(SWATCH, SWATCH))
        self.names.setToolTip(
            "What the current object is, all that are selected with it, and new ones. Keys 1 to 9 choose, 0 takes it "
            "away. Type a new name and press Enter to add a class."
        )
        self.colour = QPushButton()
        self.colour.setToolTip("The colour of this class, on all of its objects.")
        self.drop = QPushButton("-")
        self.drop.setToolTip("Take this class off the list; objects keep theirs.")
        for button in (self.colour, self.drop):
            button.setFixedWidth(28)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.names, 1)
        layout.addWidget(self.colour)
        layout.addWidget(self.drop)
        self.names.activated.connect(self._on_activated)
        self.names.lineEdit().returnPressed.connect(self._on_typed)
        self.colour.clicked.connect(self._on_colour)
        self.drop.clicked.connect(lambda: self.dropped.emit(self._name()))

    def show_classes(self, classes: Sequence[ObjectClass], current: str) -> None:
        """Show the list, and which class is chosen.

        That of the current object, or of the next one.
        """
        if self.names.lineEdit().hasFocus() and self.names.lineEdit().isModified():
            return
        entries = [(NONE, None), *((c.name, c.colour) for c in classes)]
        if entries != [(self.names.itemText(n), self.names.itemData(n)) for n in range(self.names.count())]:
            self.names.clear()
            for number, (name, colour) in enumerate(entries):
                self.names.addItem(swatch(colour, str(number) if number < 10 else ""), name, colour)
        row = self.names.findText(current or NONE)
        self.names.setCurrentIndex(row)
        if row < 0:
            self.names.setEditText(current)
        listed = row > 0
        self.colour.setEnabled(listed)
        self.drop.setEnabled(listed)
        self.colour.setIcon(swatch(self.names.currentData() if listed else None))

    def _name(self) -> str:
        name = self.names.currentText().strip()
        return "" if name == NONE else name

    def _on_activated(self) -> None:
        self.chosen.emit(self._name())

    def _on_typed(self) -> None:
        self.names.lineEdit().setModified(False)
        self.chosen.emit(self._name())
        # Keys belong to the image again.
        self.names.clearFocus()

    def _on_colour(self) -> None:
        before = self.names.currentData()
        picked = QColorDialog.getColor(QColor(*before) if before else QColor("white"), self)
        if picked.isValid():
            self.coloured.emit(self._name(), (picked.red(), picked.green(), picked.blue()))


def swatch(colour: tuple[int, int, int] | None, key: str = "") -> QIcon:
    """A square of the class's colour with its key in it."""
    pixels = QPixmap(2 * SWATCH, 2 * SWATCH)
    pixels.fill(QColor(*colour) if colour else QColor(0, 0, 0, 0))
    if key and colour:
        painter = QPainter(pixels)
        painter.setPen(QColor("black" if sum(colour) > BRIGHT else "white"))
        font = painter.font()
        font.setPixelSize(round(1.6 * SWATCH))
        font.setBold(True)
        painter.setFont(font)
        painter.drawText(pixels.rect(), Qt.AlignmentFlag.AlignCenter, key)
        painter.end()
    return QIcon(pixels)
