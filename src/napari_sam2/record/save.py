"""What a session can say of how its label map was made, and saving both together."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from napari_sam2.core.prompts import MaskPrompt, ObjectPrompts
from napari_sam2.errors import UserInputError
from napari_sam2.io.labels import write_labels
from napari_sam2.io.sidecar import Provenance, sidecar_paths, write_sidecars
from napari_sam2.models.base import viewing_of
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from napari_sam2.session.session import Session

__all__ = ["check_sidecars", "provenance_of", "save_session"]


def save_session(
    session: Session,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write a session's label map with its sidecars: ``.json`` (how) and ``.tsv`` (what).

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
        As `napari_sam2.io.write_labels`; nothing is half-written.
    """
    if not overwrite:
        check_sidecars(path)
    labels = session.label_map()
    written = write_labels(labels, session.volume, path, overwrite=overwrite)
    write_sidecars(written, labels, session.volume, provenance_of(session, settings), overwrite=overwrite)
    return written


def check_sidecars(path: str | os.PathLike[str]) -> None:
    """Refuse a label map whose sidecars would replace other files.

    Raises
    ------
    UserInputError
        If one of them exists.
    """
    for sidecar in sidecar_paths(path):
        if sidecar.exists():
            raise UserInputError(f"{sidecar.name} exists already; choose another name or pass --overwrite.")


def provenance_of(session: Session, settings: Mapping[str, Any] | None = None) -> Provenance:
    """Model, window, prompts and choices of a session."""
    card = asdict(session.model.card)
    objects = [ObjectPrompts(o.object_id, tuple(o.prompts), o.name) for o in session.objects.values()]
    axes = {o.axis for o in session.objects.values()}
    return Provenance(
        model={key: str(value) for key, value in card.items() if key != "summary"} | viewing_of(session.model),
        window=session.window,
        slice_axis=axes.pop() if len(axes) == 1 else None,
        objects=objects,
        terms={o.object_id: Term(o.name, o.code, o.colour) for o in session.objects.values()},
        device=str(session.model.device),
        settings={"overlap": session.overlap, **(settings or {})},
        edited=any(isinstance(p, MaskPrompt) for o in objects for p in o.prompts),
    )
