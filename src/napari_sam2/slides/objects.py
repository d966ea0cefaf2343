"""Objects on a slide: frozen values in an ordered collection whose every edit can be undone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from napari_sam2.core.pixel_size import Mpp

__all__ = [
    "AREA_MICRONS",
    "AREA_PIXELS",
    "OVERLAP_RULES",
    "ObjectClass",
    "Regions",
    "SlideObject",
    "measured",
    "new_id",
]

OVERLAP_RULES: Final = ("keep", "first", "last")
"""What happens where two objects overlap: both keep it, or the one that came first, or last, has it."""

SCORE: Final = "SAM2 predicted IoU"
"""Name of the measurement that holds the model's own estimate of its mask's IoU."""

AREA_PIXELS: Final = "Area px^2"
AREA_MICRONS: Final = "Area µm^2"
PERIMETER: Final = "Perimeter µm"
"""Names of the measurements of size; microns where a pixel's size is known."""

_SIZES: Final = (AREA_PIXELS, AREA_MICRONS, PERIMETER)

Colour = tuple[int, int, int]


def new_id() -> str:
    """An id for an object, also for one that is yet to begin."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """What an object is.

    Attributes
    ----------
    name : str
        Such as ``"Tumor"``; derived classes are joined by ``": "`` as in QuPath.
    colour : tuple of int, optional
        Red, green, blue, 0 to 255.
    """

    name: str
    colour: Colour | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SlideObject:
    """One object.

    Attributes
    ----------
    geometry : shapely geometry
        In level-0 pixel corners, (x, y). Immutable.
    object_id : str
        A UUID, the same for the object's whole life, also in QuPath.
    name : str
        For people; may be empty.
    object_class : ObjectClass, optional
        What it is.
    colour : tuple of int, optional
        Its own colour; the class's counts otherwise.
    locked : bool
        A locked object is neither changed nor cut by others.
    kind : str
        QuPath's object type: ``"annotation"``, ``"detection"``, ...
    measurements : mapping of str to float
        Numbers, by name with their unit.
    metadata : mapping of str to str
        Text, for example the model's name.
    foreign : mapping of str to mapping
        Members of a GeoJSON feature that this program does not use, under ``"feature"``,
        ``"geometry"`` and ``"properties"``; they are written back as they came.
    """

    geometry: Any
    object_id: str = field(default_factory=new_id)
    name: str = ""
    object_class: ObjectClass | None = None
    colour: Colour | None = None
    locked: bool = False
    kind: str = "annotation"
    measurements: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("measurements", "metadata", "foreign"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def class_name(self) -> str:
        """The class's name, empty when there is none."""
        return "" if self.object_class is None else self.object_class.name

    @property
    def shown_colour(self) -> Colour | None:
        """Its own colour, else its class's."""
        return self.colour or (None if self.object_class is None else self.object_class.colour)

    @property
    def score(self) -> float | None:
        """The model's own estimate of its mask's IoU, when a model made it."""
        return self.measurements.get(SCORE)


def measured(obj: SlideObject, mpp: Mpp | None) -> SlideObject:
    """The object with its area (and perimeter) as measurements, in microns when the pixel's size is known."""
    geometry = obj.geometry
    found = {AREA_PIXELS: float(geometry.area)}
    if mpp is not None:
        import shapely

        microns = shapely.transform(geometry, lambda xy: xy * (mpp.col, mpp.row))
        found = {AREA_MICRONS: float(microns.area), PERIMETER: float(microns.length)}
    # An area in the other unit is of an outline, or of a pixel size, that no longer holds.
    kept = {name: value for name, value in obj.measurements.items() if name not in _SIZES}
    return replace(obj, measurements={**kept, **found})


