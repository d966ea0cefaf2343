"""The channels of a scan, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_sam2.channels.opening import channel_name
from napari_sam2.plugin.widgets.buttons import menu_button
from napari_sam2.plugin.widgets.channel_line import ChannelLine
from napari_sam2.plugin.widgets.wrapped_label import WrappedLabel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.plugin.scan.channels import ScanChannels
    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["ChannelsBox"]


class ChannelsBox(QWidget):
    """Rows of channels, and what the model sees.

    Parameters
    ----------
    work : callable
        Gives the work on the chosen scan, or None.
    """

    def __init__(self, work: Callable[[], ScanWork | None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._work = work
        self.lines: list[ChannelLine] = []
        self.more, self.choices = menu_button(
            "Add channel", "Another sequence, modality or stain of the same thing, that the model sees beside this."
        )
        self.choices.aboutToShow.connect(self.list_layers)
        self.seen, self.ways = menu_button("Model sees", "What the model is shown of this object, and of new ones.")
        self.ways.aboutToShow.connect(self.list_ways)
        self.said = WrappedLabel()
        self.question = WrappedLabel()
        self.accept, self.refuse = QPushButton("Accept"), QPushButton("Do not use it")
        self.accept.clicked.connect(lambda: self._with_channels(lambda channels: channels.accept()))
        self.refuse.clicked.connect(lambda: self._with_channels(lambda channels: channels.refuse()))
        self._rows = QVBoxLayout()
        self._rows.setSpacing(2)
        answers = QHBoxLayout()
        answers.addWidget(self.accept)
        answers.addWidget(self.refuse)
        buttons = QHBoxLayout()
        buttons.addWidget(QLabel("Channels"))
        buttons.addWidget(self.more, 1)
        buttons.addWidget(self.seen, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addLayout(self._rows)
        layout.addWidget(self.said)
        layout.addWidget(self.question)
        layout.addLayout(answers)
        self.show_current()

    def show_current(self) -> None:
        """Show the channels of the chosen scan as they are."""
        work = self._work()
        channels = None if work is None else work.channels
        rows = [] if channels is None else channels.rows()
        while len(self.lines) > len(rows):
            line = self.lines.pop()
            line.let_go()
            self._rows.removeWidget(line)
            line.deleteLater()
        while len(self.lines) < len(rows):
            line = ChannelLine(self._channels)
            self.lines.append(line)
            self._rows.addWidget(line)
        for line, row in zip(self.lines, rows, strict=True):
            line.show_row(row)
        said = "" if channels is None else channels.said_image()
        self.said.setText(said)
        self.said.setVisible(bool(said))
        self.seen.setVisible(bool(rows))
        question = "" if channels is None else channels.question
        self.question.setText(question)
        for widget in (self.question, self.accept, self.refuse):
            widget.setVisible(bool(question))

    def event(self, event: QEvent) -> bool:
        """Ask for the height of all rows by number.

        A layout around wrapped labels squeezes them below their hints.
        """
        done = super().event(event)
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            self.setMinimumHeight(self.layout().minimumSize().height())
        return bool(done)

    def let_go(self) -> None:
        """Stop following layers."""
        for line in self.lines:
            line.let_go()

    def list_layers(self) -> None:
        """List layers that could be channels, as they are now."""
        self.choices.clear()
        work = self._work()
        if work is None:
            return
        stack = work.channels.stack
        names = () if stack is None else stack.names
        for layer in work.channels.offered():
            is_used = channel_name(layer.name) in names
            row = self.choices.addAction(f"{layer.name}, as it lies")
            row.setEnabled(not is_used)
            row.triggered.connect(lambda _, layer=layer: work.channels.add_layer(layer))
            moved = self.choices.addAction(f"{layer.name}, registered rigidly")
            moved.setEnabled(not is_used)
            moved.triggered.connect(lambda _, layer=layer: work.channels.add_layer(layer, register=True))
        if self.choices.isEmpty():
            self.choices.addAction("Open another image of the same patient first").setEnabled(False)

    def list_ways(self) -> None:
        """List ways in which the model can see the channels."""
        self.ways.clear()
        work = self._work()
        if work is None:
            return
        for way in work.channels.ways_to_see():
            self.ways.addAction(way).triggered.connect(lambda _, way=way: work.channels.see(way))

    def _channels(self) -> ScanChannels | None:
        work = self._work()
        return None if work is None else work.channels

    def _with_channels(self, call: Callable[[ScanChannels], None]) -> None:
        channels = self._channels()
        if channels is not None:
            call(channels)
