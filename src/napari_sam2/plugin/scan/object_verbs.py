"""What the work on a scan can do with its objects.

Each verb asks the session on the inference thread, and says why where it cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.plugin.control.base_work import BaseWork
from napari_sam2.session.snapshot import ObjectSnapshot, SessionSnapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam2.core.slice_masks import SliceMask
    from napari_sam2.plugin.scan.prompt_layers import ScanPromptLayers
    from napari_sam2.plugin.scan.result_layer import ScanResultLayer
    from napari_sam2.session.session import Session
    from napari_sam2.terms.terminology import Term


__all__ = ["ObjectVerbs"]


class ObjectVerbs(BaseWork["Session", SessionSnapshot]):
    """The verbs of a scan's work for its objects.

    They choose, name, finish, paint and remove.
    """

    current: int
    terms: Mapping[int, Term]
    """The structures of the chosen list, by the id that each has to have."""
    prompts: ScanPromptLayers
    result: ScanResultLayer

    @property
    def current_object(self) -> ObjectSnapshot:
        """The current object; an empty one when it has not begun."""
        return self.object(self.current)

    def object(self, object_id: int) -> ObjectSnapshot:
        """An object as it is now.

        An empty one when it has not begun.
        """
        return self.snapshot.objects.get(object_id) or ObjectSnapshot(object_id)

    def name_of(self, object_id: int) -> str:
        """What an object is called in a sentence."""
        term = self.terms.get(object_id)
        return self.object(object_id).name or (term.name if term else f"object {object_id}")

    def select(self, object_id: int) -> None:
        """Choose the object that gets what is pointed at.

        And what is drawn from now on.
        """
        self.current = object_id
        self.prompts.use_object(object_id)
        self.result.layer.selected_label = object_id
        self.changed.emit()

    def show_object(self, object_id: int, visible: bool) -> None:
        """Show or hide an object; its masks are not touched."""
        self.result.hide_objects(self.result.hidden - {object_id} if visible else self.result.hidden | {object_id})
        self.changed.emit()

    def next_object(self) -> None:
        """Begin another object.

        The next structure of the chosen list that has not begun, or any other.
        """
        begun = self.snapshot.objects
        left = [i for i in self.terms if i not in begun and i != self.current]
        if left:
            later = [i for i in left if i > self.current]
            chosen = (later or left)[0]
            self.select(chosen)
            done = sum(i in begun for i in self.terms)
            self.told.emit(f"Next: {self.terms[chosen].name}, number {chosen} ({done} of {len(self.terms)} begun).")
            return
        if begun and self.current not in begun:
            self.told.emit(f"Object {self.current} has no prompt yet: click inside it.")
        self.select(max(begun, default=0) + 1)

    def describe(self, object_id: int, term: Term) -> None:
        """Give an object the name of a term.

        With its code and colour, also before its first prompt.
        """

        def change(session: Session) -> None:
            if object_id not in session.objects:
                session.add_object(object_id, term.name)
            session.describe(object_id, term)

        self.ask(change)

    def use_terms(self, terms: Mapping[int, Term]) -> None:
        """Name objects by their id from now on.

        And those that have no name yet.
        """
        self.terms = terms
        if not self.snapshot.objects and terms and self.current not in terms:
            self.select(next(iter(terms)))

        def change(session: Session) -> None:
            session.terms = terms
            for obj in list(session.objects.values()):
                if not obj.name and obj.object_id in terms:
                    session.describe(obj.object_id, terms[obj.object_id])

        self.ask(change)

    def finish(self, object_id: int, finished: bool) -> None:
        """Declare an object finished: it keeps its voxels, and nothing changes it."""
        if object_id in self.snapshot.objects:
            self.ask(lambda session: (session.finish_object if finished else session.reopen_object)(object_id))

    def finish_object(self) -> None:
        """Declare the current object finished, or reopen it."""
        if self.current not in self.snapshot.objects:
            self.told.emit(f"Object {self.current} has no prompt yet: there is nothing to finish.")
            return
        finished = not self.current_object.finished
        self.finish(self.current, finished)
        self.told.emit(f"Object {self.current} is {'finished: nothing changes it' if finished else 'open again'}.")

    def remove_object(self) -> None:
        """Remove the current object with its prompts and masks."""
        object_id, name = self.current, self.name_of(self.current)
        if object_id not in self.snapshot.objects:
            self.told.emit(f"Object {object_id} has not begun: there is nothing to remove.")
            return

        def done(_: None) -> None:
            self.select(max(self.snapshot.objects, default=object_id))
            self.told.emit(f"{name[0].upper()}{name[1:]} is removed. Ctrl+Z brings it back.")

        self.ask(lambda session: session.remove_object(object_id), done)

    def edit_masks(self, object_id: int, axis: int, masks: Mapping[int, SliceMask]) -> None:
        """Take over painted masks by slice index.

        What may not be painted is put back.
        """

        def change(session: Session) -> None:
            for index, mask in masks.items():
                session.edit_mask(object_id, axis, index, mask)

        def failed(error: BaseException) -> None:
            self.result.paint(self.snapshot, {(axis, index) for index in masks})
            self.fail(error)

        self.ask(change, failed=failed)
