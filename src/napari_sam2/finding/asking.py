"""Who is asked for the places of names, as options say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam2.errors import UserInputError
from napari_sam2.finding.accepting import DEFAULT_ANSWER, checked_answer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam2.finding.candidate import Proposer
    from napari_sam2.finding.detection import Detection

__all__ = ["Asked"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One source of places.

    Attributes
    ----------
    memory : Path, optional
        Finished scans of a project: a manifest or a folder.
    program : str
        The command of another program, see `napari_sam2.finding.program`.
    detector : str
        The folder or the id of a general detector, see `napari_sam2.finding.detectors.loading`.
    device : str
        Where a detector runs, see `napari_sam2.models.resolve_device`.
    """

    memory: Path | None = None
    program: str = ""
    detector: str = ""
    device: str = "auto"

    def __bool__(self) -> bool:
        """Whether a source is named at all."""
        return bool(self.memory or self.program or self.detector)

    def answer(self, given: str | None, names: Sequence[str] | None) -> str:
        """What becomes of a name that is found.

        Parameters
        ----------
        given : str, optional
            One of `napari_sam2.finding.accepting.ANSWERS`; the default where none is given.
        names : sequence of str, optional
            What is to be found.

        Raises
        ------
        UserInputError
            If no name is to be found, or the source has no such answer.
        """
        if given is None:
            return DEFAULT_ANSWER
        if not names:
            raise UserInputError("--answer says what becomes of a name that is found: give it with --text.")
        if self.detector and checked_answer(given) == "proposed":
            raise UserInputError("--answer proposed takes masks, and a detector gives boxes: leave it out.")
        return checked_answer(given)

    def proposer(self, least_score: float | None = None) -> Proposer:
        """The source, ready to be asked.

        Parameters
        ----------
        least_score : float, optional
            Below it a structure counts as not found; a program gives no scores.

        Raises
        ------
        ImageFileError, ManifestError, UserInputError, EnvironmentLacksError, ModelError
            If none or several are named, or the one that is cannot be read.
        """
        named = [option for option, value in self._options().items() if value]
        if len(named) != 1:
            *others, last = self._options()
            raise UserInputError(f"Give one of {', '.join(others)} and {last}: who says where a name lies.")
        from napari_sam2.finding.exemplars import exemplars_in
        from napari_sam2.finding.memory import LEAST_SCORE, ProjectMemory
        from napari_sam2.finding.program import Program

        if self.memory is not None:
            return ProjectMemory(exemplars_in(self.memory), LEAST_SCORE if least_score is None else least_score)
        if self.detector:
            return self.detection(least_score)
        if least_score is not None:
            raise UserInputError("--least-score is for --memory and --detector: a program gives no scores.")
        return Program(self.program)

    def detection(self, least_score: float | None = None) -> Detection:
        """The detector that is named.

        Raises
        ------
        UserInputError, EnvironmentLacksError, ModelError
            If there is none, or it cannot be used.
        """
        from napari_sam2.finding.detection import Detection
        from napari_sam2.finding.detectors.loading import folder_of_detector, load_detector, settings_of
        from napari_sam2.models import resolve_device

        folder, device = folder_of_detector(self.detector), resolve_device(self.device)
        settings_of(folder)  # what it is not is told before a scan is read
        return Detection(lambda: load_detector(folder, device), folder, least_score)

    def _options(self) -> dict[str, Path | str | None]:
        return {"--memory": self.memory, "--program": self.program, "--detector": self.detector}
