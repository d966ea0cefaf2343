"""Actions on channels: one more, another window, another mix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from napari_sam2.channels.mix import canonical, named_mix
from napari_sam2.channels.stack import MOST_CHANNELS
from napari_sam2.core.actions import Edit, Line, Setting
from napari_sam2.core.checked import list_of, text_of, whole_of
from napari_sam2.core.mix import mix_from_json
from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.session.channels import chosen_mix
from napari_sam2.session.encoding import id_of, window_from_json, window_to_json
from napari_sam2.session.prompting import answer_again, prompts_by_slice

if TYPE_CHECKING:
    from napari_sam2.channels.stack import Channel
    from napari_sam2.core.history import Step
    from napari_sam2.core.mix import Mix
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.core.window import Window
    from napari_sam2.session.state import SessionState

__all__ = ["AddChannel", "UseChannelWindow", "UseFusion", "UseMix"]


@dataclass(frozen=True, slots=True, eq=False)
class AddChannel(Setting):
    """A scan gets one more channel.

    Attributes
    ----------
    described : dict
        What a journal says of it, see `napari_sam2.channels.facts.described_channel`.
    channel : Channel, optional
        The channel; where a session is gone on with, it is there already.
    """

    name: ClassVar[str] = "channel"
    title: ClassVar[str] = "channel"
    described: dict[str, Any]
    channel: Channel | None = None

    def settle(self, state: SessionState) -> None:
        """Take it in, or make sure that it is there."""
        if self.channel is not None:
            state.use_channels(state.channels.with_channel(self.channel))
            return
        names = [channel.name for channel in state.channels.further]
        if self.described["name"] not in names:
            raise EnvironmentLacksError(
                f"The session has a channel {self.described['name']}, which is not open; give its file with --channel."
            )

    def as_json(self) -> dict[str, Any]:
        """What is known of it."""
        return {"channel": self.described}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """What is known of it, without the channel itself."""
        described = dict(line["channel"])
        text_of(described["name"])
        return cls(described)


@dataclass(frozen=True, slots=True)
class UseChannelWindow(Setting):
    """The model sees a further channel through another window."""

    name: ClassVar[str] = "channel window"
    title: ClassVar[str] = "window of a channel"
    number: int
    window: Window

    def settle(self, state: SessionState) -> None:
        """Use it."""
        if not 1 <= self.number < len(state.channels):
            raise UserInputError(f"There is no further channel {self.number}; there are {len(state.channels) - 1}.")
        state.use_channels(state.channels.with_window(self.number, self.window))

    def as_json(self) -> dict[str, Any]:
        """Which channel, and the window's ends and name."""
        return {"channel": self.number, **window_to_json(self.window)}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written."""
        return cls(whole_of(line["channel"], 1, MOST_CHANNELS, "a channel"), window_from_json(line))


@dataclass(frozen=True, slots=True)
class UseFusion(Setting):
    """New objects get their mix of channels in another way."""

    name: ClassVar[str] = "fusion"
    title: ClassVar[str] = "fusion"
    spec: str

    def settle(self, state: SessionState) -> None:
        """Use it."""
        named_mix(self.spec, state.channels.names)
        state.fusion = canonical(self.spec, state.channels.names)

    def as_json(self) -> dict[str, Any]:
        """What was chosen."""
        return {"spec": self.spec}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written."""
        return cls(text_of(line["spec"]))


@dataclass(frozen=True, slots=True)
class UseMix(Edit):
    """An object is seen through another mix of channels.

    Its prompts are answered again.

    Attributes
    ----------
    object_id : int
        The object.
    spec : str
        What a person chose, see `napari_sam2.channels.mix.named_mix`.
    mix : Mix, optional
        What came of it; found from the object's prompts where they decide.
    """

    asked_in: ClassVar[tuple[str, ...]] = ("mix",)
    name: ClassVar[str] = "mix"
    title: ClassVar[str] = "mix of channels"
    object_id: int
    spec: str
    mix: Mix | None = None

    def do(self, state: SessionState, step: Step) -> list[SliceResult]:
        """See `Session.use_mix`."""
        obj = state.find(self.object_id)
        if obj.finished:
            raise UserInputError(f"Object {self.object_id} is finished; reopen it before changing it.")
        prompts = prompts_by_slice(state, obj)
        mix = self.mix or named_mix(self.spec, state.channels.names)
        if mix is None and not prompts:
            raise UserInputError(
                f"Object {self.object_id} has no prompt from which weights could come; name a channel."
            )
        state.store.set(step, obj, "mix", mix or chosen_mix(state, obj.axis, prompts, self.spec))
        state.fits.forget(self.object_id)
        return answer_again(state, step, obj)

    def as_json(self) -> dict[str, Any]:
        """Object and choice; what came of it is in the changes."""
        return {"object": self.object_id, "spec": self.spec}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written, with the mix that was found then."""
        (written,) = (change["value"] for change in list_of(line["changes"]) if change["field"] == "mix")
        mix = mix_from_json(written, len(state.channels))
        return cls(id_of(line["object"]), text_of(line["spec"]), mix)
