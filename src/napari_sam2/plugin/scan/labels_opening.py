"""Opening labels as objects of a scan.

Labels that were saved, or made by another plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.errors import UserInputError
from napari_sam2.io.labels import read_named_labels
from napari_sam2.io.own_terms import terms_in
from napari_sam2.plugin.canvas.placement import lies_alike
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Labels

    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.session import Session

__all__ = ["open_label_file", "open_label_layer"]


def open_label_file(work: ScanWork, path: Path) -> None:
    """Open a saved label map as objects.

    With their names, codes and colours.

    Any format that `read_named_labels` reads. What does not fit the scan is explained, and nothing changes.
    """
    work.told.emit(f"Opening {path.name} ...")

    def take(session: Session) -> list[int]:
        labels, names = read_named_labels(path, session.volume)
        return session.take_labels(labels, terms_in(path, names))

    work.ask(take, lambda ids: _show(work, ids, path.name))


def open_label_layer(work: ScanWork, layer: Labels) -> None:
    """Open a labels layer of another plugin as objects.

    The layer itself is hidden, and stays as it is.

    It has to lie on the scan, voxel on voxel.
    """
    shape = tuple(layer.data.shape)
    if (
        layer.multiscale
        or shape != tuple(work.result.layer.data.shape)
        or not lies_alike(layer, work.result.home, shape)
    ):
        work.told.emit(f"{layer.name} does not lie on {work.image.name} voxel on voxel, so it cannot be taken over.")
        return
    labels = np.array(work.shown.grid.stored(np.asarray(layer.data)))
    terms = _terms_of(layer, np.unique(labels).tolist())

    def take(session: Session) -> list[int]:
        if labels.min() < 0:
            raise UserInputError(f"{layer.name} holds negative numbers, which no label has.")
        return session.take_labels(labels, terms)

    def done(ids: list[int]) -> None:
        layer.visible = False
        _show(work, ids, layer.name)

    work.ask(take, done)


def _show(work: ScanWork, ids: list[int], name: str) -> None:
    """Go to the middle of the first object, and say what can be done."""
    first = work.object(ids[0])
    work.select(ids[0])
    indices = sorted(first.slices)
    if indices:
        work.view.go_to(first.axis, indices[len(indices) // 2])
    many = f"{len(ids)} objects" if len(ids) > 1 else "1 object"
    work.told.emit(f"{name}: {many} opened. A click corrects; G carries on from slices accepted with K.")


def _terms_of(layer: Labels, label_ids: list[int]) -> dict[int, Term]:
    """Its colours, and names where the layer's table of features has them, by id."""
    names = {}
    features = layer.features
    if "index" in features and "name" in features:
        names = dict(zip(features["index"].tolist(), features["name"].astype(str).tolist(), strict=True))
    terms = {}
    for label_id in label_ids:
        colour = layer.get_color(label_id) if label_id else None
        if colour is not None:
            red, green, blue = (round(float(c) * 255) for c in colour[:3])
            terms[label_id] = Term(names.get(label_id, ""), None, (red, green, blue), label_id)
    return terms
