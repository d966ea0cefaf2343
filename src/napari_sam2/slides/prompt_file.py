"""The prompt file for a slide.

That of a volume, with [row, column] in level-0 pixels.

::

    {"version": 1, "objects": [
      {"id": 1, "name": "gland 3", "class": "Tumor", "prompts": [
        {"box": [[40120, 30010], [40480, 30600]]},
        {"point": [40300, 30200]}, {"point": [40130, 30020], "positive": false}]}]}
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import PromptError
from napari_sam2.io.payload import existing_file
from napari_sam2.io.prompt_file import parse_json
from napari_sam2.slides.prompts import ObjectRequest, SlideBox, SlidePoint, SlidePrompt, check_requests

if TYPE_CHECKING:
    import os

__all__ = ["parse_slide_prompts", "read_slide_prompts"]

_TOP_KEYS: Final = ("version", "space", "objects")
_OBJECT_KEYS: Final = ("id", "name", "class", "prompts")
_KINDS: Final = {"point": ("point", "positive"), "box": ("box",)}


def read_slide_prompts(path: str | os.PathLike[str], shape: tuple[int, int], slide_name: str) -> list[ObjectRequest]:
    """Read and check the prompts for a slide.

    Parameters
    ----------
    path : path-like
        A JSON file of version 1.
    shape : tuple of int
        (rows, columns) of level 0.
    slide_name : str
        For messages.

    Raises
    ------
    ImageFileError
        If the file cannot be opened.
    PromptError
        With one sentence per fault.
    """
    file = existing_file(path)
    requests = parse_slide_prompts(parse_json(file), file.name)
    check_requests(requests, shape, slide_name)
    return requests


def parse_slide_prompts(content: Any, name: str) -> list[ObjectRequest]:
    """Requests in parsed JSON.

    Raises
    ------
    PromptError
        Listing everything that is wrong with its form.
    """
    faults: list[str] = []
    if not isinstance(content, dict):
        raise PromptError([f"{name}: the file must hold an object with version and objects."])
    _unknown("the file", content, _TOP_KEYS, faults)
    if content.get("version") != 1 or isinstance(content.get("version"), bool):
        faults.append(f'"version" must be 1; got {_show(content.get("version"))}.')
    if content.get("space", "voxel") not in ("voxel", "pixel"):
        faults.append(f'"space" of a slide is "pixel", level-0 pixels; got {_show(content["space"])}.')
    entries = content.get("objects")
    if not isinstance(entries, list) or not entries:
        faults.append('"objects" must be a list with at least one object.')
        entries = []
    requests = [_object(f"object {n}", n, entry, faults) for n, entry in enumerate(entries, start=1)]
    if faults:
        raise PromptError([f"{name}: {fault}" for fault in faults])
    return requests


def _object(where: str, number: int, entry: Any, faults: list[str]) -> ObjectRequest:
    if not isinstance(entry, dict):
        faults.append(f'{where}: it must be like {{"id": 1, "prompts": [...]}}; got {_show(entry)}.')
        return ObjectRequest(number, ())
    _unknown(where, entry, _OBJECT_KEYS, faults)
    object_id = entry.get("id")
    if not isinstance(object_id, int) or isinstance(object_id, bool) or object_id < 1:
        faults.append(f'{where}: "id" must be a whole number from 1; got {_show(object_id)}.')
        object_id = number
    for key in ("name", "class"):
        if not isinstance(entry.get(key, ""), str):
            faults.append(f'{where}: "{key}" must be text; got {_show(entry[key])}.')
    prompts = entry.get("prompts")
    if not isinstance(prompts, list) or not prompts:
        faults.append(f'{where}: "prompts" must be a list with at least one prompt.')
        prompts = []
    parsed = [_prompt(f"{where}, prompt {n}", prompt, faults) for n, prompt in enumerate(prompts, start=1)]
    return ObjectRequest(
        object_id,
        tuple(prompt for prompt in parsed if prompt is not None),
        str(entry.get("name", "")),
        str(entry.get("class", "")),
    )


def _prompt(where: str, entry: Any, faults: list[str]) -> SlidePrompt | None:
    kinds = [kind for kind in _KINDS if isinstance(entry, dict) and kind in entry]
    if len(kinds) != 1:
        faults.append(f'{where}: it must have exactly one of "point" and "box"; got {_show(entry)}.')
        return None
    kind = kinds[0]
    _unknown(where, entry, _KINDS[kind], faults)
    if kind == "point":
        place = _place(where, "point", entry["point"], faults)
        positive = entry.get("positive", True)
        if not isinstance(positive, bool):
            faults.append(f'{where}: "positive" must be true or false; got {_show(positive)}.')
        return None if place is None else SlidePoint(*place, positive=bool(positive))
    corners = entry["box"]
    if not isinstance(corners, list) or len(corners) != 2:
        faults.append(f'{where}: "box" must be two corners [[row, column], [row, column]]; got {_show(corners)}.')
        return None
    first, second = (_place(where, "corner", corner, faults) for corner in corners)
    return None if first is None or second is None else SlideBox(*first, *second)


def _place(where: str, what: str, value: Any, faults: list[str]) -> tuple[float, float] | None:
    fits = isinstance(value, list) and len(value) == 2
    if not fits or not all(isinstance(c, int | float) and not isinstance(c, bool) and abs(c) < 1e9 for c in value):
        faults.append(f'{where}: "{what}" must be two numbers [row, column]; got {_show(value)}.')
        return None
    return value[0], value[1]


def _unknown(where: str, entry: dict[str, Any], allowed: tuple[str, ...], faults: list[str]) -> None:
    faults += [
        f"{where}: the key {k!r} is not known; known are {', '.join(allowed)}." for k in entry if k not in allowed
    ]


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
