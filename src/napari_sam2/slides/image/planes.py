"""Which plane of a stack is looked at.

Along z, over time, or another axis of planes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["choose_plane", "plane_note"]

_WISH: Final = re.compile(r"\s*[A-Za-z]\s*=\s*\d{1,9}\s*(,\s*[A-Za-z]\s*=\s*\d{1,9}\s*)*")


def choose_plane(planes: Mapping[str, int], wanted: int | str | None, name: str) -> dict[str, int]:
    """The index along each axis of planes.

    Parameters
    ----------
    planes : mapping of str to int
        Letters of the axes (``"Z"``, ``"T"``, ...) and their lengths.
    wanted : int or str, optional
        A number, counted from 0, along z, or along the only axis there is; or ``"z=3,t=2"``. By default 0 along all.
    name : str
        Of the file, for messages.

    Raises
    ------
    UserInputError
        If there is no such plane.
    """
    chosen = dict.fromkeys(planes, 0)
    if wanted is None:
        return chosen
    text = str(wanted).strip()
    if text.isdecimal() and len(text) < 10:
        long = [axis for axis, count in planes.items() if count > 1]
        axis = "Z" if "Z" in planes else (long[0] if len(long) == 1 else "")
        if not axis and int(text) == 0 and not long:
            return chosen
        asked = {axis: int(text)}
    elif _WISH.fullmatch(text):
        asked = {part.split("=")[0].strip().upper(): int(part.split("=")[1]) for part in text.split(",")}
    else:
        raise UserInputError(f"The plane {text[:40]!r} is not understood; give a number such as 3, or z=3,t=2.")
    for axis, index in asked.items():
        if not 0 <= index < planes.get(axis, 0):
            held = ", ".join(f"{a.lower()} 0 to {n - 1}" for a, n in planes.items() if n > 1) or "one plane only"
            what = f"{axis.lower()}={index}" if axis else str(index)
            raise UserInputError(f"{name} has no plane {what}; it holds {held}.")
        chosen[axis] = index
    return chosen


def plane_note(planes: Mapping[str, int], chosen: Mapping[str, int], name: str, *, asked: bool) -> tuple[str, ...]:
    """A sentence about planes that are not looked at.

    None when a person chose.
    """
    long = {axis: count for axis, count in planes.items() if count > 1}
    if not long or asked:
        return ()
    held = " and ".join(f"{count} along {axis}" for axis, count in long.items())
    which = ", ".join(f"{axis.lower()}={chosen[axis]}" for axis in long)
    return (f"{name} holds several planes ({held}); {which} is read, choose another with --plane.",)
