"""Objects of a slide as COCO JSON with run-length encoded masks."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import UserInputError
from napari_sam2.io.atomic import write_text
from napari_sam2.slides.polygons import polygon_to_mask

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_sam2.slides.objects import SlideObject

__all__ = ["category_id", "compress_counts", "run_lengths", "write_coco"]

LARGEST_IMAGE: Final = 2**32 - 1
"""Pixels: COCO's own library holds run lengths in 32 bits."""

STRIP: Final = 1 << 24
"""Pixels of an object that are rasterised at once."""


def write_coco(
    objects: Iterable[SlideObject],
    path: str | os.PathLike[str],
    slide_name: str,
    shape: tuple[int, int],
    *,
    scale: int = 1,
    overwrite: bool = False,
) -> int:
    """Write objects as annotations of one image.

    Parameters
    ----------
    objects : iterable of SlideObject
        In level-0 pixel corners.
    path : path-like
        The file to make.
    slide_name : str
        The image's file name.
    shape : tuple of int
        (rows, columns) of level 0.
    scale : int
        Level-0 pixels along one pixel of the masks.

    Returns
    -------
    int
        How many objects were written.

    Raises
    ------
    UserInputError
        If the image has too many pixels for COCO at this scale, or two classes would get one number.
    """
    size = (math.ceil(shape[0] / scale), math.ceil(shape[1] / scale))
    if size[0] * size[1] > LARGEST_IMAGE:
        raise UserInputError(
            f"{slide_name} has {size[0]} x {size[1]} pixels, more than COCO's run lengths can count; write GeoJSON, or "
            "COCO at a coarser scale."
        )
    categories: dict[int, str] = {}
    annotations = []
    for number, obj in enumerate(objects, start=1):
        name = obj.class_name or "object"
        category = category_id(name)
        if categories.setdefault(category, name) != name:
            raise UserInputError(
                f"The classes {name!r} and {categories[category]!r} would share a number in COCO; rename one of them."
            )
        annotations.append(_annotation(number, obj, category, size, scale))
    content = {
        "images": [{"id": 1, "file_name": slide_name, "height": size[0], "width": size[1]}],
        "categories": [{"id": n, "name": name} for n, name in sorted(categories.items(), key=lambda c: c[1])],
        "annotations": annotations,
    }
    write_text(path, json.dumps(content, allow_nan=False), overwrite=overwrite)
    return len(annotations)


def category_id(name: str) -> int:
    """The number of a class, the same in every file.

    The first 31 bits of the SHA-256 of its name, so that files that were written one by one belong together.
    """
    digest = hashlib.sha256(name.encode("utf-8", errors="surrogatepass")).digest()
    return max(1, int.from_bytes(digest[:4], "big") >> 1)


def run_lengths(obj: SlideObject, size: tuple[int, int], scale: int = 1) -> list[int]:
    """Run lengths of pixels: outside, inside, outside, ...

    Down the columns of an image of `size` (rows, columns).
    """
    if obj.geometry.is_empty:
        return [size[0] * size[1]]
    col0, row0, col1, row1 = (edge / scale for edge in obj.geometry.bounds)
    top, bottom = max(math.floor(row0), 0), min(math.ceil(row1), size[0])
    left, right = max(math.floor(col0), 0), min(math.ceil(col1), size[1])
    width = max(1, STRIP // max(bottom - top, 1))
    edges: list[NDArray[np.int64]] = []
    for start in range(left, right, width):
        columns = min(width, right - start)
        mask = polygon_to_mask(obj.geometry, top * scale, start * scale, (bottom - top, columns), scale)
        steps = np.diff(np.pad(mask, ((1, 1), (0, 0))).astype(np.int8), axis=0)
        col, row = np.nonzero(steps.T)
        edges.append((start + col) * size[0] + top + row)
    changes = np.concatenate([np.zeros(0, dtype=np.int64), *edges])
    # A run that ends at the foot of one column and goes on at the head of the next is one run.
    changes, times = np.unique(changes, return_counts=True)
    changes = changes[times == 1]
    total = size[0] * size[1]
    if len(changes) and changes[-1] == total:
        changes = changes[:-1]
    return [int(n) for n in np.diff(np.concatenate([[0], changes, [total]]))]


def compress_counts(counts: Sequence[int]) -> str:
    """Run lengths as COCO's string.

    From the fourth on as differences to the last but one, five bits a letter.
    """
    letters = []
    for index, count in enumerate(counts):
        rest = count - counts[index - 2] if index > 2 else count
        while True:
            low, rest = rest & 31, rest >> 5
            is_last = rest == (-1 if low & 16 else 0)
            letters.append(chr(48 + (low if is_last else low | 32)))
            if is_last:
                break
    return "".join(letters)


def _annotation(number: int, obj: SlideObject, category: int, size: tuple[int, int], scale: int) -> dict[str, Any]:
    counts = run_lengths(obj, size, scale)
    score = obj.score
    return {
        "id": number,
        "image_id": 1,
        "category_id": category,
        "iscrowd": 0,
        "area": sum(counts[1::2]),
        "bbox": _box(counts, size[0]),
        "segmentation": {"size": list(size), "counts": compress_counts(counts)},
        "object_id": obj.object_id,
        **({"plane": {"z": obj.plane[0], "t": obj.plane[1]}} if any(obj.plane) else {}),
        "score": score if score is not None and math.isfinite(score) else None,
    }


def _box(counts: Sequence[int], rows: int) -> list[int]:
    """Left, top, width and height of the pixels of a mask, as COCO's own library has them; 0 when there are none."""
    edges = np.cumsum(counts)
    starts, stops = edges[0::2][: len(counts) // 2], edges[1::2]
    filled = stops > starts
    starts, lasts = starts[filled], stops[filled] - 1
    if len(starts) == 0:
        return [0, 0, 0, 0]
    left, right = int(starts[0] // rows), int(lasts[-1] // rows)
    if (starts // rows != lasts // rows).any():  # a run that goes on in the next column touches both edges
        top, bottom = 0, rows - 1
    else:
        top, bottom = int((starts % rows).min()), int((lasts % rows).max())
    return [left, top, right - left + 1, bottom - top + 1]
