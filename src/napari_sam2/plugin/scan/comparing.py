"""Comparison of a scan's objects with another's labels.

Dice and surface distances for each object, a layer of differences, and a key that goes from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from napari.utils.colormaps import DirectLabelColormap

from napari_sam2.io.labels import read_named_labels
from napari_sam2.io.own_terms import terms_in
from napari_sam2.measures.differences import Difference, difference_map, differences, on_ids_of
from napari_sam2.measures.metrics import Agreement, compare_each
from napari_sam2.plugin.control.progress import Progress
from napari_sam2.plugin.scan.figures import FigureTable, shown_number
from napari_sam2.plugin.scan.prompt_layers import layer_placement

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_sam2.plugin.background.worker import Stream
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.session import Session
    from napari_sam2.session.snapshot import SessionSnapshot

__all__ = ["Comparison"]

COLOURS: Final = DirectLabelColormap(
    color_dict={
        None: (0, 0, 0, 0),
        0: (0, 0, 0, 0),
        1: (0.84, 0.37, 0.00, 1.0),
        2: (0.34, 0.71, 0.91, 1.0),
        3: (0.94, 0.89, 0.26, 1.0),
    }
)
"""Only here: vermilion; only in the other labels: blue; in both, as different objects: yellow (Okabe and Ito)."""

HEADERS: Final = (
    "Object",
    "Id",
    "Dice",
    "ASSD (mm)",
    "HD95 (mm)",
    "Here (mL)",
    "There (mL)",
    "Difference (%)",
)
"""Of the table; ASSD and HD95 as `napari_sam2.measures.metrics.Agreement` defines them."""

LEAST_VOXELS: Final = 4
"""Smaller differences are drawn, and not gone to."""


@dataclass(frozen=True, slots=True, eq=False)
class _Other:
    """The labels of somebody else, by the ids of this scan."""

    name: str
    labels: NDArray[np.integer]
    names: dict[int, str]


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What a comparison gave, and of which state."""

    of: SessionSnapshot
    agreements: dict[int, Agreement]
    places: list[Difference]
    shown: NDArray[np.uint8]


