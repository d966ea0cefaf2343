"""What goes over the wire: messages, masks and frames.

Both sides read with `unpacked` and the functions below it, which take nothing on trust: lengths are checked before
anything is sliced, and sizes before anything is inflated. docs/remote.md is the page on the protocol.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.checked import flag_of, list_of, number_of, whole_of
from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "ALIVE_SECONDS",
    "PROTOCOL",
    "Message",
    "frame",
    "header_from_json",
    "mask_from_wire",
    "mask_to_wire",
    "object_of",
    "packed",
    "prompts_from_wire",
    "prompts_to_wire",
    "result_from_wire",
    "result_to_wire",
    "scores_from_wire",
    "scores_to_wire",
    "unpacked",
]

PROTOCOL: Final = 1
"""Both sides must speak the same one."""

ALIVE_SECONDS: Final = 5.0
"""A stream is never silent for longer, so that a proxy keeps it and a client knows that somebody is there."""

LARGEST_HEADER: Final = 1 << 20
MOST_BLOBS: Final = 4096
MOST_POINTS: Final = 4096
FARTHEST: Final = 1e6
"""Voxels; no slice is wider."""

_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Message:
    """A header, and the bytes that it speaks of.

    Attributes
    ----------
    header : dict
        As JSON.
    blobs : list of bytes
        Numbered by the header.
    """

    header: dict[str, Any]
    blobs: list[bytes]


def packed(header: dict[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """A message as bytes: length of the header, header, blobs."""
    text = json.dumps({**header, "blobs": [len(blob) for blob in blobs]}).encode()
    return b"".join([_LENGTH.pack(len(text)), text, *blobs])


def unpacked(body: bytes, *, finite: bool = True) -> Message:
    """The message again.

    Parameters
    ----------
    body : bytes
        See `packed`.
    finite : bool
        Whether NaN and infinities are refused, as a server does.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    if len(body) < _LENGTH.size:
        raise ValueError("the message is cut off")
    (length,) = _LENGTH.unpack_from(body)
    if length > min(LARGEST_HEADER, len(body) - _LENGTH.size):
        raise ValueError("the header of the message is cut off or too long")
    start = _LENGTH.size + length
    header = header_from_json(body[_LENGTH.size : start], finite=finite)
    blobs = []
    lengths = list_of(header.pop("blobs", None), what="the list of blobs")
    if len(lengths) > MOST_BLOBS:
        raise ValueError(f"a message has at most {MOST_BLOBS} blobs")
    for size in lengths:
        stop = start + whole_of(size, 0, len(body) - start, "the length of a blob")
        blobs.append(body[start:stop])
        start = stop
    if start != len(body):
        raise ValueError("the message is longer than its header says")
    return Message(header, blobs)


