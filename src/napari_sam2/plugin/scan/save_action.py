"""Saving the label map of the chosen image: in the background, and never over a file unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.plugin.scan.films import is_film
from napari_sam2.plugin.scan.label_saving import NeedsReferenceError, save_annotation
from napari_sam2.plugin.scan.volumes import layer_name_stem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.session.session import Session

__all__ = ["Saver"]


class Saver:
    """Knows which files may be replaced.

    Parameters
    ----------
    controller : Controller
        Knows the image and says how it goes.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._may_replace: set[Path] = set()

    def suggested_file_name(self) -> str:
        """A name for the label map of the chosen image."""
        image = self._controller.image
        if image is None:
            return "image_labels.nii.gz"
        ending = ".ome.tif" if is_film(image) else ".nii.gz"
        return f"{layer_name_stem(image.name)}_labels{ending}"

    def save(self, path: Path, *, on_question: Callable[[str], None] = lambda _: None, **how: Any) -> None:
        """Write the label map of the chosen image; `how` as in `saving.save_labels`.

        An existing file is replaced when this session wrote it, or when Save is pressed twice.
        `on_question` is asked when nothing proves the grid.
        """
        controller, annotation = self._controller, self._controller.annotation
        if annotation is None:
            controller.say("There is nothing to save yet.")
            return
        again = path in self._may_replace
        if path.exists() and not again:
            self._may_replace.add(path)
            controller.say(f"{path.name} exists already. Press Save again to replace it, or choose another name.")
            return
        shown = annotation.shown
        controller.say(f"Saving {path.name} ...")

        def work(session: Session) -> tuple[str, str]:
            try:
                told = save_annotation(session, shown, path, overwrite=again, **how)
                annotation.autosave.copy_beside(path)
                return told, ""
            except NeedsReferenceError as question:
                return "Not saved yet: one question is open.", str(question)

        def done(answer: tuple[str, str]) -> None:
            if answer[1]:
                on_question(answer[1])
            else:
                self._may_replace.add(path)
            controller.say(answer[0])

        annotation.ask(work, done)
