"""Opening earlier work.

The list of it, and the way from an entry back into the session.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from napari.layers import Layer

from napari_sam2.errors import NapariSam2Error, UserInputError
from napari_sam2.plugin.control.autosave import sessions_folder
from napari_sam2.plugin.control.recent import RecentImages
from napari_sam2.plugin.reader import read
from napari_sam2.plugin.slide.reader import read_slide_layers
from napari_sam2.record.listing import JournalNote, look_at, sessions_of
from napari_sam2.record.ownership import LOCK, dated

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.plugin.control.work import Work

__all__ = ["EarlierWork", "earlier_works", "open_earlier", "session_in"]


@dataclass(frozen=True, slots=True)
class EarlierWork:
    """One entry of the list.

    Attributes
    ----------
    note : JournalNote
        The session.
    path : Path, optional
        The image file, where it is known and still there.
    picture : Path, optional
        A thumbnail.
    """

    note: JournalNote
    path: Path | None
    picture: Path | None


def earlier_works(chosen: Path | None = None) -> list[EarlierWork]:
    """All earlier work on this machine, the newest first.

    `chosen` is the folder set in Preferences.
    """
    folder = sessions_folder(chosen)
    images = RecentImages(folder)
    return [EarlierWork(note, images.find(note.key), images.picture(note.key)) for note in sessions_of(folder)]


def session_in(folder: Path, chosen: Path | None = None) -> EarlierWork:
    """Any session folder as an entry.

    It is copied to the journals of this machine, and stays as it is.

    Raises
    ------
    UserInputError
        If it holds no session, or is open elsewhere.
    """
    note = look_at(folder)
    if note is None:
        raise UserInputError(f"{folder.name} holds no session that can be opened; choose a .sam2session folder.")
    home = sessions_folder(chosen)
    target = dated(home / note.key, datetime.now(UTC))
    try:
        home.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns(LOCK))
    except OSError as error:
        raise UserInputError(f"{folder.name} cannot be copied to your journals ({error.strerror}).") from error
    copied = look_at(target)
    if copied is None:
        raise UserInputError(f"{folder.name} cannot be opened after it was copied; copy it again.")
    return EarlierWork(copied, RecentImages(home).find(copied.key), None)


def open_earlier(controller: Controller, entry: EarlierWork, path: Path | None) -> None:
    """Open an entry's image, and go on with its session.

    The image is not opened twice; the session goes on where it ended.

    Parameters
    ----------
    controller : Controller
        Of the viewer.
    entry : EarlierWork
        What to go on with.
    path : Path, optional
        The image file, unless the image is open; another image than the session's is explained, and stays open.
    """
    workspace = controller.workspace

    def resume(work: Work) -> None:
        work.choose_earlier(entry.note)
        work.resume()

    for image, work in workspace.works.items():
        if work.journal_key == entry.note.key:
            controller.use_image(image)
            resume(work)
            return
    if path is None:
        workspace.say("Open the image of this session first.")
        return
    workspace.say(f"Opening {path.name} ...")
    try:
        layers = read_slide_layers(path) if entry.note.kind == "slide" else read(str(path))
    except NapariSam2Error as error:
        workspace.fail(str(error))
        return

    def begun() -> None:
        work = workspace.work
        if work is None:
            return
        if work.journal_key == entry.note.key:
            resume(work)
        else:
            workspace.fail(f"The session belongs to another image than {path.name}: its voxels or its place differ.")

    controller.when_open(begun)
    controller.use_image(workspace.viewer.add_layer(Layer.create(*layers[0])))
