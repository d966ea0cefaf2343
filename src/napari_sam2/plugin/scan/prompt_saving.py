"""Saving the prompts of a scan as a prompt file.

With it ``napari-sam2 segment`` and ``cohort run`` segment the scan without a window.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam2.core.prompts import ObjectPrompts
from napari_sam2.io.names import without_suffix
from napari_sam2.io.prompt_file_write import write_prompt_file
from napari_sam2.plugin.scan.volumes import file_behind

if TYPE_CHECKING:
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.session import Session

__all__ = ["save_prompts"]


def save_prompts(work: ScanWork) -> None:
    """Write the prompts of all objects beside the scan.

    The file is named after the layer, ``NAME_prompts.json``; it lies in the home folder when the layer comes from no
    file. One that is there already stays, and the next free number is taken. Painted masks become label maps beside
    it.
    """
    if not any(obj.prompts for obj in work.snapshot.objects.values()):
        work.told.emit("There is no prompt yet: there is nothing to save.")
        return
    source = file_behind(work.image)
    where = "your home folder" if source is None else "the folder of the scan"
    path = _free_path(Path.home() if source is None else source.parent, without_suffix(work.image.name))

    def write(session: Session) -> Path:
        objects = [ObjectPrompts(i, tuple(o.prompts), o.name) for i, o in session.objects.items() if o.prompts]
        return write_prompt_file(objects, session.volume, path)

    work.ask(write, lambda written: work.told.emit(f"The prompts are saved in {written.name}, in {where}."))


def _free_path(folder: Path, name: str) -> Path:
    candidates = (folder / f"{name}_prompts{'' if n == 1 else f'-{n}'}.json" for n in count(1))
    return next(path for path in candidates if not path.exists())
