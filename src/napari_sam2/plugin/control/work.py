"""What a scan and a slide have in common.

For keys, buttons, mouse and panel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from napari_sam2.plugin.canvas.gestures import GestureTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari.layers import Image, Layer
    from psygnal import SignalInstance

    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.plugin.control.workspace import Workspace
    from napari_sam2.record.journal import JournalNote

__all__ = ["Kind", "Opened", "Pointer", "Review", "Run", "Work"]

Kind = Literal["scan", "film", "picture", "slide"]
"""A volume; a stack of frames; a volume of one slice; a 2-D picture of any size."""


class Pointer(GestureTarget, Protocol):
    """What a click, a box or a resting mouse means."""

    def clear_preview(self) -> None:
        """Take the hover preview away, and drop answers on their way."""


class Review(Protocol):
    """The queue of what is doubtful."""

    def next(self) -> None:
        """Go to the most doubtful entry that was not looked at yet."""

    def accept(self) -> None:
        """Accept what is looked at, or reopen it; then go on."""

    def forget(self) -> None:
        """Begin anew."""


class PromptLayers(Protocol):
    """The layers in which prompts are seen."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Clicks and boxes."""


class Run(Protocol):
    """At most one long run at a time."""

    @property
    def running(self) -> bool:
        """Whether a run goes on."""

    @property
    def progressed(self) -> SignalInstance:
        """A `Progress`, or None at the end of a run."""

    def stop(self) -> None:
        """End the run; what is there stays."""


class Work(Protocol):
    """What one image is being segmented into.

    Signals: `changed` (there is a newer snapshot), `failed` and `told` (a sentence), `answered` (prompts were
    answered), `asked` (a question that saving has to ask).
    """

    workspace: Workspace
    image: Image
    earlier: JournalNote | None
    """The earlier session on the same image that is offered."""
    sessions: list[JournalNote]
    """All earlier sessions on the same image, the newest first."""

    @property
    def kind(self) -> Kind:
        """What is segmented."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that belong to it."""

    @property
    def companions(self) -> tuple[Image, ...]:
        """Image layers that show the same thing otherwise."""

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know before working on it."""

    @property
    def pointer(self) -> Pointer:
        """What the mouse does."""

    @property
    def prompts(self) -> PromptLayers:
        """The layers in which prompts are seen."""

    @property
    def review(self) -> Review:
        """What is doubtful."""

    @property
    def run(self) -> Run:
        """The long run of this kind of work."""

    @property
    def has_objects(self) -> bool:
        """Whether anything has begun."""

    @property
    def journal_key(self) -> str:
        """The image, as its journals are named."""

    def remember_image(self) -> None:
        """Let the list of earlier work find the image again."""

    def catch_up(self) -> None:
        """Let a journal that could not be written try again."""

    @property
    def closed(self) -> bool:
        """Whether it was closed."""

    @property
    def changed(self) -> SignalInstance: ...  # noqa: D102

    @property
    def failed(self) -> SignalInstance: ...  # noqa: D102

    @property
    def told(self) -> SignalInstance: ...  # noqa: D102

    @property
    def answered(self) -> SignalInstance: ...  # noqa: D102

    @property
    def asked(self) -> SignalInstance: ...  # noqa: D102

    def enter(self) -> None:
        """The image is chosen."""

    def leave(self) -> None:
        """Another image is chosen."""

    def close(self) -> None:
        """Let go of session, voxels and model.

        The layers stay in the viewer.
        """

    def resume(self) -> None:
        """Go on where an earlier session ended."""

    def choose_earlier(self, note: JournalNote) -> None:
        """Offer one of the earlier sessions."""

    def start_afresh(self) -> None:
        """Leave the earlier session alone."""

    def undo(self) -> None:
        """Take back the last action."""

    def redo(self) -> None:
        """Do the last undone action again."""

    def use_model(self, load: Callable[[], AnyModel], done: Callable[[], None]) -> None:
        """Let another model answer from now on."""

    def save(self, path: Path, **how: Any) -> None:
        """Write the result; the name decides the format."""

    def suggested_path(self) -> Path:
        """Where to save, unless the user says otherwise."""

    def next_object(self) -> None:
        """Begin another object."""

    def finish_object(self) -> None:
        """Declare the current object finished, or reopen it."""

    def remove_object(self) -> None:
        """Remove the current object."""

    def use_layer(self, layer: Layer | None) -> None:
        """Take a Points or Shapes layer of the user's own as input."""


class Opened(Protocol):
    """An image that was opened on the inference thread."""

    def begin(self, workspace: Workspace) -> Work:
        """Begin the work, on the main thread."""
