"""What an action is, and who does it.

The same for a volume's session and a slide's.

Every verb of a session makes an action. The action does its work, and it is what history, journal and replay share:
it names itself, writes itself and reads itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from napari_sam2.core.checked import text_of
from napari_sam2.core.history import History, Step
from napari_sam2.core.open_runs import OpenRuns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam2.core.store import ObjectStore, Record

__all__ = ["Action", "ActionState", "Edit", "Line", "Redo", "Resumed", "Run", "Setting", "Undo", "UseModel"]

StateT = TypeVar("StateT", bound="ActionState[Any]")
RecordT = TypeVar("RecordT", bound="Record")

Line = Mapping[str, Any]
"""One line of a journal, read."""


class Action:
    """Something that a person did; subclasses are frozen dataclasses."""

    name: ClassVar[str]
    """In journals; it never changes."""

    title: ClassVar[str]
    """For people, in menus and messages."""

    asked_in: ClassVar[tuple[str, ...]] = ()
    """Fields of the changes that say what was asked; the others say what came out."""

    always: ClassVar[bool] = False
    """Whether it is told even when no object has changed."""

    @property
    def said(self) -> str:
        """What people read of this very action."""
        return self.title

    def as_json(self) -> dict[str, Any]:
        """With which choices it was done, as plain values."""
        return {}

    @classmethod
    def from_json(cls, line: Line, state: Any) -> Self:
        """The action that a line of a journal holds.

        `state` is where the session was then.
        """
        return cls()

    def joins(self, earlier: Action) -> bool:
        """Whether one undo takes it back together with an earlier action.

        The earlier one is the last, or the last that changed the same objects.
        """
        return False

    def settle(self, state: Any) -> None:
        """What an action does beside changing objects.

        It is all that is left to do when its changes are known.
        """


class Edit(Action):
    """An action that changes objects, and that undo takes back."""

    def do(self, state: Any, step: Step) -> Any:
        """Do it, noting every change in the step."""
        raise NotImplementedError


class Run(Action):
    """An edit that goes through many slices.

    It may be stopped between two.
    """

    def do(self, state: Any, step: Step, should_stop: Callable[[], bool]) -> Iterator[Any]:
        """Do it, noting every change in the step.

        What is yielded is stored already.
        """
        raise NotImplementedError

    def stopped(self, after: int) -> Self:
        """The same action, stopped before its end after so many results."""
        return self


class Setting(Action):
    """An action that changes how the session works, but no object.

    Undo does not take it back.
    """

    def do(self, state: Any) -> None:
        """Do it."""
        self.settle(state)


class Undo(Setting):
    """The last action is taken back."""

    name = title = "undo"

    def settle(self, state: Any) -> None:
        """Take it back."""
        state.history.undo(state.runs.steps)


class Redo(Setting):
    """The last undone action is done again."""

    name = title = "redo"

    def settle(self, state: Any) -> None:
        """Do it again."""
        state.history.redo()


@dataclass(frozen=True, slots=True, eq=False)
class UseModel(Setting):
    """Another model answers from now on.

    Attributes
    ----------
    described : mapping of str to str
        Its name, revision, hash, and how it looks at slices; as in a journal's head.
    model : SegmentationModel, optional
        The model; to be filled in when the action is done again.
    """

    name: ClassVar[str] = "model"
    title: ClassVar[str] = "model"
    described: Mapping[str, str]
    model: Any = None

    def do(self, state: Any) -> None:
        """Let the model answer.

        Without a model at hand the one before goes on.
        """
        if self.model is not None:
            state.use_model(self.model)
        else:
            self.settle(state)

    def settle(self, state: Any) -> None:
        """Forget the earlier model's answers.

        The session keeps the model that it has.
        """
        state.use_model(state.model)

    def as_json(self) -> dict[str, Any]:
        """What is known of it."""
        return dict(self.described)

    @classmethod
    def from_json(cls, line: Line, state: Any) -> Self:
        """What is known of it, without the model itself."""
        texts = {key: value for key, value in line.items() if isinstance(value, str) and key not in ("t", "event")}
        return cls({"name": text_of(line["name"]), **{key: text_of(value) for key, value in texts.items()}})


class Resumed(Setting):
    """A session is gone on with after its end.

    It was closed, or its process killed; a model's own answers are lost.
    """

    name = title = "resumed"

    def settle(self, state: Any) -> None:
        """Go on from masks and outlines."""
        state.runs.end_read()
        state.use_model(state.model)
        state.history.replace_values("anchors", lambda _: None)


class ActionState(Generic[RecordT]):
    """What actions act on: objects, their history, and who is told.

    Parameters
    ----------
    store : ObjectStore
        The objects.
    fading : tuple of str
        See `History`.
    """

    def __init__(self, store: ObjectStore[RecordT], fading: tuple[str, ...] = ()) -> None:
        self.store = store
        self.history = History(store.read, store.write, fading)
        self.runs = OpenRuns(self.history, self._listen)
        self.on_action: list[Callable[[Action, Step | None], None]] = []
        """Called after an action, with the step that can be undone if it was one.

        A run that others came into is told in parts.
        """

    def do(self, action: Edit | Setting) -> Any:
        """Do an action and tell who listens; what it gives back."""
        if isinstance(action, Setting):
            action.do(self)
            self._tell(action, None)
            return None
        step = Step(action)
        result = action.do(self, step)
        self.finish(step)
        return result

    def run(self, action: Run, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Any]:
        """Do an action that goes through many slices.

        Left early, it keeps what is there. Other actions may be done between two results.
        """
        return self.runs.run(self, action, should_stop)

    def finish(self, step: Step) -> None:
        """Put a step on the history, and tell who listens.

        An empty one is forgotten.
        """
        if len(step):
            self.history.add(step)
        if len(step) or step.action.always:
            self._tell(step.action, step if len(step) else None)

    def undo(self) -> str:
        """Take back the last action, and return its title.

        An empty string when there is none.
        """
        title = self.history.next_undo
        if title:
            self.do(Undo())
        return title

    def redo(self) -> str:
        """Do the last undone action again, and return its title.

        An empty string when there is none.
        """
        title = self.history.next_redo
        if title:
            self.do(Redo())
        return title

    def _tell(self, action: Action, step: Step | None) -> None:
        self.runs.tell_parts()
        self._listen(action, step)

    def _listen(self, action: Action, step: Step | None) -> None:
        for listener in list(self.on_action):
            listener(action, step)
