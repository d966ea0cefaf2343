"""Saving: where to, and whether anything is asked.

When nothing proves where the labels lie, it says what to do.
"""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QLineEdit, QPushButton, QWidget

from napari_sam2.io.formats import dialog_filter, label_suffixes, opened_suffixes
from napari_sam2.plugin.widgets.wrapped_label import WrappedLabel

__all__ = ["SaveBox"]

_FILES = dialog_filter("NIfTI", label_suffixes())
_IMAGES = f"{dialog_filter('Images', opened_suffixes())};;All files (*)"


class SaveBox(QWidget):
    """A path, Save, and a question that appears in place.

    It appears when it has to be asked.

    Parameters
    ----------
    title, tooltip : str
        Of the button.
    files : str
        Kinds of files, as Qt's file dialog takes them.
    """

    save_asked = Signal(object)
    """Path to save to."""
    reference_given = Signal(object)
    """Path of the image file that the labels belong to."""
    no_geometry_asked = Signal()
    """Save without anatomical geometry."""

    def __init__(
        self,
        parent: QWidget | None = None,
        *,
        title: str = "Save labels",
        tooltip: str = "Write all objects as one label map on the image's own grid.",
        files: str = _FILES,
    ) -> None:
        super().__init__(parent)
        self._title, self._files = title, files
        self.path = QLineEdit()
        self.path.setPlaceholderText("labels.nii.gz")
        self.browse = QPushButton("...")
        self.browse.setToolTip("Choose where to save.")
        self.browse.setMaximumWidth(32)
        self.save = QPushButton(title)
        self.save.setToolTip(tooltip)
        self.question = WrappedLabel()
        self.choose = QPushButton("Choose image file ...")
        self.without = QPushButton("Save without")
        for button in (self.browse, self.save, self.choose, self.without):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.path, 0, 0)
        layout.addWidget(self.browse, 0, 1)
        layout.addWidget(self.save, 1, 0, 1, 2)
        layout.addWidget(self.question, 2, 0, 1, 2)
        layout.addWidget(self.choose, 3, 0, 1, 2)
        layout.addWidget(self.without, 4, 0, 1, 2)
        self.browse.clicked.connect(self._browse)
        self.save.clicked.connect(self._save)
        self.choose.clicked.connect(self._choose)
        self.without.clicked.connect(self.no_geometry_asked)
        self.ask("")

    def suggest(self, path: Path) -> None:
        """Offer a path."""
        self.path.setText(str(path))
        self.path.setToolTip(str(path))
        self.path.setCursorPosition(len(str(path)))

    @property
    def target(self) -> Path:
        """The path that is typed."""
        return Path(self.path.text() or self.path.placeholderText()).expanduser()

    def ask(self, question: str) -> None:
        """Ask for the image file.

        Or stop asking when there is no question.
        """
        self.question.setText(question)
        for widget in (self.question, self.choose, self.without):
            widget.setVisible(bool(question))

    def _browse(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, self._title, self.path.text(), self._files)
        if chosen:
            self.suggest(Path(chosen))
            self._save()

    def _save(self) -> None:
        self.save_asked.emit(self.target)

    def _choose(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "The image these labels belong to", "", _IMAGES)
        if chosen:
            self.reference_given.emit(Path(chosen))
