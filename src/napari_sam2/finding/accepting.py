"""What becomes of an accepted candidate.

An object with the mask that was proposed, or prompts that a model answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.core.labels import labelled
from napari_sam2.core.prompts import ObjectPrompts
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.core.volume import Volume
    from napari_sam2.finding.candidate import Candidate
    from napari_sam2.session.session import Session

__all__ = ["ANSWERS", "DEFAULT_ANSWER", "Accepted", "accept", "as_object", "checked_answer"]

ANSWERS: Final = ("proposed", "model")
"""The mask as it was proposed, or what the model makes of its best slice and its boxes."""

DEFAULT_ANSWER: Final = "proposed"
"""The better one in every set that was measured (docs/names.md)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Candidates that whoever named them takes unseen.

    Attributes
    ----------
    candidates : tuple of Candidate
        At least one.
    answer : str
        One of `ANSWERS`.
    """

    candidates: tuple[Candidate, ...]
    answer: str = DEFAULT_ANSWER

    def begin(self, session: Session, slices: range | None = None) -> list[int]:
        """Make them the objects 1, 2, ... of a session.

        Returns
        -------
        list of int
            Ids of those that a model has still to carry.
        """
        carried = []
        for object_id, candidate in enumerate(self.candidates, start=1):
            if accept(session, candidate, object_id, self.answer, slices):
                carried.append(object_id)
        return carried

    def settings(self) -> dict[str, Any]:
        """What the sidecar of a result says about them."""
        return {
            "answer": self.answer,
            "proposed": {str(number): c.origin for number, c in enumerate(self.candidates, start=1)},
        }


def accept(
    session: Session, candidate: Candidate, object_id: int, answer: str, slices: range | None = None
) -> list[SliceResult]:
    """Make a candidate an object.

    The journal keeps where it comes from.

    Parameters
    ----------
    session : Session
        Of the scan in which it was found.
    candidate : Candidate
        One without a mask is always answered by the model.
    object_id : int
        Free in the session.
    answer : str
        One of `ANSWERS`.
    slices : range, optional
        Slices across the session's axis that may be written.

    Returns
    -------
    list of SliceResult
        What the model answered, to be carried from there; empty where the mask was taken, which is whole.
    """
    made = as_object(candidate, session.volume, object_id, answer).on_slices(slices, session.axis)
    if candidate.term is None:
        return session.set_objects([made])
    if made.whole is not None:
        session.take_labels(labelled(made.whole, object_id), {object_id: candidate.term}, origin=candidate.origin)
        return []
    results = session.set_objects([replace(made, name="")])
    session.describe(object_id, candidate.term)
    return results


def as_object(candidate: Candidate, volume: Volume, object_id: int, answer: str = DEFAULT_ANSWER) -> ObjectPrompts:
    """A candidate as an object: its whole mask, or prompts.

    Parameters as in `accept`.
    """
    whole = candidate.on_grid(volume.shape) if candidate.mask is not None and answer == "proposed" else None
    prompts = candidate.prompts(volume) if whole is None else ()
    return ObjectPrompts(object_id, prompts, candidate.name, candidate.origin, whole)


def checked_answer(answer: str, choices: Sequence[str] = ANSWERS) -> str:
    """The answer that was asked for.

    Raises
    ------
    UserInputError
        Naming the choices.
    """
    if answer not in choices:
        raise UserInputError(f"--answer {answer}: choose one of {', '.join(choices)}.")
    return answer
