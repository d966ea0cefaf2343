"""Names as prompts in the window.

Candidates wait for a person; nothing is segmented before one is accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.finding.accepting import DEFAULT_ANSWER, accept
from napari_sam2.finding.asking import Asked
from napari_sam2.finding.candidate import Candidate, Found
from napari_sam2.plugin.scan.dashes import dashes_of
from napari_sam2.plugin.scan.prompt_layers import layer_placement

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from napari.layers import Vectors

    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.finding.candidate import Proposer
    from napari_sam2.plugin.background.worker import Stream
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.session import Session

__all__ = ["Finding"]

COLOUR: Final = "#f5c542"
"""Of boxes, as of those that a person draws; a candidate's are dashed."""


class Finding:
    """The candidates of a scan, and which of them is looked at.

    Parameters
    ----------
    work : ScanWork
        Of the scan.

    Attributes
    ----------
    candidates : tuple of Candidate
        Waiting to be accepted or rejected.
    chosen : int
        Number of the candidate that is looked at.
    summary : str
        What came of the last search, in sentences.
    answer : str
        What an accepted candidate becomes, one of `napari_sam2.finding.accepting.ANSWERS`.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._layer: Vectors | None = None
        self._stream: Stream[Any] | None = None
        self.candidates: tuple[Candidate, ...] = ()
        self.chosen = 0
        self.summary = ""
        self.answer = DEFAULT_ANSWER

    @property
    def memory(self) -> Proposer | None:
        """The finished scans, or the detector, that are asked.

        The same for all images of the window.
        """
        return self._work.workspace.memory

    @property
    def running(self) -> bool:
        """Whether it is looking."""
        return self._stream is not None

    def use_project(self, path: Path) -> None:
        """Take the finished scans of a manifest or a folder as memory."""
        self._work.told.emit(f"Reading the finished scans of {path.name} ...")
        self._use(Asked(path), path.name)

    def use_detector(self, folder: Path) -> None:
        """Ask a general detector instead, an experiment."""
        self._use(Asked(detector=str(folder)), folder.name)

    def _use(self, asked: Asked, name: str) -> None:
        work = self._work

        def read(_session: Session) -> tuple[Proposer, int]:
            source = asked.proposer()
            return source, len(source.known())

        def done(answer: tuple[Proposer, int]) -> None:
            work.workspace.memory, count = answer
            names = f"{count} name{'' if count == 1 else 's'} can be found by. Type one of them."
            work.told.emit(f"{name}: {' '.join(f'{note}.' for note in answer[0].notes) or names}")
            work.changed.emit()

        work.ask(read, done)

    def use_remembered(self) -> None:
        """Take the finished scans of the last session.

        If they are there still, and no others are chosen.
        """
        project = self._work.workspace.preferences().project
        if self.memory is None and project is not None and project.exists():
            self.use_project(project)

    def look_for(self, text: str) -> None:
        """Look for structures; several names are separated by commas."""
        work, memory = self._work, self.memory
        names = [name.strip() for name in text.split(",") if name.strip()]
        if memory is None:
            work.told.emit("Choose the finished scans of the project first: a manifest, or a folder.")
        elif not names:
            work.told.emit("Type the name of a structure, such as liver.")
        elif self.running or work.run.running:
            work.told.emit("Something is running; stop it, or wait for its end.")
        else:
            self._begin(memory, names)

    def stop(self) -> None:
        """End the search after the step it is at."""
        if self._stream is not None:
            self._stream.stop()

    def offer(self, candidates: tuple[Candidate, ...], summary: str) -> None:
        """Let candidates wait that came from elsewhere, and say what to do.

        Those of before are forgotten.
        """
        self.stop()
        self._show(candidates, summary)
        self._say_count()

    def choose(self, number: int) -> None:
        """Look at a candidate: show its best slice."""
        if not 0 <= number < len(self.candidates):
            return
        self.chosen = number
        candidate, axis = self.candidates[number], self._work.view.axis()
        self._work.view.go_to(axis, candidate.best_slice(axis))
        self._draw()
        self._work.changed.emit()

    def accept(self) -> None:
        """Make the candidate that is looked at an object with prompts."""
        candidate = self._taken()
        if candidate is None:
            return
        work, answer = self._work, self.answer
        object_id = self._id_for(candidate, {*work.snapshot.objects})

        def begin(session: Session) -> list[SliceResult]:
            return accept(session, candidate, object_id, answer)

        def done(results: list[SliceResult]) -> None:
            work.select(object_id)
            work.on_answered(results)
            then = "the model has answered; G carries it" if results else "its mask is the proposed one"
            work.told.emit(f"{candidate.name} is object {object_id} now: {then}. Clicks correct it.")

        work.ask(begin, done)

    def accept_all(self) -> None:
        """Make every candidate that waits an object."""
        candidates = self.candidates
        if not candidates:
            self._work.told.emit("No candidate is waiting: type a name and press Return.")
            return
        work, answer = self._work, self.answer
        begun = {*work.snapshot.objects}
        ids: list[int] = []
        for candidate in candidates:
            ids.append(self._id_for(candidate, begun))
            begun.add(ids[-1])
        self._show((), "")

        def begin(session: Session) -> None:
            for candidate, object_id in zip(candidates, ids, strict=True):
                accept(session, candidate, object_id, answer)

        def done(_: None) -> None:
            work.select(ids[0])
            many = len(ids)
            work.told.emit(f"{many} candidate{'' if many == 1 else 's'} accepted. Clicks correct them.")

        work.ask(begin, done)

    def reject(self) -> None:
        """Forget the candidate that is looked at."""
        candidate = self._taken()
        if candidate is not None:
            self._work.told.emit(f"{candidate.name} is rejected; nothing was segmented.")

    def discard(self) -> None:
        """Forget all candidates, and stop looking."""
        self.stop()
        self._show((), "")

    def _begin(self, memory: Proposer, names: list[str]) -> None:
        work = self._work
        volume, window = work.shown.volume, work.snapshot.window or work.auto_window

        def run(stopping: threading.Event) -> Iterator[str | Found]:
            yield from memory.steps(volume, window, names, stopping.is_set)

        def each(pieces: list[str | Found]) -> None:
            for piece in pieces:
                if isinstance(piece, Found):
                    self._show(piece.candidates, " ".join(piece.missing.values()))
                else:
                    work.told.emit(f"Looking for {', '.join(names)}: {piece} ...")

        def done() -> None:
            self._stream = None
            self._say_count()

        def failed(error: BaseException) -> None:
            self._stream = None
            work.fail(error)

        self._show((), "")
        work.told.emit(f"Looking for {', '.join(names)} ...")
        self._stream = work.stream(run, each, done, failed)

    def _say_count(self) -> None:
        count = len(self.candidates)
        every = "" if count == 1 else ", Shift+Y accepts all"
        found = f"{count} candidate{'' if count == 1 else 's'}: Y accepts, X rejects{every}. " if count else ""
        self._work.told.emit(f"{found}{self.summary}" or "The search was stopped.")

    def _id_for(self, candidate: Candidate, begun: set[int]) -> int:
        """The id that it should have, or that of the current object before it begins, or a free one."""
        for wanted in (None if candidate.term is None else candidate.term.label_id, self._work.current):
            if wanted is not None and wanted not in begun:
                return wanted
        return max((*begun, 0)) + 1

    def _taken(self) -> Candidate | None:
        """The candidate that is looked at, taken from the list."""
        if not self.candidates:
            self._work.told.emit("No candidate is waiting: type a name and press Return.")
            return None
        candidate = self.candidates[self.chosen]
        left = tuple(c for c in self.candidates if c is not candidate)
        self._show(left, self.summary, min(self.chosen, max(len(left) - 1, 0)))
        return candidate

    def _show(self, candidates: tuple[Candidate, ...], summary: str, chosen: int = 0) -> None:
        self.candidates, self.summary, self.chosen = candidates, summary, chosen
        if candidates:
            self.choose(chosen)
        else:
            self._draw()
            self._work.changed.emit()

    def _draw(self) -> None:
        """Show all candidates, dashed, on the slices of the plane on view."""
        workspace, work = self._work.workspace, self._work
        if not workspace.has_viewer:
            return
        viewer = workspace.viewer
        if self._layer is not None and self._layer in viewer.layers:
            viewer.layers.remove(self._layer)
        self._layer = None
        if not self.candidates:
            return
        grid, axis = work.shown.grid, work.view.axis()
        drawn = [dashes_of(c, axis) for c in self.candidates]
        starts, ends = (np.concatenate(part) for part in zip(*drawn, strict=True))
        starts, ends = grid.to_data(starts), grid.to_data(ends)
        active = viewer.layers.selection.active
        self._layer = viewer.add_vectors(
            np.stack([starts, ends - starts], axis=1),
            name=f"{work.image.name} candidates",
            edge_color=COLOUR,
            edge_width=max(work.shown.volume.shape) / 256,
            vector_style="line",
            **layer_placement(work.image, work.shown),
        )
        viewer.layers.selection.active = active
