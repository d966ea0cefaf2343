"""Prompts of a scan on their way.

Sent as changes, shown at once, answered by the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.core.prompts import MaskPrompt
from napari_sam2.errors import UserInputError
from napari_sam2.plugin.scan.own_layers import OwnLayers
from napari_sam2.plugin.scan.prompt_changes import PromptChange, changes_between

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari.layers import Layer

    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.session import Session

__all__ = ["ScanPrompting"]


class ScanPrompting:
    """Sends prompts to the session.

    From the canvas, the prompt layers, and layers of the user's own.

    No prompts are kept here but those whose answer has not come yet: the others are in the snapshot.

    Parameters
    ----------
    work : ScanWork
        The scan, whose prompt layers are followed.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._waiting: list[PromptChange] = []
        self.own_layers = OwnLayers(work.image, work.shown)
        self.own_layers.changed.connect(self._on_own_layers)
        work.prompts.edited.connect(self._on_layers_edited)
        work.prompts.drawn.connect(self._on_drawn)

    def close(self) -> None:
        """Stop following layers of the user's own."""
        self.own_layers.close()

    def send(self, change: PromptChange, axis: int | None = None) -> None:
        """Ask for an object with changed prompts.

        Some are taken out and others put in.

        Parameters
        ----------
        change : PromptChange
            What happens to its prompts.
        axis : int, optional
            Slice axis of an object that begins with a click.
        """
        self._waiting.append(change)
        self._work.told.emit(f"Looking for {self._work.name_of(change.object_id)} ...")
        self.show()

        def answer(session: Session) -> list[SliceResult]:
            record = session.objects.get(change.object_id)
            before = [] if record is None else record.prompts
            if axis is not None and not before:
                session.axis = axis
            return session.set_prompts(change.object_id, change.applied(before))

        self._work.ask(answer, self._work.on_answered, arrived=lambda: self._waiting.remove(change))

    def show(self) -> None:
        """Show the prompts of the snapshot.

        With the changes that are on their way.
        """
        self._work.prompts.show(self._expected())

    def use_layer(self, layer: Layer | None) -> None:
        """Take a layer of the user's own as prompts.

        A Points or Shapes layer, which is followed.
        """
        work = self._work
        if layer is None or layer in work.layers:
            work.told.emit("Select a Points or Shapes layer of your own, then use it as prompts.")
            return
        try:
            count = self.own_layers.use(layer, work.current)
        except UserInputError as error:
            work.told.emit(str(error))
            return
        work.told.emit(f"{layer.name}: {count} prompt{'' if count == 1 else 's'} taken; changes are followed.")

    def _expected(self) -> dict[int, list[Prompt]]:
        prompts = {i: list(obj.prompts) for i, obj in self._work.snapshot.objects.items() if obj.prompts}
        for change in self._waiting:
            prompts[change.object_id] = change.applied(prompts.get(change.object_id, []))
        return prompts

    def _on_layers_edited(self) -> None:
        on_layers: dict[int, list[Prompt]] = {
            i: [p for p in of_object if not isinstance(p, MaskPrompt)] for i, of_object in self._expected().items()
        }
        for change in changes_between(on_layers, self._work.prompts.read()):
            self.send(change, self._work.view.axis())

    def _on_drawn(self, object_id: int, prompts: Sequence[Prompt]) -> None:
        self.send(PromptChange(object_id, added=tuple(prompts), replaces=True), self._work.view.axis())

    def _on_own_layers(self, changes: Iterable[PromptChange]) -> None:
        for change in changes:
            self.send(change)
