"""Names and colours of labels in files of their own.

Those of ITK-SNAP and 3D Slicer, and tables.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import UserInputError
from napari_sam2.io.atomic import write_text
from napari_sam2.io.sidecar import sidecar_paths
from napari_sam2.terms.terminology import Term, terms_from_table

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from napari_sam2.terms.structures import Structure

__all__ = ["find_terms", "read_terms", "write_itksnap_labels", "write_slicer_colours"]

LARGEST_BYTES: Final = 4 << 20
"""A list of some ten thousand names."""

_ITKSNAP_LINE: Final = re.compile(
    r'\s*([0-9]{1,10})\s+([0-9]{1,3})\s+([0-9]{1,3})\s+([0-9]{1,3})\s+[0-9.]+\s+[0-9]\s+[0-9]\s+"(.*)"\s*'
)
"""As ColorLabelTable.cxx of ITK-SNAP scans a line: index, red, green, blue, opacity, visible, mesh, name."""

_ITKSNAP_HEADER = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Fields:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    MSH:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
"""


def read_terms(path: str | os.PathLike[str]) -> list[Term]:
    """Read a list of names from a table or label description.

    A table is CSV or TSV, a description ITK-SNAP's; content decides.

    Raises
    ------
    UserInputError
        If the file cannot be read, or a line of it cannot be understood.
    """
    source = Path(path)
    try:
        if source.stat().st_size > LARGEST_BYTES:
            raise UserInputError(f"{source.name} is too large to be a list of names.")
        text = source.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserInputError(f"{source.name} cannot be read as a list of names ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UserInputError(f"{source.name} cannot be read as a list of names: it is no text in UTF-8.") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    try:
        if lines and _ITKSNAP_LINE.fullmatch(lines[0]):
            terms = [_itksnap_term(line) for line in lines]
            terms = [term for term in terms if term.label_id]
        else:
            terms = terms_from_table(text)
    except UserInputError as error:
        raise UserInputError(f"{source.name}: {error}") from error
    if not terms:
        raise UserInputError(f"{source.name} holds no names.")
    return terms


def find_terms(labels_path: str | os.PathLike[str]) -> dict[int, Term]:
    """Names, codes and colours by id from a label map's table.

    The ``.tsv`` beside it; empty if none can be read.
    """
    table = sidecar_paths(labels_path)[1]
    if not table.is_file():
        return {}
    try:
        return {term.label_id: term for term in read_terms(table) if term.label_id is not None}
    except UserInputError:
        return {}


def _itksnap_term(line: str) -> Term:
    match = _ITKSNAP_LINE.fullmatch(line)
    channels = [] if match is None else [int(match[n]) for n in (2, 3, 4)]
    if match is None or max(channels) > 255:
        raise UserInputError(f"the line {line.strip()[:60]!r} is not one of an ITK-SNAP label description.")
    return Term(match[5], None, (channels[0], channels[1], channels[2]), int(match[1]))


def write_itksnap_labels(
    structures: Sequence[Structure], path: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write ITK-SNAP's label description file.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        If the file cannot be written, or exists and may not be replaced.
    """
    lines = ['    0     0    0    0        0  0  0    "Clear Label"']
    for s in structures:
        red, green, blue = s.colour
        name = " ".join(s.name.split()).replace('"', "'")  # the format knows no escape
        lines.append(f'{s.label_id:5d}   {red:3d}  {green:3d}  {blue:3d}        1  1  1    "{name}"')
    return write_text(path, _ITKSNAP_HEADER + "\n".join(lines) + "\n", overwrite=overwrite)


def write_slicer_colours(
    structures: Sequence[Structure], path: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write 3D Slicer's colour table (``.ctbl``).

    It gives a NIfTI label map its names there.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        If the file cannot be written, or exists and may not be replaced.
    """
    lines = ["# Color table file made by napari-sam2", "0 background 0 0 0 0"]
    for s in structures:
        red, green, blue = s.colour
        lines.append(f"{s.label_id} {'_'.join(s.name.split())} {red} {green} {blue} 255")  # split at spaces
    return write_text(path, "\n".join(lines) + "\n", overwrite=overwrite)
