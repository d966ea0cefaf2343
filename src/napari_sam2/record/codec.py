"""What a journal must know of a kind of session.

One codec for volumes, one for slides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam2.core.actions import Action, ActionState
    from napari_sam2.core.history import Change, Step

__all__ = ["Codec", "Pool"]

Json = dict[str, Any]


class Pool(Protocol):
    """Values that a snapshot holds once, whoever refers to them."""

    def put(self, kind: str, value: Any) -> int:
        """The number of a value."""
        ...

    def get(self, kind: str, number: Any) -> Any:
        """The value of a number."""
        ...


class Codec(Protocol):
    """How sessions of one kind are written and read.

    Attributes
    ----------
    kind : str
        ``"volume"`` or ``"slide"``.
    """

    kind: ClassVar[str]

    def head(self) -> Json:
        """What ``session.json`` says beside version, program and software."""
        ...

    def check_head(self, head: Mapping[str, Any]) -> None:
        """Refuse the journal of another image, or a damaged head."""
        ...

    def use_head(self, head: Mapping[str, Any], state: Any) -> None:
        """Set what the head says: window, overlap rule, channels."""
        ...

    def fresh(self) -> ActionState[Any]:
        """A state like the session's, without objects."""
        ...

    def adopt(self, state: Any) -> None:
        """Let the session go on from a state of `fresh`."""
        ...

    def seen_now(self) -> list[Action]:
        """How the model sees the image now, as actions.

        They are noted when a session is gone on with.
        """
        ...

    def checked_id(self, value: Any) -> Any:
        """An object's id."""
        ...

    def action_of(self, name: str, line: Mapping[str, Any]) -> type[Action] | None:
        """The action of a journal's line.

        None when there is none of that name.
        """
        ...

    def change_to_json(self, change: Change) -> Json:
        """What a change put in place.

        What it replaced is known from the lines before.
        """
        ...

    def change_from_json(self, written: Mapping[str, Any], state: ActionState[Any]) -> Change:
        """The change again, of a state as it was then."""
        ...

    def check_step(self, step: Step, state: ActionState[Any]) -> None:
        """Refuse a step that leaves an object behind which cannot be."""
        ...

    def settings_to_json(self) -> Json:
        """What beside objects and history a snapshot holds."""
        ...

    def use_settings(self, written: Mapping[str, Any], state: Any) -> None:
        """Set it again."""
        ...

    def record_to_json(self, record: Any, pool: Pool) -> Json:
        """All that is kept of an object."""
        ...

    def record_from_json(self, written: Mapping[str, Any], pool: Pool) -> Any:
        """The record again."""
        ...

    def value_to_json(self, field: str, value: Any, pool: Pool) -> Any:
        """A value of a field in a step."""
        ...

    def value_from_json(self, field: str, written: Any, pool: Pool) -> Any:
        """The value again."""
        ...

    def pooled_to_json(self, kind: str, value: Any) -> Json:
        """A value of a pool."""
        ...

    def pooled_from_json(self, kind: str, written: Any) -> Any:
        """The value again."""
        ...
