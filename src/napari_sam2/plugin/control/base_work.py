"""What the works on scans and slides share: journal, undo, saving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from psygnal import Signal

from napari_sam2.errors import GeometryError
from napari_sam2.plugin.background.session_owner import SessionOwner
from napari_sam2.plugin.control.replacing import ReplaceGuard

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari.layers import Image

    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.plugin.background.worker import Stream
    from napari_sam2.plugin.control.autosave import Autosave
    from napari_sam2.plugin.control.work import Run
    from napari_sam2.plugin.control.workspace import Workspace

__all__ = ["BaseWork", "NeedsReferenceError"]

SessionT = TypeVar("SessionT", bound=Any)
SnapshotT = TypeVar("SnapshotT")


class NeedsReferenceError(GeometryError):
    """Nothing proves where the labels lie; the user has to name the image file, or do without."""


class BaseWork(SessionOwner[SessionT, SnapshotT]):
    """One image with its session and journal.

    Parameters
    ----------
    workspace : Workspace
        Of the viewer.
    image : Image
        What is segmented.
    session : session
        Owned by the inference thread from now on.
    autosave : Autosave
        Its journal.
    """

    run: Run

    changed = Signal()
    """There is a newer snapshot, or another current object."""

    told = Signal(str)
    """Something was done that is not seen at once; a sentence."""

    answered = Signal(object)
    """Prompts were answered."""

    asked = Signal(str)
    """A question that has to be answered before saving; empty when it is settled."""

    def __init__(self, workspace: Workspace, image: Image, session: SessionT, autosave: Autosave[SessionT]) -> None:
        super().__init__(session, workspace.thread)
        self.workspace = workspace
        self.image = image
        self.autosave = autosave
        self.earlier = autosave.earlier
        self._replacing = ReplaceGuard()

    def show(self, snapshot: SnapshotT) -> None:
        """Take over a newer snapshot; say when its journal could not be written."""
        super().show(snapshot)
        warning = self.autosave.take_warning()
        if warning:
            self.failed.emit(warning)

    def close(self) -> None:
        """Let go of session, voxels and model; the layers stay in the viewer."""
        self.closed = True
        self.run.stop()
        self._thread.request(self.autosave.close, lambda _: None, lambda _: None)
        # A request that is still waiting finds no session and does nothing.
        self._session = None

    def resume(self) -> None:
        """Go on where the journal of an earlier session ended; what was done until now stays in its own."""
        if self.earlier is None:
            self.told.emit("There is no earlier work on this image to go on with.")
            return
        self.ask(self.autosave.resume, lambda _: self._on_resumed())

    def start_afresh(self) -> None:
        """Leave the earlier session alone."""
        self.earlier = None
        self.changed.emit()

    def use_model(self, load: Callable[[], SegmentationModel], done: Callable[[], None]) -> None:
        """Let another model answer from now on; masks stay."""
        self.ask(lambda session: self._set_model(session, load()), lambda _: done())

    def stream(
        self,
        run: Callable[[threading.Event], Iterator[Any]],
        each: Callable[[list[Any]], None],
        done: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> Stream[Any]:
        """Run something long between requests; see `InferenceThread.stream`."""
        return self._thread.stream(run, each, done, failed)

    def undo(self) -> None:
        """Take back the last action."""
        self.ask(lambda session: session.undo(), lambda step: self._on_history("Taken back", "take back", step))

    def redo(self) -> None:
        """Do the last undone action again."""
        self.ask(lambda session: session.redo(), lambda step: self._on_history("Done again", "do again", step))

    def save(self, path: Path, **how: Any) -> None:
        """Write the result in the background; `how` as the kind of work takes it.

        An existing file is replaced when this work wrote it, or when Save is pressed twice with nothing changed
        in between.
        """
        existed = path.exists()
        if not self._replacing.allows(path, self.snapshot):
            self.told.emit(f"{path.name} exists already. Press Save again to replace it, or choose another name.")
            return
        self.told.emit(f"Saving {path.name} ...")

        def write(session: SessionT) -> str:
            message = self._write(session, path, overwrite=existed, **how)
            self.autosave.copy_beside(path)
            self._replacing.wrote(path)
            return message

        def done(message: str) -> None:
            self.asked.emit("")
            self.told.emit(message)

        def failed(error: BaseException) -> None:
            if isinstance(error, NeedsReferenceError):
                self.asked.emit(str(error))
                self.told.emit("Not saved yet: one question is open.")
            else:
                self.fail(error)

        self.ask(write, done, failed=failed)

    def _write(self, session: SessionT, path: Path, *, overwrite: bool, **how: Any) -> str:
        """Write the result on the inference thread; a sentence for the status line."""
        raise NotImplementedError

    def _set_model(self, session: SessionT, model: SegmentationModel) -> None:
        """Let a session be answered by another model."""
        raise NotImplementedError

    def _on_resumed(self) -> None:
        """Show where the earlier work ended; the offer is taken."""
        self.earlier = None
        self.changed.emit()

    def _on_history(self, past: str, verb: str, step: str | bool) -> None:
        """Say what undo or redo did."""
        if not step:
            self.told.emit(f"There is nothing to {verb}.")
        else:
            self.told.emit(f"{past}: {step}." if isinstance(step, str) else f"{past}.")
