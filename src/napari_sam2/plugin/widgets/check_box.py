"""The result of a tri-planar check, waiting for a decision in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_sam2.plugin.widgets.buttons import action_button
from napari_sam2.plugin.widgets.wrapped_label import WrappedLabel

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CheckBox"]


class CheckBox(QWidget):
    """The figures and two buttons; hidden when nothing waits.

    Parameters
    ----------
    do : callable
        Does the action of a name.
    """

    def __init__(self, do: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = WrappedLabel()
        self.take = action_button("take_consensus", do)
        self.discard = action_button("discard_check", do)
        buttons = QHBoxLayout()
        buttons.addWidget(self.take)
        buttons.addWidget(self.discard)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addLayout(buttons)
        self.show_figures("")

    def show_figures(self, summary: str) -> None:
        """Show the figures; hide when there are none."""
        self.setVisible(bool(summary))
        self.text.setText(summary)
