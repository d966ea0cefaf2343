"""What a written name of a structure means.

Its concept and its side, whatever the spelling.

"left kidney", "kidney_left", "Ren sinister" and "64033007" (its SNOMED CT code) name the same organ. Nothing is
guessed: a name that no list holds stays what it is, and equals its own spellings alone.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from napari_sam2.terms.terminology import ABNORMAL, bundled_terms

if TYPE_CHECKING:
    from napari_sam2.terms.terminology import Code

__all__ = ["LEFT", "NO_SIDE", "RIGHT", "StructureName", "is_lesion", "is_paired", "meaning_of", "phrase_of"]

LEFT, RIGHT, NO_SIDE = "left", "right", ""

_SIDES: Final = {
    **dict.fromkeys(("left", "lt", "lh", "sinister", "sinistra", "sinistrum"), LEFT),
    **dict.fromkeys(("right", "rt", "rh", "dexter", "dextra", "dextrum"), RIGHT),
}
_SHORT_SIDES: Final = {"l": LEFT, "r": RIGHT}
"""Sides at the beginning or the end of a name only: elsewhere the letter may be anything."""

_SMALL_WORDS: Final = frozenset({"of", "the", "and"})
_SINGULARS: Final = (("ies", "y"), ("ae", "a"), ("ses", "sis"), ("s", ""))
_NO_PLURAL: Final = ("ss", "us", "is", "as")
"""Endings of words that end in s and are one: mass, hippocampus, pelvis, pancreas."""


@dataclass(frozen=True, slots=True)
class StructureName:
    """A name taken apart.

    Attributes
    ----------
    name : str
        For people: the side and the usual name, or the words that were written.
    concept : str
        What it is, the same for all its names: a code where one is known, else the sorted words.
    side : str
        ``"left"``, ``"right"`` or ``""``.
    """

    name: str
    concept: str
    side: str = NO_SIDE

    def covers(self, other: StructureName) -> bool:
        """Whether a question for this name is answered by the other.

        Of the same concept, and not of another side.
        """
        return self.concept == other.concept and self.side in (NO_SIDE, other.side)


def meaning_of(text: str, code: Code | None = None) -> StructureName:
    """Take a written name apart.

    Parameters
    ----------
    text : str
        A name in any case, order and separator, with or without a side, or a code such as ``"64033007"``.
    code : Code, optional
        What a file says that it is; it counts before the words.
    """
    words = _words(text)
    side, rest = _side_of(words)
    concept = _concepts().get(frozenset(words)) or _concepts().get(frozenset(rest))
    written = next((word for word in rest if re.fullmatch("[0-9]{5,18}", word)), None)
    value = code.value if code is not None else written
    if value is not None:
        known = _usual_names().get(value)
        usual = " ".join(part for part in (side, known or " ".join(rest)) if part)
        return StructureName(usual if known else text.strip(), value, side)
    if concept is None:
        return StructureName(" ".join(part for part in (side, *rest) if part), " ".join(sorted(rest)), side)
    usual = _usual_names()[concept]
    return StructureName(usual if side in ("", *usual.split()) else f"{side} {usual}", concept, side)


def phrase_of(name: StructureName) -> str:
    """The words of a structure without its side, in small letters."""
    words = re.findall(r"[0-9a-zà-ÿ]+", name.name.lower())
    return " ".join(word for word in words if not name.side or word not in _SIDES)


def is_paired(name: StructureName) -> bool:
    """Whether a structure is one of two.

    The lists know both sides of it, or its name has one.
    """
    return bool(name.side) or _shared(name.concept)


def is_lesion(text: str) -> bool:
    """Whether a name speaks of something abnormal.

    Its place in one person says nothing of another's.
    """
    words = frozenset(_words(text))
    return any(lesion <= words for lesion in _lesions())


def _words(text: str) -> list[str]:
    """The words of a name in the singular, in small letters, without prepositions."""
    found = re.split(r"[^0-9a-zà-ÿ]+", text.strip().lower().removeprefix("sct:"))
    return [_singular(word) for word in found if word and word not in _SMALL_WORDS]


def _singular(word: str) -> str:
    if len(word) < 5 or word.endswith(_NO_PLURAL):
        return word
    for ending, single in _SINGULARS:
        if word.endswith(ending):
            return word.removesuffix(ending) + single
    return word


def _side_of(words: list[str]) -> tuple[str, list[str]]:
    """The side that words name, and the others; no side where they name both."""
    at_ends = {0, len(words) - 1}
    sides = [
        _SIDES.get(word) or (_SHORT_SIDES.get(word, NO_SIDE) if number in at_ends else NO_SIDE)
        for number, word in enumerate(words)
    ]
    named = {side for side in sides if side}
    if len(named) != 1 or len(words) == 1:
        return NO_SIDE, words
    return named.pop(), [word for word, side in zip(words, sides, strict=True) if not side]


@cache
def _concepts() -> dict[frozenset[str], str]:
    """Code by the words of each known name, sided names with a code of their own included."""
    concepts: dict[frozenset[str], str] = {}
    for term in bundled_terms():
        if term.code is None:
            continue
        words = _words(term.name)
        concepts.setdefault(frozenset(words), term.code.value)
    for name, others in _synonyms():
        code = concepts[frozenset(_words(name))]
        for other in others:
            concepts.setdefault(frozenset(_words(other)), code)
    return concepts


@cache
def _usual_names() -> dict[str, str]:
    """The first bundled name of each code, without a side where there is one."""
    usual: dict[str, str] = {}
    for term in bundled_terms():
        if term.code is not None:
            known = usual.get(term.code.value)
            if known is None or (_side_of(_words(known))[0] and not _side_of(_words(term.name))[0]):
                usual[term.code.value] = term.name
    return {code: _without_side(name) if _shared(code) else name for code, name in usual.items()}


def _shared(code: str) -> bool:
    """Whether a code stands for both sides of a paired structure."""
    sides = {_side_of(_words(t.name))[0] for t in bundled_terms() if t.code is not None and t.code.value == code}
    return {LEFT, RIGHT} <= sides


def _without_side(name: str) -> str:
    return " ".join(word for word in name.split() if word.lower() not in _SIDES)


@cache
def _lesions() -> tuple[frozenset[str], ...]:
    names = {t.name for t in bundled_terms() if t.code is not None and t.code.category == ABNORMAL}
    more = [other for name, others in _synonyms() if name in names for other in others]
    return tuple(frozenset(_words(name)) for name in [*sorted(names), *more])


@cache
def _synonyms() -> tuple[tuple[str, tuple[str, ...]], ...]:
    text = files("napari_sam2.terms").joinpath("synonyms.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple((row["name"], tuple(row["synonyms"].split(";"))) for row in rows)
