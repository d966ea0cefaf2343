"""What is to be done with one case of a cohort.

Plain values that cross processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from napari_sam2.cohort.slide_wish import SlideWish
from napari_sam2.finding.accepting import DEFAULT_ANSWER
from napari_sam2.finding.asking import Asked
from napari_sam2.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.io.channel_file import ChannelFile

__all__ = [
    "LABELS",
    "LOCK",
    "MEASUREMENTS",
    "NEEDS_MODEL",
    "OVERVIEW",
    "SCORES",
    "SESSION",
    "TASKS",
    "WITH_CHANNELS",
    "CaseJob",
    "CohortSettings",
]

TASKS: Final = {
    "segment": ("prompts",),
    "replay": ("session",),
    "measure": ("labels",),
    "evaluate": ("labels",),
    "export": ("labels",),
    "find": (),
    "slide": (),
}
"""What can be done with every case, and the columns of the manifest that it needs beside ``image``."""

NEEDS_MODEL: Final = frozenset({"segment", "replay", "evaluate", "find", "slide"})

WITH_CHANNELS: Final = frozenset({"segment", "replay", "evaluate", "measure", "find"})
"""Tasks that read further channels of a scan; an export is of labels alone."""

LABELS: Final = "labels.nii.gz"
SESSION: Final = "labels.sam2session"
MEASUREMENTS: Final = "measurements.csv"
SCORES: Final = "scores.json"
OVERVIEW: Final = "overview.jpg"
LOCK: Final = ".lock"
"""Held while a case is worked on; it stays, and so marks a folder as a case's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSettings:
    """What holds for every case.

    Attributes
    ----------
    task : str
        One of `TASKS`.
    model, device, quality
        See `napari_sam2.models.load_model`.
    window : str
        See `napari_sam2.core.window.choose_window`.
    direction : str
        Of propagation: ``"both"``, ``"forward"``, ``"backward"`` or ``"none"``.
    export : str
        For the task ``"export"``: the ending of the files, see `napari_sam2.io.export.export_labels`.
    limit : float
        Minutes that a case may take before its worker is ended; 0 sets none.
    text : tuple of str
        For the task ``"find"``: names of structures, which are segmented where they are proposed.
    source : Asked
        For the task ``"find"``: who says where they lie.
    answer : str
        For the task ``"find"``: one of `napari_sam2.finding.accepting.ANSWERS`.
    slide : SlideWish
        For the task ``"slide"``: what is asked of every slide.
    register, fusion : str
        For further channels of scans, see `napari_sam2.channels.opening.read_stack` and
        `napari_sam2.channels.mix.named_mix`.
    remote, token_file
        The server that answers instead, and the file with its token, see `napari_sam2.remote.model.connect`.
    """

    task: str = "segment"
    model: str = DEFAULT_MODEL
    device: str = "auto"
    quality: str = "auto"
    window: str = "auto"
    direction: str = "both"
    export: str = ""
    limit: float = 0.0
    text: tuple[str, ...] = ()
    source: Asked = field(default_factory=Asked)
    answer: str = DEFAULT_ANSWER
    slide: SlideWish = field(default_factory=SlideWish)
    register: str = ""
    fusion: str = "auto"
    remote: str | None = None
    token_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseJob:
    """One case, as it is sent to a worker.

    Attributes
    ----------
    case : str
        Its name.
    folder : Path
        Where its results go; absolute.
    image : Path
        The scan.
    prompts, session, labels : Path, optional
        As in the manifest.
    channels : tuple of ChannelFile
        Further channels of the scan.
    settings : CohortSettings
        What to do.
    inputs : dict of str to str
        SHA-256 of every input and of the model, as they were when the run was planned.
    group : str
        What the case is compared within.
    redo : bool
        Repeat it even if a person has edited its result since.
    """

    case: str
    folder: Path
    image: Path
    prompts: Path | None = None
    session: Path | None = None
    labels: Path | None = None
    channels: tuple[ChannelFile, ...] = ()
    settings: CohortSettings = field(default_factory=CohortSettings)
    inputs: dict[str, str] = field(default_factory=dict)
    group: str = ""
    redo: bool = False
