"""What the ids of a label map stand for.

Name, colour and, where known, a SNOMED CT code.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from napari_sam2.terms.terminology import TISSUE, Code, Term, find_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["UNKNOWN", "Structure", "colour_of", "structures_for"]

PALETTE: Final = (
    (230, 158, 0),
    (87, 181, 232),
    (0, 158, 115),
    (240, 227, 66),
    (204, 120, 171),
    (214, 94, 0),
    (0, 115, 178),
    (153, 204, 77),
    (166, 128, 230),
    (242, 153, 153),
)
"""Okabe and Ito's colours, which are told apart in every common kind of colour vision, and three more."""

_GOLDEN_RATIO: Final = 0.61803398875
"""Turning the hue by it keeps any number of neighbouring ids apart."""


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


UNKNOWN: Final = Code("85756007", "Tissue", TISSUE)
"""What a structure without a known code is called in formats that demand one."""


def structures_for(
    label_ids: Iterable[int], names: Mapping[int, str] | None = None, terms: Mapping[int, Term] | None = None
) -> list[Structure]:
    """Describe label ids, with a distinct colour each where none is given.

    Parameters
    ----------
    label_ids : iterable of int
        Ids; 0 is left out.
    names : mapping of int to str, optional
        Their names; otherwise those of `terms`, otherwise ``"object 3"``.
    terms : mapping of int to Term, optional
        What is known of them; a term of another name than the one in `names` is not meant.
    """
    names, terms = names or {}, terms or {}
    structures = []
    for label_id in sorted({int(i) for i in label_ids} - {0}):
        term = terms.get(label_id)
        name = names.get(label_id) or (term.name if term else "") or f"object {label_id}"
        if term is None or term.name != name:
            term = Term(name)
        structures.append(Structure(label_id, name, term.colour or colour_of(label_id), term.code or find_code(name)))
    return structures


def colour_of(label_id: int) -> tuple[int, int, int]:
    """A colour (red, green, blue) for an id.

    Window and files have the same. Hues beyond `PALETTE` advance by the golden ratio, so any run of ids is spread out.
    """
    if 1 <= label_id <= len(PALETTE):
        return PALETTE[label_id - 1]
    hue = (label_id * _GOLDEN_RATIO) % 1.0
    saturation = 0.55 + 0.1 * (label_id % 4)
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
