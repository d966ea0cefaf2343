"""One GeoJSON feature of QuPath, and the object it means.

Without loss in either direction.

By QuPath's ``QuPathTypeAdapters`` and ``ROITypeAdapters``: an ``id`` that is a UUID; ``objectType``, ``name``,
``color`` ([r, g, b], or a packed integer before 0.4), ``classification`` (``name``, or ``names`` for derived
classes), ``isLocked``, ``measurements`` (an object, or a list of name and value before 0.4) and ``metadata`` in the
``properties``. Members beyond these (``plane``, ``nucleusGeometry``, ``childObjects``, ...) are kept, and so is the
spelling of a known member until the object is changed.
"""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.slides.objects import ObjectClass, SlideObject, new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GEOMETRIES", "feature_of", "object_of"]

GEOMETRIES: Final = (
    "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"
)  # fmt: skip

_NUMBERS: Final = {int, float}
_FEATURE: Final = ("type", "id", "geometry", "properties")
_GEOMETRY: Final = ("type", "coordinates", "geometries")

LARGEST_COORDINATE: Final = 2.0**31
"""Pixels; no format of slides has more along a side, and areas of much larger ones overflow."""
_PROPERTIES: Final = ("objectType", "name", "color", "classification", "isLocked", "measurements", "metadata")
_OF_ANY_SHAPE: Final = ("plane",)
"""Members of a geometry that hold whatever its outline; others (``isEllipse``, ``bbox``) are of that outline alone."""


def feature_of(obj: SlideObject) -> dict[str, Any]:
    """The object as a GeoJSON feature.

    In plain Python values, without NaN or infinity.
    """
    import shapely

    geometry = json.loads(shapely.to_geojson(obj.geometry)) if obj.geometry.is_empty else _mapping(obj.geometry)
    geometry.update(obj.foreign.get("geometry", {}))
    shape = obj.foreign.get("shape", {})
    if shape and shape["of"] == _digest(obj.geometry):
        geometry.update(shape["members"])
    properties = {**_properties(obj), **obj.foreign.get("properties", {})}
    _spell(properties, obj, obj.foreign.get("spelling", {}))
    feature = {"type": "Feature", "id": obj.object_id, "geometry": geometry, "properties": properties}
    return {**feature, **obj.foreign.get("feature", {})}


def object_of(feature: Mapping[str, Any]) -> SlideObject:
    """The object in a GeoJSON feature.

    Raises
    ------
    ValueError
        If the feature cannot be meant; says what is wrong with it.
    """
    if not isinstance(feature, dict):
        raise ValueError("it is not an object")
    geometry = feature.get("geometry")
    if not isinstance(geometry, dict) or geometry.get("type") not in GEOMETRIES:
        raise ValueError("it has no geometry of a known type")
    if not isinstance(geometry.get("coordinates", geometry.get("geometries")), list):
        raise ValueError("its geometry has no coordinates")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise ValueError('its "properties" are not an object')
    shape = _shape(geometry)
    name, kind = properties.get("name"), properties.get("objectType", properties.get("object_type"))
    obj = SlideObject(
        geometry=shape,
        object_id=_uuid(feature.get("id")),
        name=name if isinstance(name, str) else "",
        object_class=_class(properties.get("classification")),
        colour=_colour(properties.get("color")),
        finished=properties.get("isLocked") is True,
        kind=kind if isinstance(kind, str) else "annotation",
        measurements=_measurements(properties.get("measurements")),
        metadata=_metadata(properties.get("metadata")),
        foreign=_foreign(feature, geometry, properties, shape),
    )
    spelling = _spelling(properties, obj)
    return replace(obj, foreign={**obj.foreign, "spelling": spelling}) if spelling else obj


