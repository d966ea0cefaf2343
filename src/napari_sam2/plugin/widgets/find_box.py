"""The page "Find by name".

A name goes in; candidates wait in a list, each with its slice, score and source, to be accepted or rejected.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from qtpy.QtCore import QSize, QStringListModel, Qt, QTimer
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPen, QPixmap
from qtpy.QtWidgets import (
    QComboBox,
    QCompleter,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.plugin.scan.finding import COLOUR
from napari_sam2.plugin.settings import remember_project
from napari_sam2.plugin.widgets.buttons import action_button, menu_button
from napari_sam2.plugin.widgets.folded_box import FoldedBox
from napari_sam2.plugin.widgets.name_editor import names_with, popup_style
from napari_sam2.plugin.widgets.wrapped_label import WrappedLabel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.finding.candidate import Candidate
    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["FindBox"]

THUMBNAIL: Final = 64
"""Side of the picture of a candidate, in pixels."""

TINT: Final = 0.45
"""How much of a proposed mask's voxels is the colour of boxes."""

ANSWER_WORDS: Final = {"proposed": "The proposed mask", "model": "What the model answers"}
"""What an accepted candidate becomes, in words."""

LAID_OUT_MS: Final = 50
"""After so long the nested layouts of the panel have mostly made room for a list."""

LOOKS: Final = 10
"""How often it is looked whether they have: on a busy machine it takes longer."""

ROWS: Final = 3
"""Candidates that are seen at once."""


