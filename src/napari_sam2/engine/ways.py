"""The cheapest ways through an image, kept for the next click.

On the grid of an object the image stays from one click to the next, and so do most of the places that ways begin at:
the boxed section, and the clicks of the other polarity. What was asked last is kept, by its content.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np
from skimage.graph import MCP_Geometric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["MOST_KEPT", "cheapest_ways", "kept_ways"]

MOST_KEPT: Final = 6
"""Answers that are kept, one more than an object asks for after a click: of grids of 80,000 cells 4 MB."""

_kept: OrderedDict[bytes, NDArray[np.float64]] = OrderedDict()
_lock = Lock()


def cheapest_ways(cost: NDArray[np.float64], seeds: NDArray[np.intp], step: Sequence[float]) -> NDArray[np.float64]:
    """What the cheapest way from the nearest of some cells costs.

    Parameters
    ----------
    cost : (slices, rows, columns) float64 array
        Of a millimetre through every cell.
    seeds : (N, 3) int array
        Cells that ways begin at; at least one.
    step : sequence of float
        Millimetres from cell to cell along each axis.

    Returns
    -------
    (slices, rows, columns) float64 array
    """
    costs: NDArray[np.float64] = MCP_Geometric(cost, sampling=tuple(step)).find_costs(seeds)[0]
    return costs


def kept_ways(cost: NDArray[np.float64], seeds: NDArray[np.intp], step: Sequence[float]) -> NDArray[np.float64]:
    """As `cheapest_ways`; the last answers are kept.

    They are not to be written to.
    """
    asked = blake2b(digest_size=16)
    for values in (np.array(cost.shape), cost, seeds, np.array(step, dtype=np.float64)):
        asked.update(np.ascontiguousarray(values).data)
    key = asked.digest()
    with _lock:
        known = _kept.get(key)
        if known is not None:
            _kept.move_to_end(key)
            return known
    costs = cheapest_ways(cost, seeds, step)
    costs.setflags(write=False)
    with _lock:
        _kept[key] = costs
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return costs
