"""GeoJSON as QuPath writes and reads it, without loss in either direction.

What the two programs agree on, by QuPath's ``QuPathTypeAdapters`` and ``ROITypeAdapters``: a
``FeatureCollection`` or a plain array of features; an ``id`` that is a UUID; ``objectType``, ``name``,
``color`` ([r, g, b], or a packed integer before 0.4), ``classification`` (``name``, or ``names`` for derived
classes), ``isLocked``, ``measurements`` (an object, or a list of name and value before 0.4) and ``metadata``
in the ``properties``. Members beyond these (``plane``, ``nucleusGeometry``, ``childObjects``, ...) are kept.
"""

from __future__ import annotations

import json
import math
import uuid
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import ImageFileError
from napari_sam2.io.atomic import atomic_write
from napari_sam2.io.payload import existing_file
from napari_sam2.slides.objects import ObjectClass, SlideObject

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["feature_of", "object_of", "read_geojson", "write_geojson"]

GEOMETRIES: Final = (
    "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"
)  # fmt: skip

_FEATURE: Final = ("type", "id", "geometry", "properties")
_GEOMETRY: Final = ("type", "coordinates", "geometries")
_PROPERTIES: Final = ("objectType", "name", "color", "classification", "isLocked", "measurements", "metadata")
_LARGEST_FILE: Final = 2 << 30


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
            json.dump(feature_of(obj), file, ensure_ascii=False, allow_nan=False)
            count += 1
        file.write("\n]}\n")
    return count


def read_geojson(path: str | os.PathLike[str]) -> list[SlideObject]:
    """Read the objects of a file.

    Raises
    ------
    ImageFileError
        If it is not GeoJSON; the message names the feature.
    """
    file = existing_file(path)
    if file.stat().st_size > _LARGEST_FILE:
        raise ImageFileError(f"{file.name} is larger than 2 GiB; export fewer objects at a time.")
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ImageFileError(f"{file.name} is not valid JSON: {error}.") from error
    if isinstance(content, dict) and content.get("type") == "Feature":
        content = [content]
    features = content.get("features") if isinstance(content, dict) else content
    if not isinstance(features, list):
        raise ImageFileError(f"{file.name} is not GeoJSON: it has no list of features.")
    return [_checked(feature, number, file) for number, feature in enumerate(features, start=1)]


def feature_of(obj: SlideObject) -> dict[str, Any]:
    """The object as a GeoJSON feature in plain Python values."""
    import shapely

    geometry = json.loads(shapely.to_geojson(obj.geometry)) if obj.geometry.is_empty else _mapping(obj.geometry)
    properties: dict[str, Any] = {"objectType": obj.kind}
    if obj.name:
        properties["name"] = obj.name
    if obj.colour is not None:
        properties["color"] = list(obj.colour)
    if obj.object_class is not None:
        properties["classification"] = {"name": obj.object_class.name}
        if obj.object_class.colour is not None:
            properties["classification"]["color"] = list(obj.object_class.colour)
    if obj.locked:
        properties["isLocked"] = True
    numbers = {name: value for name, value in obj.measurements.items() if math.isfinite(value)}
    if numbers:
        properties["measurements"] = numbers
    if obj.metadata:
        properties["metadata"] = dict(obj.metadata)
    properties.update(obj.foreign.get("properties", {}))
    geometry.update(obj.foreign.get("geometry", {}))
    feature = {"type": "Feature", "id": obj.object_id, "geometry": geometry, "properties": properties}
    return {**feature, **obj.foreign.get("feature", {})}


def object_of(feature: dict[str, Any]) -> SlideObject:
    """The object in a GeoJSON feature.

    Raises
    ------
    ValueError
        If the feature cannot be meant; says what is wrong with it.
    """
    geometry = feature.get("geometry")
    if not isinstance(geometry, dict) or geometry.get("type") not in GEOMETRIES:
        raise ValueError("it has no geometry of a known type")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise ValueError('its "properties" are not an object')
    foreign = {
        "feature": _unknown(feature, _FEATURE),
        "geometry": _unknown(geometry, _GEOMETRY),
        "properties": _unknown(properties, _PROPERTIES),
    }
    name = properties.get("name")
    return SlideObject(
        geometry=_shape(geometry),
        object_id=_uuid(feature.get("id")),
        name=name if isinstance(name, str) else "",
        object_class=_class(properties.get("classification")),
        colour=_colour(properties.get("color")),
        locked=properties.get("isLocked") is True,
        kind=str(properties.get("objectType", foreign["properties"].pop("object_type", "annotation"))),
        measurements=_measurements(properties.get("measurements")),
        metadata={str(k): str(v) for k, v in (properties.get("metadata") or {}).items()},
        foreign={member: rest for member, rest in foreign.items() if rest},
    )


def _checked(feature: Any, number: int, file: Path) -> SlideObject:
    try:
        if not isinstance(feature, dict):
            raise ValueError("it is not an object")
        return object_of(feature)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ImageFileError(f"{file.name}: feature {number} cannot be used: {error}.") from error


def _mapping(geometry: Any) -> dict[str, Any]:
    import shapely

    if geometry.geom_type == "GeometryCollection":
        return {"type": geometry.geom_type, "geometries": [_mapping(part) for part in geometry.geoms]}
    found: dict[str, Any] = shapely.geometry.mapping(geometry)
    return {"type": found["type"], "coordinates": found["coordinates"]}


def _shape(geometry: dict[str, Any]) -> Any:
    import shapely

    try:
        found = shapely.geometry.shape(geometry)
    except Exception as error:  # shapely raises many kinds on malformed coordinates
        raise ValueError("its coordinates do not make a geometry") from error
    if not all(math.isfinite(c) for c in found.bounds) and not found.is_empty:
        raise ValueError("a coordinate is not a finite number")
    return found


def _uuid(given: Any) -> str:
    # Before 0.4 QuPath kept the object's type there; others keep numbers.
    try:
        return str(uuid.UUID(given)) if isinstance(given, str) else str(uuid.uuid4())
    except ValueError:
        return str(uuid.uuid4())


def _class(given: Any) -> ObjectClass | None:
    if not isinstance(given, dict):
        return None
    names = given.get("names")
    name = ": ".join(str(n) for n in names) if isinstance(names, list) else given.get("name")
    if not name:
        return None
    return ObjectClass(str(name), _colour(given.get("color", given.get("colorRGB"))))


def _colour(given: Any) -> tuple[int, int, int] | None:
    if isinstance(given, int) and not isinstance(given, bool):
        packed = given & 0xFFFFFF  # Java's signed ARGB
        return packed >> 16, packed >> 8 & 255, packed & 255
    if isinstance(given, list) and len(given) >= 3:
        red, green, blue = (min(max(int(c), 0), 255) for c in given[:3])
        return red, green, blue
    return None


def _measurements(given: Any) -> dict[str, float]:
    if isinstance(given, list):
        given = {entry["name"]: entry["value"] for entry in given}
    if not isinstance(given, dict):
        return {}
    return {str(name): float(value) for name, value in given.items() if isinstance(value, int | float | str)}


def _unknown(entry: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in known}
