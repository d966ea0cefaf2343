"""Objects on a slide.

Frozen values, and the store that holds them with their prompts.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.core.store import ObjectStore
from napari_sam2.errors import UserInputError
from napari_sam2.slides.class_colours import class_colour
from napari_sam2.slides.polygons import areas_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from napari_sam2.core.history import Step
    from napari_sam2.core.pixel_size import Mpp
    from napari_sam2.slides.prompts import SlidePrompt

__all__ = [
    "AREA_MICRONS",
    "AREA_PIXELS",
    "EXPECTED",
    "OVERLAP_RULES",
    "SCORE",
    "SCORES",
    "ObjectClass",
    "Regions",
    "SlideObject",
    "SlideRecord",
    "check_overlap_rule",
    "measured",
    "new_id",
    "without_scores",
]

OVERLAP_RULES: Final = ("keep", "first", "last")
"""What happens where two objects overlap: both keep it, or the one that came first, or last, has it."""

SCORE: Final = "Predicted IoU"
"""Name of the measurement that holds the model's own estimate of its mask's IoU, whichever model it is."""

EXPECTED: Final = "Expected IoU"
"""Of the measurement that holds what the nuclei proposer expects, which is no model; see
`napari_sam2.slides.nuclei.worth`."""

SCORES: Final = (SCORE, EXPECTED, "SAM2 predicted IoU")
"""Names of all measurements that say how good an outline may be; they hold for that outline only.

The last one was given by earlier versions, whatever model it was."""

AREA_PIXELS: Final = "Area px^2"
AREA_MICRONS: Final = "Area µm^2"
PERIMETER: Final = "Perimeter µm"
"""Names of the measurements of size; microns where a pixel's size is known."""

_SIZES: Final = (AREA_PIXELS, AREA_MICRONS, PERIMETER)

Colour = tuple[int, int, int]


