"""The editor of a name in the table.

It offers names as one types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtCore import QStringListModel
from qtpy.QtWidgets import QCompleter, QLineEdit, QStyledItemDelegate, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtCore import QModelIndex
    from qtpy.QtWidgets import QStyleOptionViewItem

__all__ = ["NameEditor", "names_with", "popup_style"]

SHOWN_NAMES = 12
"""Lines of the list that are seen at once."""


class NameEditor(QStyledItemDelegate):
    """Completes what is typed to names with these words.

    In any order; other names can be typed as well.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.names: list[str] = []

    def createEditor(  # noqa: N802
        self, parent: QWidget, _option: QStyleOptionViewItem, _index: QModelIndex
    ) -> QLineEdit:
        """A line with a completer."""
        line = QLineEdit(parent)
        offered = QStringListModel(self.names, line)
        completer = QCompleter(offered, line)
        # The model holds what fits; Qt's own filters know one piece of text only.
        completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        completer.setMaxVisibleItems(SHOWN_NAMES)
        line.textEdited.connect(lambda text: offered.setStringList(names_with(text, self.names)))
        # The column is narrow; the names are not.
        widest = max((line.fontMetrics().horizontalAdvance(name) for name in self.names), default=0)
        completer.popup().setMinimumWidth(min(320, widest + 40))
        completer.popup().setStyleSheet(popup_style())
        line.setCompleter(completer)
        line.returnPressed.connect(lambda: self._take(line))
        return line

    def _take(self, line: QLineEdit) -> None:
        """Take the name as it stands, also while the list is open.

        The list has the keys then: Return would only close it.
        """
        offered = line.completer().popup()
        if offered.isVisible():
            offered.hide()
            self.commitData.emit(line)
            self.closeEditor.emit(line)


def names_with(text: str, names: Sequence[str]) -> list[str]:
    """The names in which every word of a text is found.

    Those in which each begins a word come first.
    """
    words = text.casefold().split()
    begun = [n for n in names if all(any(w.startswith(word) for w in n.casefold().split()) for word in words)]
    held = [n for n in names if all(word in n.casefold() for word in words)]
    return list(dict.fromkeys([*begun, *held]))


def popup_style() -> str:
    """The colours of napari's theme as a style sheet.

    A list in a window of its own does not inherit them.
    """
    theme = get_theme(get_settings().appearance.theme)
    colours = (theme.foreground, theme.text, theme.highlight)
    back, text, chosen = (colour.as_hex() for colour in colours)
    return f"QListView {{ background: {back}; color: {text}; }} QListView::item:selected {{ background: {chosen}; }}"
