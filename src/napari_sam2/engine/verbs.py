"""What a session asks of an engine, wherever it runs.

`napari_sam2.engine.engine.Engine` answers on this machine, `napari_sam2.remote.engine.RemoteEngine` lets another one
answer. A session holds to these verbs, so that it never knows which of them it talks to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari_sam2.core.prompts import SlicePrompts
    from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores
    from napari_sam2.core.volume import SlicePlane, Volume
    from napari_sam2.core.window import Window
    from napari_sam2.engine.fit_plan import FitPlan, ObjectFits
    from napari_sam2.models.base import ModelCard, SegmentationModel, ViewPolicy

__all__ = ["Answered", "AnyModel", "GlancingEngine", "ModelElsewhere", "SliceEngine"]

KeptT = TypeVar("KeptT")


class Answered(Protocol):
    """A prompted slice of one object, answered.

    What else it holds is its engine's own business.
    """

    @property
    def index(self) -> int:
        """The slice."""
        ...

    @property
    def mask(self) -> SliceMask:
        """The answer."""
        ...

    @property
    def scores(self) -> SliceScores:
        """Doubt about it."""
        ...


AnsweredT = TypeVar("AnsweredT", bound=Answered)


class SliceEngine(Protocol[AnsweredT, KeptT]):
    """Answers prompts on the slices of one plane of a volume.

    ``AnsweredT`` is the engine's kind of anchor, ``KeptT`` what it keeps of a model that was fitted to an object.
    """

    @property
    def plane(self) -> SlicePlane:
        """How the slices are laid out."""
        ...

    @property
    def can_fit(self) -> bool:
        """Whether the model can be fitted to one object."""
        ...

    def predict(
        self,
        index: int,
        prompts: SlicePrompts,
        *,
        previous: AnsweredT | SliceMask | None = None,
        others: Sequence[AnsweredT] = (),
    ) -> AnsweredT:
        """See `napari_sam2.engine.engine.Engine.predict`."""
        ...

    def propagate(
        self,
        anchors: Mapping[int, Sequence[AnsweredT]],
        *,
        slices: range | None = None,
        direction: str = "both",
        should_stop: Callable[[], bool] = lambda: False,
        models: Mapping[int, KeptT] | None = None,
    ) -> Iterator[SliceResult]:
        """See `napari_sam2.engine.propagate.propagate`."""
        ...

    def propagate_fitted(
        self,
        anchors: Mapping[int, Sequence[AnsweredT]],
        fits: ObjectFits[KeptT],
        plan: FitPlan,
        *,
        slices: range | None = None,
        direction: str = "both",
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[SliceResult]:
        """See `napari_sam2.engine.fit.propagate_fitted`."""
        ...


@runtime_checkable
class GlancingEngine(Protocol):
    """An engine that can also answer about, and quickly."""

    def glance(
        self, index: int, prompts: SlicePrompts, *, previous: Any | SliceMask | None = None, side: float = 0.0
    ) -> Any:
        """See `napari_sam2.engine.engine.Engine.glance`."""
        ...


@runtime_checkable
class ModelElsewhere(Protocol):
    """A model that answers on another machine.

    It is asked through engines of its own.
    """

    card: ModelCard
    view_policy: ViewPolicy
    input_size: int
    device: str

    def engine(self, volume: Volume, window: Window, axis: int) -> SliceEngine[Any, Any]:
        """An engine for slices of a volume across `axis`."""
        ...


AnyModel: TypeAlias = "SegmentationModel | ModelElsewhere"
"""What a session can be given."""
