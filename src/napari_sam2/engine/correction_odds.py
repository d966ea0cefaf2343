"""What is asked before a click may change a voxel.

By whom clicks are answered, and how sure the network must be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from napari_sam2.engine.consolidation_rules import BY_BORDERS
from napari_sam2.engine.consolidation_rules import BY_NETWORK as BY_CONSOLIDATOR

__all__ = [
    "BOUNDED",
    "BY_BOUNDED",
    "BY_DOUBTED",
    "BY_MENDED",
    "BY_NETWORK",
    "BY_PERCEPTRON",
    "BY_WHOLE",
    "ODDS",
    "UNBOUNDED",
    "Odds",
]

BY_PERCEPTRON: Final = "correction-2"
BY_NETWORK: Final = "correction-3"
BY_BOUNDED: Final = f"{BY_NETWORK}+bound"
BY_MENDED: Final = f"{BY_NETWORK}+bound-2"
BY_WHOLE: Final = f"{BY_MENDED}+{BY_CONSOLIDATOR}"
BY_DOUBTED: Final = f"{BY_MENDED}+doubt+{BY_BORDERS}"
"""Who answers a click, as journals name it: the perceptron, the network, the network with what it may take bounded, the
same with a bound for the last way out, the same with the whole object gone over afterwards, and the same with a second
opinion on large changes before that and with borders asked apart."""


@dataclass(frozen=True, slots=True)
class Odds:
    """What the network must give to a voxel before it changes sides.

    Attributes
    ----------
    include, exclude : float
        The logit that is asked after an include click and after an exclude click.
    include_doubt, exclude_doubt : float
        What is asked beyond that for every depth that a voxel is further away than one.
    small : float
        Share of the object up to which an exclude click may take what it takes; all below is for larger changes.
    trusted : float
        What is asked beyond that of an exclude click on a slice that a person boxed, accepted or painted; it fades with
        the distance from such a slice, by e over `trusted_depths` depths.
    most_removed, most_of_trusted : float
        Share of the object that an exclude click may take, and share of it on the trusted slices.
    sure : float
        What an exclude click must have on the mean of all that it takes.
    rises : tuple of float
        While it would take more, or is less sure, these are added to `exclude` one after the other; the last way out
        is the perceptron's answer within one depth.
    last_bounded : bool
        Whether that answer takes no more than `most_removed` either, and then what lies nearest to the click.
    """

    include: float
    exclude: float
    include_doubt: float
    exclude_doubt: float
    small: float
    trusted: float
    trusted_depths: float
    most_removed: float
    most_of_trusted: float
    sure: float
    rises: tuple[float, ...]
    last_bounded: bool = False


UNBOUNDED: Final = Odds(1.2, 1.2, 0.25, 0.25, 0.0, 0.0, 1.0, 0.5, 1.0, -math.inf, (0.0,))
"""Of `BY_NETWORK`. On 48 held-out objects, 240 clicks: without doubt 14 do harm and Dice ends at 0.787, with it 9 and
0.777; with 1.7 everywhere 9 and 0.771."""

BOUNDED: Final = Odds(0.3, 1.2, 0.4, 0.25, 0.05, 3.0, 1.5, 0.5, 0.1, 2.5, (0.0, 0.5, 1.0, 1.5, 2.0, 3.0))
"""Of `BY_BOUNDED`. Nearly all harm came from exclude clicks, and those that did harm took a part of a boxed slice's
mask more often than others (docs/corrections.md); include clicks did hardly any, so that they are believed sooner."""

ODDS: Final = {
    BY_NETWORK: UNBOUNDED,
    BY_BOUNDED: BOUNDED,
    BY_MENDED: replace(BOUNDED, last_bounded=True),
    BY_WHOLE: replace(BOUNDED, last_bounded=True),
    BY_DOUBTED: replace(BOUNDED, last_bounded=True),
}
"""By who answers; the perceptron alone asks for none."""
