"""Names and colours for programs that keep them apart from the label map: ITK-SNAP and 3D Slicer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.io.atomic import write_text

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam2.structures import Structure

__all__ = ["write_itksnap_labels", "write_slicer_colours"]

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
    """Write 3D Slicer's colour table (``.ctbl``), which gives a NIfTI label map its names there.

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
