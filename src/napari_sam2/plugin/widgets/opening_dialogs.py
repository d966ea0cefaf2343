"""Asking which labels, or which earlier work, to open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sam2.errors import UserInputError
from napari_sam2.io.formats import all_suffixes, dialog_filter, opened_suffixes
from napari_sam2.plugin.control.earlier import earlier_works, open_earlier, session_in
from napari_sam2.plugin.scan.volumes import file_behind
from napari_sam2.plugin.widgets.earlier_dialog import EarlierDialog

if TYPE_CHECKING:
    from napari_sam2.plugin.control.controller import Controller

__all__ = ["ask_for_earlier", "ask_for_labels"]

LABELS: Final = f"{dialog_filter('Label maps', all_suffixes())};;All files (*)"
IMAGES: Final = f"{dialog_filter('Images', opened_suffixes())};;All files (*)"


def ask_for_labels(parent: QWidget, controller: Controller) -> None:
    """Ask which labels of the chosen image to open, beginning beside it."""
    image = controller.workspace.image
    source = None if image is None else file_behind(image)
    chosen, _ = QFileDialog.getOpenFileName(
        parent, "Labels of this image", "" if source is None else str(source.parent), LABELS
    )
    if chosen:
        controller.open_labels(Path(chosen))


def ask_for_earlier(parent: QWidget, controller: Controller) -> None:
    """Show the list of earlier work, and open what is chosen.

    Ask for its image where that is not known.
    """
    workspace = controller.workspace
    folder = workspace.preferences().autosave
    dialog = EarlierDialog(earlier_works(folder), parent)
    if not dialog.exec():
        return
    try:
        entry = dialog.chosen if dialog.folder is None else session_in(dialog.folder, folder)
    except UserInputError as error:
        workspace.fail(str(error))
        return
    if entry is None:
        return
    path = entry.path
    if path is None and not any(work.journal_key == entry.note.key for work in workspace.works.values()):
        named, _ = QFileDialog.getOpenFileName(parent, "The image of this session", "", IMAGES)
        path = Path(named) if named else None
        if path is None:
            return
    open_earlier(controller, entry, path)
