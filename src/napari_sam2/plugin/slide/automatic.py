"""An automatic run in the panel: tile by tile between clicks, stopped at any time, gone on with later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari.layers import Shapes
from psygnal import Signal

from napari_sam2.errors import UserInputError
from napari_sam2.plugin.slide.drawn_outlines import geometries_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from napari_sam2.plugin.background.worker import Stream
    from napari_sam2.plugin.slide.desk import SlideDesk
    from napari_sam2.plugin.slide.work import SlideWork
    from napari_sam2.slides.automatic.run import AutomaticRequest
    from napari_sam2.slides.objects import SlideObject
    from napari_sam2.slides.snapshot import SlideSnapshot

__all__ = ["AutomaticRun"]

TILES_FILE: Final = "automatic.tiles.jsonl"
"""Beside the session's journal: the tiles that are done."""

AT_ONCE: Final = 50
"""Outlines joined before others get their turn."""

Piece = tuple[int, int] | str
"""What a run gives: tiles done and in all; at the end a sentence."""


class AutomaticRun:
    """At most one run at a time.

    Parameters
    ----------
    desk : SlideDesk
        Knows the work on the chosen slide.
    """

    progressed = Signal(object)
    """(tiles done, tiles in all), or None at the end of a run."""

    def __init__(self, desk: SlideDesk) -> None:
        self._desk = desk
        self._stream: Stream[Piece] | None = None

    @property
    def running(self) -> bool:
        """Whether a run goes on."""
        return self._stream is not None

    def find(self, where: str, size: str) -> None:
        """Segment a ``"region"`` that was drawn, the ``"view"``, or all ``"tissue"``, in objects of a size.

        Parameters
        ----------
        where : str
            One of these.
        size : str
            Expected diameter, such as ``"60 um"`` or ``"240 px"``.

        Raises
        ------
        UserInputError
            If nothing was drawn, the size is none, or nobody knows the microns it is in.
        """
        import shapely

        from napari_sam2.slides.automatic.run import AutomaticRequest
        from napari_sam2.slides.image.resolution import parse_size

        work = self._desk.current
        view = None if work is None else work.view()
        if work is None or view is None:
            return
        pixels = parse_size(size, work.snapshot.mpp, work.name)
        region = shapely.box(0, 0, work.shape[1], work.shape[0])
        if where == "region":
            region = self._drawn_region(work)
        elif where == "view":
            region = shapely.box(view.col0, view.row0, view.col1, view.row1)
        self.begin(AutomaticRequest(region, where == "tissue", pixels))

    def begin(self, request: AutomaticRequest) -> None:
        """Segment a region; what an earlier, stopped run did is dropped."""
        work = self._desk.current
        if work is None or self.running:
            return

        def begun(_: None) -> None:
            self._start(work, request)

        def prepare(session: Any) -> None:
            session.begin_automatic(request)
            (work.autosave.folder / TILES_FILE).unlink(missing_ok=True)

        work.ask(prepare, begun)

    def resume(self) -> None:
        """Go on with a run that was stopped."""
        work = self._desk.current
        if work is not None and work.snapshot.unfinished is not None and not self.running:
            self._start(work, work.snapshot.unfinished)

    def discard(self) -> None:
        """Drop a run that was stopped."""
        work = self._desk.current
        if work is not None and not self.running:

            def drop(session: Any) -> None:
                session.end_automatic()
                (work.autosave.folder / TILES_FILE).unlink(missing_ok=True)

            work.ask(drop)

    def stop(self) -> None:
        """End the run after the points it is at; finished tiles stay."""
        if self._stream is not None:
            self._stream.stop()

    def _drawn_region(self, work: SlideWork) -> Any:
        """The union of the active Shapes layer's shapes, else the current object's outline."""
        import shapely

        layer = self._desk.viewer.layers.selection.active
        if isinstance(layer, Shapes) and layer not in work.layers and len(layer.data):
            return shapely.union_all(geometries_of(layer, work.image))
        if work.object is None:
            raise UserInputError(
                "Draw a region first, with napari's polygon tool in a Shapes layer, and leave it active."
            )
        return work.object.geometry

    def _start(self, work: SlideWork, request: AutomaticRequest) -> None:
        def run(stopping: threading.Event) -> Iterator[Piece | SlideSnapshot]:
            from napari_sam2.slides.answers.crop_engine import CropEngine
            from napari_sam2.slides.automatic.run import joined_objects, plan_of, tile_steps

            session = work.stream_session()
            if session is None:
                return
            # An engine of its own: the crops that clicks go on using are not pushed out.
            engine = CropEngine(session.slide, session.engine.model)
            yield 0, 0
            plan = plan_of(engine, request)
            tiles = work.autosave.folder / TILES_FILE
            for step in tile_steps(engine, plan, tiles):
                yield step
                if stopping.is_set() and step[0] < step[1]:
                    yield f"Stopped after {step[0]} of {step[1]} tiles; Go on continues."
                    return
            found: list[SlideObject] = []
            for obj in joined_objects(engine, plan, tiles):
                found.append(obj)
                if len(found) % AT_ONCE == 0:
                    yield step
            session.end_automatic()
            if found:
                session.add_objects(found, "automatic")
            tiles.unlink(missing_ok=True)
            yield session.snapshot()
            many = "" if len(found) == 1 else "s"
            yield f"Found {len(found)} outline{many}. They are a draft: J goes through them, the worst first."

        self._stream = work.stream(run, lambda pieces: self._show(work, pieces), self._end, self._failed(work))
        self._desk.say("Segmenting; clicks are answered in between.")

    def _show(self, work: SlideWork, pieces: list[Any]) -> None:
        if work.closed:
            self.stop()
            return
        for piece in pieces:
            if isinstance(piece, str):
                self._desk.say(piece)
            elif isinstance(piece, tuple):
                self.progressed.emit(piece)
            else:
                work.show(piece)

    def _end(self) -> None:
        self._stream = None
        self.progressed.emit(None)

    def _failed(self, work: SlideWork) -> Any:
        def failed(error: BaseException) -> None:
            self._end()
            work.fail(error)

        return failed
