"""The dock of figures: a table that copies to a spreadsheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.plugin.scan.figures import FigureTable, shown_number
from napari_sam2.plugin.scan.work import ScanWork
from napari_sam2.plugin.widgets.following_box import FollowingBox

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_sam2.plugin.control.controller import Controller

__all__ = ["FiguresBox"]

DELAY_MS: Final = 120
"""How long further changes are waited for before the figures are drawn."""

ROWS: Final = 4
"""Rows that are seen without scrolling."""


class FiguresBox(FollowingBox):
    """Shows the last table of figures of the chosen scan.

    A click on a row goes to its object.

    Parameters
    ----------
    controller : Controller
        Of the viewer.
    """

    follows_slices = False

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(controller, parent, DELAY_MS)
        self._shown: FigureTable | None = None
        self.title = QLabel()
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.copy = _button("Copy", "Copy all rows with their headers, for a spreadsheet.")
        self.hide_it = _button("✕", "Hide the figures.")
        self.hide_it.setMaximumWidth(28)
        self.table = QTableWidget()
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        top = QHBoxLayout()
        top.addWidget(self.title, 1)
        top.addWidget(self.copy)
        top.addWidget(self.hide_it)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addWidget(self.table)
        self.table.verticalHeader().setMinimumSectionSize(1)
        line = self.table.fontMetrics().height() + 5
        self.table.verticalHeader().setDefaultSectionSize(line)
        # Headers, rows, and a bar to scroll with.
        self.table.setFixedHeight((ROWS + 2) * line + 8)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.copy.clicked.connect(self.copy_all)
        self.hide_it.clicked.connect(self._hide)
        self.table.cellClicked.connect(self._on_row)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Begin to follow the chosen scan."""
        super().showEvent(event)
        self.show_now()

    def show_now(self) -> None:
        """Show the figures, and whether they are still true."""
        work = self._work()
        table = None if work is None else work.figures
        stale = work is not None and table is not None and not work.figures_are_fresh
        title = "Nothing is measured on this scan yet [M]." if table is None else table.title
        self.title.setText(f"{title}  –  changed since then: M measures again, D compares again" if stale else title)
        self.title.setToolTip(self.title.text())
        self.copy.setEnabled(table is not None)
        if table is not self._shown:
            self._shown = table
            self._fill(table)

    def copy_all(self) -> None:
        """Put the table on the clipboard, tab-separated, with its headers."""
        if self._shown is not None:
            QApplication.clipboard().setText(self._shown.text)
            many = len(self._shown.rows)
            self._controller.workspace.say(
                f"{many} row{'' if many == 1 else 's'} copied: paste them into a spreadsheet."
            )

    def _fill(self, table: FigureTable | None) -> None:
        headers = () if table is None else table.headers
        rows = () if table is None else table.rows
        self.table.clear()
        self.table.setColumnCount(len(headers))
        self.table.setRowCount(len(rows))
        self.table.setHorizontalHeaderLabels(headers)
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                item = QTableWidgetItem(shown_number(cell))
                if not isinstance(cell, str):
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(number, column, item)
        # A name that takes what is left is cut where little is left; the table scrolls instead.
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)

    def _on_row(self, row: int, _column: int) -> None:
        work = self._work()
        if work is None or self._shown is None:
            return
        object_id = self._shown.object_ids[row]
        if object_id in work.snapshot.objects:
            work.select(object_id)
            work.measuring.show_object(object_id)

    def _hide(self) -> None:
        work = self._work()
        if work is not None:
            work.measuring.hide()
        self._controller.workspace.figures.set(False)

    def _work(self) -> ScanWork | None:
        work = self._controller.work
        return work if isinstance(work, ScanWork) else None


def _button(label: str, tooltip: str) -> QPushButton:
    button = QPushButton(label)
    button.setToolTip(tooltip)
    # Keys go on working for the image after a click on a button.
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return button
