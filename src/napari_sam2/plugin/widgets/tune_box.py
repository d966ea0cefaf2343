"""The page "Tune on finished scans".

What from, how long, how far, and Stop. The tuning runs in a process of its own (`napari_sam2.tuning.worker`), so the
window and its model go on as before.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QProcess, QSize, Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.channels.mix import AUTO, FUSED, PROMPT
from napari_sam2.channels.refusing import RIGID
from napari_sam2.core.mix import RGB
from napari_sam2.io.manifest import has_channels
from napari_sam2.models.zoo import BUILT_IN, ZOO, models_folder
from napari_sam2.plugin.widgets.folded_box import FoldedBox
from napari_sam2.plugin.widgets.wrapped_label import WrappedLabel
from napari_sam2.tuning.curve import draw_curve
from napari_sam2.tuning.learner import CurvePoint
from napari_sam2.tuning.plan import LONGEST, RUN
from napari_sam2.tuning.worker import Request

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TuneBox"]

_MANIFESTS: Final = "Manifests (*.csv)"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}")
CURVE_WIDTH: Final = 250


class TuneBox(FoldedBox):
    """Folded until it is opened.

    Parameters
    ----------
    model : callable
        Gives the name of the chosen model, which a tuning begins from.
    """

    tuned = Signal(str)
    """Name of a model that is there now."""

    def __init__(self, model: Callable[[], str], parent: QWidget | None = None) -> None:
        super().__init__("Tune on finished scans", parent)
        self._model = model
        self._process: QProcess | None = None
        self._line = b""
        self._last: dict[str, Any] = {}
        self._notes: list[str] = []
        self.manifest, self.browse = QLineEdit(), QPushButton("...")
        self.manifest.setPlaceholderText("manifest.csv")
        self.manifest.setToolTip("A table with the columns case, image and labels (or session), and subject.")
        self.browse.setMaximumWidth(32)
        self.register = QCheckBox("Register")
        self.register.setToolTip("Turn and shift the channels on their scans by what they show, not only by headers.")
        self.fusion = QComboBox()
        self.fusion.setEditable(True)
        self.fusion.addItems([AUTO, FUSED, PROMPT, RGB])
        self.fusion.setToolTip("What the model sees of the channels; a channel's name or A=0.7,B=-0.3 as well.")
        self.fusion.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.fusion.setMinimumContentsLength(6)
        self.name = QLineEdit()
        self.name.setPlaceholderText("my model")
        self.name.setToolTip("What the tuned model is called in the list of models.")
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0.1, LONGEST)
        self.minutes.setDecimals(1)
        self.minutes.setValue(15)
        self.minutes.setToolTip("How long it learns on a machine that does nothing else; scoring comes on top.")
        self.start, self.stop = QPushButton("Tune"), QPushButton("Stop")
        self.start.setToolTip("Learn from these scans; a model that is not better on held-out subjects is not kept.")
        self.stop.setToolTip("Stop; Tune goes on from here later.")
        self.bar, self.text, self.curve = QProgressBar(), WrappedLabel(), QLabel()
        self.curve.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.addWidget(self._inside())
        self.manifest.textChanged.connect(self._show_channels)
        self.browse.clicked.connect(self._browse)
        self.start.clicked.connect(self.begin)
        self.stop.clicked.connect(self.end)
        self._show_running(False)
        self.collapse(animate=False)

    def _inside(self) -> QWidget:
        inside = QWidget()
        self.channels = QWidget()
        row, buttons, form = QHBoxLayout(), QHBoxLayout(), QFormLayout()
        row.addWidget(self.manifest, 1)
        row.addWidget(self.browse)
        form.addRow("Scans", row)
        channels = QHBoxLayout(self.channels)
        channels.setContentsMargins(0, 0, 0, 0)
        channels.addWidget(self.register)
        channels.addWidget(self.fusion, 1)
        form.addRow("Channels", self.channels)
        self._form = form
        self._show_channels()
        form.addRow("Name", self.name)
        form.addRow("Minutes", self.minutes)
        for button in (self.browse, self.start, self.stop):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        buttons.addWidget(self.start)
        buttons.addWidget(self.stop)
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addLayout(buttons)
        for widget in (self.bar, self.text, self.curve):
            layout.addWidget(widget)
        return inside

    @property
    def running(self) -> bool:
        """Whether a tuning is under way."""
        return self._process is not None

    def begin(self) -> None:
        """Start the tuning, or go on with a stopped one.

        It is known by its name.
        """
        name, manifest = self.name.text().strip(), self.manifest.text().strip()
        if not manifest:
            self.text.setText("Choose the table of your finished scans first.")
            return
        if not _NAME.fullmatch(name) or name in BUILT_IN or name in ZOO:
            self.text.setText("Give the model a name of letters and digits that no other model has.")
            return
        folder = models_folder() / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        seen = self._form.isRowVisible(self.channels)
        request = Request(
            (manifest,), str(folder), self._model(), self.minutes.value(), (folder / RUN).is_dir(),
            RIGID if seen and self.register.isChecked() else "",
            self.fusion.currentText().strip() or AUTO if seen else AUTO,
        )  # fmt: skip
        program, *arguments = Request.command()
        self._line, self._last, self._notes = b"", {}, []
        self._process = process = QProcess(self)
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(lambda *_: self._finished(name))
        process.errorOccurred.connect(lambda *_: self._finished(name))
        process.start(program, arguments)
        process.write(request.to_line().encode())
        self._show_running(True)
        self.text.setText("Starting ...")

    def _show_channels(self) -> None:
        """Ask about channels only where the table has some."""
        self._form.setRowVisible(self.channels, has_channels(Path(self.manifest.text().strip())))

    def end(self) -> None:
        """Ask it to stop at the next step; it leaves a checkpoint."""
        if self._process is not None:
            self._process.closeWriteChannel()
            self.stop.setEnabled(False)
            self.text.setText("Stopping ...")

    def _read(self) -> None:
        if self._process is None:
            return
        *lines, self._line = (self._line + bytes(self._process.readAllStandardOutput().data())).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "note" in told:
                self._notes.append(told["note"])
                continue
            self._last = told
            if "progress" in self._last:
                self._show_progress(self._last)

    def _show_progress(self, now: dict[str, Any]) -> None:
        self.bar.setMaximum(max(1, now["total"]))
        self.bar.setValue(now["done"])
        if self.stop.isEnabled():
            self.text.setText(f"{now['progress'].capitalize()}: {now['done']} of {now['total']}")
        if now["curve"]:
            self.show_curve([CurvePoint(**point) for point in now["curve"]], now["total"])

    def show_curve(self, points: list[CurvePoint], steps: int) -> None:
        """Show the learning curve so far."""
        picture = QPixmap.fromImage(QImage.fromData(draw_curve(points, steps)))
        size = QSize(CURVE_WIDTH, CURVE_WIDTH)
        self.curve.setPixmap(
            picture.scaled(size, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
        )
        self.curve.show()

    def _finished(self, name: str) -> None:
        if self._process is None:
            return
        self._read()
        self._process.deleteLater()
        self._process = None
        self._show_running(False)
        last, notes = self._last, "".join(f" Note: {note}" for note in self._notes)
        if last.get("better"):
            self.text.setText(f"{name} is better on scans that it has not seen, and is in the list of models.{notes}")
            self.tuned.emit(name)
        elif "better" in last:
            self.text.setText("Not better, so it is not used: " + " ".join(last["reasons"]) + notes)
        elif last.get("stopped"):
            self.text.setText("Stopped. Tune goes on from here.")
        else:
            self.text.setText(str(last.get("error", "The tuning ended without an answer; start it again to go on.")))

    def _show_running(self, running: bool) -> None:
        for widget in (self.manifest, self.browse, self.channels, self.name, self.minutes, self.start):
            widget.setEnabled(not running)
        self.stop.setEnabled(running)
        self.bar.setVisible(running)
        if not running and self.curve.pixmap().isNull():
            self.curve.hide()

    def _browse(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Finished scans", "", _MANIFESTS)
        if chosen:
            self.manifest.setText(str(Path(chosen)))
