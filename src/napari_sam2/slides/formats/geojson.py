"""GeoJSON files as QuPath writes and reads them.

A ``FeatureCollection``, or a plain array of features.

Nothing that was in a file vanishes in silence: a feature that cannot be used is skipped, counted and told, an id
that two features share is replaced in the second, and an outline that crosses itself is made valid.
"""

from __future__ import annotations

import contextlib
import gc
import gzip
import json
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import ImageFileError
from napari_sam2.io.atomic import atomic_write
from napari_sam2.io.payload import existing_file, is_gzip
from napari_sam2.slides.formats.feature import feature_of, object_of
from napari_sam2.slides.objects import new_id
from napari_sam2.slides.polygons import areas_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from napari_sam2.slides.objects import SlideObject

__all__ = ["ReadObjects", "feature_of", "object_of", "read_geojson", "read_objects", "write_geojson"]

LARGEST_FILE: Final = 2 << 30
"""Bytes of text, decompressed: about two million outlines."""

_SHOWN: Final = 3
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ReadObjects:
    """What a file holds.

    Attributes
    ----------
    objects : list of SlideObject
        In the order of the file.
    notes : tuple of str
        Sentences about what was skipped or mended, for the person to see.
    """

    objects: list[SlideObject]
    notes: tuple[str, ...]


def write_geojson(objects: Iterable[SlideObject], path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
    """Write objects one by one; memory does not grow with their number.

    Returns
    -------
    int
        How many were written.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        As `napari_sam2.io.atomic.atomic_write`.
    """
    count = 0
    with atomic_write(path, overwrite=overwrite) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for obj in objects:
            file.write(",\n" if count else "\n")
            file.write(_text(feature_of(obj)))
            count += 1
        file.write("\n]}\n")
    return count


def read_geojson(path: str | os.PathLike[str]) -> list[SlideObject]:
    """Read the objects of a file.

    `read_objects` also says what was skipped or mended.

    Raises
    ------
    ImageFileError
        As `read_objects`.
    """
    return read_objects(path).objects


def read_objects(path: str | os.PathLike[str]) -> ReadObjects:
    """Read the objects of a file.

    Parameters
    ----------
    path : path-like
        ``.geojson`` or ``.json``, also compressed by gzip.

    Raises
    ------
    ImageFileError
        If it is not GeoJSON, or nothing in it can be used; the message names the feature.
    """
    file = existing_file(path)
    with _without_collection():
        features = _features(file)
        objects: list[SlideObject] = []
        skipped: list[str] = []
        for number, feature in enumerate(features, start=1):
            try:
                objects.append(object_of(feature))
            except RecursionError:
                skipped.append(f"feature {number} cannot be used: it is nested too deeply")
            except ValueError as error:
                skipped.append(f"feature {number} cannot be used: {error}")
    if skipped and not objects:
        raise ImageFileError(f"{file.name}: {skipped[0]}.")
    notes = []
    if skipped:
        more = f"; and {len(skipped) - _SHOWN} more" if len(skipped) > _SHOWN else ""
        faults = "; ".join(skipped[:_SHOWN]) + more
        notes.append(f"{file.name}: {len(skipped)} of {len(features)} features were skipped: {faults}.")
    objects, n_mended = _valid(objects)
    if n_mended:
        notes.append(f"{file.name}: {n_mended} outlines crossed themselves and were made valid.")
    objects, n_renamed = _with_own_ids(objects)
    if n_renamed:
        notes.append(f"{file.name}: {n_renamed} objects had the id of another one and were given a new id.")
    return ReadObjects(objects, tuple(notes))


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Hold Python's garbage collector, which would go through millions of new lists again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _features(file: Path) -> list[Any]:
    raw = _bytes(file)
    try:
        content = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # ValueError: also bytes that are no text, and endless integers
        reason = str(error) if isinstance(error, json.JSONDecodeError) else "its text or nesting is not JSON's"
        raise ImageFileError(f"{file.name} is not valid JSON: {reason}.") from error
    if isinstance(content, dict) and content.get("type") == "Feature":
        content = [content]
    features = content.get("features") if isinstance(content, dict) else content
    if not isinstance(features, list):
        raise ImageFileError(f"{file.name} is not GeoJSON: it has no list of features.")
    return features


def _bytes(file: Path) -> bytes:
    too_large = ImageFileError(f"{file.name} is larger than 2 GiB; export fewer objects at a time.")
    if not is_gzip(file):
        if file.stat().st_size > LARGEST_FILE:
            raise too_large
        return file.read_bytes()
    content = bytearray()
    try:
        with gzip.open(file) as stream:
            # Piece by piece up to an empty one: only that is checked against the stream's end.
            while piece := stream.read(_PIECE):
                content += piece
                if len(content) > LARGEST_FILE:
                    raise too_large
    except (OSError, EOFError, zlib.error) as error:
        raise ImageFileError(f"{file.name} is damaged: it cannot be decompressed; export it again.") from error
    return bytes(content)


def _valid(objects: list[SlideObject]) -> tuple[list[SlideObject], int]:
    """Objects whose areas are valid, and how many had to be mended."""
    import shapely

    broken = np.flatnonzero(~shapely.is_valid([obj.geometry for obj in objects]))
    mended = list(objects)
    for index in broken.tolist():
        valid_geometry = shapely.make_valid(objects[index].geometry)
        areas = areas_of(valid_geometry)
        mended[index] = replace(objects[index], geometry=valid_geometry if areas.is_empty else areas)
    return mended, len(broken)


def _with_own_ids(objects: list[SlideObject]) -> tuple[list[SlideObject], int]:
    """Objects of which no two share an id, and how many were given a new one."""
    ids: set[str] = set()
    own = []
    for obj in objects:
        own.append(replace(obj, object_id=new_id()) if obj.object_id in ids else obj)
        ids.add(own[-1].object_id)
    return own, sum(new is not old for new, old in zip(own, objects, strict=True))


def _text(feature: dict[str, Any]) -> str:
    # Text that is no Unicode (a lone surrogate) is escaped, so that the file stays UTF-8.
    text = json.dumps(feature, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(feature, ensure_ascii=True, allow_nan=False)
    return text