def header_from_json(text: bytes, *, finite: bool = True) -> dict[str, Any]:
    """A JSON object.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    try:
        header = json.loads(text, parse_constant=_refuse if finite else None)
    except RecursionError as error:
        raise ValueError("the header is nested too deeply") from error
    if not isinstance(header, dict):
        raise ValueError("the header must be a JSON object")
    return header


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no finite number")


def frame(message: bytes) -> bytes:
    """A message as a frame of a stream: its length before it."""
    return _LENGTH.pack(len(message)) + message


def mask_to_wire(mask: SliceMask, blobs: list[bytes]) -> dict[str, Any]:
    """A mask as its place, and its bits added to `blobs`."""
    blobs.append(zlib.compress(np.packbits(mask.crop).tobytes(), 1))
    return {"row": mask.row, "col": mask.col, "size": list(mask.shape), "blob": len(blobs) - 1}


def mask_from_wire(written: Any, blobs: Sequence[bytes], shape: tuple[int, int]) -> SliceMask:
    """The mask again, which lies on a slice of `shape`."""
    written = object_of(written, "a mask")
    height, width = list_of(written.get("size"), 2, "the size of a mask")
    whole_of(height, 0, shape[0], "the height of a mask")
    whole_of(width, 0, shape[1], "the width of a mask")
    row = whole_of(written.get("row"), 0, shape[0] - height, "the row of a mask")
    col = whole_of(written.get("col"), 0, shape[1] - width, "the column of a mask")
    return SliceMask(row, col, _bits(_blob(written, blobs), height, width))


def full_mask_of(mask: NDArray[np.bool_]) -> SliceMask:
    """A whole mask, not cropped."""
    return SliceMask(0, 0, np.ascontiguousarray(mask, dtype=bool))


def _blob(written: dict[str, Any], blobs: Sequence[bytes]) -> bytes:
    return blobs[whole_of(written.get("blob"), 0, len(blobs) - 1, "the number of a blob")]


def _bits(blob: bytes, height: int, width: int) -> NDArray[np.bool_]:
    n_bytes = (height * width + 7) // 8
    inflated = zlib.decompressobj()
    try:
        bits = inflated.decompress(blob, n_bytes + 1)
    except zlib.error as error:
        raise ValueError("the bits of a mask are damaged") from error
    if len(bits) != n_bytes or (n_bytes and not inflated.eof):
        raise ValueError(f"a mask of {height} x {width} must have {n_bytes} bytes")
    if n_bytes == 0:
        return np.zeros((height, width), dtype=bool)
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=height * width).astype(bool).reshape(height, width)


def scores_to_wire(scores: SliceScores) -> list[float]:
    """Four numbers."""
    numbers = (scores.object_score, scores.predicted_iou, scores.neighbour_iou, scores.direction_iou)
    return [float(number) for number in numbers]


def scores_from_wire(written: Any) -> SliceScores:
    """The scores again."""
    return SliceScores(*(float(number_of(number)) for number in list_of(written, 4, "scores")))


def result_to_wire(result: SliceResult) -> bytes:
    """A result of a run as a message."""
    blobs: list[bytes] = []
    header = {
        "kind": "slice",
        "object": result.object_id,
        "index": result.index,
        "prompted": result.prompted,
        "final": result.final,
        "scores": scores_to_wire(result.scores),
        "mask": mask_to_wire(result.mask, blobs),
    }
    return packed(header, blobs)


def result_from_wire(message: Message, axis: int, n_slices: int, shape: tuple[int, int]) -> SliceResult:
    """The result again, of slices across `axis`."""
    header = message.header
    return SliceResult(
        whole_of(header.get("object"), 0, 2**31 - 1, "an object"),
        axis,
        whole_of(header.get("index"), 0, n_slices - 1, "a slice"),
        mask_from_wire(header.get("mask"), message.blobs, shape),
        scores_from_wire(header.get("scores")),
        prompted=flag_of(header.get("prompted")),
        final=flag_of(header.get("final")),
    )


def prompts_to_wire(prompts: SlicePrompts, blobs: list[bytes]) -> dict[str, Any]:
    """The prompts of a slice; a mask is added to `blobs`."""
    return {
        "points": [[float(row), float(col)] for row, col in prompts.points],
        "positive": [bool(positive) for positive in prompts.positive],
        "box": None if prompts.box is None else [float(edge) for edge in prompts.box],
        "mask": None if prompts.mask is None else mask_to_wire(full_mask_of(prompts.mask), blobs),
    }


def prompts_from_wire(written: Any, blobs: Sequence[bytes], shape: tuple[int, int]) -> SlicePrompts:
    """The prompts again, at least one, on a slice of `shape`."""
    written = object_of(written, "prompts")
    points = [_point(point, shape) for point in list_of(written.get("points"), what="the points")]
    positive = [flag_of(flag) for flag in list_of(written.get("positive"), len(points), "the polarities")]
    if len(points) > MOST_POINTS:
        raise ValueError(f"a slice has at most {MOST_POINTS} points")
    mask = None
    if written.get("mask") is not None:
        mask = mask_from_wire(written["mask"], blobs, shape).full(shape)
    box = None if written.get("box") is None else _box(written["box"], shape)
    if mask is None and box is None and not any(positive):
        raise ValueError("a slice needs a positive point, a box or a mask")
    if mask is not None and not mask.any():
        raise ValueError("the given mask is empty")
    return SlicePrompts(np.array(points, float).reshape(-1, 2), np.array(positive, bool), box, mask)


def _point(written: Any, shape: tuple[int, int]) -> list[float]:
    row, col = list_of(written, 2, "a point")
    return [number_of(row, -0.5, shape[0] - 0.5, "a row"), number_of(col, -0.5, shape[1] - 0.5, "a column")]


def _box(written: Any, shape: tuple[int, int]) -> NDArray[np.float64]:
    row0, col0, row1, col1 = list_of(written, 4, "a box")
    for low, high, extent in ((row0, row1, shape[0]), (col0, col1, shape[1])):
        number_of(low, -0.5, extent - 0.5, "the edge of a box")
        number_of(high, -0.5, extent - 0.5, "the edge of a box")
        if high - low < 1:
            raise ValueError("a box must hold a voxel")
    return np.array([row0, col0, row1, col1], float)


def object_of(written: Any, what: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(written, dict):
        raise ValueError(f"{what} must be a JSON object, got {written!r:.40}")
    return written
