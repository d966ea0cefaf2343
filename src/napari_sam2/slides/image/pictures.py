"""Which picture of a file with several is the scan.

The one with the most pixels, unless a person says another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from napari_sam2.errors import UserInputError

__all__ = ["PictureChoice", "PictureInFile", "choose_picture"]

RIVAL: Final = 0.25
"""A picture with this part of the pixels of the largest one is no label or overview but another scan."""

_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class PictureInFile:
    """One picture (series) of a file.

    Attributes
    ----------
    name : str
        As the file names it; may be empty.
    shape : tuple of int
        Of its finest level, along `axes`.
    axes : str
        A letter each: Y rows, X columns, S samples, C channels, Z, T and others.
    number : int
        Its place in the file, counted from 0.
    """

    name: str
    shape: tuple[int, ...]
    axes: str
    number: int

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns); 0 for something that is no picture."""
        if not {"Y", "X"} <= set(self.axes):
            return 0, 0
        return int(self.shape[self.axes.index("Y")]), int(self.shape[self.axes.index("X")])

    def __str__(self) -> str:
        rows, cols = self.size
        return f"{self.number}: {self.name or 'without a name'}, {cols} x {rows}"


@dataclass(frozen=True, slots=True)
class PictureChoice:
    """Which picture is taken.

    Attributes
    ----------
    chosen : int, optional
        Its number; None when there is none.
    notes : tuple of str
        Sentences about other pictures that are not read.
    """

    chosen: int | None
    notes: tuple[str, ...] = ()


def choose_picture(pictures: list[PictureInFile], wanted: str | int | None, name: str) -> PictureChoice:
    """Take the wanted picture, or the largest one.

    What others there are is said.

    Raises
    ------
    UserInputError
        If there is no such picture; the message lists those that are there.
    """
    usable = [p for p in pictures if math.prod(p.size) > 0]
    if not usable:
        return PictureChoice(None)
    listing = "; ".join(str(p) for p in usable[:_SHOWN]) + ("; ..." if len(usable) > _SHOWN else "")
    if wanted is not None:
        picture = next((p for p in usable if str(wanted) in (str(p.number), p.name)), None)
        if picture is None:
            raise UserInputError(f"{name} has no picture {str(wanted)[:40]!r}; it holds {listing}.")
    else:
        picture = max(usable, key=lambda p: math.prod(p.size))
    notes = []
    rivals = [p for p in usable if p is not picture and math.prod(p.size) >= RIVAL * math.prod(picture.size)]
    if rivals and wanted is None:
        notes.append(
            f"{name} holds several pictures ({listing}); {picture.number} is read, choose another with --image N."
        )
    return PictureChoice(picture.number, tuple(notes))
