"""Requests, read and checked: what reaches the model has passed here.

Every number has its range and every list its length; what has not is a `ValueError`, which becomes an answer of 422.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.checked import list_of, number_of, text_of, whole_of
from napari_sam2.core.slice_masks import SliceMask, SliceScores
from napari_sam2.core.window import Window
from napari_sam2.engine.fit_plan import FitPlan
from napari_sam2.engine.sweeps import DIRECTIONS
from napari_sam2.remote.recipes import Lesson
from napari_sam2.remote.wire import mask_from_wire, object_of, prompts_from_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_sam2.core.prompts import SlicePrompts
    from napari_sam2.core.volume import SlicePlane
    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.remote.wire import Message

__all__ = [
    "EngineRequest",
    "FitRequest",
    "PredictRequest",
    "RunRequest",
    "engine_request",
    "fit_request",
    "keys_to_forget",
    "lease_id_of",
    "predict_request",
    "run_request",
    "volume_key_of",
    "volumes_to_forget",
]

LARGEST_KEY: Final = 1 << 53
MOST_OTHERS: Final = 256
MOST_OBJECTS: Final = 4096
MOST_ANCHORS: Final = 4096
MOST_LESSONS: Final = 8
MOST_VOLUMES: Final = 256
MOST_STEPS: Final = 1000
LARGEST_SPACING: Final = 1e6
SMALLEST_SPACING: Final = 1e-9
"""mm; microscopy goes down to nanometres."""

_SIDES: Final = {"L": (0, -1), "R": (0, 1), "P": (1, -1), "A": (1, 1), "I": (2, -1), "S": (2, 1)}

_NO_SCORES: Final = SliceScores(0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class EngineRequest:
    """An engine is wanted."""

    lease: str
    volume: str
    affine: NDArray[np.float64]
    oriented: bool
    axis: int
    window: Window
    model: SegmentationModel


@dataclass(frozen=True, slots=True, eq=False)
class PredictRequest:
    """A click is to be answered; anchors are named."""

    key: int
    index: int
    prompts: SlicePrompts
    previous: int | SliceMask | None
    others: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class RunRequest:
    """A run is wanted; anchors and fits are named."""

    objects: dict[int, list[int]]
    slices: range | None
    direction: str
    known: dict[int, str]
    plan: FitPlan | None
    skip: int


@dataclass(frozen=True, slots=True, eq=False)
class FitRequest:
    """A fit is to be made again."""

    lessons: list[Lesson]
    plan: FitPlan


def lease_id_of(value: Any) -> str:
    """A lease's name, 32 hexadecimal digits."""
    return _hex(value, 32, "the lease")


def volume_key_of(value: Any) -> str:
    """A volume's name, 64 hexadecimal digits."""
    return _hex(value, 64, "the volume's key")


def _hex(value: Any, length: int, what: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{length}}}", value):
        raise ValueError(f"{what} must have {length} hexadecimal digits")
    return value


def engine_request(header: Mapping[str, Any], models: Mapping[str, SegmentationModel]) -> EngineRequest:
    """See `EngineRequest`; the model is one that is loaded."""
    named = object_of(header.get("model"), "the model")
    model = models.get(text_of(named.get("name"), "the model's name"))
    if model is None or named.get("sha256") != model.card.sha256:
        raise ValueError("the model has been changed on the server; choose it again")
    spacing = [
        number_of(mm, SMALLEST_SPACING, LARGEST_SPACING, "a spacing")
        for mm in list_of(header.get("spacing"), 3, "the spacing")
    ]
    orientation = text_of(header.get("orientation"), "the orientation")
    low, high = (number_of(edge, -1e30, 1e30, "an edge of the window") for edge in list_of(header.get("window"), 2))
    if not low < high:
        raise ValueError("the window must have a width")
    return EngineRequest(
        lease_id_of(header.get("lease")),
        volume_key_of(header.get("volume")),
        _affine(spacing, orientation),
        bool(orientation),
        whole_of(header.get("axis"), 0, 2, "the axis"),
        Window(float(low), float(high), "client"),
        model,
    )


def _affine(spacing: list[float], orientation: str) -> NDArray[np.float64]:
    """Voxels to a world without a place: only sides and distances are known here."""
    affine = np.eye(4)
    if not orientation:
        affine[:3, :3] = np.diag(spacing)
        return affine
    sides = [_SIDES.get(letter) for letter in orientation]
    if len(sides) != 3 or None in sides or len({side[0] for side in sides if side is not None}) != 3:
        raise ValueError(f"the orientation must be three letters such as RAS, got {orientation!r:.40}")
    affine[:3, :3] = 0
    for voxel_axis, side in enumerate(sides):
        if side is not None:
            affine[side[0], voxel_axis] = side[1] * spacing[voxel_axis]
    return affine