def _properties(obj: SlideObject) -> dict[str, Any]:
    properties: dict[str, Any] = {"objectType": obj.kind}
    if obj.name:
        properties["name"] = obj.name
    if obj.colour is not None:
        properties["color"] = list(obj.colour)
    if obj.object_class is not None:
        # QuPath refuses a whole file for one class without a colour.
        properties["classification"] = {"name": obj.object_class.name, "color": list(obj.object_class.colour or ())}
    if obj.finished:
        properties["isLocked"] = True
    numbers = {name: value for name, value in obj.measurements.items() if math.isfinite(value)}
    if numbers:
        properties["measurements"] = numbers
    if obj.metadata:
        properties["metadata"] = dict(obj.metadata)
    return properties


def _foreign(
    feature: Mapping[str, Any], geometry: Mapping[str, Any], properties: Mapping[str, Any], shape: Any
) -> dict[str, dict[str, Any]]:
    """Members that this program does not use, by where they stand."""
    beside = _unknown(geometry, _GEOMETRY)
    of_shape = {key: value for key, value in beside.items() if key not in _OF_ANY_SHAPE}
    foreign: dict[str, dict[str, Any]] = {
        "feature": _unknown(feature, _FEATURE),
        "geometry": {key: value for key, value in beside.items() if key in _OF_ANY_SHAPE},
        "properties": _unknown(properties, (*_PROPERTIES, "object_type")),
        "shape": {"of": _digest(shape), "members": of_shape} if of_shape else {},
    }
    return {member: rest for member, rest in foreign.items() if rest}


def _spelling(properties: Mapping[str, Any], obj: SlideObject) -> dict[str, Any]:
    """Known members that this program would write otherwise than they came."""
    written = _properties(obj)
    keys = [key for key in _PROPERTIES if key in properties]
    kept = {key: properties[key] for key in keys if key not in written or properties[key] != written[key]}
    if isinstance(kept.get("measurements"), dict):
        ours = written.get("measurements", {})
        kept["measurements"] = {n: v for n, v in kept["measurements"].items() if n not in ours}
    return kept


def _spell(properties: dict[str, Any], obj: SlideObject, spelling: Mapping[str, Any]) -> None:
    """Write known members as they came, where they still mean what the object says."""
    read = {
        "objectType": lambda v: (v if isinstance(v, str) else "annotation") == obj.kind,
        "name": lambda v: (v if isinstance(v, str) else "") == obj.name,
        "color": lambda v: _colour(v) == obj.colour,
        "classification": lambda v: _class(v) == obj.object_class and (obj.object_class is None or _has_colour(v)),
        "isLocked": lambda v: (v is True) == obj.finished,
        "metadata": lambda v: _metadata(v) == dict(obj.metadata),
    }
    for key, value in spelling.items():
        if key in read and read[key](value):
            properties[key] = value
    as_read = spelling.get("measurements")
    if isinstance(as_read, list) and _measurements(as_read) == dict(obj.measurements):
        properties["measurements"] = as_read
    elif isinstance(as_read, dict):
        properties["measurements"] = {**as_read, **properties.get("measurements", {})}
    elif "measurements" in spelling:
        properties.setdefault("measurements", as_read)


def _has_colour(classification: Any) -> bool:
    return isinstance(classification, dict) and (
        _colour(classification.get("color", classification.get("colorRGB"))) is not None
    )


def _mapping(geometry: Any) -> dict[str, Any]:
    import shapely

    if geometry.geom_type == "GeometryCollection":
        return {"type": geometry.geom_type, "geometries": [_mapping(part) for part in geometry.geoms]}
    mapping: dict[str, Any] = shapely.geometry.mapping(geometry)
    return {"type": mapping["type"], "coordinates": mapping["coordinates"]}


def _built(geometry: dict[str, Any]) -> Any:
    import shapely

    if geometry["type"] == "Polygon" and geometry["coordinates"]:
        # Rings as arrays: five times as fast as point by point.
        shell, *holes = (np.array(ring, dtype=np.float64) for ring in geometry["coordinates"])
        return shapely.Polygon(shell, holes)
    return shapely.geometry.shape(geometry)


