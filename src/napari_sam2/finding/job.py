"""Structures found in a scan by their names, from files.

And found ones as the prompts of a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.core.prompts import ObjectPrompts
from napari_sam2.core.window import choose_window
from napari_sam2.errors import UserInputError
from napari_sam2.finding.accepting import DEFAULT_ANSWER, Accepted, checked_answer
from napari_sam2.io.read import read_volume

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.finding.candidate import Found, Proposer

__all__ = ["accepted_from", "look_for", "seen_on_film"]


def look_for(
    proposer: Proposer,
    image: str | os.PathLike[str],
    names: Sequence[str],
    *,
    window: str = "auto",
    volume_index: int | None = None,
    series: str | int | None = None,
    say: Callable[[str], None] = lambda note: None,
) -> tuple[Volume, Found]:
    """Look for named structures in a scan.

    Names are checked before the scan is read.

    Parameters
    ----------
    proposer : Proposer
        Who is asked.
    image, volume_index, series
        As in `napari_sam2.io.read_volume`.
    names : sequence of str
        Names or codes.
    window : str
        As in `napari_sam2.core.window.choose_window`.
    say : callable
        Told what a person should know, a sentence at a time.

    Raises
    ------
    UserInputError
        For lesions, names that no finished scan holds, and scans that cannot be looked at.
    """
    proposer.check(names)
    volume = read_volume(image, volume_index=volume_index, series=series)
    for sentence in (*volume.source.notes, *proposer.notes):
        say(sentence)
    return volume, proposer.propose(volume, choose_window(volume, window), names)


def accepted_from(
    proposer: Proposer,
    names: Sequence[str],
    answer: str = DEFAULT_ANSWER,
    say: Callable[[str], None] = lambda note: None,
) -> Callable[[Volume, Window], Accepted]:
    """A source of objects for `segment_scan`.

    Every candidate is accepted, as whoever names them here demands.

    Parameters
    ----------
    proposer : Proposer
        Who is asked.
    names : sequence of str
        Names or codes.
    answer : str
        One of `napari_sam2.finding.accepting.ANSWERS`.
    say : callable
        Told what a person should know, a sentence at a time.

    Raises
    ------
    UserInputError
        At once for names that cannot be answered; from the source when nothing is found.
    """
    proposer.check(names)
    checked_answer(answer)

    def found_in(volume: Volume, window: Window) -> Accepted:
        for sentence in proposer.notes:
            say(sentence)
        found = proposer.propose(volume, window, names)
        if not found.candidates:
            raise UserInputError("\n".join(found.missing.values()))
        for sentence in found.missing.values():
            say(sentence)
        for candidate in found.candidates:
            say(f"{candidate.name}: {candidate.origin}; look at the result, nobody has")
        return Accepted(found.candidates, answer)

    return found_in


def seen_on_film(
    proposer: Proposer, names: Sequence[str], say: Callable[[str], None] = lambda note: None
) -> Callable[[Volume, Window], list[ObjectPrompts]]:
    """A source of objects for `segment_film`.

    Each gets a box on the frame where it is seen best.

    Parameters and errors as in `accepted_from`, with a detector.
    """
    taken = accepted_from(proposer, names, "model", say)

    def found_on(film: Volume, window: Window) -> list[ObjectPrompts]:
        seen = [(c, c.seen) for c in taken(film, window).candidates if c.seen is not None]
        return [ObjectPrompts(n, (box,), c.name, c.origin) for n, (c, box) in enumerate(seen, start=1)]

    return found_on
