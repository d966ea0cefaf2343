"""Segment a film from files to files, as ``napari-sam2 film`` does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.window import choose_window
from napari_sam2.errors import UserInputError
from napari_sam2.io.film import check_film_output, files_of_film
from napari_sam2.io.film_read import read_film_volume
from napari_sam2.io.guard import refuse_inputs_as_outputs
from napari_sam2.jobs.segment import DIRECTIONS, answer_and_carry, doubts_of, objects_of
from napari_sam2.models import DEFAULT_MODEL, load_model
from napari_sam2.record.save import save_film_session
from napari_sam2.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.jobs.segment import Prompts, PromptSource

__all__ = ["TIME_AXIS", "FilmRun", "segment_film"]

TIME_AXIS: Final = 2
"""Of a film's volume (columns, rows, frames)."""


@dataclass(frozen=True, slots=True)
class FilmRun:
    """What a run did.

    Attributes
    ----------
    output : Path
        The labels, frame by frame.
    session : Session
        With all objects, for whoever wants to go on.
    objects : list of dict
        Of every object: id, name, its first and last frame, the number of its frames, and the mean of its pixels in
        those.
    notes : tuple of str
        Sentences for the person: what was not found, what may have leaked.
    seconds : float
        How long prompts and propagation took.
    """

    output: Path
    session: Session
    objects: list[dict[str, Any]]
    notes: tuple[str, ...]
    seconds: float


def segment_film(
    clip: str | os.PathLike[str],
    output: str | os.PathLike[str],
    prompts: Prompts | PromptSource,
    *,
    model: str | Path | Callable[[], AnyModel] = DEFAULT_MODEL,
    window: str = "auto",
    frames: range | None = None,
    direction: str = "both",
    overwrite: bool = False,
    say: Callable[[str], None] = lambda note: None,
    watch: Callable[[Iterable[SliceResult], int], Iterable[SliceResult]] = lambda results, total: results,
) -> FilmRun:
    """Follow objects through a film, and write their labels.

    With all that belongs to them.

    Parameters
    ----------
    clip : path-like
        As in `napari_sam2.io.film_read.read_film`.
    output : path-like
        ``.ome.tif``; see `napari_sam2.io.film.files_of_film` for what is written beside it.
    prompts : path-like, sequence of ObjectPrompts or callable
        A prompt file, or what it would hold; coordinates are (column, row, frame). Or what gives that for a film and
        its window, such as `napari_sam2.finding.job.seen_on_film`.
    model
        As in `napari_sam2.models.load_model`; or what gives a model, asked once everything else is in order.
    window
        As in `Session`.
    frames, direction
        As slices in `Session.propagate`; ``"none"`` answers the prompted frames only.
    overwrite : bool
        Whether existing outputs may be replaced; an input never is.
    say, watch
        As in `napari_sam2.jobs.segment.segment_scan`.

    Raises
    ------
    UserInputError, EnvironmentLacksError, ModelError
        With one sentence each; nothing is written then.
    """
    if direction not in DIRECTIONS:
        raise UserInputError(f"--direction {direction}: choose one of {', '.join(DIRECTIONS)}.")
    target = Path(output)
    inputs = [Path(clip), *([Path(prompts)] if isinstance(prompts, str | os.PathLike) else [])]
    refuse_inputs_as_outputs(inputs, files_of_film(target))
    film, volume = read_film_volume(clip)
    for note in film.notes:
        say(note)
    check_film_output(target, volume, overwrite=overwrite)
    objects = (
        prompts(volume, choose_window(volume, window))
        if callable(prompts)
        else objects_of(prompts, volume, files_of_film(target))
    )
    loaded = load_model(model) if isinstance(model, str | Path) else model()
    session = Session(volume, loaded, window=window, axis=TIME_AXIS)
    seconds, settings = answer_and_carry(session, objects, frames, direction, watch)
    pixels = save_film_session(
        session, target, seconds=film.seconds, mpp=film.mpp, overwrite=overwrite, settings=settings
    )
    rows = [_row(obj.object_id, obj.name, pixels[obj.object_id]) for obj in session.objects.values()]
    notes = doubts_of(session, {i: int(counts.sum()) for i, counts in pixels.items()}, "frame")
    return FilmRun(target, session, rows, tuple(notes), seconds)


def _row(object_id: int, name: str, pixels: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, Any]:
    filled_frames = np.flatnonzero(pixels)
    return {
        "id": object_id,
        "name": name,
        "frames": [int(filled_frames[0]), int(filled_frames[-1])] if filled_frames.size else None,
        "n_frames": int(filled_frames.size),
        "mean_pixels": round(float(pixels[filled_frames].mean()), 1) if filled_frames.size else 0.0,
    }
