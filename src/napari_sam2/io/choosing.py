"""Which volume of an array with channels and moments is taken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.errors import ImageFileError, SeveralVolumesError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["choose_part"]


def choose_part(
    letters: str,
    shape: Sequence[int],
    kept: Sequence[int],
    channel_names: Sequence[str],
    volume_index: int | None,
    file_name: str,
) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """The index of the wanted volume, with a note of it.

    Parameters
    ----------
    letters : str
        The axes of the array: X, Y, Z, C channels, T time and others.
    shape : sequence of int
        Its shape.
    kept : sequence of int
        The axes that a volume has; along the others there are several, counted in stored order, the last fastest.
    channel_names : sequence of str
        As far as the file states them.
    volume_index : int, optional
        The wanted one.
    file_name : str
        For messages.

    Raises
    ------
    SeveralVolumesError
        If there are several and none is wanted.
    ImageFileError
        If there is no such one.
    """
    others = [axis for axis in range(len(shape)) if axis not in kept]
    sizes = [shape[axis] for axis in others]
    count = math.prod(sizes)
    if volume_index is None and count > 1:
        axes = " and ".join(f"{n} along {letters[a].lower()}" for a, n in zip(others, sizes, strict=True) if n > 1)
        named = ", ".join(f"{i} {name}" for i, name in enumerate(channel_names) if name)
        listing = f"; channels are {named[:200]}" if named and "C" in letters else ""
        raise SeveralVolumesError(
            f"{file_name} holds {count} volumes ({axes}{listing}); choose one with --volume N (volume_index=N in "
            f"Python), 0 to {count - 1}.",
            count,
        )
    index = volume_index or 0
    if not 0 <= index < count:
        held = f"{count}, 0 to {count - 1}" if count > 1 else "one volume, 0"
        raise ImageFileError(f"{file_name} has no volume {index}: it holds {held}.")
    chosen: list[Any] = [slice(None)] * len(shape)
    for axis, position in zip(others, np.unravel_index(index, sizes) if sizes else (), strict=True):
        chosen[axis] = int(position)
    channel = letters.find("C")
    name = channel_names[chosen[channel]] if channel in others and chosen[channel] < len(channel_names) else ""
    return tuple(chosen), ((f"Volume {index} is the channel {name}.",) if count > 1 and name else ())
