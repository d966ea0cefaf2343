"""OME-Zarr 0.4 and 0.5: what a folder says of its images.

By https://ngff.openmicroscopy.org/0.5/ and 0.4: axes, levels with their scale and place, channels, label groups.
What the text does not say (a unit, a size) stays unknown; what it says in a way that is not understood is refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.core.channel_display import LARGEST_END, ChannelDisplay, colour_from_hex
from napari_sam2.errors import ImageFileError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MILLIMETRES", "NgffAxis", "NgffImage", "NgffLevel", "attributes_of", "image_of"]

VERSIONS: Final = ("0.4", "0.5")

MILLIMETRES: Final = {
    "angstrom": 1e-7, "picometer": 1e-9, "nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0,
    "decimeter": 100.0, "meter": 1000.0, "inch": 25.4,
}  # fmt: skip
"""Units of length that the standard lists (of UDUNITS-2), as far as a picture or a scan could use them."""

_KINDS: Final = ("space", "time", "channel")
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class NgffAxis:
    """One axis of an image.

    Attributes
    ----------
    name : str
        In lower case: ``"x"``, ``"y"``, ``"z"``, ``"t"``, ``"c"`` or another.
    kind : str
        ``"space"``, ``"time"``, ``"channel"``, or empty.
    unit : str
        As written; empty when there is none.
    """

    name: str
    kind: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class NgffLevel:
    """One resolution.

    Attributes
    ----------
    path : str
        Of its array, from the image's group.
    scale, translation : tuple of float
        Per axis, in the axis' unit: place = scale * index + translation.
    """

    path: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class NgffImage:
    """One image or label image.

    Attributes
    ----------
    version : str
        One of `VERSIONS`.
    name : str
        As the file names it; may be empty.
    axes : tuple of NgffAxis
        In the order of its arrays.
    levels : tuple of NgffLevel
        The finest first.
    channels : tuple of ChannelDisplay
        Of the ``omero`` block; empty without one.
    plane : int, optional
        The plane that the ``omero`` block shows first.
    is_labels : bool
        Whether it says that its values are ids.
    label_names : dict of int to str
        Names of ids, where they are stated.
    """

    version: str
    name: str
    axes: tuple[NgffAxis, ...]
    levels: tuple[NgffLevel, ...]
    channels: tuple[ChannelDisplay, ...] = ()
    plane: int | None = None
    is_labels: bool = False
    label_names: Mapping[int, str] | None = None

    @property
    def letters(self) -> str:
        """Its axes by first letters, as tifffile has them: ``"TCZYX"``.

        Q for one without a meaning of its own.
        """
        known = {"x": "X", "y": "Y", "z": "Z", "t": "T", "c": "C"}
        named = [known.get(axis.name) or {"time": "T", "channel": "C"}.get(axis.kind, "Q") for axis in self.axes]
        return "".join(named)

    def millimetres(self, letter: str) -> float | None:
        """Millimetres in the unit of an axis of space.

        None when it has no such unit.
        """
        axis = self.axes[self.letters.index(letter)]
        return MILLIMETRES.get(axis.unit)


def attributes_of(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an OME-Zarr group says.

    The attributes themselves (0.4), or their member ``ome`` (0.5).
    """
    inner = attributes.get("ome")
    return inner if isinstance(inner, dict) else attributes


