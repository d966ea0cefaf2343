"""Sentences for reports, without names of files.

Those may tell who the patient is.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import UserInputError
from napari_sam2.io.prompt_file import masks_named
from napari_sam2.io.read import files_of_image

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.cohort.job import CaseJob

__all__ = ["nameless"]

_SHORTEST: Final = 3
"""Shorter names ('1', '2' of a DICOM series) tell nothing, and are parts of other words."""


def nameless(job: CaseJob, sentence: str) -> str:
    """A sentence with a case's files called by what they are.

    ``the image``, ``a file of the image``.
    """
    called: dict[str, str] = {}
    for what in ("image", "prompts", "session", "labels"):
        path = getattr(job, what)
        if path is not None:
            called |= dict.fromkeys((str(path), path.name), f"the {what}")
            called |= {file.name: f"a file of the {what}" for file in _parts(what, path) if file.name not in called}
    for number, file in enumerate(job.channels, start=1):
        called |= dict.fromkeys((str(file.path), file.path.name), f"channel {number}")
        called |= {
            part.name: f"a file of channel {number}" for part in _parts("image", file.path) if part.name not in called
        }
    for name in sorted(called, key=len, reverse=True):
        if len(name) >= _SHORTEST:
            sentence = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", called[name], sentence)
    return sentence[:1].upper() + sentence[1:]


def _parts(what: str, path: Path) -> tuple[Path, ...]:
    """Files that belong to one, as far as they can be listed."""
    with contextlib.suppress(OSError, UserInputError):
        if what == "prompts":
            return tuple(masks_named(path))
        if what in ("image", "labels"):
            return files_of_image(path)
    return ()
