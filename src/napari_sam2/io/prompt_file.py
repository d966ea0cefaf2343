"""The prompt file: JSON that says what to segment.

It is written by people and by programs.

Everything wrong in a file is reported at once, by object and prompt number, so that it is corrected
in one go. Coordinates may be voxels (i, j, k) or RAS+ millimetres; what comes out is voxels.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import numpy as np

from napari_sam2.core.prompts import Box, MaskPrompt, ObjectPrompts, Point, Prompt
from napari_sam2.errors import PromptError, UserInputError
from napari_sam2.io.payload import existing_file

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["check_prompt_file", "parse_json", "read_prompt_file"]

VERSION: Final = 1
"""Of the format, see `napari_sam2.io.prompt_file_write` for the way out."""

_ANY_SLICE: Final = 2**31 - 1
"""The last slice of an image that is not known."""

_TOP_KEYS: Final = ("version", "space", "objects")
_OBJECT_KEYS: Final = ("id", "name", "origin", "prompts", "labels")
_KINDS: Final = {"point": ("point", "positive"), "box": ("box",), "mask": ("mask", "axis", "slice")}


def read_prompt_file(path: str | os.PathLike[str], volume: Volume) -> list[ObjectPrompts]:
    """Read prompts for `volume`.

    Parameters
    ----------
    path : path-like
        A JSON file of version 1. Mask files in it are found relative to it.
    volume : Volume
        For world coordinates and for the grid of mask files.

    Returns
    -------
    list of ObjectPrompts
        In voxel coordinates. Whether they lie in the volume is for `check_prompts` to say.

    Raises
    ------
    ImageFileError
        If the file cannot be opened.
    PromptError
        If it is not JSON, or with one sentence per fault.
    """
    file = existing_file(path)
    content = parse_json(file)
    return _Reading(file, volume).objects(content)


def check_prompt_file(path: str | os.PathLike[str]) -> None:
    """Refuse a prompt file that is wrong whatever its image is.

    What only the image can tell (whether masks lie on its grid, whether it has world coordinates) is left to
    `read_prompt_file`.

    Raises
    ------
    ImageFileError, PromptError
        As `read_prompt_file`.
    """
    file = existing_file(path)
    _Reading(file, None).objects(parse_json(file))


def masks_named(path: str | os.PathLike[str]) -> list[Path]:
    """The masks and label maps that a prompt file names.

    For whoever must not write over them.

    Raises
    ------
    ImageFileError, PromptError
        If it is no JSON file.
    """
    file = existing_file(path)
    content = parse_json(file)
    entries = content.get("objects") if isinstance(content, dict) else None
    objects = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    prompts = [e.get("prompts") for e in objects]
    named = [p.get("mask") for some in prompts if isinstance(some, list) for p in some if isinstance(p, dict)]
    named += [e.get("labels") for e in objects]
    return [file.parent / name for name in named if isinstance(name, str) and name and "\0" not in name]


def parse_json(file: Path) -> Any:
    """The content of a prompt file.

    A key that is given twice is refused.

    Raises
    ------
    PromptError
        If it is not JSON in UTF-8.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_doubles)
    except json.JSONDecodeError as error:
        raise PromptError(
            [f"{file.name} is not valid JSON (line {error.lineno}, column {error.colno}): {error.msg}."]
        ) from error
    except UnicodeDecodeError as error:
        raise PromptError([f"{file.name} is not a text file in UTF-8."]) from error
    except UserInputError as error:
        raise PromptError([f"{file.name}: {error}"]) from error
    except RecursionError as error:
        raise PromptError([f"{file.name} is nested too deeply to be a prompt file."]) from error


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    doubles = sorted({key for key in keys if keys.count(key) > 1})
    if doubles:
        raise UserInputError(f"the key {doubles[0]!r} is given twice in one place.")
    return dict(pairs)