def _in_the_plane(coordinates: Any) -> Any:
    """Nested coordinates without anything beyond x and y."""
    if isinstance(coordinates, list) and coordinates and not isinstance(coordinates[0], list):
        return coordinates[:2]
    return [_in_the_plane(part) for part in coordinates] if isinstance(coordinates, list) else coordinates


def _shape(geometry: dict[str, Any]) -> Any:

    _check_numbers(geometry)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large is refused below
            try:
                shape = _built(geometry)
            except ValueError:
                # Points with a height among others without one, which RFC 7946 allows (3.1.1).
                shape = _built({**geometry, "coordinates": _in_the_plane(geometry["coordinates"])})
    except Exception as error:  # shapely raises many kinds on malformed coordinates
        raise ValueError("its coordinates do not make a geometry") from error
    if not all(math.isfinite(c) for c in shape.bounds) and not shape.is_empty:
        raise ValueError("a coordinate is not a finite number")
    if any(abs(c) > LARGEST_COORDINATE for c in shape.bounds):
        raise ValueError("a coordinate lies beyond every slide")
    return shape


def _check_numbers(part: Any) -> None:
    """Refuse coordinates that are true, false, text or nothing: numpy and shapely would take some for numbers."""
    if isinstance(part, dict):
        _check_numbers(part.get("coordinates", []))
        inner_parts = part.get("geometries")
        for inner in inner_parts if isinstance(inner_parts, list) else ():
            _check_numbers(inner)
    elif isinstance(part, list) and part and isinstance(part[0], list):
        try:
            kinds = set(map(type, chain.from_iterable(part)))
        except TypeError:
            raise ValueError("a coordinate is not a number") from None
        if kinds <= _NUMBERS:
            return
        for inner in part:
            _check_numbers(inner)
    elif not isinstance(part, list) or not set(map(type, part)) <= _NUMBERS:
        raise ValueError("a coordinate is not a number")


def _digest(geometry: Any) -> str:
    import shapely

    return hashlib.sha256(shapely.to_wkb(shapely.force_2d(geometry))).hexdigest()[:16]


def _uuid(written: Any) -> str:
    # Before 0.4 QuPath kept the object's type there; others keep numbers.
    try:
        return str(uuid.UUID(written)) if isinstance(written, str) else new_id()
    except ValueError:
        return new_id()


def _class(written: Any) -> ObjectClass | None:
    if isinstance(written, str):
        return ObjectClass(written) if written else None
    if not isinstance(written, dict):
        return None
    names = written.get("names")
    name = ": ".join(str(n) for n in names) if isinstance(names, list) else written.get("name")
    if not name:
        return None
    return ObjectClass(str(name), _colour(written.get("color", written.get("colorRGB"))))


def _colour(written: Any) -> tuple[int, int, int] | None:
    if isinstance(written, int) and not isinstance(written, bool):
        packed = written & 0xFFFFFF  # Java's signed ARGB
        return packed >> 16, packed >> 8 & 255, packed & 255
    if not isinstance(written, list) or len(written) < 3:
        return None
    numbers = [_number(c) for c in written[:3]]
    if any(n is None for n in numbers):
        return None
    red, green, blue = (int(min(max(n or 0.0, 0.0), 255.0)) for n in numbers)
    return red, green, blue


def _measurements(written: Any) -> dict[str, float]:
    """Those that are numbers; QuPath writes a value that is none as the text ``"NaN"``."""
    if isinstance(written, list):
        pairs = [(entry.get("name"), entry.get("value")) for entry in written if isinstance(entry, dict)]
    elif isinstance(written, dict):
        pairs = list(written.items())
    else:
        return {}
    numbers = ((name, _number(value)) for name, value in pairs)
    return {str(name): number for name, number in numbers if number is not None}


def _metadata(written: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in written.items()} if isinstance(written, dict) else {}


def _number(written: Any) -> float | None:
    if isinstance(written, bool) or not isinstance(written, int | float | str):
        return None
    try:
        number = float(written)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _unknown(entry: Mapping[str, Any], allowed: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in allowed}
