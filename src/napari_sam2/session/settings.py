"""What a session works with: volume, model, window, axis, names, overlap rule.

Setting one makes an action, which is journalled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.channels.facts import described_channel
from napari_sam2.channels.mix import canonical, named_mix
from napari_sam2.core.actions import UseModel
from napari_sam2.core.labels import check_overlap
from napari_sam2.models.base import described_model
from napari_sam2.session.actions import AddChannel, UseChannelWindow, UseFusion, UseMix, UseOverlap, UseWindow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam2.channels.stack import Channel, ChannelStack
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.engine.verbs import AnyModel, SliceEngine
    from napari_sam2.session.state import SessionState
    from napari_sam2.terms.terminology import Term


__all__ = ["SessionSettings"]


class SessionSettings:
    """The properties of a session that say what it works with."""

    state: SessionState

    @property
    def volume(self) -> Volume:
        """The scan."""
        return self.state.volume

    @property
    def axis(self) -> int:
        """Slice axis for points of a new object."""
        return self.state.axis

    @axis.setter
    def axis(self, axis: int) -> None:
        self.state.axis = axis

    @property
    def terms(self) -> Mapping[int, Term]:
        """Names that new objects get by their id when none is given."""
        return self.state.terms

    @terms.setter
    def terms(self, terms: Mapping[int, Term]) -> None:
        self.state.terms = terms

    @property
    def window(self) -> Window:
        """How the model sees intensities; setting it forgets all features."""
        return self.state.window

    @window.setter
    def window(self, window: Window) -> None:
        if window != self.state.window:
            self.state.do(UseWindow(window))

    @property
    def channels(self) -> ChannelStack:
        """The scan with its further channels."""
        return self.state.channels

    def add_channel(self, channel: Channel) -> None:
        """Take in one more channel; objects that have a mix keep it.

        Parameters
        ----------
        channel : Channel
            See `napari_sam2.channels.opening.open_channel`.
        """
        self.state.channels.with_channel(channel)
        self.state.do(AddChannel(described_channel(channel), channel))

    def use_channel_window(self, number: int, window: Window) -> None:
        """Let the model see a further channel through another window.

        The first one after the reference is 1.
        """
        self.state.do(UseChannelWindow(number, window))

    @property
    def fusion(self) -> str:
        """How a new object's mix of channels is chosen, see `napari_sam2.channels.mix.named_mix`."""
        return self.state.fusion

    @fusion.setter
    def fusion(self, spec: str) -> None:
        named_mix(spec, self.state.channels.names)
        meant = canonical(spec, self.state.channels.names)
        if meant != self.state.fusion:
            self.state.do(UseFusion(meant))

    def use_mix(self, object_id: int, spec: str) -> list[SliceResult]:
        """Let an object be seen through another mix of channels.

        Its prompts are answered again.

        Parameters
        ----------
        object_id : int
            The object.
        spec : str
            See `napari_sam2.channels.mix.named_mix`; ``"prompt"`` finds weights from all its prompts.

        Raises
        ------
        UserInputError
            If it cannot be meant, or the object is finished.
        """
        results: list[SliceResult] = self.state.do(UseMix(object_id, canonical(spec, self.state.channels.names)))
        return results

    @property
    def model(self) -> AnyModel:
        """The model that answers.

        Setting it keeps all masks; the new model uses them as its starting point.
        """
        return self.state.model

    @model.setter
    def model(self, model: AnyModel) -> None:
        if model is not self.state.model:
            self.state.do(UseModel(described_model(model), model))

    @property
    def overlap(self) -> str:
        """Who keeps a voxel that several objects claim, see `napari_sam2.core.labels.OVERLAP_RULES`."""
        return self.state.overlap

    @overlap.setter
    def overlap(self, rule: str) -> None:
        if check_overlap(rule) != self.state.overlap:
            self.state.do(UseOverlap(rule))

    def engine(self, axis: int) -> SliceEngine[Any, Any]:
        """The engine for slices across `axis` of the reference."""
        return self.state.engine(axis)
