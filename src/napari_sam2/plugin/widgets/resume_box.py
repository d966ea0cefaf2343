"""The offer to go on with unfinished work.

It waits in place and blocks nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QPushButton, QWidget

from napari_sam2.plugin.widgets.buttons import action_button
from napari_sam2.plugin.widgets.wrapped_label import WrappedLabel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam2.record.journal import JournalNote

__all__ = ["ResumeBox"]


class ResumeBox(QWidget):
    """A sentence and two buttons; hidden when there is nothing to offer.

    Parameters
    ----------
    do : callable
        Does the action of a name.
    """

    declined = Signal()
    chosen = Signal(object)
    """Another earlier session (`JournalNote`) is to be offered."""

    def __init__(self, do: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = WrappedLabel()
        self.list = QComboBox()
        self.list.setToolTip("All earlier work on this image; none of it is ever deleted.")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.list.setMinimumContentsLength(8)
        self.resume = action_button("resume_session", do)
        self.decline = QPushButton("Start afresh")
        self.decline.setToolTip("Leave the earlier work as it is and begin anew.")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text, 0, 0, 1, 2)
        layout.addWidget(self.list, 1, 0, 1, 2)
        layout.addWidget(self.resume, 2, 0)
        layout.addWidget(self.decline, 2, 1)
        self.decline.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.decline.clicked.connect(self.declined)
        self.list.activated.connect(lambda number: self.chosen.emit(self.list.itemData(number)))
        self.offer(None)

    def offer(self, note: JournalNote | None, sessions: Sequence[JournalNote] = ()) -> None:
        """Offer to go on with an earlier session, or nothing.

        Of several, another one can be chosen.
        """
        self.setVisible(note is not None)
        self.list.setVisible(len(sessions) > 1)
        if note is None:
            return
        self.text.setText(f"Earlier work, {_title(note)}")
        if [self.list.itemData(n) for n in range(self.list.count())] != list(sessions):
            self.list.clear()
            for session in sessions:
                self.list.addItem(_title(session), session)
        self.list.setCurrentIndex(next((n for n, session in enumerate(sessions) if session is note), 0))


def _title(note: JournalNote) -> str:
    when = note.last.astimezone().strftime("%d %b %H:%M")
    return f"{when}: {note.n_objects} object{'' if note.n_objects == 1 else 's'}"
