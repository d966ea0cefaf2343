"""The table of objects: colour, name, volume, score, visible, finished."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_sam2.plugin.control.action_table import action
from napari_sam2.plugin.widgets.name_editor import NameEditor

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent

    from napari_sam2.plugin.scan.table_rows import ObjectRow

__all__ = ["ObjectTable"]

_NAME, _VOLUME, _SCORE, _VISIBLE, _FINISHED = range(5)

_HEADERS: Final = ("Object", "mL", "Score", "Show", "Done")
_TOOLTIPS: Final = (
    "Click selects, double click renames.",
    "Volume in millilitres.",
    "The model's own estimate of its overlap with the truth, mean over slices.",
    "Show or hide the object.",
    f"A finished object keeps its voxels: nothing overwrites it. Key: {action('finish_object').key}.",
)

_UNITS: Final = {
    "mL": "Volume in millilitres.",
    "voxels": "Voxels: nothing states how large they are.",
    "px": "Pixels, over all frames.",
}


ROW_PADDING: Final = 5
"""Pixels that a row is higher than its text."""


class ObjectTable(QTableWidget):
    """Shows rows, and signals what a person does with them."""

    chosen = Signal(int)
    renamed = Signal(int, str)
    visible_changed = Signal(int, bool)
    finished_changed = Signal(int, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_HEADERS), parent)
        self._rows: list[ObjectRow] = []
        self.setHorizontalHeaderLabels(_HEADERS)
        for column, tooltip in enumerate(_TOOLTIPS):
            self.horizontalHeaderItem(column).setToolTip(tooltip)
        self.verticalHeader().hide()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        self.setShowGrid(False)
        # One low line for each object: a wrapped name would take the room of the next one.
        self.setWordWrap(False)
        rows = self.verticalHeader()
        rows.setMinimumSectionSize(1)
        rows.setDefaultSectionSize(self.fontMetrics().height() + ROW_PADDING)
        # Arrow keys go on moving through slices after a click on a row.
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        self.names = NameEditor(self)
        self.setItemDelegateForColumn(_NAME, self.names)
        self.itemChanged.connect(self._on_item_changed)
        self.currentCellChanged.connect(self._on_current_changed)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Keep the current object in sight."""
        super().resizeEvent(event)
        self.scrollTo(self.currentIndex())

    def show_unit(self, unit: str) -> None:
        """Say what sizes are counted in.

        ``mL``, ``voxels``, or ``px`` over all frames of a film.
        """
        self.horizontalHeaderItem(_VOLUME).setText(unit)
        self.horizontalHeaderItem(_VOLUME).setToolTip(_UNITS[unit])

    def show_rows(self, rows: list[ObjectRow], current: int) -> None:
        """Show these objects with one of them selected.

        Does nothing while a name is being typed.
        """
        if self.state() == QAbstractItemView.State.EditingState:
            return
        self.blockSignals(True)
        if [r.object_id for r in rows] != [r.object_id for r in self._rows]:
            self.setRowCount(len(rows))
            self._rows = []
        for number, row in enumerate(rows):
            if number >= len(self._rows) or self._rows[number] != row:
                self._fill(number, row)
        self._rows = rows
        selected = next((n for n, r in enumerate(rows) if r.object_id == current), -1)
        if selected != self.currentRow():
            self.setCurrentCell(selected, _NAME)
        self.blockSignals(False)

    def _fill(self, number: int, row: ObjectRow) -> None:
        name = QTableWidgetItem(row.name or f"Object {row.object_id}")
        swatch = QPixmap(12, 12)
        swatch.fill(QColor.fromRgbF(*row.colour))
        name.setIcon(QIcon(swatch))
        code = f"{row.code}. " if row.code else ""
        name.setToolTip(f"Object {row.object_id}. {code}Double click to rename.")
        volume = QTableWidgetItem(f"{row.size:.2f}" if row.size < 10 else f"{row.size:.0f}")
        score = QTableWidgetItem("-" if math.isnan(row.score) else f"{row.score:.2f}")
        for item in (volume, score):
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for column, item in ((_NAME, name), (_VOLUME, volume), (_SCORE, score)):
            self.setItem(number, column, item)
        for column, on in ((_VISIBLE, row.visible), (_FINISHED, row.finished)):
            box = QTableWidgetItem()
            box.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            box.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            box.setToolTip(_TOOLTIPS[column])
            self.setItem(number, column, box)

    def _on_item_changed(self, item: QTableWidgetItem) -> None:
        row = self._rows[item.row()]
        if item.column() == _NAME:
            name = item.text().strip()
            self.renamed.emit(row.object_id, "" if name == f"Object {row.object_id}" else name)
        elif item.column() in (_VISIBLE, _FINISHED):
            checked = item.checkState() == Qt.CheckState.Checked
            signal = self.visible_changed if item.column() == _VISIBLE else self.finished_changed
            signal.emit(row.object_id, checked)

    def _on_current_changed(self, row: int, *_: int) -> None:
        if 0 <= row < len(self._rows):
            self.chosen.emit(self._rows[row].object_id)
