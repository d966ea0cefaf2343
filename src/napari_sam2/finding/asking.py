"""Who is asked for the places of names, as options say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.finding.candidate import Proposer

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
    """

    memory: Path | None = None
    program: str = ""

    def __bool__(self) -> bool:
        """Whether a source is named at all."""
        return bool(self.memory or self.program)

    def proposer(self, least_score: float | None = None) -> Proposer:
        """The source, ready to be asked.

        Parameters
        ----------
        least_score : float, optional
            Below it a structure counts as not found; a program gives no scores.

        Raises
        ------
        ImageFileError, ManifestError, UserInputError
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
        if least_score is not None:
            raise UserInputError("--least-score is for --memory: a program gives no scores.")
        return Program(self.program)

    def _options(self) -> dict[str, Path | str | None]:
        return {"--memory": self.memory, "--program": self.program}
