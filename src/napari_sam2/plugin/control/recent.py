"""Which image the journals on this machine belong to.

Its file and a small picture.

Journals name no file, since they are copied and handed on. What is kept here stays in the folder of journals.
"""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import NapariSam2Error
from napari_sam2.io.atomic import write_bytes, write_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RecentImages"]

FOLDER: Final = "images"

logger = logging.getLogger(__name__)


class RecentImages:
    """A folder that remembers the images worked on.

    One small file, and one picture, for each.

    Parameters
    ----------
    sessions : Path
        The folder of journals.
    """

    def __init__(self, sessions: Path) -> None:
        self._folder = sessions / FOLDER

    def remember(self, key: str, path: Path, picture: NDArray[np.uint8] | None) -> None:
        """Remember where an image lies, and how its work looks.

        A folder that cannot be written is no reason to stop working: it is logged.

        Parameters
        ----------
        key : str
            Of its journals, see `napari_sam2.record.listing.JournalNote.key`.
        path : Path
            The image file or folder.
        picture : (rows, columns, 3) uint8 array, optional
            A thumbnail; an earlier one stays without.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            text = json.dumps({"path": str(path.absolute())}, allow_nan=False)
            write_text(self._folder / f"{key}.json", text, overwrite=True)
            if picture is not None:
                from PIL import Image

                content = io.BytesIO()
                Image.fromarray(picture).save(content, "png")
                write_bytes(self._folder / f"{key}.png", content.getvalue(), overwrite=True)
        except (NapariSam2Error, OSError, UnicodeError) as error:
            logger.warning("The list of earlier work could not be written: %s", type(error).__name__)

    def find(self, key: str) -> Path | None:
        """Where an image lies.

        None when it is not known, or not there any more.
        """
        try:
            written = json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
            path = Path(written["path"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return path if path.exists() else None

    def picture(self, key: str) -> Path | None:
        """The thumbnail of an image."""
        path = self._folder / f"{key}.png"
        return path if path.is_file() else None