class Comparison:
    """The comparison of a scan's objects with one other label map.

    Parameters
    ----------
    work : ScanWork
        Of the scan.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._layer: Labels | None = None
        self._stream: Stream[Any] | None = None
        self._other: _Other | None = None
        self._found: _Found | None = None
        self._seen: set[tuple[int, int, int]] = set()

    @property
    def layer(self) -> Labels | None:
        """The differences in the picture, while they are there."""
        return self._layer

    @property
    def name(self) -> str:
        """The file that is compared with; empty for none."""
        return "" if self._other is None else self._other.name

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has changed since it was compared."""
        return self._found is not None and self._found.of is self._work.snapshot

    @property
    def places(self) -> list[Difference]:
        """Differences of the last comparison, the deepest first."""
        return [] if self._found is None else self._found.places

    def open(self, path: Path) -> None:
        """Compare with a saved label map of any format that is read."""
        work = self._work
        work.told.emit(f"Reading {path.name} ...")

        def read(session: Session) -> _Other:
            labels, names = read_named_labels(path, session.volume)
            named = {i: term.name for i, term in terms_in(path, names).items()}
            ours = {i: obj.name for i, obj in session.snapshot().objects.items()}
            return _Other(path.name, on_ids_of(labels, named, ours), named or ours)

        def done(other: _Other) -> None:
            self._other, self._seen = other, set()
            self._start(go=False)

        work.ask(read, done)

    def next(self) -> None:
        """Go to the deepest difference that was not looked at yet.

        What was changed meanwhile is compared first.
        """
        if self._other is None:
            self._work.told.emit("Choose the labels to compare with first: Compare with labels ...")
        elif not self.is_fresh:
            self._start(go=True)
        else:
            self._go()

    def stop(self) -> None:
        """End comparing after the object it is at."""
        if self._stream is not None:
            self._stream.stop()

    def discard(self) -> None:
        """Forget the other labels, and take the differences out of the picture."""
        self.stop()
        self._other = self._found = None
        self._remove_layer()
        self._work.changed.emit()

    def _start(self, *, go: bool) -> None:
        work, other = self._work, self._other
        if other is None or self._stream is not None:
            return
        if work.run.running:
            work.told.emit("Something is running; stop it, or wait for its end.")
            return
        of, agreements = work.snapshot, dict[int, Agreement]()
        found: list[_Found] = []

        def run(stopping: threading.Event) -> Iterator[tuple[int, Agreement] | _Found]:
            session = work.stream_session()
            if session is None:
                return
            ours, volume = session.label_map(), session.volume
            for pair in compare_each(other.labels, ours, volume):
                yield pair
                if stopping.is_set():
                    return
            places = differences(ours, other.labels, volume.spacing, LEAST_VOXELS)
            yield _Found(of, {}, places, difference_map(ours, other.labels))

        def each(pieces: list[tuple[int, Agreement] | _Found]) -> None:
            for piece in pieces:
                if isinstance(piece, _Found):
                    found.append(piece)
                else:
                    agreements[piece[0]] = piece[1]
            work.run.progressed.emit(Progress(len(agreements), max(len(of.objects), len(agreements))))

        def done() -> None:
            self._end()
            if found and not work.closed and self._other is other:
                self._show(_Found(of, agreements, found[0].places, found[0].shown), other)
                if go:
                    self._go()

        def failed(error: BaseException) -> None:
            self._end()
            work.fail(error)

        work.told.emit(f"Comparing with {other.name} ...")
        self._stream = work.stream(run, each, done, failed)

    def _end(self) -> None:
        self._stream = None
        self._work.run.progressed.emit(None)

    def _show(self, found: _Found, other: _Other) -> None:
        work = self._work
        self._found = found
        self._draw(found.shown)
        work.show_figures(_table(work, found, other))
        many = len(found.places)
        work.told.emit(
            f"{other.name}: {many} difference{'' if many == 1 else 's'}. D goes to the deepest, then to the next."
        )
        work.changed.emit()

    def _go(self) -> None:
        work, other = self._work, self._other
        left = [place for place in self.places if place.voxel not in self._seen]
        if other is None or not left:
            self._seen.clear()
            work.told.emit("No difference is left to look at." if self.places else "Both label maps say the same.")
            return
        place = left[0]
        self._seen.add(place.voxel)
        axis = work.view.axis()
        work.cross.meet_at(place.voxel)
        work.view.go_to(axis, place.voxel[axis])
        work.view.look_at(place.voxel)
        if place.first:
            work.select(place.first)
        ml = place.n_voxels * work.shown.volume.voxel_volume_ml
        size = f"{shown_number(ml)} mL" if work.shown.is_sized else f"{place.n_voxels} voxels"
        work.told.emit(f"{self._said(place, other)}: {size}. {len(left) - 1} more to look at [D].")

    def _said(self, place: Difference, other: _Other) -> str:
        ours = self._work.name_of(place.first) if place.first else ""
        theirs = other.names.get(place.second) or (self._work.name_of(place.second) if place.second else "")
        if ours and theirs:
            return f"{_capital(ours)} here, {theirs} there"
        return f"{_capital(ours)} only here" if ours else f"{_capital(theirs)} only in {other.name}"

    def _draw(self, shown: NDArray[np.uint8]) -> None:
        work = self._work
        viewer, array = work.workspace.viewer, work.shown.grid.shown(shown)
        if self._layer is not None and self._layer in viewer.layers:
            self._layer.data = array
            return
        active = viewer.layers.selection.active
        self._layer = viewer.add_labels(
            array,
            name=f"{work.image.name} differences",
            opacity=0.7,
            colormap=COLOURS,
            **layer_placement(work.image, work.shown),
        )
        self._layer.editable = False
        viewer.layers.selection.active = active

    def _remove_layer(self) -> None:
        layer, workspace = self._layer, self._work.workspace
        self._layer = None
        if layer is not None and workspace.has_viewer and layer in workspace.viewer.layers:
            workspace.viewer.layers.remove(layer)


def _table(work: ScanWork, found: _Found, other: _Other) -> FigureTable:
    rows = []
    for object_id, a in found.agreements.items():
        ours = work.name_of(object_id) if object_id in work.snapshot.objects else ""
        theirs = other.names.get(object_id, "")
        # Without a name of one's own, the number alone has matched them: what they call it is told.
        named = bool(ours) and bool(work.object(object_id).name)
        name = ours if named or not theirs else f"{ours} ({theirs})" if ours else theirs
        figures = (a.dice, a.assd_mm, a.hd95_mm, a.predicted_ml, a.reference_ml, a.volume_difference_percent)
        rows.append((name or f"object {object_id}", object_id, *figures))
    title = f"{work.image.name} against {other.name}; orange: only here, blue: only there, yellow: another object"
    return FigureTable(title, HEADERS, tuple(rows), tuple(found.agreements))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
