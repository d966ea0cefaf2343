"""What is unusual within a cohort.

A reason to look, never a verdict.

Figures are compared within a group and structure by the modified z-score (Iglewicz and Hoaglin, "How to Detect and
Handle Outliers", 1993): 0.6745 times the distance from the median over the median absolute deviation; beyond 3.5 is
unusual. Volumes and ratios are compared as logarithms, since a factor is what counts.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Flag", "find_outliers", "modified_z"]

LIMIT: Final = 3.5
ENOUGH: Final = 5
"""Fewer values than these have no usual one."""
RARE: Final = 0.2
"""Reaching the border, or lying in pieces, is unusual where at most this part of the cases does."""

Values = dict[str, float]


@dataclass(frozen=True, slots=True)
class Flag:
    """Something unusual.

    Attributes
    ----------
    kind : str
        ``"volume"``, ``"empty"``, ``"pieces"``, ``"border"``, ``"doubt"``, ``"sides"``, ``"window"``, ``"spacing"`` or
        ``"replay"``.
    sentence : str
        For people.
    object_id : int, optional
        The object; the whole case otherwise.
    """

    kind: str
    sentence: str
    object_id: int | None = None


def find_outliers(cases: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, list[Flag]]:
    """Flags by case.

    Parameters
    ----------
    cases : mapping of str to (str, dict)
        Group and status of each case that has results.
    """
    flags: dict[str, list[Flag]] = defaultdict(list)
    structures: dict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    images: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for case, (group, status) in cases.items():
        if status.get("identical") is False:
            flags[case].append(Flag("replay", "the replay is not identical"))
        if status.get("image"):
            images[group][case] = status["image"]
        for obj in status.get("objects", []):
            structures[group, str(obj["name"])][case] = obj
    for (_, name), by_name in structures.items():
        _flag_structure(name, by_name, flags)
    _flag_sides(structures, flags)
    for by_name in images.values():
        _flag_images(by_name, flags)
    return dict(flags)


def modified_z(values: Values) -> Values:
    """The modified z-score of each value.

    Empty with fewer than `ENOUGH` of them.

    Where more than half are equal, the mean absolute deviation takes the place of the median one (the same source).
    """
    if len(values) < ENOUGH:
        return {}
    middle = median(values.values())
    distances = [abs(value - middle) for value in values.values()]
    scale = median(distances) / 0.6745 or fmean(distances) * 1.253314
    return {case: (value - middle) / scale if scale else 0.0 for case, value in values.items()}


def _flag_structure(name: str, values: dict[str, dict[str, Any]], flags: dict[str, list[Flag]]) -> None:
    for case, obj in values.items():
        if not obj["voxels"]:
            flags[case].append(Flag("empty", f"{name}: nothing was found", obj["id"]))
    filled = {case: obj for case, obj in values.items() if obj["voxels"]}
    volumes = {case: math.log(obj["volume_ml"]) for case, obj in filled.items() if obj["volume_ml"] > 0}
    usual = math.exp(median(volumes.values())) if volumes else math.nan
    for case, z in _unusual(volumes):
        volume = filled[case]["volume_ml"]
        sentence = f"{name}: {volume:.3g} mL, usual is {usual:.3g} (z {z:+.1f})"
        flags[case].append(Flag("volume", sentence, filled[case]["id"]))
    doubts = {case: float(obj["doubt"]) for case, obj in filled.items() if "doubt" in obj}
    for case, z in _unusual(doubts):
        if z > 0:
            sentence = f"{name}: doubt {doubts[case]:.2f}, usual is {median(doubts.values()):.2f}"
            flags[case].append(Flag("doubt", sentence, filled[case]["id"]))
    in_pieces = {case for case, obj in filled.items() if obj.get("components", 1) > 1}
    at_border = {case for case, obj in filled.items() if obj.get("touches_border")}
    for kind, rare, words in (
        ("pieces", in_pieces, "lies in {components} pieces"),
        ("border", at_border, "reaches the border of the scan"),
    ):
        if len(filled) >= ENOUGH and len(rare) <= RARE * len(filled):
            for case in rare:
                obj = filled[case]
                flags[case].append(Flag(kind, f"{name}: {words.format(**obj)}", obj["id"]))


def _flag_sides(structures: Mapping[tuple[str, str], dict[str, dict[str, Any]]], flags: dict[str, list[Flag]]) -> None:
    """Compare left with right: ``left kidney`` with ``right kidney``."""
    for (group, name), lefts in structures.items():
        if "left" not in name.lower():
            continue
        other = name.lower().replace("left", "right")
        rights = next((f for (g, n), f in structures.items() if g == group and n.lower() == other), {})
        both = {
            case: math.log(obj["volume_ml"] / rights[case]["volume_ml"])
            for case, obj in lefts.items()
            if case in rights and obj["volume_ml"] > 0 and rights[case]["volume_ml"] > 0
        }
        for case, z in _unusual(both):
            sentence = f"{name} is {math.exp(both[case]):.2g} times the right one (z {z:+.1f})"
            flags[case].append(Flag("sides", sentence, lefts[case]["id"]))


def _flag_images(images: dict[str, dict[str, Any]], flags: dict[str, list[Flag]]) -> None:
    for axis, letter in enumerate("ijk"):
        spacings = {case: math.log(image["spacing_mm"][axis]) for case, image in images.items()}
        for case, _ in _unusual(spacings):
            sentence = f"voxels of {images[case]['spacing_mm'][axis]:.3g} mm along {letter}"
            flags[case].append(Flag("spacing", sentence))
    kinds = Counter(str(image["window_name"]) for image in images.values())
    common = kinds.most_common(1)[0][0]
    if len(images) >= ENOUGH and len(kinds) > 1:
        # Chosen by two rules within one group, whatever part of it: the model has not seen them alike.
        for case, image in images.items():
            if image["window_name"] != common:
                flags[case].append(Flag("window", f"window {image['window_name']}, most have {common}"))
        images = {case: image for case, image in images.items() if image["window_name"] == common}
    ends = [{case: float(image["window"][place]) for case, image in images.items()} for place in (0, 1)]
    for case in dict.fromkeys(case for values in ends for case, _ in _unusual(values)):
        (low, high), usual = images[case]["window"], [median(values.values()) for values in ends]
        sentence = f"window {low:.4g} to {high:.4g}, usual is {usual[0]:.4g} to {usual[1]:.4g}"
        flags[case].append(Flag("window", sentence))


def _unusual(values: Values) -> Iterable[tuple[str, float]]:
    return [(case, z) for case, z in modified_z(values).items() if abs(z) > LIMIT]
