"""The row of channels: which layers the model sees, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QMenu, QToolButton, QWidget

from napari_sam2.plugin.scan.channels import (
    add_layer,
    channel_name,
    offered_layers,
    said_image,
    use_image,
    ways_to_see,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["ChannelsButton"]


class ChannelsButton(QToolButton):
    """Lists image layers that can be channels, and ways to see them.

    Parameters
    ----------
    work : callable
        Gives the work on the chosen scan, or None.
    """

    def __init__(self, work: Callable[[], ScanWork | None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._work = work
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolTip("Other sequences or stains that the model sees beside the image, and how.")
        self.choices = QMenu(self)
        self.choices.aboutToShow.connect(self.fill)
        self.setMenu(self.choices)
        self.setText("one")

    def show_current(self) -> None:
        """Say what the model sees of the current object."""
        work = self._work()
        self.setText((said_image(work) if work is not None else "") or "one")

    def fill(self) -> None:
        """List layers and ways of seeing, as they are now."""
        self.choices.clear()
        work = self._work()
        if work is None:
            return
        stack = work.snapshot.channels
        used = () if stack is None else stack.names
        for layer in offered_layers(work):
            is_used = channel_name(layer) in used
            row = self.choices.addAction(f"Use {layer.name}")
            row.setCheckable(True)
            row.setChecked(is_used)
            row.setEnabled(not is_used)
            row.triggered.connect(lambda _, layer=layer: add_layer(work, layer))
            if not is_used:
                moved = self.choices.addAction(f"Register {layer.name} rigidly, and use it")
                moved.triggered.connect(lambda _, layer=layer: add_layer(work, layer, register=True))
        if self.choices.isEmpty():
            self.choices.addAction("Open another image of the same patient first").setEnabled(False)
        ways = ways_to_see(work)
        if ways:
            self.choices.addSection("The model sees")
        for way in ways:
            self.choices.addAction(way).triggered.connect(lambda _, way=way: use_image(work, way))
