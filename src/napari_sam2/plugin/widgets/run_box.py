"""Propagation in place: direction buttons, and the range that limits them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_sam2.plugin.control.action_table import action
from napari_sam2.plugin.widgets.buttons import action_button

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RunBox"]


class RunBox(QWidget):
    """Buttons that begin runs, and one that shows and lifts their range.

    Parameters
    ----------
    do : callable
        Does the action of a name.

    Attributes
    ----------
    directions : QWidget
        Buttons for one direction alone, which are seldom needed and stand elsewhere.
    """

    def __init__(self, do: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.both = action_button("propagate_both", do)
        self.back = action_button("propagate_backward", do)
        self.forward = action_button("propagate_forward", do)
        self.clear_range = action_button("clear_range", do)
        self.directions = QWidget()
        for holder, pair in ((self, (self.both, self.clear_range)), (self.directions, (self.back, self.forward))):
            row = QHBoxLayout(holder)
            row.setContentsMargins(0, 0, 0, 0)
            for button in pair:
                row.addWidget(button, 1)
        self.show_range(None)

    def show_range(self, ends: tuple[int, int] | None) -> None:
        """Say to which slices runs are limited; None: to none.

        The same button is the way out.
        """
        entry = action("clear_range")
        title = entry.title if ends is None else f"Slices {ends[0]} to {ends[1]} ✕"
        self.clear_range.setText(f"{title} [{entry.key}]")
        self.clear_range.setEnabled(ends is not None)
