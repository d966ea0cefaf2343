"""The offer to go on with unfinished work; it waits in place and blocks nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_sam2.plugin.widgets.buttons import action_button
from napari_sam2.plugin.widgets.wrapped_label import WrappedLabel

if TYPE_CHECKING:
    from collections.abc import Callable

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

    def __init__(self, do: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = WrappedLabel()
        self.resume = action_button("resume_session", do)
        self.decline = QPushButton("Start afresh")
        self.decline.setToolTip("Leave the earlier work as it is and begin anew.")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text, 0, 0, 1, 2)
        layout.addWidget(self.resume, 1, 0)
        layout.addWidget(self.decline, 1, 1)
        self.decline.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.decline.clicked.connect(self.declined)
        self.offer(None)

    def offer(self, note: JournalNote | None) -> None:
        """Offer to go on with a journal, or nothing."""
        self.setVisible(note is not None)
        if note is not None:
            when = note.last.astimezone().strftime("%d %b %H:%M")
            many = "" if note.n_objects == 1 else "s"
            self.text.setText(f"Earlier work, {when}: {note.n_objects} object{many}")
