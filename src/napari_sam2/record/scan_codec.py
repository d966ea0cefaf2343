"""How prompts, masks and changes are written as JSON, and read back exactly."""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.history import MISSING, Change
from napari_sam2.core.prompts import Box, MaskPrompt, Point, Prompt
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores
from napari_sam2.session.objects import SegmentedObject
from napari_sam2.terms.terminology import Code

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["change_from_json", "change_to_json"]

Json = dict[str, Any]


def change_to_json(change: Change) -> Json:
    """What a change put in place; what it replaced is known from the events before."""
    written: Json = {"object": change.object_id, "field": change.field}
    if change.index is not None:
        written["slice"] = change.index
    if change.after is MISSING:
        written["gone"] = True
    else:
        written["value"] = _value_to_json(change.field, change.after)
    return written


def change_from_json(written: Json, before: Any) -> Change:
    """The change again; `before` is what is there now."""
    field, index = written["field"], written.get("slice")
    after = MISSING if written.get("gone") else _value_from_json(written, before)
    return Change(written["object"], field, index, before, after)


def _value_to_json(field: str, value: Any) -> Any:
    if field == "prompts":
        return [_prompt_to_json(prompt) for prompt in value]
    if field == "results":
        return _result_to_json(value)
    if field == "anchors":
        # How a model saw the slice is not kept: its mask says enough to go on from.
        return None
    if field == "code":
        return None if value is None else asdict(value)
    if field == "object":
        code = _value_to_json("code", value.code)
        return {"name": value.name, "axis": value.axis, "code": code, "colour": value.colour}
    return value


def _value_from_json(written: Json, before: Any) -> Any:
    field, value = written["field"], written["value"]
    if field == "prompts":
        return [_prompt_from_json(prompt) for prompt in value]
    if field == "results":
        return _result_from_json(value, written["object"], written["slice"])
    if field == "object":
        obj = SegmentedObject(written["object"], value["name"], axis=value["axis"])
        obj.code, obj.colour = _code_from_json(value.get("code")), _colour_from_json(value.get("colour"))
        return obj
    if field == "code":
        return _code_from_json(value)
    return _colour_from_json(value) if field == "colour" else value


def _code_from_json(written: Json | None) -> Code | None:
    return None if written is None else Code(**written)


def _colour_from_json(written: list[int] | None) -> tuple[int, int, int] | None:
    return None if written is None else (written[0], written[1], written[2])


def _prompt_to_json(prompt: Prompt) -> Json:
    if isinstance(prompt, Point):
        return {"point": list(prompt.voxel), "positive": prompt.positive}
    if isinstance(prompt, Box):
        return {"box": [list(corner) for corner in prompt.corners]}
    return {"mask": _bits_to_json(prompt.mask), "axis": prompt.axis, "slice": prompt.index}


def _prompt_from_json(written: Json) -> Prompt:
    if "point" in written:
        i, j, k = written["point"]
        return Point((i, j, k), written["positive"])
    if "box" in written:
        (a, b, c), (d, e, f) = written["box"]
        return Box(((a, b, c), (d, e, f)))
    return MaskPrompt(_bits_from_json(written["mask"]), written["axis"], written["slice"])


def _result_to_json(result: SliceResult) -> Json:
    scores = result.scores
    return {
        "axis": result.axis,
        "at": [result.mask.row, result.mask.col],
        "mask": _bits_to_json(result.mask.crop),
        "scores": [
            _number_to_json(s)
            for s in (scores.object_score, scores.predicted_iou, scores.neighbour_iou, scores.direction_iou)
        ],
        "prompted": result.prompted,
    }


def _result_from_json(written: Json, object_id: int, index: int) -> SliceResult:
    row, col = written["at"]
    scores = SliceScores(*(_number_from_json(score) for score in written["scores"]))
    mask = SliceMask(row, col, _bits_from_json(written["mask"]))
    return SliceResult(object_id, written["axis"], index, mask, scores, prompted=written["prompted"])


def _bits_to_json(mask: NDArray[np.bool_]) -> Json:
    """A mask as its shape and its bits, packed and compressed."""
    packed = zlib.compress(np.packbits(mask).tobytes(), 6)
    return {"shape": list(mask.shape), "bits": base64.b64encode(packed).decode("ascii")}


def _bits_from_json(written: Json) -> NDArray[np.bool_]:
    height, width = written["shape"]
    packed = np.frombuffer(zlib.decompress(base64.b64decode(written["bits"])), dtype=np.uint8)
    return np.unpackbits(packed, count=height * width).astype(bool).reshape(height, width)


def _number_to_json(value: float) -> float | str:
    # JSON has no names for these.
    return value if math.isfinite(value) else str(value)


def _number_from_json(written: float | str) -> float:
    return float(written)