def predict_request(message: Message, plane: SlicePlane) -> PredictRequest:
    """See `PredictRequest`; everything lies on the plane."""
    header = message.header
    prompts = prompts_from_wire(header.get("prompts"), message.blobs, plane.shape)
    previous: int | SliceMask | None = None
    if header.get("previous") is not None:
        written = object_of(header["previous"], "the previous answer")
        if "anchor" in written:
            previous = _key(written["anchor"])
        else:
            previous = mask_from_wire(written.get("mask"), message.blobs, plane.shape)
            if not previous.n_voxels:
                raise ValueError("the previous answer is empty")
            previous = SliceMask.of(previous.full(plane.shape))
    others = [_key(key) for key in list_of(header.get("others"), what="the other anchors")]
    if len(others) > MOST_OTHERS:
        raise ValueError(f"a click takes at most {MOST_OTHERS} other anchors into account")
    index = whole_of(header.get("index"), 0, plane.n_slices - 1, "the slice")
    return PredictRequest(_key(header.get("key")), index, prompts, previous, others)


def run_request(message: Message) -> RunRequest:
    """See `RunRequest`."""
    header = message.header
    objects: dict[int, list[int]] = {}
    for pair in list_of(header.get("objects"), what="the objects"):
        object_id, keys = list_of(pair, 2, "an object")
        objects[_object_id(object_id)] = [_key(key) for key in list_of(keys, what="the anchors")]
    if not 1 <= len(objects) <= MOST_OBJECTS or sum(map(len, objects.values())) > MOST_ANCHORS:
        raise ValueError(f"a run has 1 to {MOST_OBJECTS} objects and at most {MOST_ANCHORS} anchors")
    slices = None
    if header.get("slices") is not None:
        first, stop = list_of(header["slices"], 2, "the slices")
        slices = range(whole_of(first, -(2**31), 2**31, "a slice"), whole_of(stop, -(2**31), 2**31, "a slice"))
    direction = header.get("direction")
    if direction not in DIRECTIONS:
        raise ValueError(f"the direction must be one of {', '.join(DIRECTIONS)}")
    known = {}
    for pair in list_of(header.get("known"), what="the fits"):
        object_id, name = list_of(pair, 2, "a fit")
        known[_object_id(object_id)] = _hex(name, 64, "the name of a fit")
    if not known.keys() <= objects.keys():
        raise ValueError("a fit is named for an object that does not run")
    skip = whole_of(header.get("skip"), 0, 1 << 31, "the results that are known")
    return RunRequest(objects, slices, str(direction), known, _plan(header.get("plan")), skip)


def fit_request(message: Message, plane: SlicePlane) -> FitRequest:
    """See `FitRequest`; all lessons lie on the plane."""
    lessons = []
    for written in list_of(message.header.get("lessons"), what="the lessons"):
        lesson = object_of(written, "a lesson")
        index = whole_of(lesson.get("index"), 0, plane.n_slices - 1, "the slice")
        mask = mask_from_wire(lesson.get("mask"), message.blobs, plane.shape)
        if not mask.n_voxels:
            raise ValueError("a lesson has an empty mask")
        lessons.append(Lesson(index, SliceMask.of(mask.full(plane.shape)), _NO_SCORES))
    plan = _plan(message.header.get("plan"))
    if not 1 <= len(lessons) <= MOST_LESSONS or plan is None:
        raise ValueError(f"a fit has 1 to {MOST_LESSONS} lessons and a plan")
    return FitRequest(lessons, plan)


def keys_to_forget(header: Mapping[str, Any]) -> list[int]:
    """Anchors that nobody needs any more."""
    keys = list_of(header.get("forget"), what="the anchors")
    if len(keys) > MOST_ANCHORS:
        raise ValueError(f"at most {MOST_ANCHORS} anchors are forgotten at once")
    return [_key(key) for key in keys]


def volumes_to_forget(header: Mapping[str, Any]) -> list[str]:
    """Volumes that nobody needs any more."""
    keys = list_of(header.get("volumes", []), what="the volumes")
    if len(keys) > MOST_VOLUMES:
        raise ValueError(f"at most {MOST_VOLUMES} volumes are forgotten at once")
    return [volume_key_of(key) for key in keys]


def _plan(written: Any) -> FitPlan | None:
    if written is None:
        return None
    steps, seed = list_of(written, 2, "the plan of a fit")
    return FitPlan(whole_of(steps, 1, MOST_STEPS, "the steps of a fit"), whole_of(seed, 0, 2**31, "the seed of a fit"))


def _key(value: Any) -> int:
    return whole_of(value, 0, LARGEST_KEY, "the name of an anchor")


def _object_id(value: Any) -> int:
    return whole_of(value, 0, 2**31 - 1, "an object")
