"""Runs that go on, and runs that a journal holds in parts.

Other actions may be done between two results of a run. What the run has changed until then is told before them, as a
part of its own: a journal so holds everything in the order in which it was done, and a kill costs no mask that a later
action builds on. In the history a run stays one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from napari_sam2.core.history import Part, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam2.core.actions import Action, Run
    from napari_sam2.core.history import History

__all__ = ["OpenRuns"]


@dataclass(eq=False)
class _OpenRun:
    """A run that goes on.

    Attributes
    ----------
    step : Step
        What it has changed since it was told.
    whole : Step
        What it had changed before.
    n_given : int
        Results so far.
    told : int, optional
        How many of them there were when it was told, if it was.
    """

    step: Step
    whole: Step
    n_given: int = 0
    told: int | None = None


class OpenRuns:
    """The runs of a session.

    Parameters
    ----------
    history : History
        Where a run that has ended is put.
    tell : callable
        Told each action with its step.
    """

    def __init__(self, history: History, tell: Callable[[Action, Step | None], None]) -> None:
        self._history = history
        self._tell = tell
        self._numbers = count(1)
        self._open: dict[int, _OpenRun] = {}
        self._read: dict[int, Step] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What open runs have changed.

        Those that go on here, and those of a journal that is read.
        """
        here = (step for run in self._open.values() for step in (run.whole, run.step))
        return (*here, *self._read.values())

    def run(self, state: Any, action: Run, should_stop: Callable[[], bool]) -> Iterator[Any]:
        """See `napari_sam2.core.actions.ActionState.run`."""
        number = next(self._numbers)
        self.tell_parts()
        run = self._open[number] = _OpenRun(Step(action), Step(action))
        try:
            for result in action.do(state, run.step, should_stop):
                run.n_given += 1
                yield result
                self.tell_parts(but=number)
        except BaseException:
            run.step.action = action.stopped(run.n_given)
            raise
        finally:
            if should_stop():
                run.step.action = action.stopped(run.n_given)
            del self._open[number]
            self._end(number, run)

    def tell_parts(self, but: int | None = None) -> None:
        """Tell how far runs have come.

        Before something else is told or goes on.
        """
        for number, run in self._open.items():
            if number != but and run.told != run.n_given and run.n_given:
                run.told = run.n_given
                part = run.step.moved_to(run.whole, Part(number, run.n_given))
                self._tell(part.action, part)

    def read_part(self, step: Step, part: Part) -> None:
        """Take in the next part of a run from a journal.

        Raises
        ------
        ValueError
            If it is none of that run, or comes out of order.
        """
        whole = self._read.setdefault(part.run, Step(step.action))
        furthest = 0 if whole.part is None else whole.part.paused or 0
        if type(whole.action) is not type(step.action):
            raise ValueError(f"the run {part.run} was another action before")
        if part.paused is not None and part.paused <= furthest:
            raise ValueError(f"the run {part.run} had come further before")
        whole.join(step)
        whole.part = part
        if part.paused is None:
            self._end_read(part.run)

    def end_read(self) -> None:
        """Let runs end that a journal does not go on with.

        Their process was killed.
        """
        while self._read:
            self._end_read(next(iter(self._read)))

    def _end_read(self, run: int) -> None:
        step = self._read.pop(run)
        if len(step):
            self._history.add(step)

    def _end(self, number: int, run: _OpenRun) -> None:
        if run.told is None:
            if len(run.step):
                self._history.add(run.step)
                self.tell_parts()
                self._tell(run.step.action, run.step)
            return
        rest = run.step.moved_to(run.whole, Part(number))
        run.whole.action = rest.action
        if len(run.whole):
            self._history.add(run.whole)
        self.tell_parts()
        self._tell(rest.action, rest)
