"""A slide's session in a journal: how it is written and read.

Objects are GeoJSON features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from napari_sam2.core.checked import known_of, list_of, number_of, text_of, whole_of
from napari_sam2.core.history import MISSING, Change
from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import UserInputError
from napari_sam2.models.base import viewing_of
from napari_sam2.slides.actions import BeginAutomatic, ShowChannels, ShowPlane, slide_action
from napari_sam2.slides.encoding import (
    class_from_json,
    class_to_json,
    id_of,
    mix_from_json,
    mix_to_json,
    outline_from_json,
    prompts_from_json,
    prompts_to_json,
)
from napari_sam2.slides.formats.feature import feature_of
from napari_sam2.slides.objects import OVERLAP_RULES, SlideRecord
from napari_sam2.slides.state import SlideState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam2.core.actions import Action, ActionState
    from napari_sam2.core.history import Step
    from napari_sam2.record.codec import Pool
    from napari_sam2.slides.session import SlideSession

__all__ = ["SlideCodec"]

Json = dict[str, Any]


class SlideCodec:
    """Writes and reads one session on a slide.

    Parameters
    ----------
    session : SlideSession
        The session.
    """

    kind: ClassVar[str] = "slide"

    def __init__(self, session: SlideSession) -> None:
        self._session = session

    def head(self) -> Json:
        """Source, model, device, channels, overlap."""
        session, slide = self._session, self._session.slide
        card = session.engine.model.card
        return {
            "kind": self.kind,
            "source": {"key": slide.key, "shape": list(slide.shape), "mpp": _mpp_to_json(slide.mpp)},
            "model": {"name": card.name, "kind": card.kind, "revision": card.revision, "sha256": card.sha256}
            | viewing_of(session.engine.model),
            "device": str(session.engine.model.device),
            "channels": mix_to_json(slide.mix),
            "overlap": session.overlap,
            **({"plane": dict(slide.plane)} if slide.plane else {}),
        }

    def check_head(self, head: Mapping[str, Any]) -> None:
        """Refuse the journal of another slide, or a damaged head."""
        slide = self._session.slide
        if head.get("kind") != self.kind:
            raise UserInputError("The session is not a session on a slide that this version can read.")
        if head["source"].get("key") != slide.key:
            raise UserInputError(f"The session belongs to another slide than {slide.name}; open that slide.")
        known_of(head["overlap"], OVERLAP_RULES, "the overlap rule")
        mix_from_json(head.get("channels"))

    def use_head(self, head: Mapping[str, Any], state: SlideState) -> None:
        """Set the overlap rule.

        Channels stay as they are shown; how they were is noted.
        """
        state.store.overlap = known_of(head["overlap"], OVERLAP_RULES, "the overlap rule")
        state.earlier_mix = mix_from_json(head.get("channels"))

    def fresh(self) -> SlideState:
        """A state like the session's, without objects."""
        before = self._session.state
        return SlideState(before.slide, before.model, before.store.overlap)

    def adopt(self, state: SlideState) -> None:
        """Let the session go on from a state of `fresh`."""
        state.on_action = self._session.state.on_action
        self._session.state = state

    def seen_now(self) -> list[Action]:
        """The channels and the plane as they are shown.

        A session that is gone on with does not change them.
        """
        slide = self._session.slide
        shown: list[Action] = [] if slide.mix is None else [ShowChannels(slide.mix)]
        return [*shown, ShowPlane(dict(slide.plane))] if slide.plane else shown

    def checked_id(self, value: Any) -> str:
        """An object's id."""
        return id_of(value)

    def action_of(self, name: str, line: Mapping[str, Any]) -> type[Action] | None:
        """The action of a journal's line."""
        return slide_action(name, line)

    def change_to_json(self, change: Change) -> Json:
        """What a change put in place.

        What it replaced is known from the lines before.
        """
        if change.field == "prompts":
            return {"object": change.object_id, "field": "prompts", "value": prompts_to_json(change.after)}
        written: Json = {"object": change.object_id, "field": "object"}
        if change.after is MISSING:
            return {**written, "gone": True}
        return {**written, "value": feature_of(change.after.outline if change.field == "object" else change.after)}

    def change_from_json(self, written: Mapping[str, Any], state: ActionState[Any]) -> Change:
        """The change again, of a state as it was then."""
        object_id = id_of(written["object"])
        record = state.store.objects.get(object_id)
        before = MISSING if record is None else record
        if written["field"] == "object":
            if written.get("gone"):
                return Change(object_id, "object", None, before, MISSING)
            outline = outline_from_json(written["value"], object_id)
            if record is None:
                return Change(object_id, "object", None, MISSING, SlideRecord(outline))
            return Change(object_id, "outline", None, record.outline, outline)
        if written["field"] != "prompts" or record is None:
            raise ValueError("a change must be of an object or its prompts")
        return Change(object_id, "prompts", None, record.prompts, prompts_from_json(written["value"]))

    def check_step(self, step: Step, state: ActionState[Any]) -> None:
        """Any outline can be."""

    def settings_to_json(self) -> Json:
        """What a slide's session works with.

        Size of a pixel, channels, classes, overlap rule, and an automatic run that is not done.
        """
        session = self._session
        unfinished = session.unfinished
        return {
            "mpp": _mpp_to_json(session.slide.mpp),
            "channels": mix_to_json(session.slide.mix),
            "classes": [class_to_json(c) for c in session.classes],
            "overlap": session.overlap,
            "automatic": None if unfinished is None else unfinished.as_json(),
        }

    def use_settings(self, written: Mapping[str, Any], state: SlideState) -> None:
        """Set them again."""
        self.use_head(written, state)
        if written["mpp"] is not None:
            row, col, origin = list_of(written["mpp"], 3)
            row, col = (number_of(side, 1e-6, 1e6, "the size of a pixel") for side in (row, col))
            state.slide.mpp = Mpp(row, col, text_of(origin))
        classes = (class_from_json(entry) for entry in list_of(written["classes"]))
        state.classes = tuple(c for c in classes if c is not None)
        if written["automatic"] is not None:
            state.unfinished = BeginAutomatic.from_json(written["automatic"], state).request

    def record_to_json(self, record: SlideRecord, pool: Pool) -> Json:
        """All that is kept of an object."""
        return {
            "rank": record.rank,
            "outline": pool.put("outline", record.outline),
            "prompts": prompts_to_json(record.prompts),
        }

    def record_from_json(self, written: Mapping[str, Any], pool: Pool) -> SlideRecord:
        """The record again."""
        outline = pool.get("outline", written["outline"])
        rank = whole_of(written["rank"], 0, 1 << 40, "a rank")
        return SlideRecord(outline, prompts_from_json(written["prompts"]), rank)

    def value_to_json(self, field: str, value: Any, pool: Pool) -> Any:
        """A value of a field in a step."""
        return pool.put("outline", value) if field == "outline" else prompts_to_json(value)

    def value_from_json(self, field: str, written: Any, pool: Pool) -> Any:
        """The value again."""
        return pool.get("outline", written) if field == "outline" else prompts_from_json(written)

    def pooled_to_json(self, kind: str, value: Any) -> Json:
        """An outline."""
        return feature_of(value)

    def pooled_from_json(self, kind: str, written: Any) -> Any:
        """The outline again."""
        return outline_from_json(written, id_of(written["id"]))


def _mpp_to_json(mpp: Mpp | None) -> list[Any] | None:
    return None if mpp is None else [mpp.row, mpp.col, mpp.origin]