class FindBox(FoldedBox):
    """Folded until it is opened.

    Parameters
    ----------
    do : callable
        Does the action of a name.
    work : callable
        Gives the work on the chosen scan, or None.
    """

    def __init__(
        self, do: Callable[[str], None], work: Callable[[], ScanWork | None], parent: QWidget | None = None
    ) -> None:
        super().__init__("Find by name", parent)
        self._work = work
        self._known: tuple[str, ...] = ()
        self._shown: tuple[Candidate, ...] = ()
        self.name = QLineEdit()
        self.name.setPlaceholderText("Find ... (liver, left kidney)")
        self.name.setToolTip("A structure that is segmented in finished scans of the project; Return looks for it.")
        self._offered = QStringListModel(self)
        completer = QCompleter(self._offered, self)
        completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        self.name.setCompleter(completer)
        self.name.textEdited.connect(self._offer)
        self.name.returnPressed.connect(self._look)
        self.project, menu = menu_button(
            "Finished scans", "The finished scans: a manifest, or a folder of label maps beside their scans."
        )
        menu.addAction("Manifest ...", self._choose_manifest)
        menu.addAction("Folder ...", self._choose_folder)
        menu.addSeparator()
        menu.addAction("Detector folder (experimental) ...", self._choose_detector)
        self.list = QListWidget()
        self.list.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        self.list.setFixedHeight(ROWS * (THUMBNAIL + 6))
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(lambda item: self._choose(self.list.row(item)))
        self.answer = QComboBox()
        self.answer.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        for name, words in ANSWER_WORDS.items():
            self.answer.addItem(words, name)
        self.answer.setToolTip(
            "What an accepted candidate becomes: its own mask as it is, or what the model answers about its box."
        )
        self.answer.currentIndexChanged.connect(self._choose_answer)
        self.text = WrappedLabel()
        self.accept, self.reject = (action_button(name, do) for name in ("accept_candidate", "reject_candidate"))
        self._looks_left = 0
        self._coming = QTimer(self)
        self._coming.timeout.connect(self._come_into_sight)
        self._build()
        self.toggled.connect(self._opened)
        self.show_work(None)

    def show_work(self, work: ScanWork | None) -> None:
        """Show the candidates of a scan, the chosen one marked.

        The list goes when there are none.
        """
        finding = None if work is None else work.finding
        memory = None if finding is None else finding.memory
        known = () if memory is None else memory.known()
        if known != self._known:
            self._known = known
            self._offered.setStringList(names_with(self.name.text(), known))
        candidates = () if finding is None else finding.candidates
        if candidates != self._shown and work is not None:
            self._fill(candidates, work)
            if not self._shown:
                self._looks_left = LOOKS
                self._coming.start(LAID_OUT_MS)
        self._shown = candidates
        for widget in (self.list, self.accept, self.reject):
            widget.setVisible(bool(candidates))
        self.answer.setVisible(any(candidate.mask is not None for candidate in candidates))
        if finding is not None:
            self.answer.setCurrentIndex(self.answer.findData(finding.answer))
        self.text.setText("" if finding is None else finding.summary)
        self.text.setVisible(bool(self.text.text()))
        if finding is not None and candidates:
            self.list.setCurrentRow(finding.chosen)

    def _offer(self, text: str) -> None:
        """Names for what is typed, in the colours that hold now."""
        self._offered.setStringList(names_with(text, self._known))
        self.name.completer().popup().setStyleSheet(popup_style())

    def _build(self) -> None:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        top = QHBoxLayout()
        top.addWidget(self.name, 1)
        top.addWidget(self.project)
        buttons = QHBoxLayout()
        buttons.addWidget(self.accept)
        buttons.addWidget(self.reject)
        layout.addLayout(top)
        layout.addWidget(self.list)
        layout.addWidget(self.text)
        layout.addWidget(self.answer)
        layout.addLayout(buttons)
        self.addWidget(inside)
        self.collapse(animate=False)

    def _fill(self, candidates: tuple[Candidate, ...], work: ScanWork) -> None:
        self.list.clear()
        for candidate in candidates:
            score = "" if candidate.score is None else f"   {candidate.score:.2f}"
            item = QListWidgetItem(QIcon(_thumbnail(candidate, work)), f"{candidate.name}{score}\n{candidate.source}")
            item.setToolTip(f"{candidate.name}: {candidate.origin}")
            self.list.addItem(item)

    def _come_into_sight(self) -> None:
        """Scroll the panel so far that the list and its buttons are seen."""
        self._looks_left -= 1
        if self._looks_left <= 0:
            self._coming.stop()
        parent = self.parentWidget()
        while parent is not None and not isinstance(parent, QScrollArea):
            parent = parent.parentWidget()
        if parent is not None:
            parent.ensureWidgetVisible(self, 0, 0)

    def _look(self) -> None:
        work = self._work()
        if work is not None:
            work.finding.look_for(self.name.text())

    def _choose(self, number: int) -> None:
        work = self._work()
        if work is not None:
            work.finding.choose(number)

    def _choose_answer(self, _row: int) -> None:
        work = self._work()
        if work is not None:
            work.finding.answer = self.answer.currentData()

    def _choose_manifest(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Finished scans", "", "Manifests (*.csv *.tsv)")
        self.use_project(chosen)

    def _choose_folder(self) -> None:
        self.use_project(QFileDialog.getExistingDirectory(self, "Finished scans"))

    def _choose_detector(self) -> None:
        folder, work = QFileDialog.getExistingDirectory(self, "A general detector"), self._work()
        if folder and work is not None:
            work.finding.use_detector(Path(folder))

    def use_project(self, path: str) -> None:
        """Take the finished scans of a path.

        Nothing happens for an empty one.
        """
        work = self._work()
        if path and work is not None:
            work.finding.use_project(Path(path))
            remember_project(Path(path))

    def _opened(self, is_open: bool) -> None:
        work = self._work()
        if is_open and work is not None:
            work.finding.use_remembered()


def _thumbnail(candidate: Candidate, work: ScanWork) -> QPixmap:
    """The candidate's best slice with its mask, tinted, and its box, dashed."""
    volume = work.shown.volume
    axis = volume.default_slice_axis
    plane, index = volume.plane(axis), candidate.best_slice(axis)
    grey = (work.snapshot.window or work.auto_window).apply(plane.take(volume.voxels, index))
    colours = np.repeat(grey[..., None] * 255, 3, axis=-1)
    if candidate.mask is not None:
        held = plane.take(candidate.on_grid(volume.shape), index)
        colours[held] = (1 - TINT) * colours[held] + TINT * np.array(QColor(COLOUR).getRgb()[:3])
    pixels = np.ascontiguousarray(np.round(colours).astype(np.uint8))
    rows, cols = pixels.shape[:2]
    image = QImage(pixels.tobytes(), cols, rows, 3 * cols, QImage.Format.Format_RGB888)
    height, width = (n * mm for n, mm in zip(plane.shape, plane.spacing, strict=True))
    factor = THUMBNAIL / max(height, width)
    picture = QPixmap.fromImage(image).scaled(max(1, round(width * factor)), max(1, round(height * factor)))
    corners = plane.to_plane(np.array([candidate.low, candidate.high]))
    low, high = corners.min(axis=0) - 0.5, corners.max(axis=0) + 0.5
    across, down = picture.width() / cols, picture.height() / rows
    painter = QPainter(picture)
    pen = QPen(QColor(COLOUR))
    pen.setStyle(Qt.PenStyle.DashLine)
    painter.setPen(pen)
    painter.drawRect(
        round((low[1] + 0.5) * across),
        round((low[0] + 0.5) * down),
        round((high[1] - low[1]) * across),
        round((high[0] - low[0]) * down),
    )
    painter.end()
    return picture
