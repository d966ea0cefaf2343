"""Where the model runs: this computer, or a server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_sam2.plugin.control.models import ModelChoice

__all__ = ["ServerDialog", "ServerLine"]

HERE = "this computer"


class ServerLine(QWidget):
    """A line that says where the model runs, and changes it."""

    chosen = Signal(object)
    """A `ModelChoice` with another server, or with none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.place = QLabel(HERE)
        # A long address is cut, and whole in the tooltip.
        self.place.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.change = QPushButton("Server ...")
        self.change.setToolTip("Let the model of another machine answer; the scan goes there, your work stays here.")
        self.change.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.change.clicked.connect(self._ask)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.place, 1)
        row.addWidget(self.change)
        self._choice: ModelChoice | None = None

    def show_choice(self, choice: ModelChoice) -> None:
        """Show where this choice runs."""
        self._choice = choice
        self.place.setText(choice.server or HERE)
        self.place.setToolTip(choice.server or "The model runs on this computer.")

    def _ask(self) -> None:
        if self._choice is None:
            return
        dialog = ServerDialog(self._choice, self)
        if dialog.exec():
            self.chosen.emit(dialog.choice())


class ServerDialog(QDialog):
    """Address and token file of a server.

    Parameters
    ----------
    choice : ModelChoice
        What holds now.
    """

    def __init__(self, choice: ModelChoice, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("The model on another machine")
        self._before = choice
        self._here = False
        self.address = QLineEdit(choice.server)
        self.address.setPlaceholderText("http://127.0.0.1:8765, https://host or ssh://me@host")
        self.address.setMinimumWidth(360)
        self.token = QLineEdit(choice.token_file)
        self.token.setPlaceholderText("the file that 'napari-sam2 serve' made")
        browse = QPushButton("Browse ...")
        browse.clicked.connect(self._browse)
        token_row = QHBoxLayout()
        token_row.addWidget(self.token, 1)
        token_row.addWidget(browse)
        form = QFormLayout()
        form.addRow("Address", self.address)
        form.addRow("Token file", token_row)
        hint = QLabel(
            "Voxels, voxel sizes and prompts go to the server, which keeps them in memory while you work. File names, "
            "patient data, undo and results stay on this computer."
        )
        hint.setWordWrap(True)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel, parent=self
        )
        self.here = self.buttons.addButton("Use this computer", QDialogButtonBox.ButtonRole.ResetRole)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.here.clicked.connect(self._use_here)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(hint)
        layout.addWidget(self.buttons)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Let the address be typed at once, with whatever window manager."""
        super().showEvent(event)
        self.activateWindow()
        self.address.setFocus()

    def choice(self) -> ModelChoice:
        """The choice as it is filled in; another place has other models."""
        server = "" if self._here else self.address.text().strip()
        token = "" if self._here else self.token.text().strip()
        same = (server, token) == (self._before.server, self._before.token_file)
        return self._before if same else replace(self._before, server=server, token_file=token, name="")

    def _use_here(self) -> None:
        self._here = True
        self.accept()

    def _browse(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "The server's token", str(Path.home()))
        if chosen:
            self.token.setText(chosen)
