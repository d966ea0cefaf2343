"""What the works on scans and slides share: journal, undo, saving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from psygnal import Signal

from napari_sam2.errors import GeometryError
from napari_sam2.plugin.background.session_owner import SessionOwner
from napari_sam2.plugin.canvas.seen import covering_image, lies_at
from napari_sam2.plugin.control.replacing import ReplaceGuard
from napari_sam2.plugin.scan.volumes import file_behind

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.plugin.background.worker import Stream
    from napari_sam2.plugin.control.autosave import Autosave
    from napari_sam2.plugin.control.progress import Progress
    from napari_sam2.plugin.control.work import Run
    from napari_sam2.plugin.control.workspace import Workspace
    from napari_sam2.record.journal import JournalNote

__all__ = ["BaseWork", "NeedsReferenceError"]

SessionT = TypeVar("SessionT", bound=Any)
SnapshotT = TypeVar("SnapshotT")


class NeedsReferenceError(GeometryError):
    """Nothing proves where the labels lie.

    The user has to name the image file, or do without.
    """


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
        self.sessions = autosave.found
        self.earlier = autosave.earlier
        self._replacing = ReplaceGuard()
        self._after_run: Callable[[], None] | None = None

    def show(self, snapshot: SnapshotT) -> None:
        """Take over a newer snapshot.

        Say when its journal could not be written.
        """
        super().show(snapshot)
        warning = self.autosave.take_warning()
        if warning:
            self.failed.emit(warning)

    def catch_up(self) -> None:
        """Let a journal that could not be written try again.

        A disk that has room again then has everything before the next action.
        """
        if self.autosave.is_behind:
            self._thread.request(self.autosave.catch_up, lambda _: None, lambda _: None, key=("catch up", id(self)))

    @property
    def has_objects(self) -> bool:
        """Whether anything has begun."""
        return bool(getattr(self.snapshot, "objects", ()))

    @property
    def journal_key(self) -> str:
        """The image, as its journals are named."""
        return self.autosave.key

    def remember_image(self) -> None:
        """Let the list of earlier work find the image again.

        And show how its work looks.
        """
        path = self.image_path()
        if path is not None:
            self.autosave.images.remember(self.autosave.key, path, self.thumbnail())

    def image_path(self) -> Path | None:
        """The file of the image, where it is known."""
        return file_behind(self.image)

    def thumbnail(self) -> NDArray[np.uint8] | None:
        """A small picture (rows, columns, 3) of the work.

        Where there is one.
        """
        return None

    def close(self) -> None:
        """Let go of session, voxels and model.

        The layers stay in the viewer.
        """
        self.remember_image()
        self.closed = True
        self._after_run = None
        self.run.stop()
        self._thread.request(self.autosave.close, lambda _: None, lambda _: None)
        # A request that is still waiting finds no session and does nothing.
        self._session = None

    def is_seen_at(self, world: Sequence[float]) -> bool:
        """Whether a place shows this image.

        When it shows another one, that is said.
        """
        if not lies_at(self.image, world):
            return False
        if not any(layer.visible for layer in (self.image, *self.companions)):
            self.told.emit(f"{self.image.name} is hidden; show it to go on with it.")
            return False
        other = covering_image(self.workspace.viewer, self.image, world)
        if other in self.companions:
            return True
        if other is not None:
            self.told.emit(
                f"{other.name} covers {self.image.name} here. Select {other.name} in the layer list to work on it, or "
                "hide it."
            )
        return other is None

    def resume(self) -> None:
        """Go on where the journal of an earlier session ended.

        What was done until now stays in its own.
        """
        note = self.earlier
        if not self.sessions:
            self.told.emit("There is no earlier work on this image to go on with.")
        elif note is None:
            self.choose_earlier(self.sessions[0])
            self.told.emit("Choose the earlier work to go on with, and press Resume.")
        else:
            self.ask(self._bringing_back(note), lambda _: self._on_resumed())

    def _bringing_back(self, note: JournalNote) -> Callable[[SessionT], None]:
        """What brings the session to where an earlier one ended."""
        return lambda session: self.autosave.resume(session, note)

    @property
    def companions(self) -> tuple[Image, ...]:
        """Image layers that show the same thing otherwise.

        Who points at them points at the image.
        """
        return ()

    def choose_earlier(self, note: JournalNote) -> None:
        """Offer one of the earlier sessions."""
        self.earlier = note
        self.changed.emit()

    def start_afresh(self) -> None:
        """Leave the earlier sessions alone; `resume` offers them again."""
        self.earlier = None
        self.changed.emit()

    def use_model(self, load: Callable[[], AnyModel], done: Callable[[], None]) -> None:
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
        self.ask(lambda session: session.state.undo(), lambda step: self._on_history("Taken back", "take back", step))

    def redo(self) -> None:
        """Do the last undone action again."""
        self.ask(lambda session: session.state.redo(), lambda step: self._on_history("Done again", "do again", step))

    def save(self, path: Path, **how: Any) -> None:
        """Write the result in the background.

        `how` as the kind of work takes it.

        An existing file is replaced when this work wrote it, or when Save is pressed twice with nothing changed
        in between. While a run goes on, its end is waited for.
        """
        existed = path.exists()
        if not self._replacing.allows(path, self.run if self.run.running else self.snapshot):
            self.told.emit(f"{path.name} exists already. Press Save again to replace it, or choose another name.")
        elif self.run.running:
            self._after_run = lambda: self._save(path, existed, how)
            self.told.emit(f"{path.name} is saved when the run has ended; Stop ends it now.")
        else:
            self._save(path, existed, how)

    def _save(self, path: Path, existed: bool, how: dict[str, Any]) -> None:
        self.told.emit(f"Saving {path.name} ...")

        def write(session: SessionT) -> str:
            message = self._write(session, path, overwrite=existed, **how)
            if not path.is_dir():
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

    def _on_progress(self, progress: Progress | None) -> None:
        """Do what waits for the end of the run."""
        if progress is None and self._after_run is not None:
            after_run, self._after_run = self._after_run, None
            after_run()

    def _write(self, session: SessionT, path: Path, *, overwrite: bool, **how: Any) -> str:
        """Write the result on the inference thread; a sentence for the status line."""
        raise NotImplementedError

    def _set_model(self, session: SessionT, model: AnyModel) -> None:
        """Let a session be answered by another model."""
        raise NotImplementedError

    def _on_resumed(self) -> None:
        """Show where the earlier work ended; the offer is taken."""
        self.sessions = [note for note in self.sessions if note is not self.earlier]
        self.earlier = None
        self.changed.emit()

    def _on_history(self, past: str, verb: str, step: str) -> None:
        """Say what undo or redo did."""
        self.told.emit(f"{past}: {step}." if step else f"There is nothing to {verb}.")
