"""Actions that change how a slide is worked on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from napari_sam2.core.actions import Line, Setting
from napari_sam2.core.checked import known_of, number_of, text_of, whole_of
from napari_sam2.core.pixel_size import Mpp
from napari_sam2.slides.encoding import (
    mix_from_json,
    mix_to_json,
)
from napari_sam2.slides.objects import OVERLAP_RULES, check_overlap_rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam2.slides.image.channels import ChannelMix
    from napari_sam2.slides.state import SlideState

__all__ = ["SetMpp", "ShowChannels", "ShowPlane", "UseOverlap"]


@dataclass(frozen=True, slots=True)
class SetMpp(Setting):
    """The size of a pixel is stated."""

    name: ClassVar[str] = "mpp"
    title: ClassVar[str] = "size of a pixel"
    mpp: Mpp

    def settle(self, state: SlideState) -> None:
        """Measure all objects anew."""
        state.use_mpp(self.mpp)

    def as_json(self) -> dict[str, Any]:
        """Both sides, and where they stand."""
        return {"row": self.mpp.row, "col": self.mpp.col, "origin": self.mpp.origin}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        row, col = (number_of(line[side], 1e-6, 1e6, "the size of a pixel") for side in ("row", "col"))
        return cls(Mpp(row, col, text_of(line["origin"])))


@dataclass(frozen=True, slots=True)
class UseOverlap(Setting):
    """Another rule says what happens where objects overlap.

    From the next change on.
    """

    name: ClassVar[str] = "overlap"
    title: ClassVar[str] = "overlap"
    rule: str

    def settle(self, state: SlideState) -> None:
        """Use it."""
        state.store.overlap = check_overlap_rule(self.rule)

    def as_json(self) -> dict[str, Any]:
        """The rule."""
        return {"rule": self.rule}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        return cls(known_of(line["rule"], OVERLAP_RULES, "the overlap rule"))


@dataclass(frozen=True, slots=True)
class ShowChannels(Setting):
    """The model sees intensities in another way."""

    name: ClassVar[str] = "channels"
    title: ClassVar[str] = "channels"
    mix: ChannelMix | None

    def do(self, state: SlideState) -> None:
        """Show them so."""
        state.show_channels(self.mix)

    def settle(self, state: SlideState) -> None:
        """Note how they were shown.

        What is on view stays as it is.
        """
        state.earlier_mix = self.mix

    def as_json(self) -> dict[str, Any]:
        """The mix."""
        return {"mix": mix_to_json(self.mix)}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        return cls(mix_from_json(line["mix"]))


@dataclass(frozen=True, slots=True)
class ShowPlane(Setting):
    """Another plane of a stack is looked at."""

    name: ClassVar[str] = "plane"
    title: ClassVar[str] = "plane"
    plane: Mapping[str, int]

    def do(self, state: SlideState) -> None:
        """Look at it."""
        state.show_plane(self.plane)

    def as_json(self) -> dict[str, Any]:
        """The index along each axis."""
        return {"plane": dict(self.plane)}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        return cls({text_of(axis): whole_of(index, 0, 1 << 30, "a plane") for axis, index in line["plane"].items()})
