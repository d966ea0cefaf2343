"""Prompts, masks and terms of a volume's session as JSON.

And back, checked against the volume.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.core.checked import (
    NewerError,
    bits_of,
    colour_of,
    flag_of,
    list_of,
    mask_of,
    number_of,
    text_of,
    whole_of,
)
from napari_sam2.core.prompts import LARGEST_ID, Box, MaskPrompt, Point, Prompt
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores
from napari_sam2.core.window import Window
from napari_sam2.terms.terminology import Code, Term

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.core.volume import Volume

__all__ = [
    "LONGEST_AXIS",
    "axis_of",
    "code_from_json",
    "code_to_json",
    "id_of",
    "index_of",
    "prompt_from_json",
    "prompt_to_json",
    "prompts_from_json",
    "prompts_to_json",
    "result_from_json",
    "result_to_json",
    "term_from_json",
    "window_from_json",
    "window_to_json",
]

Json = dict[str, Any]

LONGEST_AXIS: Final = 1 << 20

N_SCORES = 4


def id_of(value: Any) -> int:
    """An object's id."""
    return whole_of(value, 1, LARGEST_ID, "the id of an object")


def axis_of(value: Any) -> int:
    """A slice axis."""
    return whole_of(value, 0, 2, "an axis")


def index_of(value: Any, axis: int, volume: Volume) -> int:
    """A slice index."""
    return whole_of(value, 0, volume.shape[axis] - 1, "a slice")


def prompts_to_json(before: Sequence[Prompt], after: Sequence[Prompt]) -> Json:
    """Prompts as what was kept of those before, and what is new."""
    keep = 0
    for old, new in zip(before, after, strict=False):
        if old is not new and old != new:
            break
        keep += 1
    written: Json = {"value": [prompt_to_json(prompt) for prompt in after[keep:]]}
    return {"keep": keep, **written} if keep else written


def prompts_from_json(written: Json, before: Sequence[Prompt], volume: Volume) -> list[Prompt]:
    """The prompts again; `before` are those that the object had."""
    keep = whole_of(written.get("keep", 0), 0, len(before), "the number of kept prompts")
    return [*before[:keep], *(prompt_from_json(entry, volume) for entry in list_of(written["value"]))]


def prompt_to_json(prompt: Prompt) -> Json:
    """One prompt."""
    if isinstance(prompt, Point):
        return {"point": list(prompt.voxel), "positive": prompt.positive}
    if isinstance(prompt, Box):
        return {"box": [list(corner) for corner in prompt.corners]}
    return {"mask": bits_of(prompt.mask), "axis": prompt.axis, "slice": prompt.index}


def prompt_from_json(written: Any, volume: Volume) -> Prompt:
    """One prompt again."""
    if "point" in written:
        i, j, k = (
            number_of(c, -1.0, float(n), "a coordinate")
            for c, n in zip(list_of(written["point"], 3), volume.shape, strict=True)
        )
        return Point((i, j, k), flag_of(written["positive"]))
    if "box" in written:
        corners = [
            [whole_of(c, 0, n - 1, "a corner") for c, n in zip(list_of(corner, 3), volume.shape, strict=True)]
            for corner in list_of(written["box"], 2)
        ]
        (a, b, c), (d, e, f) = corners
        return Box(((a, b, c), (d, e, f)))
    if "mask" not in written:
        raise NewerError(f"it holds a prompt of the kind {', '.join(map(str, written))[:40]!r}")
    axis = axis_of(written["axis"])
    rows, cols = (n for along, n in enumerate(volume.shape) if along != axis)
    mask = mask_of(written["mask"], (rows, cols))
    if mask.shape != (rows, cols):
        raise ValueError(f"a mask of {mask.shape} does not fit slices of {(rows, cols)}")
    return MaskPrompt(mask, axis, index_of(written["slice"], axis, volume))


def result_to_json(result: SliceResult) -> Json:
    """A mask on a slice, with its scores."""
    scores = result.scores
    return {
        "axis": result.axis,
        "at": [result.mask.row, result.mask.col],
        "mask": bits_of(result.mask.crop),
        "scores": [
            _number_to_json(s)
            for s in (scores.object_score, scores.predicted_iou, scores.neighbour_iou, scores.direction_iou)
        ],
        "prompted": result.prompted,
    }


def result_from_json(written: Any, object_id: int, index: Any, volume: Volume) -> SliceResult:
    """The result again."""
    axis = axis_of(written["axis"])
    rows, cols = volume.plane(axis).shape
    row, col = list_of(written["at"], 2)
    row, col = whole_of(row, 0, rows, "a row"), whole_of(col, 0, cols, "a column")
    scores = SliceScores(*(_number_from_json(score) for score in list_of(written["scores"], N_SCORES)))
    mask = SliceMask(row, col, mask_of(written["mask"], (rows - row, cols - col)))
    prompted = flag_of(written["prompted"])
    return SliceResult(object_id, axis, index_of(index, axis, volume), mask, scores, prompted=prompted)


def code_to_json(code: Code | None) -> Json | None:
    """A code of a terminology."""
    return None if code is None else asdict(code)


def code_from_json(written: Any) -> Code | None:
    """The code again."""
    return None if written is None else Code(**{key: text_of(value, "a code") for key, value in written.items()})


def term_from_json(written: Any) -> Term:
    """A name with its code and colour."""
    return Term(text_of(written["name"]), code_from_json(written.get("code")), colour_of(written.get("colour")))


def window_to_json(window: Window) -> dict[str, Any]:
    """An intensity window as plain values."""
    return {"low": window.low, "high": window.high, "name": window.name}


def window_from_json(written: Any) -> Window:
    """An intensity window."""
    low, high = (number_of(written[end], -1e30, 1e30, "a window") for end in ("low", "high"))
    if not low <= high:
        raise ValueError(f"a window must not fall, got {low:g} to {high:g}")
    return Window(low, high, text_of(written["name"]))


def _number_to_json(value: float) -> float | str:
    # JSON has no names for these.
    return value if math.isfinite(value) else str(value)


def _number_from_json(written: Any) -> float:
    if isinstance(written, str):
        if written not in ("nan", "inf", "-inf"):
            raise ValueError(f"a score must be a number, got {written[:40]!r}")
        return float(written)
    return float(number_of(written, -1e30, 1e30, "a score"))
