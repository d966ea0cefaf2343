"""The table of a slide's objects.

Colour and name, class, area, score, finished.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

if TYPE_CHECKING:
    from napari_sam2.plugin.slide.table_rows import SlideRow

__all__ = ["SlideTable"]

NAME, CLASS, AREA, SCORE, FINISHED = range(5)

_TOOLTIPS: Final = (
    "Click selects and shows, Shift- or Ctrl-click selects several, double click renames.",
    "Chosen below the table, or by its number key.",
    "Area: in square microns when the size of a pixel is known, else in pixels of the full slide.",
    "The model's own estimate of its overlap with the truth. Click to sort; J goes through them, the worst first.",
    "A finished object keeps its outline: nothing changes it.",
)

_ROLE = Qt.ItemDataRole


class _Model(QAbstractTableModel):
    """Rows as they are; thousands of them cost nothing until they are looked at."""

    renamed = Signal(str, str)
    finished_changed = Signal(str, bool)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.rows: list[SlideRow] = []
        self.unit = "px"

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        return 0 if parent is not None and parent.isValid() else len(_TOOLTIPS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _ROLE.DisplayRole) -> Any:  # noqa: N802
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == _ROLE.DisplayRole:
            return ("Object", "Class", self.unit, "Score", "Done")[section]
        return _TOOLTIPS[section] if role == _ROLE.ToolTipRole else None

    def data(self, index: QModelIndex, role: int = _ROLE.DisplayRole) -> Any:
        row, column = self.rows[index.row()], index.column()
        if role in (_ROLE.DisplayRole, _ROLE.EditRole):
            return (row.name, row.class_name, _area(row.area), _score(row.score), None)[column]
        if role == _ROLE.UserRole:
            return (row.name, row.class_name, row.area, row.score, row.finished)[column]
        if role == _ROLE.DecorationRole and column == NAME:
            return QColor(*row.colour)
        if role == _ROLE.CheckStateRole and column == FINISHED:
            return Qt.CheckState.Checked if row.finished else Qt.CheckState.Unchecked
        if role == _ROLE.TextAlignmentRole and column in (AREA, SCORE):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return row.name if role == _ROLE.ToolTipRole and column == NAME else None

    def setData(self, index: QModelIndex, value: Any, role: int = _ROLE.EditRole) -> bool:  # noqa: N802
        row = self.rows[index.row()]
        if role == _ROLE.CheckStateRole and index.column() == FINISHED:
            self.finished_changed.emit(row.object_id, Qt.CheckState(value) == Qt.CheckState.Checked)
            return True
        if role == _ROLE.EditRole and index.column() == NAME:
            self.renamed.emit(row.object_id, str(value).strip())
            return True
        return False

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() == NAME:
            return flags | Qt.ItemFlag.ItemIsEditable
        return flags | Qt.ItemFlag.ItemIsUserCheckable if index.column() == FINISHED else flags


class SlideTable(QTableView):
    """Shows rows, and signals what a person does with them."""

    chosen = Signal(str)
    renamed = Signal(str, str)
    finished_changed = Signal(str, bool)
    selection_changed = Signal(object)
    """Ids of the selected rows, from the top."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = _Model(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(_ROLE.UserRole)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        # In the order of their creation until a header is clicked.
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.verticalHeader().hide()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        self.setShowGrid(False)
        # Keys go on working for the image after a click on a row.
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWordWrap(False)
        # The end of a name is what tells "object 12" from "object 13".
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setIconSize(QSize(10, 10))
        header = self.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        for column, width in ((CLASS, 46), (AREA, 48), (SCORE, 42), (FINISHED, 38)):
            header.resizeSection(column, width)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self.setMinimumHeight(130)
        self._model.renamed.connect(self.renamed)
        self._model.finished_changed.connect(self.finished_changed)
        self.clicked.connect(self._on_clicked)
        self.selectionModel().selectionChanged.connect(lambda *_: self.selection_changed.emit(tuple(self.selected)))

    @property
    def rows(self) -> list[SlideRow]:
        """What is shown, in the order of creation."""
        return self._model.rows

    @property
    def selected(self) -> list[str]:
        """Ids of the selected objects, from the top."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [
            self._model.rows[self._sorted.mapToSource(self._sorted.index(row, NAME)).row()].object_id for row in rows
        ]

    def order(self) -> list[str]:
        """Ids of the objects that have an outline, as they are sorted."""
        places = (self._sorted.mapToSource(self._sorted.index(row, NAME)).row() for row in range(len(self.rows)))
        rows = (self._model.rows[place] for place in places)
        return [row.object_id for row in rows if not math.isnan(row.area)]

    def show_rows(self, rows: list[SlideRow], current: str, unit: str) -> None:
        """Show these objects with one of them selected.

        Does nothing while a name is being typed.
        """
        if self.state() == QAbstractItemView.State.EditingState:
            return
        model = self._model
        if unit != model.unit:
            model.unit = unit
            model.headerDataChanged.emit(Qt.Orientation.Horizontal, AREA, AREA)
        if [row.object_id for row in rows] != [row.object_id for row in model.rows]:
            selected = set(self.selected)
            model.beginResetModel()
            model.rows = rows
            model.endResetModel()
            if current in selected:
                self._select(selected)
        elif rows != model.rows:
            model.rows = rows
            model.dataChanged.emit(model.index(0, 0), model.index(len(rows) - 1, FINISHED))
        number = next((n for n, row in enumerate(rows) if row.object_id == current), None)
        if number is not None:
            index = self._sorted.mapFromSource(model.index(number, NAME))
            if current not in self.selected:
                self.setCurrentIndex(index)
                self.scrollTo(index)

    def _select(self, object_ids: set[str]) -> None:
        """Select again what was selected before the rows were made anew."""
        chosen = QItemSelection()
        for number, row in enumerate(self._model.rows):
            if row.object_id in object_ids:
                index = self._sorted.mapFromSource(self._model.index(number, NAME))
                chosen.select(index, index)
        flags = QItemSelectionModel.SelectionFlag
        self.selectionModel().select(chosen, flags.ClearAndSelect | flags.Rows)

    def _on_clicked(self, index: QModelIndex) -> None:
        if index.column() == FINISHED:
            return
        clicked, selected = self._model.rows[self._sorted.mapToSource(index).row()].object_id, self.selected
        # A row that Ctrl has taken out of several is not what the person goes on with.
        self.chosen.emit(clicked if clicked in selected or not selected else selected[-1])


def _area(area: float) -> str:
    if math.isnan(area):
        return "-"
    return f"{area:.1f}" if area < 100 else f"{area:.0f}" if area < 1e6 else f"{area / 1e6:.2f} M"


def _score(score: float) -> str:
    return "-" if math.isnan(score) else f"{score:.2f}"
