"""Names of structures with codes and colours, bundled or from tables.

The bundled list is ``anatomy.csv``, in the form in which `terms_from_table` reads any list: copy it, change it,
load it.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import UserInputError
from napari_sam2.tables import plain_cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

__all__ = [
    "ABNORMAL",
    "BODY",
    "CATEGORIES",
    "ORGAN",
    "TISSUE",
    "Code",
    "Term",
    "bundled_terms",
    "find_code",
    "find_term",
    "terms_from_table",
]

ORGAN, TISSUE, BODY, ABNORMAL = "organ", "tissue", "structure", "abnormal"
CATEGORIES: Final = (ORGAN, TISSUE, BODY, ABNORMAL)

_NAMES, _IDS, _COLOURS = ("name", "structure", "label"), ("index", "id", "label_id", "value"), ("color", "colour")
_CHANNELS: Final = (("red", "green", "blue"), ("r", "g", "b"))
_NOTHING: Final = ("", "n/a")


@dataclass(frozen=True, slots=True)
class Code:
    """A coded term, as DICOM and Slicer write it.

    Attributes
    ----------
    value : str
        Code, for example ``"10200004"``.
    meaning : str
        Its name in the coding scheme.
    category : str
        ``"organ"``, ``"tissue"``, ``"structure"`` or ``"abnormal"``.
    scheme : str
        ``"SCT"`` is SNOMED CT.
    """

    value: str
    meaning: str
    category: str
    scheme: str = "SCT"

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}"


@dataclass(frozen=True, slots=True)
class Term:
    """A name that an object can be given.

    Attributes
    ----------
    name : str
        For people.
    code : Code, optional
        What it is, for machines.
    colour : tuple of int, optional
        Red, green, blue, 0 to 255, where the list says it.
    label_id : int, optional
        The object it is meant for, where the list says it.
    """

    name: str
    code: Code | None = None
    colour: tuple[int, int, int] | None = None
    label_id: int | None = None


@cache
def bundled_terms() -> tuple[Term, ...]:
    """Common anatomical names and findings.

    Codes and meanings as in the dictionary of DICOM PS3.16.

    A side ("left kidney") stays in the name alone: the code is that of the organ.
    """
    return tuple(terms_from_table(files("napari_sam2.terms").joinpath("anatomy.csv").read_text(encoding="utf-8")))


def find_term(name: str, terms: Iterable[Term]) -> Term | None:
    """The first term of this name, whatever its case.

    Nothing is guessed from parts of a name.
    """
    plain_name = _plain(name)
    return next((term for term in terms if _plain(term.name) == plain_name), None)


def find_code(name: str) -> Code | None:
    """The bundled list's code for a structure's name in English, or None."""
    return _bundled_codes().get(_plain(name))


def terms_from_table(text: str) -> list[Term]:
    """Read a list from a table with a header line.

    Commas, semicolons or tabs separate the columns.

    Columns: ``name``; optional ``index``, ``color`` (``#rrggbb``) or ``red``, ``green``, ``blue``, ``code``
    (``10200004`` or ``SCT:10200004``), ``scheme``, ``meaning``, ``category``. Others are left alone; index 0 is
    background and left out.

    Raises
    ------
    UserInputError
        Naming the line that cannot be understood.
    """
    header = text.partition("\n")[0]
    separator = max("\t;,", key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=separator)
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
    if not any(column in reader.fieldnames for column in _NAMES):
        raise UserInputError("The table has no column 'name' in its first line.")
    terms: list[Term] = []
    for row in _rows(reader):
        cells = {key: (cell or "").strip() for key, cell in row.items() if isinstance(cell, str | None)}
        try:
            term = Term(plain_cell(_first(cells, _NAMES)), _code(cells), _colour(cells), _label_id(cells))
        except ValueError as error:
            raise UserInputError(f"Line {reader.line_num} of the table: {error}") from error
        if term.name and term.label_id != 0:
            terms.append(term)
    return terms


def _rows(reader: csv.DictReader[str]) -> Iterator[dict[str, Any]]:
    try:
        yield from reader
    except csv.Error as error:
        raise UserInputError(f"Line {reader.line_num} of the table cannot be read ({error}).") from error


@cache
def _bundled_codes() -> dict[str, Code]:
    return {_plain(term.name): term.code for term in bundled_terms() if term.code is not None}


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())


def _first(cells: Mapping[str, str], columns: Iterable[str]) -> str:
    return next((cells[column] for column in columns if cells.get(column, "") not in _NOTHING), "")


def _label_id(cells: Mapping[str, str]) -> int | None:
    written = _first(cells, _IDS)
    if not written:
        return None
    if re.fullmatch("[0-9]{1,10}", written) is None:
        raise ValueError(f"the index {written[:20]!r} is not a whole number.")
    return int(written)


def _code(cells: Mapping[str, str]) -> Code | None:
    written = _first(cells, ("code",))
    if not written:
        return None
    scheme, _, value = written.rpartition(":")
    category = _first(cells, ("category",)).lower() or BODY
    if category not in CATEGORIES:
        raise ValueError(f"the category {category!r} is none of {', '.join(CATEGORIES)}.")
    meaning = _first(cells, ("meaning",)) or _first(cells, _NAMES)
    return Code(value, meaning, category, scheme or _first(cells, ("scheme",)) or "SCT")


def _colour(cells: Mapping[str, str]) -> tuple[int, int, int] | None:
    written = _first(cells, _COLOURS)
    if written:
        digits = written.removeprefix("#")
        if len(digits) != 6 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            raise ValueError(f"the colour {written!r} is not of the form #rrggbb.")
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    for columns in _CHANNELS:
        channels = [cells.get(column, "") for column in columns]
        if not any(channels):
            continue
        if not all(re.fullmatch("[0-9]{1,3}", channel) and int(channel) <= 255 for channel in channels):
            raise ValueError(f"the colour {', '.join(channels)} is not three numbers from 0 to 255.")
        red, green, blue = (int(channel) for channel in channels)
        return red, green, blue
    return None
