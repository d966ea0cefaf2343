"""Figures about the objects of a scan: volume, axes, intensities, growth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_sam2.measures.measure import Measurement, growth, measure_each
from napari_sam2.plugin.control.progress import Progress
from napari_sam2.plugin.scan.axes_layer import AxesLayer
from napari_sam2.plugin.scan.figures import FigureTable

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from napari.layers import Shapes

    from napari_sam2.plugin.background.worker import Stream
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.snapshot import SessionSnapshot

__all__ = ["Measuring", "figures_of"]


class Measuring:
    """Measures the objects of a scan, and draws their axes.

    Parameters
    ----------
    work : ScanWork
        Of the scan.

    Attributes
    ----------
    measurements : tuple of Measurement
        Of the last time.
    earlier : tuple of Measurement
        Of the other scan, where one is chosen; empty else.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._axes = AxesLayer(work)
        self._stream: Stream[Any] | None = None
        self._of: SessionSnapshot | None = None
        self.measurements: tuple[Measurement, ...] = ()
        self.earlier: tuple[Measurement, ...] = ()

    @property
    def layer(self) -> Shapes | None:
        """The axes in the picture, while they are there."""
        return self._axes.layer

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has changed since it was measured."""
        return self._of is self._work.snapshot

    def toggle(self) -> None:
        """Measure, or hide figures that are still true."""
        figures = self._work.workspace.figures
        if figures.on and self.is_fresh:
            figures.set(False)
            self.hide()
        else:
            self.start()

    def start(self) -> None:
        """Measure all objects, and those of the other scan."""
        work = self._work
        scans = [work] if work.other.chosen is None else [work, work.other.chosen]
        total = sum(len(scan.snapshot.objects) for scan in scans)
        if not work.snapshot.objects:
            work.told.emit("There is nothing to measure yet: click inside an object, or Shift-drag a box.")
        elif self._stream is not None or work.run.running:
            work.told.emit("Something is running; stop it, or wait for its end.")
        else:
            work.told.emit("Measuring ...")
            self._begin(scans, total)

    def stop(self) -> None:
        """End measuring after the object it is at."""
        if self._stream is not None:
            self._stream.stop()

    def hide(self) -> None:
        """Take the axes out of the picture."""
        self._axes.remove()

    def show_object(self, object_id: int) -> None:
        """Go to the slice on which the axes of an object lie."""
        found = next((m for m in self.measurements if m.label_id == object_id), None)
        if found is not None:
            axial = self._work.shown.volume.axis_of_plane("axial")
            self._work.view.go_to(axial, found.axis_slice)

    def _begin(self, scans: list[ScanWork], total: int) -> None:
        work, found = self._work, tuple[list[Measurement], list[Measurement]](([], []))
        of = work.snapshot

        def run(stopping: threading.Event) -> Iterator[tuple[int, Measurement]]:
            for number, scan in enumerate(scans):
                session = scan.stream_session()
                if session is None:
                    continue
                names = {i: scan.name_of(i) for i in scan.snapshot.objects}
                for one in measure_each(session.label_map(), scan.shown.volume, names):
                    yield number, one
                    if stopping.is_set():
                        return

        def each(pieces: list[tuple[int, Measurement]]) -> None:
            for number, one in pieces:
                found[number].append(one)
            done = sum(map(len, found))
            work.run.progressed.emit(Progress(done, max(total, done)))

        def done() -> None:
            stopped = self._stream is not None and self._stream.stopping.is_set()
            self._end()
            if stopped or work.closed:
                return
            self.measurements, self.earlier = map(tuple, found)
            self._of = of
            self._axes.show(self.measurements)
            work.show_figures(figures_of(work, self.measurements, self.earlier))
            many = len(self.measurements)
            work.told.emit(f"{many} object{'' if many == 1 else 's'} measured. A row shows its axes; Copy takes all.")

        def failed(error: BaseException) -> None:
            self._end()
            work.fail(error)

        self._stream = work.stream(run, each, done, failed)

    def _end(self) -> None:
        self._stream = None
        self._work.run.progressed.emit(None)


def figures_of(work: ScanWork, found: tuple[Measurement, ...], earlier: tuple[Measurement, ...]) -> FigureTable:
    """Measurements as a table, with the growth since an earlier scan."""
    sized = work.shown.is_sized
    volume, length = ("mL", "mm") if sized else ("voxels", "px")
    unit = next((f" ({m.intensity.unit})" for m in found if m.intensity.unit), "")
    headers = ["Object", "Id", f"Volume ({volume})"]
    changes = {c.label_id: c for c in growth(_same_objects(earlier, found), found)} if earlier else {}
    if not any(c.volume_ml[0] > 0 for c in changes.values()):
        changes = {}
    if changes:
        headers += [f"Before ({volume})", f"Change ({volume})", "Change (%)"]
    headers += [f"Long axis ({length})", f"Short axis ({length})"]
    if changes:
        headers += [f"Long axis before ({length})", "Long axis change (%)"]
    headers += [f"Mean{unit}", f"SD{unit}", "Slice"]
    rows = []
    for m in found:
        size = m.volume_ml if sized else float(m.voxels)
        row: list[str | int | float] = [m.name, m.label_id, size]
        change = changes.get(m.label_id)
        if change is not None:
            before = change.volume_ml[0]
            row += [before, size - before, change.volume_percent]
        row += [m.long_axis_mm, m.short_axis_mm]
        if change is not None:
            row += [change.long_axis_mm[0], change.long_axis_percent]
        rows.append((*row, m.intensity.mean, m.intensity.sd, m.axis_slice))
    here = {m.label_id for m in found}
    gone = [c for c in changes.values() if c.label_id not in here]
    for change in gone:
        # No mask on this scan: it is not shown as zero, since nobody has said that it is gone.
        none = math.nan
        sizes, axes = (none, change.volume_ml[0], none, none), (none, none, change.long_axis_mm[0], none)
        rows.append((change.name, change.label_id, *sizes, *axes, none, none, ""))
    other = work.other.chosen
    title = work.image.name if not changes or other is None else f"{work.image.name} against {other.image.name}"
    ids = tuple(m.label_id for m in found) + tuple(c.label_id for c in gone)
    return FigureTable(title, tuple(headers), tuple(rows), ids)


def _same_objects(earlier: tuple[Measurement, ...], found: tuple[Measurement, ...]) -> list[Measurement]:
    """Those of an earlier scan that are the same objects: one number stands for another structure in another study."""
    names = {m.label_id: m.name.casefold() for m in found}
    if not any(names.get(m.label_id) == m.name.casefold() for m in earlier):
        return []
    return [m for m in earlier if names.get(m.label_id, m.name.casefold()) == m.name.casefold()]