def new_id() -> str:
    """An id for an object.

    Also for one that is yet to begin.
    """
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """What an object is.

    Attributes
    ----------
    name : str
        Such as ``"Tumor"``; derived classes are joined by ``": "`` as in QuPath.
    colour : tuple of int, optional
        Red, green, blue, 0 to 255; by default that of `class_colour`, so that no class is without one.
    """

    name: str
    colour: Colour | None = None

    def __post_init__(self) -> None:
        if self.colour is None:
            object.__setattr__(self, "colour", class_colour(self.name))


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
    finished : bool
        A finished object is neither changed nor cut by others.
    kind : str
        QuPath's object type: ``"annotation"``, ``"detection"``, ...
    measurements : mapping of str to float
        Numbers, by name with their unit.
    metadata : mapping of str to str
        Text, for example the model's name.
    foreign : mapping of str to mapping
        What `napari_sam2.slides.formats.feature` keeps of a GeoJSON feature to write it back as it came.
    """

    geometry: Any
    object_id: str = field(default_factory=new_id)
    name: str = ""
    object_class: ObjectClass | None = None
    colour: Colour | None = None
    finished: bool = False
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
    def plane(self) -> tuple[int, int]:
        """The plane of a stack that it lies on.

        Along z, then over time, from 0, as QuPath has it.
        """
        stated = self.foreign.get("geometry", {}).get("plane")
        return (_index(stated.get("z")), _index(stated.get("t"))) if isinstance(stated, dict) else (0, 0)

    def on_plane(self, z_and_t: tuple[int, int]) -> SlideObject:
        """The same object on another plane."""
        if self.plane == z_and_t:
            return self
        beside = dict(self.foreign.get("geometry", {}))
        beside["plane"] = {"c": -1, "z": z_and_t[0], "t": z_and_t[1]}
        return replace(self, foreign={**self.foreign, "geometry": beside})

    @property
    def score(self) -> float | None:
        """The estimate of its outline's IoU.

        The model's own, or the nuclei proposer's; None for an outline drawn by hand.
        """
        return next((self.measurements[name] for name in SCORES if name in self.measurements), None)


def without_scores(measurements: Mapping[str, float]) -> dict[str, float]:
    """Measurements without those that hold for an earlier outline."""
    return {name: value for name, value in measurements.items() if name not in SCORES}


def measured(obj: SlideObject, mpp: Mpp | None) -> SlideObject:
    """The object with its area (and perimeter) as measurements.

    In microns when the pixel's size is known.
    """
    geometry = obj.geometry
    areas = {AREA_PIXELS: float(geometry.area)}
    if mpp is not None:
        import shapely

        microns = shapely.transform(geometry, lambda xy: xy * (mpp.col, mpp.row))
        areas = {AREA_MICRONS: float(microns.area), PERIMETER: float(microns.length)}
    # An area in the other unit is of an outline, or of a pixel size, that no longer holds.
    kept = {name: value for name, value in obj.measurements.items() if name not in _SIZES}
    return replace(obj, measurements={**kept, **areas})


@dataclass(eq=False)
class SlideRecord:
    """What is kept of one object.

    Its frozen outline with all that belongs to it, and its prompts.

    Attributes
    ----------
    outline : SlideObject
        As it is now.
    prompts : tuple of SlidePrompt
        That gave the outline; none when it was drawn, imported or edited by hand.
    rank : int
        See `napari_sam2.core.store.Record`.
    """

    outline: SlideObject
    prompts: tuple[SlidePrompt, ...] = ()
    rank: int = -1

    @property
    def object_id(self) -> str:
        """A UUID."""
        return self.outline.object_id


class Regions(ObjectStore[SlideRecord]):
    """All objects of a slide, in the order of their creation.

    Every change is noted in a step.

    Parameters
    ----------
    overlap : str
        One of `OVERLAP_RULES`.
    """

    def __init__(self, overlap: str = "keep") -> None:
        super().__init__()
        self.overlap = check_overlap_rule(overlap)

    def __len__(self) -> int:
        return len(self.objects)

    def __iter__(self) -> Iterator[SlideObject]:
        return (record.outline for record in self.objects.values())

    def __getitem__(self, object_id: str) -> SlideObject:
        return self.record(object_id).outline

    def __contains__(self, object_id: object) -> bool:
        return object_id in self.objects

    def find(self, object_id: str) -> SlideObject | None:
        """The object of an id; None when there is none."""
        record = self.objects.get(object_id)
        return None if record is None else record.outline

    def record(self, object_id: str) -> SlideRecord:
        """What is kept of an object.

        Raises
        ------
        UserInputError
            If there is no such object.
        """
        record = self.objects.get(object_id)
        if record is None:
            raise UserInputError(f"There is no object {object_id} on this slide.")
        return record

    def place(
        self, step: Step, obj: SlideObject, prompts: tuple[SlidePrompt, ...] = (), *, overlap: bool = True
    ) -> SlideObject:
        """Add or replace an object, and apply the overlap rule.

        One is replaced that has its id.

        Returns
        -------
        SlideObject
            As it came to lie: possibly cut by others.

        Raises
        ------
        UserInputError
            If the object with its id is finished.
        """
        old_record = self.objects.get(obj.object_id)
        if old_record is not None:
            self.refuse_finished(obj.object_id)
        rank = self.next_rank if old_record is None else old_record.rank
        cut, others = _without_overlap(obj, rank, self.objects.values(), self.overlap if overlap else "keep")
        for record, outline in others:
            self.set(step, record, "outline", outline)
        if old_record is None:
            self.add(step, SlideRecord(cut))
            old_record = self.objects[obj.object_id]
        else:
            self.set(step, old_record, "outline", cut)
        if prompts != old_record.prompts:
            self.set(step, old_record, "prompts", prompts)
        return cut

    def refuse_finished(self, object_id: str) -> None:
        """Refuse to change a finished object.

        Raises
        ------
        UserInputError
            If it is finished, or there is none.
        """
        obj = self[object_id]
        if obj.finished:
            raise UserInputError(f"Object {obj.name or object_id} is finished; reopen it to change it.")


def _index(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def check_overlap_rule(rule: str) -> str:
    """The rule again.

    Raises
    ------
    UserInputError
        If there is no such rule.
    """
    if rule not in OVERLAP_RULES:
        raise UserInputError(f"There is no overlap rule {rule!r:.40}; choose one of {', '.join(OVERLAP_RULES)}.")
    return rule


def _without_overlap(
    changed: SlideObject, rank: int, records: Iterable[SlideRecord], rule: str
) -> tuple[SlideObject, list[tuple[SlideRecord, SlideObject]]]:
    """Cut the changed object or its neighbours, so that the rule holds again; finished objects are never cut."""
    if rule == "keep":
        return changed, []
    import shapely

    others = [r for r in records if r.object_id != changed.object_id and r.outline.plane == changed.plane]
    near = shapely.intersects([record.outline.geometry for record in others], changed.geometry) if others else ()
    cut = []
    for record, meets in zip(others, near, strict=True):
        other = record.outline
        if not meets or not changed.geometry.intersects(other.geometry):
            continue
        if other.finished or (record.rank < rank) == (rule == "first"):
            changed = replace(changed, geometry=areas_of(changed.geometry.difference(other.geometry)))
        else:
            cut.append((record, replace(other, geometry=areas_of(other.geometry.difference(changed.geometry)))))
    return changed, cut