class _Reading:
    """One pass over the parsed JSON that collects faults instead of stopping at the first."""

    def __init__(self, file: Path, volume: Volume | None) -> None:
        self._file = file
        self._volume = volume
        self._faults: list[str] = []
        self._world = False

    def objects(self, content: Any) -> list[ObjectPrompts]:
        if not isinstance(content, dict):
            raise PromptError([f"{self._file.name}: the file must hold an object with version, space, objects."])
        self._unknown("the file", content, _TOP_KEYS)
        if content.get("version") != VERSION or isinstance(content.get("version"), bool):
            self._fault(f'"version" must be {VERSION}; got {_show(content.get("version"))}.')
        space = content.get("space", "voxel")
        if space not in ("voxel", "world"):
            self._fault(f'"space" must be "voxel" or "world"; got {_show(space)}.')
        self._world = space == "world"
        if self._world and self._volume is not None and not self._volume.oriented:
            self._fault(f'"space" is "world", but {self._volume.source.name} does not say where it lies; use "voxel".')
        entries = content.get("objects")
        if not isinstance(entries, list) or not entries:
            self._fault('"objects" must be a list with at least one object.')
            entries = []
        read = [self._object(number, entry) for number, entry in enumerate(entries, start=1)]
        if self._faults:
            raise PromptError(self._faults)
        return [obj for obj in read if obj is not None]

    def _object(self, number: int, entry: Any) -> ObjectPrompts | None:
        where = f"object {number}"
        if not isinstance(entry, dict):
            self._fault(f'{where}: it must be like {{"id": 1, "prompts": [...]}}; got {_show(entry)}.')
            return None
        self._unknown(where, entry, _OBJECT_KEYS)
        object_id = entry.get("id")
        if not isinstance(object_id, int) or isinstance(object_id, bool):
            self._fault(f'{where}: "id" must be a whole number; got {_show(object_id)}.')
            object_id = number
        name, origin = (self._text(where, key, entry.get(key, "")) for key in ("name", "origin"))
        entries = entry.get("prompts")
        if "labels" in entry:
            if entries is not None:
                self._fault(f'{where}: it must have either "prompts" or "labels", the object as it is.')
            whole = self._labels(where, "labels", entry["labels"])
            return None if whole is None else ObjectPrompts(object_id, (), name, origin, whole > 0)
        if not isinstance(entries, list) or not entries:
            self._fault(f'{where}: "prompts" must be a list with at least one prompt.')
            return None
        prompts = [self._prompt(f"{where}, prompt {n}", e) for n, e in enumerate(entries, start=1)]
        return ObjectPrompts(object_id, tuple(p for p in prompts if p is not None), name, origin)

    def _text(self, where: str, key: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        self._fault(f'{where}: "{key}" must be text; got {_show(value)}.')
        return ""

    def _prompt(self, where: str, entry: Any) -> Prompt | None:
        kinds = [kind for kind in _KINDS if isinstance(entry, dict) and kind in entry]
        if len(kinds) != 1:
            self._fault(f'{where}: it must have exactly one of "point", "box" and "mask"; got {_show(entry)}.')
            return None
        kind = kinds[0]
        self._unknown(where, entry, _KINDS[kind])
        if kind == "point":
            return self._point(where, entry)
        return self._box(where, entry) if kind == "box" else self._mask(where, entry)

    def _point(self, where: str, entry: dict[str, Any]) -> Point | None:
        positive = entry.get("positive", True)
        if not isinstance(positive, bool):
            self._fault(f'{where}: "positive" must be true or false; got {_show(positive)}.')
            positive = True
        voxel = self._voxel(where, "point", entry["point"])
        return None if voxel is None else Point(voxel, positive)

    def _box(self, where: str, entry: dict[str, Any]) -> Box | None:
        corners = entry["box"]
        if not isinstance(corners, list) or len(corners) != 2:
            self._fault(f'{where}: "box" must be two corners [[i, j, k], [i, j, k]]; got {_show(corners)}.')
            return None
        voxels = [self._voxel(where, "corner", corner) for corner in corners]
        whole: list[tuple[int, int, int]] = []
        for voxel in voxels:
            if voxel is None:
                return None
            i, j, k = (math.floor(c + 0.5) for c in voxel)
            if not self._world and (i, j, k) != voxel:
                self._fault(f"{where}: the corners of a box are whole voxels; got {_show(list(voxel))}.")
                return None
            whole.append((i, j, k))
        return Box((whole[0], whole[1]))

    def _mask(self, where: str, entry: dict[str, Any]) -> MaskPrompt | None:
        axis, index = entry.get("axis"), entry.get("slice")
        if not _is_index(axis, 3):
            self._fault(f'{where}: "axis" must be 0, 1 or 2; got {_show(axis)}.')
            return None
        last = _ANY_SLICE if self._volume is None else self._volume.shape[axis] - 1
        if not _is_index(index, last + 1):
            self._fault(f'{where}: "slice" must be 0 to {last} on axis {axis}; got {_show(index)}.')
            return None
        labels = self._labels(where, "mask", entry["mask"])
        return None if labels is None else MaskPrompt(np.moveaxis(labels, axis, 0)[index] > 0, axis, index)

    def _labels(self, where: str, key: str, name: Any) -> NDArray[np.integer] | None:
        """A label map on the grid of the image; None without an image, or when it cannot be read."""
        from napari_sam2.io.labels import read_labels

        if not isinstance(name, str) or not name:
            self._fault(f'{where}: "{key}" must be a file name; got {_show(name)}.')
            return None
        try:
            if self._volume is None:
                existing_file(self._file.parent / name)
                return None
            return read_labels(self._file.parent / name, self._volume)
        except UserInputError as error:
            self._fault(f"{where}: {error}")
            return None

    def _voxel(self, where: str, what: str, value: Any) -> tuple[float, float, float] | None:
        if (
            not isinstance(value, list)
            or len(value) != 3
            or not all(isinstance(c, int | float) and not isinstance(c, bool) and abs(c) < 1e9 for c in value)
        ):
            triple = "[x, y, z]" if self._world else "[i, j, k]"
            self._fault(f'{where}: "{what}" must be three numbers {triple}; got {_show(value)}.')
            return None
        if self._world and self._volume is not None:
            i, j, k = (float(c) for c in self._volume.world_to_voxel(value))
            return i, j, k
        i, j, k = value
        return i, j, k

    def _unknown(self, where: str, entry: dict[str, Any], allowed: tuple[str, ...]) -> None:
        for key in entry:
            if key not in allowed:
                self._fault(f"{where}: the key {key!r} is not known; known are {', '.join(allowed)}.")

    def _fault(self, sentence: str) -> None:
        self._faults.append(f"{self._file.name}: {sentence}")


def _is_index(value: Any, count: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
