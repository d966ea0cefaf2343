"""A table of figures, as the window shows and copies it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_sam2.tables import csv_text

__all__ = ["FigureTable", "shown_number"]

Cell = str | int | float


@dataclass(frozen=True, slots=True)
class FigureTable:
    """Figures about the objects of a scan.

    Attributes
    ----------
    title : str
        What they say, in a few words.
    headers : tuple of str
        With units in brackets.
    rows : tuple of tuple
        One cell for each header; a number that means nothing is NaN.
    object_ids : tuple of int
        Whose row each is.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    object_ids: tuple[int, ...]

    @property
    def text(self) -> str:
        """All of it, tab-separated, for a spreadsheet."""
        return csv_text([dict(zip(self.headers, row, strict=True)) for row in self.rows], "\t")


def shown_number(cell: Cell) -> str:
    """A cell for the eye: three digits or so.

    A dash where there is nothing.
    """
    if not isinstance(cell, float):
        return str(cell)
    if math.isnan(cell):
        return "–"
    return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"
