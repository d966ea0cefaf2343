"""The list of earlier work: picture, image, date, objects.

And any session folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.plugin.control.earlier import EarlierWork

__all__ = ["EarlierDialog"]

_HEADERS: Final = ("", "Image", "Last change", "Objects", "Actions")
_PICTURE: Final = 64


class EarlierDialog(QDialog):
    """Lets a person choose one of the earlier sessions.

    Attributes
    ----------
    chosen : EarlierWork, optional
        What was chosen in the list.
    folder : Path, optional
        A session folder that was chosen instead.
    """

    def __init__(self, works: Sequence[EarlierWork], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Earlier work")
        self.resize(620, 420)
        self.chosen: EarlierWork | None = None
        self.folder: Path | None = None
        self._works = list(works)
        self.table = QTableWidget(len(works), len(_HEADERS))
        self.table.setHorizontalHeaderLabels(_HEADERS)
        self.table.verticalHeader().hide()
        self.table.setIconSize(QSize(_PICTURE, _PICTURE))
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        for number, work in enumerate(works):
            self._fill(number, work)
        self.open = QPushButton("Open")
        self.open.setDefault(True)
        self.choose = QPushButton("Session folder ...")
        self.choose.setToolTip("A .sam2session folder, as it is saved beside labels.")
        self.cancel = QPushButton("Cancel")
        buttons = QHBoxLayout()
        for button in (self.choose, self.cancel, self.open):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        if not works:
            layout.addWidget(QLabel("There is no earlier work on this machine yet."))
        layout.addWidget(self.table, 1)
        layout.addLayout(buttons)
        self.open.setEnabled(bool(works))
        if works:
            self.table.selectRow(0)
        self.open.clicked.connect(self._open)
        self.table.cellDoubleClicked.connect(self._open)
        self.choose.clicked.connect(self._choose)
        self.cancel.clicked.connect(self.reject)

    def _fill(self, number: int, work: EarlierWork) -> None:
        picture = QTableWidgetItem()
        if work.picture is not None:
            picture.setIcon(QIcon(str(work.picture)))
        note = work.note
        image = work.path.name if work.path is not None else "file not known any more"
        when = note.last.astimezone().strftime("%d %b %Y %H:%M")
        for column, text in enumerate((image, when, str(note.n_objects), str(note.n_actions)), start=1):
            item = QTableWidgetItem(text)
            if column > 2:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.table.setItem(number, column, item)
        self.table.setItem(number, 0, picture)
        self.table.setRowHeight(number, _PICTURE + 4)

    def _open(self) -> None:
        row = self.table.currentRow()
        if 0 <= row < len(self._works):
            self.chosen = self._works[row]
            self.accept()

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "A session folder")
        if chosen:
            self.folder = Path(chosen)
            self.accept()
