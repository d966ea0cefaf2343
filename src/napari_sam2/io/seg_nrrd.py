"""Segmentations of 3D Slicer (``.seg.nrrd``).

Labels with names, colours and terminology in one file.

The key/value pairs are those of Slicer's vtkMRMLSegmentationStorageNode.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.labels import label_dtype
from napari_sam2.errors import ImageFileError, UserInputError
from napari_sam2.io.atomic import write_bytes
from napari_sam2.io.lattice import onto_grid
from napari_sam2.io.lps import lps_from_affine
from napari_sam2.io.nrrd import nrrd_header, read_nrrd_array
from napari_sam2.terms.structures import UNKNOWN, Structure
from napari_sam2.terms.terminology import ABNORMAL, BODY, ORGAN, TISSUE

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["is_seg_nrrd", "read_seg_nrrd", "write_seg_nrrd"]

LARGEST_ID: Final = 2**31 - 1
_TYPES: Final = {"uint8": "unsigned char", "uint16": "unsigned short", "int32": "int"}
_EMPTY: Final = [0, -1] * 3
"""The extent of a segment without a voxel, as VTK has it."""

_CATEGORIES: Final = {
    ORGAN: "SCT^123037004^Anatomical Structure",
    BODY: "SCT^123037004^Anatomical Structure",
    TISSUE: "SCT^85756007^Tissue",
    ABNORMAL: "SCT^49755003^Morphologically Altered Structure",
}
"""As in Slicer's own list "Segmentation category and type - 3D Slicer General Anatomy list"."""


def write_seg_nrrd(
    labels: NDArray[Any],
    volume: Volume,
    path: str | os.PathLike[str],
    structures: Sequence[Structure],
    *,
    overwrite: bool = False,
) -> Path:
    """Write labels as a Slicer segmentation.

    It covers the whole grid of the image.

    Parameters
    ----------
    labels : (I, J, K) array of integers
        On the grid of `volume`.
    volume : Volume
        Gives the geometry.
    path : path-like
        A name ending in ``.seg.nrrd``, by which Slicer knows what it is.
    structures : sequence of Structure
        One per label id.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        If the name or the labels are unsuitable, or the file cannot be written.
    """
    target = Path(path)
    if not target.name.lower().endswith(".seg.nrrd"):
        raise UserInputError(f"{target.name}: Slicer knows segmentations by the ending .seg.nrrd; use such a name.")
    if labels.shape != volume.shape:
        raise UserInputError(f"Labels must have the volume's shape {volume.shape}; got {labels.shape}.")
    dtype = np.dtype(label_dtype(int(labels.max())))
    payload, extents = _packed(labels, dtype)
    header = _header(labels.shape, dtype, volume, structures, extents)
    return write_bytes(target, header.encode() + b"\n" + payload, overwrite=overwrite)


def _packed(labels: NDArray[Any], dtype: np.dtype[Any]) -> tuple[bytes, dict[int, list[int]]]:
    """All labels as gzip, first axis fastest, and where each id lies; slice by slice, so that nothing is copied whole.

    The extent of an id is its first and last index along each axis.
    """
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    pieces: list[bytes] = []
    extents: dict[int, list[int]] = {}
    for k in range(labels.shape[2]):
        plane = labels[:, :, k]
        stored = plane.astype(dtype.newbyteorder("<"))
        if not np.array_equal(stored, plane):
            raise UserInputError("Label ids must be whole numbers of 0 or more.")
        pieces.append(packer.compress(stored.tobytes(order="F")))
        for label_id in np.unique(stored[stored > 0]).tolist():
            i, j = np.nonzero(stored == label_id)
            low = [int(i.min()), int(j.min()), k]
            high = [int(i.max()), int(j.max()), k]
            known = extents.get(label_id)
            if known is not None:
                low = [min(a, b) for a, b in zip(low, known[::2], strict=True)]
                high = [max(a, b) for a, b in zip(high, known[1::2], strict=True)]
            extents[label_id] = [n for pair in zip(low, high, strict=True) for n in pair]
    pieces.append(packer.flush())
    return b"".join(pieces), extents


def is_seg_nrrd(path: Path) -> bool:
    """Whether a NRRD file is a segmentation of Slicer."""
    return any(key.startswith("Segmentation_") for key in nrrd_header(path)[0])


