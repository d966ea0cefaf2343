"""One fixed row for earlier work.

Open labels or earlier work, or go on with what is offered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QStackedWidget, QWidget

from napari_sam2.plugin.widgets.buttons import action_button

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam2.record.journal import JournalNote

__all__ = ["EarlierRow"]


class EarlierRow(QStackedWidget):
    """Buttons that open what was done before.

    While an earlier session is offered, the way back into it.

    Both pages are of one height, so that nothing below moves.

    Parameters
    ----------
    do : callable
        Does the action of a name.
    """

    declined = Signal()
    chosen = Signal(object)
    """Another earlier session (`JournalNote`) is to be offered."""
    labels_asked = Signal()
    """Saved labels are to be opened."""
    earlier_asked = Signal()
    """The list of earlier work is to be shown."""

    def __init__(self, do: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.labels = QPushButton("Open labels ...")
        self.labels.setToolTip("Open saved labels of this image as objects, to correct them.")
        self.earlier = QPushButton("Earlier work ...")
        self.earlier.setToolTip("All work on this machine, of any image; a .sam2session folder can be opened as well.")
        self.list = QComboBox()
        self.list.setToolTip("All earlier work on this image; none of it is ever deleted.")
        self.list.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.list.setMinimumContentsLength(8)
        self.resume = action_button("resume_session", do)
        self.decline = QPushButton("✕")
        self.decline.setToolTip("Leave the earlier work as it is and begin anew.")
        self.decline.setMaximumWidth(28)
        for widgets in ((self.labels, self.earlier), (self.list, self.resume, self.decline)):
            page = QWidget()
            row = QHBoxLayout(page)
            row.setContentsMargins(0, 0, 0, 0)
            for widget in widgets:
                row.addWidget(widget, int(widget not in (self.resume, self.decline)))
            self.addWidget(page)
        self.labels.clicked.connect(self.labels_asked)
        self.earlier.clicked.connect(self.earlier_asked)
        self.decline.clicked.connect(self.declined)
        self.list.activated.connect(lambda number: self.chosen.emit(self.list.itemData(number)))
        self.offer(None)

    @property
    def is_offering(self) -> bool:
        """Whether an earlier session is offered."""
        return bool(self.currentIndex() == 1)

    def offer(self, note: JournalNote | None, sessions: Sequence[JournalNote] = ()) -> None:
        """Offer to go on with an earlier session, or nothing.

        Of several, another one can be chosen.
        """
        self.setCurrentIndex(0 if note is None else 1)
        if note is None:
            return
        offered = list(sessions) or [note]
        if [self.list.itemData(n) for n in range(self.list.count())] != offered:
            self.list.clear()
            for session in offered:
                self.list.addItem(_title(session), session)
        self.list.setCurrentIndex(next((n for n, session in enumerate(offered) if session is note), 0))


def _title(note: JournalNote) -> str:
    when = note.last.astimezone().strftime("%d %b %H:%M")
    return f"{when}: {note.n_objects} obj."
