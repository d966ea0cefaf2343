"""What tells DICOM images at one place apart.

Echo, time point, b-value, acquisition and their like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MARKS", "Mark", "Marks", "Moments", "marks_of", "moments_of"]

Marks = tuple[tuple[str, Any], ...]
"""(keyword, value) of each mark that an image has."""

Moments = tuple[tuple[str, float], ...]
"""(keyword, time) of each clock that an image carries."""

_DIGITS: Final = 6
"""Significant digits of a number that count: the same value may be written in several ways."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One attribute by which images of a series are parted.

    Attributes
    ----------
    keyword : str
        Its name in the classic objects.
    words : str
        How messages say a value of it.
    inside : tuple of (str, str)
        (sequence, keyword) of the functional groups of multi-frame objects that hold it.
    """

    keyword: str
    words: str
    inside: tuple[tuple[str, str], ...] = ()


MARKS: Final = (
    Mark("EchoTime", "echo time {} ms", (("MREchoSequence", "EffectiveEchoTime"),)),
    Mark("EchoNumbers", "echo {}"),
    Mark("TemporalPositionIdentifier", "time point {}", (("FrameContentSequence", "TemporalPositionIndex"),)),
    Mark("DiffusionBValue", "b-value {}", (("MRDiffusionSequence", "DiffusionBValue"),)),
    Mark(
        "DiffusionGradientOrientation",
        "gradient {}",
        (("DiffusionGradientDirectionSequence", "DiffusionGradientOrientation"),),
    ),
    Mark("InversionTime", "inversion time {} ms", (("MRModifierSequence", "InversionTimes"),)),
    Mark("FlipAngle", "flip angle {}", (("MRTimingAndRelatedParametersSequence", "FlipAngle"),)),
    Mark(
        "ImageType",
        "image type {}",
        (("MRImageFrameTypeSequence", "FrameType"), ("CTImageFrameTypeSequence", "FrameType")),
    ),
    Mark("ComplexImageComponent", "component {}", (("MRImageFrameTypeSequence", "ComplexImageComponent"),)),
    Mark("KVP", "{} kV", (("CTXRayDetailsSequence", "KVP"),)),
    Mark("ConvolutionKernel", "kernel {}", (("CTReconstructionSequence", "ConvolutionKernel"),)),
    Mark("StackID", "stack {}", (("FrameContentSequence", "StackID"),)),
    Mark("AcquisitionNumber", "acquisition {}", (("FrameContentSequence", "FrameAcquisitionNumber"),)),
)
"""In the order in which they are asked: what was meant to differ first, the mere count of acquisitions last."""

_CLOCKS: Final = (
    ("TriggerTime", (("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),)),
    ("FrameReferenceTime", ()),
    ("AcquisitionTime", ()),
)
"""Times that order images at one place; they may differ from place to place."""

_PRIVATE_B_VALUES: Final = ((0x0019, 0x0C, "SIEMENS MR HEADER"), (0x2001, 0x03, "Philips Imaging DD 001"))
"""Group, element and creator of a b-value, from the vendors' conformance statements."""


def marks_of(tags: Any, groups: Sequence[Any]) -> Marks:
    """The marks of an image, or of one frame.

    A frame has its functional groups.
    """
    marks: list[tuple[str, Any]] = []
    for mark in MARKS:
        value = _value(tags, groups, mark.keyword, mark.inside)
        if value is None and mark.keyword == "DiffusionBValue":
            value = _private_b_value(tags)
        if value is not None:
            marks.append((mark.keyword, value))
    return tuple(marks)


def moments_of(tags: Any, groups: Sequence[Any]) -> Moments:
    """The clock times of an image or frame that are numbers."""
    moments: list[tuple[str, float]] = []
    for keyword, inside in _CLOCKS:
        value = _value(tags, groups, keyword, inside)
        try:
            moments.append((keyword, float(value)))
        except (TypeError, ValueError):
            continue
    return tuple(moments)


def _value(tags: Any, groups: Sequence[Any], keyword: str, inside: Sequence[tuple[str, str]]) -> Any:
    for sequence, name in inside:
        for group in groups:
            for holder in _items(group, sequence):
                value = _plain(holder.get(name))
                if value is not None:
                    return value
    return _plain(tags.get(keyword))


def _items(group: Any, sequence: str) -> list[Any]:
    items = list(group.get(sequence) or [])
    for outer in group.get("MRDiffusionSequence") or []:  # directions lie one level deeper
        items += list(outer.get(sequence) or [])
    return items


def _plain(value: Any) -> Any:
    """A value as a number, text or tuple of them, which can be compared; None when there is none."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            return _plain(float(value))
        except ValueError:
            return value.strip() or None
    if isinstance(value, int | float):
        return float(f"{float(value):.{_DIGITS}g}")
    if hasattr(value, "__iter__"):
        return tuple(_plain(part) for part in value) or None
    return str(value)


def _private_b_value(tags: Any) -> float | None:
    for group, element, creator in _PRIVATE_B_VALUES:
        try:
            return float(tags.private_block(group, creator)[element].value)
        except (KeyError, TypeError, ValueError):
            continue
    return None
