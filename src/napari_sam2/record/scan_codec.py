"""A volume's session in a journal: how it is written and read."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from napari_sam2.channels.facts import check_channels, described_channel
from napari_sam2.channels.mix import AUTO, named_mix
from napari_sam2.core.checked import NewerError, colour_of, flag_of, known_of, list_of, text_of, whole_of
from napari_sam2.core.history import MISSING, Change
from napari_sam2.core.labels import OVERLAP_RULES
from napari_sam2.core.mix import mix_from_json, mix_to_json
from napari_sam2.errors import UserInputError
from napari_sam2.models.base import viewing_of
from napari_sam2.session.actions import SCAN_ACTIONS
from napari_sam2.session.encoding import (
    axis_of,
    code_from_json,
    code_to_json,
    id_of,
    index_of,
    prompt_from_json,
    prompt_to_json,
    prompts_from_json,
    prompts_to_json,
    result_from_json,
    result_to_json,
    term_from_json,
    window_from_json,
)
from napari_sam2.session.objects import ObjectRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_sam2.core.actions import Action, ActionState
    from napari_sam2.core.history import Step
    from napari_sam2.core.volume import Volume
    from napari_sam2.record.codec import Pool
    from napari_sam2.session.session import Session
    from napari_sam2.session.state import SessionState

__all__ = ["ScanCodec", "volume_key"]

Json = dict[str, Any]

_EARLIER_FIELDS: Final = {"locked": "accepted", "protected": "finished"}
"""Names of fields in journals of version 0.1.0."""

_BY_SLICE: Final = ("results", "anchors", "accepted")


class ScanCodec:
    """Writes and reads one session on a volume.

    Parameters
    ----------
    session : Session
        The session.
    """

    kind: ClassVar[str] = "volume"

    def __init__(self, session: Session) -> None:
        self._session = session
        self._volume = session.volume

    def head(self) -> Json:
        """Source, model, device, window, axis, overlap."""
        session, volume, card = self._session, self._volume, self._session.model.card
        return {
            "source": {
                "key": volume_key(volume),
                "sha256": volume.source.sha256,
                "shape": list(volume.shape),
                "affine": volume.affine.tolist(),
            },
            "model": {"name": card.name, "kind": card.kind, "revision": card.revision, "sha256": card.sha256}
            | viewing_of(session.model),
            "device": str(session.model.device),
            "window": asdict(session.window),
            "axis": session.axis,
            "overlap": session.overlap,
            **self._channels_to_json(),
        }

    def check_head(self, head: Mapping[str, Any]) -> None:
        """Refuse the journal of another image, or a damaged head."""
        if head.get("kind", self.kind) != self.kind:
            raise UserInputError("The session is one on a slide, not on a scan.")
        if head["source"].get("key") != volume_key(self._volume):
            raise UserInputError("The journal belongs to another image: its voxels or its place differ.")
        window_from_json(head["window"])
        axis_of(head["axis"])
        known_of(head["overlap"], OVERLAP_RULES, "the overlap rule")
        check_channels(self._session.channels, list_of(head.get("channels", [])))

    def use_head(self, head: Mapping[str, Any], state: SessionState) -> None:
        """Set window, axis, overlap rule, and how channels are seen."""
        state.window, state.axis = window_from_json(head["window"]), axis_of(head["axis"])
        state.overlap = known_of(head["overlap"], OVERLAP_RULES, "the overlap rule")
        described = list_of(head.get("channels", []))
        check_channels(state.channels, described)
        for number, entry in enumerate(described, start=1):
            state.channels = state.channels.with_window(number, window_from_json(entry["window"]))
        state.fusion = text_of(head.get("fusion", AUTO))
        named_mix(state.fusion, state.channels.names)

    def fresh(self) -> SessionState:
        """A state like the session's, without objects."""
        return self._session.state.emptied()

    def adopt(self, state: SessionState) -> None:
        """Let the session go on from a state of `fresh`."""
        state.on_action = self._session.state.on_action
        self._session.state = state

    def seen_now(self) -> list[Action]:
        """Nothing: the window comes back with the session."""
        return []

    def checked_id(self, value: Any) -> int:
        """An object's id."""
        return id_of(value)

    def action_of(self, name: str, line: Mapping[str, Any]) -> type[Action] | None:
        """The action of a journal's line."""
        return SCAN_ACTIONS.get(name)

    def change_to_json(self, change: Change) -> Json:
        """What a change put in place.

        What it replaced is known from the lines before.
        """
        written: Json = {"object": change.object_id, "field": change.field}
        if change.index is not None:
            written["slice"] = change.index
        value = change.after
        if value is MISSING:
            return {**written, "gone": True}
        if change.field == "prompts":
            return {**written, **prompts_to_json([] if change.before is MISSING else change.before, value)}
        if change.field == "object":
            value = {"name": value.name, "axis": value.axis, "code": code_to_json(value.code), "colour": value.colour}
        elif change.field == "results":
            value = result_to_json(value)
        elif change.field == "anchors":
            # How a model saw the slice is not kept: its mask says enough to go on from.
            value = None
        elif change.field == "code":
            value = code_to_json(value)
        elif change.field == "mix":
            value = mix_to_json(value)
        return {**written, "value": value}

    def change_from_json(self, written: Mapping[str, Any], state: ActionState[Any]) -> Change:
        """The change again, of a state as it was then."""
        object_id, field = id_of(written["object"]), text_of(written["field"])
        field = _EARLIER_FIELDS.get(field, field)
        if field == "object":
            before = state.store.read(object_id, field, None)
            after: Any = MISSING if written.get("gone") else self._begun(object_id, written["value"])
            return Change(object_id, field, None, before, after)
        record = state.store.objects.get(object_id)
        if record is None:
            raise ValueError(f"there is no object {object_id}")
        index = None
        if field in _BY_SLICE:
            # The axis may have been changed by the same action: any slice of the volume can be meant.
            index = whole_of(written["slice"], 0, max(self._volume.shape) - 1, "a slice")
        elif field not in ("prompts", "axis", "name", "code", "colour", "finished", "mix"):
            raise NewerError(f"it holds the field {field[:40]!r}")
        before = state.store.read(object_id, field, index)
        if written.get("gone"):
            if index is None:
                raise ValueError(f"the field {field!r} cannot be gone")
            return Change(object_id, field, index, before, MISSING)
        value = written["value"]
        if field == "prompts":
            after = prompts_from_json(dict(written), before, self._volume)
        elif field == "results":
            after = result_from_json(value, object_id, index, self._volume)
        else:
            after = self._plain(field, value)
        return Change(object_id, field, index, before, after)

    def check_step(self, step: Step, state: ActionState[Any]) -> None:
        """Refuse slices of another axis, or outside the volume.

        The axis is the object's.
        """
        whole = {change.object_id for change in step if change.field == "axis"}
        for change in step:
            record = state.store.objects.get(change.object_id)
            if record is None or change.field not in (*_BY_SLICE, "axis"):
                continue
            if change.index is not None:
                index_of(change.index, record.axis, self._volume)
            after = record.results.values() if record.object_id in whole else (record.results.get(change.index),)
            if any(result is not None and result.axis != record.axis for result in after):
                raise ValueError("a mask lies across another axis than its object")

    def settings_to_json(self) -> Json:
        """Window, axis and overlap rule."""
        session = self._session
        written = {"window": asdict(session.window), "axis": session.axis, "overlap": session.overlap}
        return written | self._channels_to_json()

    def use_settings(self, written: Mapping[str, Any], state: SessionState) -> None:
        """Set them again."""
        self.use_head(written, state)

    def _channels_to_json(self) -> Json:
        """Further channels and how they are mixed; nothing where there are none."""
        channels = self._session.channels
        if not channels.several:
            return {}
        return {"channels": [described_channel(one) for one in channels.further], "fusion": self._session.fusion}

    def record_to_json(self, record: ObjectRecord, pool: Pool) -> Json:
        """All that is kept of an object."""
        return {
            "id": record.object_id,
            "rank": record.rank,
            "name": record.name,
            "axis": record.axis,
            "code": code_to_json(record.code),
            "colour": record.colour,
            "finished": record.finished,
            "prompts": self.value_to_json("prompts", record.prompts, pool),
            "results": [[i, pool.put("result", result)] for i, result in record.results.items()],
            "anchors": list(record.anchors),
            "accepted": list(record.accepted),
            **({} if record.mix is None else {"mix": mix_to_json(record.mix)}),
        }

    def record_from_json(self, written: Mapping[str, Any], pool: Pool) -> ObjectRecord:
        """The record again."""
        term = term_from_json(written)
        axis = axis_of(written["axis"])
        results = {}
        for entry in list_of(written["results"]):
            index, number = list_of(entry, 2)
            results[index_of(index, axis, self._volume)] = pool.get("result", number)
        return ObjectRecord(
            id_of(written["id"]),
            term.name,
            prompts=self.value_from_json("prompts", written["prompts"], pool),
            axis=axis,
            results=results,
            anchors={index_of(i, axis, self._volume): None for i in list_of(written["anchors"])},
            accepted={index_of(i, axis, self._volume): True for i in list_of(written["accepted"])},
            finished=flag_of(written["finished"]),
            code=term.code,
            colour=term.colour,
            rank=whole_of(written["rank"], 0, 1 << 40, "a rank"),
            mix=self._plain("mix", written.get("mix")),
        )

    def value_to_json(self, field: str, value: Any, pool: Pool) -> Any:
        """A value of a field in a step."""
        if field == "prompts":
            return [pool.put("prompt", prompt) for prompt in value]
        if field == "results":
            return pool.put("result", value)
        if field == "anchors":
            return None
        written: dict[str, Callable[[Any], Any]] = {"code": code_to_json, "mix": mix_to_json}
        return written[field](value) if field in written else value

    def value_from_json(self, field: str, written: Any, pool: Pool) -> Any:
        """The value again."""
        if field == "prompts":
            return [pool.get("prompt", number) for number in list_of(written)]
        return pool.get("result", written) if field == "results" else self._plain(field, written)

    def pooled_to_json(self, kind: str, value: Any) -> Json:
        """A prompt or a result."""
        if kind == "prompt":
            return prompt_to_json(value)
        return {"object": value.object_id, "slice": value.index, **result_to_json(value)}

    def pooled_from_json(self, kind: str, written: Any) -> Any:
        """The prompt or result again."""
        if kind == "prompt":
            return prompt_from_json(written, self._volume)
        return result_from_json(written, id_of(written["object"]), written["slice"], self._volume)

    def _begun(self, object_id: int, written: Any) -> ObjectRecord:
        term = term_from_json(written)
        return ObjectRecord(object_id, term.name, axis=axis_of(written["axis"]), code=term.code, colour=term.colour)

    def _plain(self, field: str, value: Any) -> Any:
        if field in ("finished", "accepted"):
            return flag_of(value)
        read: dict[str, Callable[[Any], Any]] = {
            "axis": axis_of,
            "name": text_of,
            "code": code_from_json,
            "colour": colour_of,
            "mix": lambda written: mix_from_json(written, len(self._session.channels)),
        }
        # How a model saw a slice is not kept.
        return None if field == "anchors" else read[field](value)


def volume_key(volume: Volume) -> str:
    """A short name of a volume that says nothing about the patient.

    Voxels, shape and place, hashed.
    """
    digest = hashlib.sha256(repr((volume.shape, np.round(volume.affine, 4).tolist())).encode())
    if volume.source.sha256:
        digest.update(volume.source.sha256.encode())
    else:
        digest.update(np.ascontiguousarray(volume.voxels).tobytes())
    return digest.hexdigest()[:24]
