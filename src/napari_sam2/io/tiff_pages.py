"""Pages of a TIFF: whether all of a stack are stored alike."""

from __future__ import annotations

from typing import Any

from napari_sam2.errors import ImageFileError

__all__ = ["check_alike"]


def check_alike(tiff: Any, name: str) -> None:
    """Refuse a stack whose pages are not stored as its first one.

    tifffile decodes all pages of an ImageJ or OME stack as it does the first, whatever each says of its bits, strips
    and compression.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        Open; its first series is meant.
    name : str
        For the message.

    Raises
    ------
    ImageFileError
        If a page differs.
    """
    series = tiff.series[0]
    if series.is_multifile:
        return
    pages = tiff.pages if tiff.is_imagej else (page for page in series.pages if page is not None)
    for page in pages:
        if not page.is_virtual and page.aspage().hash != series.keyframe.hash:
            raise ImageFileError(
                f"{name} is damaged: its page {page.index + 1} is stored unlike the first; export it again."
            )