def read_seg_nrrd(path: str | os.PathLike[str], volume: Volume) -> tuple[NDArray[Any], dict[int, str]]:
    """Read a Slicer segmentation onto the grid of an image.

    Slicer may have cropped it, or spread it over layers.

    Returns
    -------
    labels : (I, J, K) array
        Label values.
    names : dict of int to str
        Segment names.

    Raises
    ------
    ImageFileError
        If the file is damaged, or its segments overlap.
    GeometryError
        If it lies on another grid.
    """
    file = Path(path)
    stored = read_nrrd_array(file)
    segments = _segments(stored.header)
    array = stored.voxels[..., 0]
    if stored.voxels.shape[3] > 1:
        array, segments = _merged(stored.voxels, segments, file.name)
    labels = onto_grid(array, stored.affine, volume, file.name)
    names = {value: name for _, value, name in segments}
    return labels.astype(label_dtype(int(labels.max())), copy=False), names


def _segments(header: dict[str, str]) -> list[tuple[int, int, str]]:
    """Layer, label value and name of each segment."""
    segments, number = [], 0
    while f"Segment{number}_LabelValue" in header:
        value, layer = (header.get(f"Segment{number}_{key}", "0").strip() for key in ("LabelValue", "Layer"))
        if value.isdecimal() and layer.isdecimal() and int(value) <= LARGEST_ID:
            name = header.get(f"Segment{number}_Name", f"object {value}")
            segments.append((int(layer), int(value), _unescaped(name)))
        number += 1
    return segments


def _merged(
    layers: NDArray[Any], segments: list[tuple[int, int, str]], name: str
) -> tuple[NDArray[Any], list[tuple[int, int, str]]]:
    """Several layers as one label map; segments are numbered anew where two layers use one value."""
    values = [value for _, value, _ in segments]
    if len(set(values)) == len(values):
        numbered = segments
    else:
        numbered = [(layer, number, segment) for number, (layer, _, segment) in enumerate(segments, start=1)]
    merged = np.zeros(layers.shape[:3], label_dtype(max((n for _, n, _ in numbered), default=0)))
    for (layer, value, segment), (_, number, _) in zip(segments, numbered, strict=True):
        if layer >= layers.shape[3]:
            raise ImageFileError(f"{name} is damaged: {segment} lies in layer {layer}, which is not there.")
        mask = layers[..., layer] == value
        if merged[mask].any():
            raise ImageFileError(
                f"{name} has segments that overlap ({segment} and another one), which one label map cannot hold; in "
                "Slicer, export them to a labelmap first."
            )
        merged[mask] = number
    return merged, numbered


def _header(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    volume: Volume,
    structures: Sequence[Structure],
    extents: dict[int, list[int]],
) -> str:
    lps = lps_from_affine(volume.affine)
    lines = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {_TYPES[dtype.name]}",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(n) for n in shape),
        "space directions: " + " ".join(_vector(lps[:3, axis]) for axis in range(3)),
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(lps[:3, 3])}",
    ]
    for number, structure in enumerate(structures):
        lines += [f"Segment{number}_{key}:={value}" for key, value in _segment(structure, extents)]
    lines += [
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_ConversionParameters:=",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]
    return "\n".join(lines) + "\n"


def _segment(structure: Structure, extents: dict[int, list[int]]) -> list[tuple[str, str]]:
    code = structure.code or UNKNOWN
    terminology = (
        "Segmentation category and type - 3D Slicer General Anatomy list"
        f"~{_CATEGORIES[code.category]}~{code.scheme}^{code.value}^{code.meaning}~^^"
        "~Anatomic codes - DICOM master list~^^~^^"
    )
    return [
        ("Color", " ".join(f"{c / 255:.6g}" for c in structure.colour)),
        ("ColorAutoGenerated", "0"),
        ("Extent", " ".join(str(n) for n in extents.get(structure.label_id, _EMPTY))),
        ("ID", f"Segment_{structure.label_id}"),
        ("LabelValue", str(structure.label_id)),
        ("Layer", "0"),
        ("Name", _escaped(structure.name)),
        ("NameAutoGenerated", "0"),
        ("Tags", f"Segmentation.Status:inprogress|TerminologyEntry:{terminology}|"),
    ]


def _vector(values: NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(v)) for v in values) + ")"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\")


def _unescaped(text: str) -> str:
    return text.replace("\\\\", "\\")
