"""Networks beside the model that had a part in a session's masks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_sam2.core.history import MISSING
from napari_sam2.core.prompts import Box
from napari_sam2.models.base import FittableModel
from napari_sam2.models.small.revisions import BOX_READER, READ
from napari_sam2.session.actions.prompts import SetPrompts
from napari_sam2.session.actions.runs import Propagate
from napari_sam2.session.correcting import new_clicks

if TYPE_CHECKING:
    from napari_sam2.core.history import Change, Step
    from napari_sam2.core.prompts import Prompt
    from napari_sam2.session.state import SessionState

__all__ = ["helpers_of"]


def helpers_of(state: SessionState) -> dict[str, str]:
    """What each network did, by name.

    In the order of their first part.

    As far as the steps reach that can still be undone; the journal has all of them.
    """
    helpers: dict[str, str] = {}
    reads = state.model.card.revision.endswith(READ)
    can_fit = isinstance(state.model, FittableModel) or getattr(state.model, "can_fit", False)
    for step in state.history.done:
        action = step.action
        if isinstance(action, Propagate):
            if action.fit is not None and can_fit:
                name = f"fit, {action.fit.steps} steps, seed {action.fit.seed}"
                helpers[name] = "A copy of the model was fitted to every object whose first pass was unsure"
            if action.looked_over is not None:
                helpers[action.looked_over] = "A three-dimensional network went over objects whose run was unsure"
            continue
        if not isinstance(action, SetPrompts):
            continue
        if reads and any(isinstance(prompt, Box) for prompt in action.prompts):
            helpers[BOX_READER] = (
                "Slices with a box alone were read once more by a network, unless they looked like PET"
            )
        if action.around and _was_corrected(step):
            helpers[action.around] = "Clicks on carried objects were answered around them by networks of their own"
    return helpers


def _was_corrected(step: Step) -> bool:
    """Whether the clicks of a step were answered around them: other slices change, or masks keep their scores."""
    prompts = [change for change in step if change.field == "prompts"]
    if not any(new_clicks(_listed(change.before), _listed(change.after)) for change in prompts):
        return False
    return any(_keeps_scores(change) for change in step if change.field == "results" and change.after is not MISSING)


def _keeps_scores(change: Change) -> bool:
    after = change.after
    kept = change.before is not MISSING and change.before.scores == after.scores
    return kept or not after.prompted or math.isnan(after.scores.predicted_iou)


def _listed(prompts: Any) -> list[Prompt]:
    return [] if prompts is MISSING else list(prompts)
