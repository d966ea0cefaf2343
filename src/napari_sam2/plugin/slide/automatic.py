"""Automatic run on a slide.

Tile by tile between clicks, stopped and gone on with at any time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from napari.layers import Shapes
from psygnal import Signal

from napari_sam2.errors import UserInputError
from napari_sam2.plugin.control.progress import Progress
from napari_sam2.plugin.slide.drawn_outlines import geometries_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from napari_sam2.plugin.background.worker import Stream
    from napari_sam2.plugin.slide.work import SlideWork
    from napari_sam2.slides.automatic.run import AutomaticRequest
    from napari_sam2.slides.objects import SlideObject
    from napari_sam2.slides.session import SlideSession
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
    work : SlideWork
        The slide.
    """

    progressed = Signal(object)
    """A `Progress`, or None at the end of a run."""

    def __init__(self, work: SlideWork) -> None:
        self._work = work
        self._stream: Stream[Piece] | None = None

    @property
    def running(self) -> bool:
        """Whether a run goes on."""
        return self._stream is not None

    def find(self, where: str, size: str, *, nuclei: bool = False) -> None:
        """Segment a region without prompts.

        A ``"region"`` that was drawn, the ``"view"``, or all ``"tissue"``, in objects of a size.

        Parameters
        ----------
        where : str
            One of these.
        size : str
            Expected diameter, such as ``"60 um"`` or ``"240 px"``; empty for that of the selected outlines, or, when
            fewer than two are selected, of all that a person made.
        nuclei : bool
            Whether nuclei are looked for, and not whatever the model takes for an object.

        Raises
        ------
        UserInputError
            If nothing was drawn, the size is none, or nothing says how many microns a pixel has.
        """
        import shapely

        from napari_sam2.io.resolution import parse_size
        from napari_sam2.slides.automatic.run import AutomaticRequest, size_like

        work = self._work
        view = work.view()
        if view is None:
            return
        pixels = parse_size(size, work.snapshot.mpp, work.name) if size else size_like(self._examples())
        region = shapely.box(0, 0, work.shape[1], work.shape[0])
        if where == "region":
            region = self._drawn_region()
        elif where == "view":
            region = shapely.box(view.col0, view.row0, view.col1, view.row1)
        self.begin(AutomaticRequest(region, where == "tissue", pixels, nuclei))

    def begin(self, request: AutomaticRequest) -> None:
        """Segment a region; what an earlier, stopped run did is dropped."""
        if self.running:
            return

        def prepare(session: Any) -> None:
            session.begin_automatic(request)
            self._tiles().unlink(missing_ok=True)

        self._work.ask(prepare, lambda _: self._start(request))

    def resume(self) -> None:
        """Go on with a run that was stopped."""
        unfinished = self._work.snapshot.unfinished
        if unfinished is not None and not self.running:
            self._start(unfinished)

    def discard(self) -> None:
        """Drop a run that was stopped."""
        if self.running:
            return

        def drop(session: Any) -> None:
            session.end_automatic()
            self._tiles().unlink(missing_ok=True)

        self._work.ask(drop)

    def stop(self) -> None:
        """End the run after the points it is at; finished tiles stay."""
        if self._stream is not None:
            self._stream.stop()

    def _tiles(self) -> Path:
        return self._work.autosave.folder / TILES_FILE

    def _examples(self) -> list[Any]:
        """Outlines that say how large objects are: the selected rows, or all that no automatic run has found."""
        work = self._work
        chosen = [obj for obj in work.snapshot.objects if obj.object_id in work.selected]
        if len(chosen) < 2:
            chosen = [obj for obj in work.snapshot.objects if obj.kind != "detection" or obj.finished]
        return [obj.geometry for obj in chosen]

    def _drawn_region(self) -> Any:
        """The union of the active Shapes layer's shapes, else the current object's outline."""
        import shapely

        work = self._work
        layer = work.workspace.viewer.layers.selection.active
        if isinstance(layer, Shapes) and layer not in work.layers and len(layer.data):
            return shapely.union_all(geometries_of(layer, work.image))
        if work.current_object is None:
            raise UserInputError(
                "Draw a region first, with napari's polygon tool in a Shapes layer, and leave it active."
            )
        return work.current_object.geometry

    def _start(self, request: AutomaticRequest) -> None:
        work = self._work

        class_name = work.choices.for_new

        def run(stopping: threading.Event) -> Iterator[Piece | SlideSnapshot]:
            session = work.stream_session()
            if session is None:
                return
            try:
                yield from _steps(session, request, self._tiles(), class_name, stopping)
            except Exception:
                # The screen shows what the session holds, also after a run that broke off.
                yield session.snapshot()
                raise

        self._stream = work.stream(run, self._show, self._end, self._fail)
        work.told.emit("Segmenting; clicks are answered in between.")

    def _show(self, pieces: list[Any]) -> None:
        work = self._work
        if work.closed:
            self.stop()
            return
        for piece in pieces:
            if isinstance(piece, str):
                work.told.emit(piece)
            elif isinstance(piece, tuple):
                self.progressed.emit(Progress(*piece))
            else:
                work.show(piece)

    def _end(self) -> None:
        self._stream = None
        self.progressed.emit(None)

    def _fail(self, error: BaseException) -> None:
        self._end()
        self._work.fail(error)


def _steps(
    session: SlideSession, request: AutomaticRequest, tiles: Path, class_name: str, stopping: threading.Event
) -> Iterator[Piece | SlideSnapshot]:
    """The run itself, on the inference thread."""
    from napari_sam2.slides.answers.crop_engine import CropEngine
    from napari_sam2.slides.automatic.merge import new_ones
    from napari_sam2.slides.automatic.run import joined_objects, plan_of, tile_steps

    # An engine of its own: the crops that clicks go on using are not pushed out.
    engine = CropEngine(session.slide, session.engine.model)
    yield 0, 0
    plan = plan_of(engine, request)
    step = (0, 0)
    for step in tile_steps(engine, plan, tiles):
        yield step
        if stopping.is_set() and step[0] < step[1]:
            yield f"Stopped after {step[0]} of {step[1]} tiles; Go on continues."
            return
    objects: list[SlideObject] = []
    for obj in joined_objects(engine, plan, tiles):
        objects.append(obj)
        if len(objects) % AT_ONCE == 0:
            yield step
    found = len(objects)
    object_class = session.class_named(class_name)
    objects = [replace(obj, object_class=object_class) for obj in new_ones(objects, session.objects)]
    session.end_automatic()
    if objects:
        session.add_objects(objects, "automatic")
    tiles.unlink(missing_ok=True)
    yield session.snapshot()
    many = "" if len(objects) == 1 else "s"
    known = f", {found - len(objects)} more were there already" if found > len(objects) else ""
    yield f"Found {len(objects)} outline{many}{known}. They are a draft: J goes through them, the worst first."
