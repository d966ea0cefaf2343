"""What the ids of a label map stand for: name, colour and, where known, a SNOMED CT code."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Code", "Structure", "colour_of", "find_code", "structures_for"]

_GOLDEN_RATIO: Final = 0.61803398875
"""Turning the hue by it keeps any number of neighbouring ids apart."""


@dataclass(frozen=True, slots=True)
class Code:
    """A coded term, as DICOM and Slicer write it.

    Attributes
    ----------
    value : str
        Code, for example ``"10200004"``.
    meaning : str
        Its name in the coding scheme.
    category : str
        ``"organ"``, ``"tissue"``, ``"structure"`` or ``"abnormal"``.
    scheme : str
        ``"SCT"`` is SNOMED CT.
    """

    value: str
    meaning: str
    category: str
    scheme: str = "SCT"


@dataclass(frozen=True, slots=True)
class Structure:
    """One entry of a label map.

    Attributes
    ----------
    label_id : int
        Value in the label map.
    name : str
        For people; need not be unique.
    colour : tuple of int
        Red, green, blue, 0 to 255.
    code : Code, optional
        What it is, for machines.
    """

    label_id: int
    name: str
    colour: tuple[int, int, int]
    code: Code | None = None

    @property
    def hex_colour(self) -> str:
        """``#rrggbb``."""
        return "#{:02x}{:02x}{:02x}".format(*self.colour)


ORGAN, TISSUE, BODY, ABNORMAL = "organ", "tissue", "structure", "abnormal"

CODES: Final[dict[str, Code]] = {
    "liver": Code("10200004", "Liver", ORGAN),
    "spleen": Code("78961009", "Spleen", ORGAN),
    "kidney": Code("64033007", "Kidney", ORGAN),
    "right kidney": Code("64033007", "Kidney", ORGAN),
    "left kidney": Code("64033007", "Kidney", ORGAN),
    "stomach": Code("69695003", "Stomach", ORGAN),
    "pancreas": Code("15776009", "Pancreas", ORGAN),
    "gallbladder": Code("28231008", "Gallbladder", ORGAN),
    "urinary bladder": Code("89837001", "Urinary bladder", ORGAN),
    "prostate": Code("41216001", "Prostate", ORGAN),
    "heart": Code("80891009", "Heart", ORGAN),
    "lung": Code("39607008", "Lung", ORGAN),
    "brain": Code("12738006", "Brain", ORGAN),
    "aorta": Code("15825003", "Aorta", BODY),
    "spinal cord": Code("2748008", "Spinal cord", BODY),
    "bone": Code("272673000", "Bone", BODY),
    "vertebra": Code("51282000", "Vertebra", BODY),
    "vertebra l3": Code("36470004", "L3 vertebra", BODY),
    "lesion": Code("52988006", "Lesion", ABNORMAL),
    "tumour": Code("108369006", "Neoplasm", ABNORMAL),
    "tumor": Code("108369006", "Neoplasm", ABNORMAL),
}
"""Terms by lower-case name; values as in the dictionary of DICOM PS3.16. A side stays in the name alone."""

UNKNOWN: Final = Code("85756007", "Tissue", TISSUE)
"""What a structure without a known code is called in formats that demand one."""


def find_code(name: str) -> Code | None:
    """The code for a structure's name in English, or None: nothing is guessed from parts of it."""
    return CODES.get(" ".join(name.lower().replace("_", " ").split()))


def structures_for(label_ids: Iterable[int], names: Mapping[int, str] | None = None) -> list[Structure]:
    """Describe label ids, with a distinct colour each.

    Parameters
    ----------
    label_ids : iterable of int
        Ids; 0 is left out.
    names : mapping of int to str, optional
        Their names; otherwise ``"object 3"``.
    """
    names = names or {}
    found = []
    for label_id in sorted({int(i) for i in label_ids} - {0}):
        name = names.get(label_id) or f"object {label_id}"
        found.append(Structure(label_id, name, colour_of(label_id), find_code(name)))
    return found


def colour_of(label_id: int) -> tuple[int, int, int]:
    """A colour (red, green, blue) for an id: hues advance by the golden ratio, so any run of ids is spread out."""
    hue = (label_id * _GOLDEN_RATIO) % 1.0
    saturation = 0.55 + 0.1 * (label_id % 4)
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
