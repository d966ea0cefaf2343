"""The journal of a session on a slide, in the same folder format as that of a volume.

A line holds the objects that a step changed, as GeoJSON features with their prompts; reading the lines again
rebuilds objects, classes and the undo history without the model.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from napari_sam2._version import __version__
from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import UserInputError
from napari_sam2.io.sidecar import INTENDED_USE, software_versions
from napari_sam2.record.journal_folder import HEAD, JournalFolder, journal_lines
from napari_sam2.slides.automatic.run import AutomaticRequest
from napari_sam2.slides.formats.geojson import feature_of, object_of
from napari_sam2.slides.objects import ObjectClass
from napari_sam2.slides.prompt_file import parse_slide_prompts
from napari_sam2.slides.prompts import SlidePoint

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.slides.objects import SlideObject
    from napari_sam2.slides.prompts import SlidePrompt
    from napari_sam2.slides.session import SlideSession

__all__ = ["SlideJournal", "restore_slide"]

VERSION: Final = 1
KIND: Final = "slide"

_State = dict[str, tuple["SlideObject", "tuple[SlidePrompt, ...]"]]


class SlideJournal(JournalFolder):
    """Writes the actions of one session on a slide.

    Parameters
    ----------
    session : SlideSession
        Whose actions are written; it must not be changed by anyone else.
    folder : Path
        Made when the first action is written. One that exists and is not `resumed` is kept beside it.
    resumed : bool
        Go on with the folder as it is.
    """

    def __init__(self, session: SlideSession, folder: Path, *, resumed: bool = False) -> None:
        super().__init__(folder, lambda: _head(session), resumed=resumed)
        self._session = session
        self._known = _state(session)
        session.on_step.append(self._on_step)
        session.on_event.append(self.write)

    def write(self, event: str, **details: Any) -> None:
        """Append one line, and wait until it is on the disk."""
        super().write(event, **details)
        self._known = _state(self._session)

    def close(self) -> None:
        """Stop writing."""
        self._session.on_step.remove(self._on_step)
        self._session.on_event.remove(self.write)
        super().close()

    def _on_step(self, label: str) -> None:
        self.write(label, changes=_changes(self._known, _state(self._session)))


def restore_slide(session: SlideSession, folder: Path) -> None:
    """Bring an empty session to where a journal ended, without asking the model.

    Raises
    ------
    UserInputError
        If the journal belongs to another slide, to a volume, or to a newer version.
    """
    try:
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        version, kind, key = head["version"], head.get("kind"), head["source"]["key"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserInputError(f"{folder.name} holds no readable {HEAD}; give the folder of a session.") from error
    if version != VERSION or kind != KIND:
        raise UserInputError(f"{folder.name} is not a session on a slide that this version can read.")
    if key != session.slide.key:
        raise UserInputError(f"{folder.name} belongs to another slide than {session.slide.name}; open that slide.")
    session.regions.overlap = head["overlap"]
    for line in journal_lines(folder):
        _apply(session, line)


def _apply(session: SlideSession, line: dict[str, Any]) -> None:
    event = line["event"]
    if event == "undo":
        session.regions.undo()
    elif event == "redo":
        session.regions.redo()
    elif event == "overlap":
        session.regions.overlap = line["rule"]
    elif event == "mpp":
        session.set_mpp(Mpp(line["row"], line["col"], line["origin"]))
    elif event == "classes":
        session.classes = tuple(_class(name, colour) for name, colour in line["classes"])
    elif event == "automatic" and "region" in line:
        session.unfinished = AutomaticRequest.from_json(line)
    elif event == "automatic ended":
        session.unfinished = None
    elif "changes" in line:
        state = _state(session)
        for change in line["changes"]:
            _put(state, change)
        objects = [obj for obj, _ in state.values()]
        session.take_step(objects, {i: prompts for i, (_, prompts) in state.items() if prompts})


def _put(state: _State, change: dict[str, Any]) -> None:
    object_id = change["object"]
    if change.get("gone"):
        state.pop(object_id, None)
    elif change["field"] == "object":
        obj = object_of(change["value"])
        state[object_id] = (obj, state[object_id][1] if object_id in state else ())
    elif object_id in state:
        state[object_id] = (state[object_id][0], _prompts(change["value"]))


def _changes(before: _State, after: _State) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for object_id, (obj, prompts) in after.items():
        old, given = before.get(object_id, (None, ()))
        if obj is not old:
            found.append({"object": object_id, "field": "object", "value": feature_of(obj)})
        if prompts != given:
            found.append({"object": object_id, "field": "prompts", "value": [_as_json(p) for p in prompts]})
    return found + [{"object": i, "field": "object", "gone": True} for i in before if i not in after]


def _state(session: SlideSession) -> _State:
    prompts = session.prompts
    return {obj.object_id: (obj, prompts.get(obj.object_id, ())) for obj in session.objects}


def _head(session: SlideSession) -> dict[str, Any]:
    card, slide = session.engine.model.card, session.slide
    return {
        "version": VERSION,
        "kind": KIND,
        "program": f"napari-sam2 {__version__}",
        "notice": INTENDED_USE,
        "begun": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "source": {
            "key": slide.key,
            "shape": list(slide.shape),
            "mpp": None if slide.mpp is None else [slide.mpp.row, slide.mpp.col],
        },
        "model": {"name": card.name, "kind": card.kind, "revision": card.revision, "sha256": card.sha256},
        "device": str(session.engine.model.device),
        "software": software_versions(),
        "overlap": session.regions.overlap,
    }


def _class(name: str, colour: list[int] | None) -> ObjectClass:
    return ObjectClass(name, None if colour is None else (colour[0], colour[1], colour[2]))


def _as_json(prompt: SlidePrompt) -> dict[str, Any]:
    if isinstance(prompt, SlidePoint):
        return {"point": [prompt.row, prompt.col], "positive": prompt.positive}
    return {"box": [[prompt.row0, prompt.col0], [prompt.row1, prompt.col1]]}


def _prompts(entries: list[Any]) -> tuple[SlidePrompt, ...]:
    if not entries:
        return ()
    return parse_slide_prompts({"version": 1, "objects": [{"id": 1, "prompts": entries}]}, "the journal")[0].prompts
