"""What is asked of a model on a case, with simulated annotators.

All protocols go through the engine as the product does; nothing of the truth reaches it but the prompts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from napari_sam2.channels.stack import ChannelStack
from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.engine.opening import open_engine
from napari_sam2.measures.metrics import dice
from napari_sam2.session.channels import mix_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.engine.verbs import Answered, AnyModel, SliceEngine
    from napari_sam2.evaluation.cases import Case

__all__ = ["CLICK_COUNTS", "END_TOLD", "PROTOCOLS", "deepest_pixel", "next_click", "run_protocols", "tight_box"]

CLICK_COUNTS: Final = (1, 3, 5)
"""Numbers of clicks after which the Dice is noted."""

PROTOCOLS: Final = ("box", "clicks", "box-propagate", "mask-propagate")
"""Names: a tight box on one slice; clicks on one slice, each in the largest error; a box and the true
mask, each propagated through the volume."""

OBJECT_ID: Final = 1

END_TOLD: Final = ", end told"
"""Marks a score for which the method was told on which slices the object exists."""


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """A case with its engine and what is needed over and over."""

    case: Case
    engine: SliceEngine[Any, Any]
    truth: NDArray[np.bool_]


def run_protocols(
    case: Case, model: AnyModel, protocols: tuple[str, ...] = PROTOCOLS
) -> tuple[dict[str, float], dict[str, NDArray[np.bool_]]]:
    """Dice of a model on a case.

    Parameters
    ----------
    case : Case
    model : SegmentationModel
    protocols : tuple of str
        Some of `PROTOCOLS`.

    Returns
    -------
    scores : dict of str to float
        By protocol; clicks as ``click1``, ``click3``, ``click5``; propagations also with `END_TOLD`.
    masks : dict of str to (rows, columns) bool array
        The answers on the prompted slice to ``box`` and to ``click1``.
    """
    truth = case.volume.plane(case.axis).take(case.truth, case.index)
    box_prompt = _box_prompt(truth)
    run = _Run(case, _engine(case, model, box_prompt), truth)
    scores: dict[str, float] = {}
    masks: dict[str, NDArray[np.bool_]] = {}
    box = None
    if "box" in protocols or "box-propagate" in protocols:
        box = run.engine.predict(case.index, box_prompt)
        masks["box"] = _full(run, box)
        scores["box"] = dice(masks["box"], run.truth)
    if "clicks" in protocols:
        answers = _clicks(replace(run, engine=_engine(case, model, _clicked([deepest_pixel(truth)], [True]))))
        masks["click1"] = answers[0]
        scores |= {f"click{n}": dice(answers[min(n, len(answers)) - 1], run.truth) for n in CLICK_COUNTS}
    if "box-propagate" in protocols and box is not None:
        scores |= _propagation_scores(run, "box-propagate", box)
    if "mask-propagate" in protocols:
        prompts = SlicePrompts(np.zeros((0, 2)), np.zeros(0, bool), mask=run.truth)
        run = replace(run, engine=_engine(case, model, prompts))
        scores |= _propagation_scores(run, "mask-propagate", run.engine.predict(case.index, prompts))
    return scores, masks


def tight_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The box around a mask.

    First row and column, and the row and column after the last.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def deepest_pixel(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """The pixel (row, column) farthest from the outside.

    Beyond the slice counts as outside.
    """
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(row), int(column)


def next_click(answer: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[tuple[int, int], bool] | None:
    """The deepest pixel of the deeper error.

    And whether it is to be included; None when there is no error.
    """
    missed, extra = truth & ~answer, answer & ~truth
    if not (missed | extra).any():
        return None
    depths = [float(ndimage.distance_transform_edt(np.pad(error, 1)).max()) for error in (missed, extra)]
    include = depths[0] >= depths[1]
    return deepest_pixel(missed if include else extra), include


def _clicks(run: _Run) -> list[NDArray[np.bool_]]:
    """The answer after each click; fewer than asked for when there is nothing left to correct."""
    clicks, include = [deepest_pixel(run.truth)], [True]
    anchor: Answered | None = None
    answers: list[NDArray[np.bool_]] = []
    while True:
        prompts = _clicked(clicks, include)
        anchor = run.engine.predict(run.case.index, prompts, previous=anchor)
        answers.append(_full(run, anchor))
        click = next_click(answers[-1], run.truth)
        if click is None or len(answers) == max(CLICK_COUNTS):
            return answers
        clicks.append(click[0])
        include.append(click[1])


def _clicked(clicks: list[tuple[int, int]], include: list[bool]) -> SlicePrompts:
    return SlicePrompts(np.array(clicks, float), np.array(include, bool))


def _engine(case: Case, model: AnyModel, first: SlicePrompts) -> SliceEngine[Any, Any]:
    """The engine for what the first prompt lets the model see."""
    stack = ChannelStack(case.volume) if case.channels is None else case.channels
    mix = mix_for(stack, case.window, model, case.axis, {case.index: first}, case.fusion)
    image, window = stack.image(mix, case.window)
    return open_engine(image, model, window, case.axis)


def _propagated(run: _Run, anchor: Answered) -> NDArray[np.bool_]:
    shape = run.engine.plane.shape
    masks = np.zeros((run.engine.plane.n_slices, *shape), bool)
    masks[anchor.index] = anchor.mask.full(shape)
    for result in run.engine.propagate({OBJECT_ID: [anchor]}):
        masks[result.index] = result.mask.full(shape)
    return masks


def _propagation_scores(run: _Run, protocol: str, anchor: Answered) -> dict[str, float]:
    """Dice over the whole volume, and with the slices cleared on which the object really is not."""
    plane = run.engine.plane
    truth = np.stack([plane.take(run.case.truth, k) for k in range(plane.n_slices)])
    masks = _propagated(run, anchor)
    present = np.asarray(truth.any((1, 2)), bool)
    within_extent = masks & present[:, None, None]
    return {protocol: dice(masks, truth), f"{protocol}{END_TOLD}": dice(within_extent, truth)}


def _full(run: _Run, anchor: Answered) -> NDArray[np.bool_]:
    shape = run.engine.plane.shape
    return anchor.mask.full((shape[0], shape[1]))


def _box_prompt(truth: NDArray[np.bool_]) -> SlicePrompts:
    edges = np.array(tight_box(truth), float) - 0.5
    return SlicePrompts(np.zeros((0, 2)), np.zeros(0, bool), box=edges)
