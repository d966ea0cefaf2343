"""Frames that a DICOM file can hold, against those that it announces."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_sam2.errors import ImageFileError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_announced", "check_length"]

COMPRESSED_FRAME = 8
"""Least bytes of a compressed frame: the tag and the length of its item (PS3.5, annex A.4)."""


def check_announced(path: Path, tags: Any) -> None:
    """Refuse more frames than the file has room for.

    Before anything is made for each of them.

    Parameters
    ----------
    path : Path
        The file.
    tags : pydicom.Dataset
        Its tags; pixels may be left out.

    Raises
    ------
    ImageFileError
        With both numbers.
    """
    count = int(tags.get("NumberOfFrames") or 1)
    least = COMPRESSED_FRAME if _is_compressed(tags) else max(1, math.floor(_bytes_of_frame(tags)))
    if count > 1 and count * least > path.stat().st_size:
        raise ImageFileError(
            f"{path.name} announces {count} frames and is too small for them; it is truncated or damaged, copy it "
            "again."
        )


def check_length(dataset: Any, name: str) -> None:
    """Refuse frames that do not fill the pixels they are cut from.

    Each would begin within the one before.

    Raises
    ------
    ImageFileError
        If a row or more is left over.
    """
    count = int(dataset.get("NumberOfFrames") or 1)
    if count < 2 or _is_compressed(dataset) or "PixelData" not in dataset:
        return
    left = len(dataset.PixelData) - count * _bytes_of_frame(dataset)
    if left >= max(2.0, _bytes_of_frame(dataset) / max(1, int(dataset.Rows))):
        raise ImageFileError(
            f"{name} announces {count} frames of {int(dataset.Rows)} x {int(dataset.Columns)} pixels and holds "
            f"{math.floor(left)} bytes more; one of the two is wrong, export it again."
        )


def _is_compressed(dataset: Any) -> bool:
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    return bool(syntax is not None and not syntax.is_private and syntax.is_compressed)


def _bytes_of_frame(dataset: Any) -> float:
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if str(dataset.get("PhotometricInterpretation", "")) == "YBR_FULL_422":
        samples = 2
    return int(dataset.Rows) * int(dataset.Columns) * samples * int(dataset.get("BitsAllocated") or 8) / 8