class Regions:
    """All objects of a slide, in the order of their creation.

    Every change replaces the whole (immutable) tuple of objects, so undo is a step back along a list; tuples
    share their objects, so the list costs little.

    Parameters
    ----------
    objects : iterable of SlideObject
        What is there at the beginning; not undone.
    overlap : str
        One of `OVERLAP_RULES`.
    """

    def __init__(self, objects: Iterable[SlideObject] = (), overlap: str = "keep") -> None:
        if overlap not in OVERLAP_RULES:
            raise UserInputError(f"There is no overlap rule {overlap!r}; choose one of {', '.join(OVERLAP_RULES)}.")
        self.overlap = overlap
        self._states: list[tuple[SlideObject, ...]] = [tuple(objects)]
        self._now = 0

    @property
    def objects(self) -> tuple[SlideObject, ...]:
        """The objects as they are now."""
        return self._states[self._now]

    @property
    def position(self) -> int:
        """How many changes lead here from the beginning."""
        return self._now

    def __len__(self) -> int:
        return len(self.objects)

    def __iter__(self) -> Iterator[SlideObject]:
        return iter(self.objects)

    def __getitem__(self, object_id: str) -> SlideObject:
        found = self.find(object_id)
        if found is None:
            raise UserInputError(f"There is no object {object_id} on this slide.")
        return found

    def __contains__(self, object_id: object) -> bool:
        return any(obj.object_id == object_id for obj in self.objects)

    def find(self, object_id: str) -> SlideObject | None:
        """The object of an id; None when there is none."""
        return next((obj for obj in self.objects if obj.object_id == object_id), None)

    def put(self, obj: SlideObject) -> SlideObject:
        """Add an object, or replace the one with its id, and apply the overlap rule.

        Returns
        -------
        SlideObject
            As it came to lie: possibly cut by others.

        Raises
        ------
        UserInputError
            If the object with its id is locked.
        """
        before = self.objects
        if obj.object_id in self:
            self._refuse_locked(obj.object_id)
            objects = [obj if o.object_id == obj.object_id else o for o in before]
        else:
            objects = [*before, obj]
        self._record(_without_overlap(objects, obj.object_id, self.overlap))
        return self[obj.object_id]

    def put_all(self, objects: Iterable[SlideObject]) -> None:
        """Add objects or replace those with their ids, as one change; overlaps are left as they come.

        Raises
        ------
        UserInputError
            If one of them is locked here.
        """
        fresh = {obj.object_id: obj for obj in objects}
        for obj in self.objects:
            if obj.object_id in fresh:
                self._refuse_locked(obj.object_id)
        kept = [fresh.pop(obj.object_id, obj) for obj in self.objects]
        self._record((*kept, *fresh.values()))

    def set_all(self, objects: Iterable[SlideObject]) -> None:
        """Replace all objects, as one change."""
        self._record(objects)

    def remeasure(self, measure: Callable[[SlideObject], SlideObject]) -> None:
        """Replace every object by what `measure` makes of it, in the past as well: no change to be undone."""
        made: dict[SlideObject, SlideObject] = {}
        for state in self._states:
            for obj in state:
                if obj not in made:
                    made[obj] = measure(obj)
        self._states = [tuple(made[obj] for obj in state) for state in self._states]

    def change(self, object_id: str, **fields: Any) -> SlideObject:
        """Change the name, class, colour or lock of an object; see `SlideObject`.

        Raises
        ------
        UserInputError
            If there is no such object, or it is locked and `fields` does not unlock it.
        """
        old = self[object_id]
        if fields.get("locked") is not False:
            self._refuse_locked(object_id)
        new = replace(old, **fields)
        self._record(new if o is old else o for o in self.objects)
        return new

    def remove(self, object_id: str) -> None:
        """Remove an object."""
        self._refuse_locked(object_id)
        self._record(o for o in self.objects if o.object_id != object_id)

    def undo(self) -> bool:
        """Take the last change back; False when there is none."""
        if self._now == 0:
            return False
        self._now -= 1
        return True

    def redo(self) -> bool:
        """Do the last undone change again; False when there is none."""
        if self._now + 1 == len(self._states):
            return False
        self._now += 1
        return True

    def _refuse_locked(self, object_id: str) -> None:
        obj = self[object_id]
        if obj.locked:
            raise UserInputError(f"Object {obj.name or object_id} is locked; unlock it to change it.")

    def _record(self, objects: Iterable[SlideObject]) -> None:
        self._states[self._now + 1 :] = [tuple(objects)]
        self._now += 1


def _without_overlap(objects: list[SlideObject], object_id: str, rule: str) -> list[SlideObject]:
    """Cut the changed object or its neighbours, so that the rule holds again. Locked objects are never cut."""
    if rule == "keep":
        return objects
    place = next(i for i, o in enumerate(objects) if o.object_id == object_id)
    changed = objects[place]
    for i, other in enumerate(objects):
        if i == place or not changed.geometry.intersects(other.geometry):
            continue
        other_wins = other.locked or (i < place) == (rule == "first")
        if other_wins:
            changed = replace(changed, geometry=_areas(changed.geometry.difference(other.geometry)))
        else:
            objects[i] = replace(other, geometry=_areas(other.geometry.difference(changed.geometry)))
    objects[place] = changed
    return objects


def _areas(geometry: Any) -> Any:
    """The polygons of a geometry; a difference may leave lines behind."""
    import shapely

    parts = [p for p in shapely.get_parts(shapely.get_parts(geometry)) if p.geom_type == "Polygon" and p.area > 0]
    if len(parts) == 1:
        return parts[0]
    return shapely.MultiPolygon(parts) if parts else shapely.Polygon()
