"""Saving a label map with how it was made.

A session says both.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.channels.facts import facts_of_channels
from napari_sam2.core.prompts import MaskPrompt, ObjectPrompts
from napari_sam2.io.film import write_label_film
from napari_sam2.io.label_set import write_label_set
from napari_sam2.io.labels import source_has_changed
from napari_sam2.io.sidecar import Provenance
from napari_sam2.models.base import viewing_of
from napari_sam2.session.helpers import helpers_of
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.core.pixel_size import Mpp
    from napari_sam2.session.session import Session

__all__ = ["Saved", "provenance_of", "save_film_session", "save_session", "save_with_counts"]


def save_session(
    session: Session,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write a session's label map with its sidecars.

    ``.json`` (how) and ``.tsv`` (what).

    Parameters
    ----------
    session : Session
        With its results.
    path : path-like
        ``.nii`` or ``.nii.gz``.
    overwrite : bool
        Whether existing files may be replaced.
    settings : mapping, optional
        Further choices to be recorded, such as the direction.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        As `napari_sam2.io.label_set.write_label_set`: all three files, or none.
    """
    return save_with_counts(session, path, overwrite=overwrite, settings=settings).path


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved label map.

    Attributes
    ----------
    path : Path
        Where it is.
    voxels : dict of int to int
        By object id, as they are in the file.
    source_changed : bool
        Whether the image's file is no longer the one that was read.
    """

    path: Path
    voxels: dict[int, int]
    source_changed: bool


def save_with_counts(
    session: Session,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Saved:
    """Write a session's label map, and tell what is in it.

    As `save_session` writes it.
    """
    labels, changed = session.label_map(), source_has_changed(session.volume)
    provenance = replace(provenance_of(session, settings), source_changed=changed)
    written, _, _ = write_label_set(labels, session.volume, path, provenance, overwrite=overwrite)
    ids, counts = np.unique(labels, return_counts=True)
    return Saved(written, dict(zip(ids.tolist(), counts.tolist(), strict=True)), changed)


def save_film_session(
    session: Session,
    path: str | os.PathLike[str],
    *,
    seconds: float | None = None,
    mpp: Mpp | None = None,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> dict[int, NDArray[np.int64]]:
    """Write the labels of a film with all that belongs to them.

    Parameters
    ----------
    session : Session
        Of a volume (columns, rows, frames).
    path, seconds, mpp, overwrite
        As in `napari_sam2.io.film.write_label_film`.
    settings : mapping, optional
        Further choices to be recorded, such as the direction.

    Returns
    -------
    dict of int to (T,) array
        Pixels by object id.
    """
    frames = np.ascontiguousarray(np.transpose(session.label_map(), (2, 1, 0)))
    provenance = provenance_of(session, settings)
    return write_label_film(frames, session.volume, path, provenance, seconds=seconds, mpp=mpp, overwrite=overwrite)


def provenance_of(session: Session, settings: Mapping[str, Any] | None = None) -> Provenance:
    """Model, window, prompts and choices of a session."""
    card = asdict(session.model.card)
    objects = [ObjectPrompts(o.object_id, tuple(o.prompts), o.name) for o in session.objects.values()]
    axes = {o.axis for o in session.objects.values()}
    return Provenance(
        model={key: str(value) for key, value in card.items() if key not in ("summary", "seen")}
        | viewing_of(session.model),
        window=session.window,
        slice_axis=axes.pop() if len(axes) == 1 else None,
        objects=objects,
        terms={o.object_id: Term(o.name, o.code, o.colour) for o in session.objects.values()},
        device=str(session.model.device),
        settings={"overlap": session.overlap, **(settings or {})},
        channels=facts_of_channels(
            session.channels, session.window, {o.object_id: o.mix for o in session.objects.values()}
        ),
        helpers=helpers_of(session.state),
        edited=any(isinstance(p, MaskPrompt) for o in objects for p in o.prompts),
    )
