"""The editor of a name in the table, which offers names as one types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCompleter, QLineEdit, QStyledItemDelegate, QWidget

if TYPE_CHECKING:
    from qtpy.QtCore import QModelIndex
    from qtpy.QtWidgets import QStyleOptionViewItem

__all__ = ["NameEditor"]

SHOWN_NAMES = 12
"""Lines of the list that are seen at once."""


class NameEditor(QStyledItemDelegate):
    """Completes what is typed to any name that contains it; other names can be typed as well."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.names: list[str] = []

    def createEditor(  # noqa: N802
        self, parent: QWidget, _option: QStyleOptionViewItem, _index: QModelIndex
    ) -> QLineEdit:
        """A line with a completer."""
        line = QLineEdit(parent)
        completer = QCompleter(self.names, line)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setMaxVisibleItems(SHOWN_NAMES)
        # The column is narrow; the names are not.
        widest = max((line.fontMetrics().horizontalAdvance(name) for name in self.names), default=0)
        completer.popup().setMinimumWidth(min(320, widest + 40))
        line.setCompleter(completer)
        return line