def image_of(attributes: Mapping[str, Any], name: str) -> NgffImage:
    """The image that a group's attributes describe.

    Parameters
    ----------
    attributes : mapping
        Of the zarr group.
    name : str
        Of the file, for messages.

    Raises
    ------
    ImageFileError
        If it is of another version, or cannot be understood.
    """
    said = attributes_of(attributes)
    multiscales = said.get("multiscales")
    if not isinstance(multiscales, list) or not multiscales or not isinstance(multiscales[0], dict):
        raise ImageFileError(f"{name} holds no image of OME-Zarr: it has no multiscales; convert it to OME-Zarr 0.5.")
    scales = multiscales[0]
    version = str(said.get("version", scales.get("version", "")))[:20]
    if version not in VERSIONS:
        raise ImageFileError(
            f"{name} is OME-Zarr {version or 'of no stated version'}; {' and '.join(VERSIONS)} are read, so convert it."
        )
    try:
        axes = _axes(scales["axes"])
        levels = _levels(scales, len(axes))
        label = said.get("image-label")
        is_labels = isinstance(label, dict)
        return NgffImage(
            version,
            str(scales.get("name") or "")[:_LONGEST],
            axes,
            levels,
            _channels(said.get("omero")),
            _first_plane(said.get("omero")),
            is_labels,
            _label_names(label) if isinstance(label, dict) else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ImageFileError(
            f"{name} is damaged: its OME-Zarr metadata cannot be understood ({str(error)[:80]}); write it again."
        ) from error


def _axes(written: Any) -> tuple[NgffAxis, ...]:
    axes = tuple(
        NgffAxis(str(entry["name"]).lower(), str(entry.get("type") or ""), str(entry.get("unit") or "").lower())
        for entry in written
    )
    names = [axis.name for axis in axes]
    if len(set(names)) != len(names) or not 2 <= len(axes) <= 5:
        raise ValueError("axes")
    if any(axis.kind == "space" and axis.name not in "xyz" for axis in axes) or not {"x", "y"} <= set(names):
        raise ValueError("axes of space other than x, y and z")
    return axes


def _levels(scales: Mapping[str, Any], n_axes: int) -> tuple[NgffLevel, ...]:
    outer = _transform(scales.get("coordinateTransformations") or [], n_axes)
    levels = []
    for entry in scales["datasets"]:
        scale, place = _transform(entry["coordinateTransformations"], n_axes)
        path = str(entry["path"])
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise ValueError("a path that leads out of the file")
        whole = tuple(o * s for o, s in zip(outer[0], scale, strict=True))
        moved = tuple(o * p + t for o, p, t in zip(outer[0], place, outer[1], strict=True))
        levels.append(NgffLevel(path, whole, moved))
    if not levels:
        raise ValueError("no datasets")
    return tuple(levels)


def _transform(written: Any, n_axes: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scale and translation of a list of transformations.

    The standard puts the scale first.
    """
    scale, place = (1.0,) * n_axes, (0.0,) * n_axes
    for step in written:
        kind = step["type"]
        if kind == "scale":
            scale = _numbers(step["scale"], n_axes)
            if any(value <= 0 for value in scale):
                raise ValueError("a scale that is not above 0")
        elif kind == "translation":
            place = _numbers(step["translation"], n_axes)
        elif kind != "identity":
            raise ValueError(f"a transformation {str(kind)[:20]!r}")
    return scale, place


def _numbers(written: Any, count: int) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in written)
    if len(numbers) != count or not all(math.isfinite(value) for value in numbers):
        raise ValueError("numbers that do not fit the axes")
    return numbers


def _channels(omero: Any) -> tuple[ChannelDisplay, ...]:
    """How channels are shown, as the block of OMERO has it.

    Nothing where that block is odd: it is no pixel.
    """
    if not isinstance(omero, dict) or not isinstance(omero.get("channels"), list):
        return ()
    return tuple(_channel(entry if isinstance(entry, dict) else {}) for entry in omero["channels"])


def _channel(entry: Mapping[str, Any]) -> ChannelDisplay:
    window = entry.get("window")
    ends: tuple[float, float] | None = None
    if isinstance(window, dict):
        low, high = window.get("start"), window.get("end")
        numbers = [float(end) for end in (low, high) if isinstance(end, int | float) and abs(end) <= LARGEST_END]
        if len(numbers) == 2 and numbers[0] < numbers[1]:
            ends = numbers[0], numbers[1]
    colour = entry.get("color")
    is_hex = isinstance(colour, str) and re.fullmatch(r"#?[0-9a-fA-F]{6}", colour) is not None
    return ChannelDisplay(
        str(entry.get("label") or "")[:_LONGEST],
        colour_from_hex(str(colour)) if is_hex else None,
        ends,
        entry.get("active") is not False,
    )


def _first_plane(omero: Any) -> int | None:
    shown = omero.get("rdefs") if isinstance(omero, dict) else None
    plane = shown.get("defaultZ") if isinstance(shown, dict) else None
    return plane if isinstance(plane, int) and not isinstance(plane, bool) else None


def _label_names(label: Mapping[str, Any]) -> dict[int, str]:
    names = {}
    for entry in label.get("properties") or []:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            names[int(entry["label-value"])] = entry["name"]
    return names
