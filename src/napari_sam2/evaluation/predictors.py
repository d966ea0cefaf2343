"""What answers prompts in a benchmark.

This program's own session, or anything behind the same four verbs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam2.channels.mix import AUTO
from napari_sam2.engine.fit_plan import FIT, FitPlan
from napari_sam2.session.session import Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.core.prompts import Box, Point
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.engine.verbs import AnyModel

__all__ = ["Predictor", "SessionPredictor"]


class Predictor(Protocol):
    """One object at a time: a box first, then clicks.

    After each, `mask` is asked for.

    Attributes
    ----------
    name : str
        For tables and files.
    """

    name: str

    def start(self, volume: Volume, window: Window, channels: ChannelStack | None = None, fusion: str = AUTO) -> None:
        """Begin with a scan; what was known of another one is forgotten."""
        ...

    def box(self, box: Box, extent: range | None) -> None:
        """Take a box on one slice.

        And the object's slices across the box's axis where they are told.
        """
        ...

    def point(self, point: Point) -> None:
        """Take a click on any slice."""
        ...

    def mask(self) -> NDArray[np.bool_]:
        """The object as it is now, (I, J, K) bool.

        Raises
        ------
        PredictorFailedError
            If there is no answer; the step then counts as an empty mask.
        """
        ...


class SessionPredictor:
    """The product's own way.

    Every prompt goes to a session and is carried as the panel carries it.

    Parameters
    ----------
    model : SegmentationModel
        The network or method that answers.
    look_over, fit
        As for `napari_sam2.session.session.Session`.
    """

    def __init__(self, model: AnyModel, *, look_over: bool = True, fit: FitPlan | None = FIT) -> None:
        self.name = model.card.name
        self._model = model
        self._look_over = look_over
        self._fit = fit
        self._session: Session | None = None
        self._extent: range | None = None
        self._object = 1

    @property
    def session(self) -> Session:
        """The session of the scan at hand."""
        if self._session is None:
            raise RuntimeError("Begin with a scan first.")
        return self._session

    def start(self, volume: Volume, window: Window, channels: ChannelStack | None = None, fusion: str = AUTO) -> None:
        """Begin a session.

        The next object of the same scan gets a session of its own.
        """
        fusion = fusion if channels is not None else AUTO
        self._session = Session(
            volume,
            self._model,
            window=window,
            fit=self._fit,
            look_over=self._look_over,
            channels=channels,
            fusion=fusion,
        )

    def box(self, box: Box, extent: range | None) -> None:
        """Answer the box and carry it through the volume.

        Or through the slices that are told.
        """
        self._extent = extent
        self.session.add_prompt(self._object, box)
        for _ in self.session.propagate([self._object], slices=extent):
            pass

    def point(self, point: Point) -> None:
        """Answer the click and spread the correction."""
        self.session.add_prompt(self._object, point)
        index = point.slice_index(self.session.objects[self._object].axis)
        for _ in self.session.spread(self._object, index, slices=self._extent):
            pass

    def mask(self) -> NDArray[np.bool_]:
        """The object in the label map, (I, J, K) bool."""
        return np.asarray(self.session.label_map() == self._object)
