"""Actions that change how a scan is worked on: window, overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from napari_sam2.core.actions import Line, Setting
from napari_sam2.core.checked import known_of
from napari_sam2.core.labels import OVERLAP_RULES, check_overlap
from napari_sam2.session.encoding import (
    window_from_json,
    window_to_json,
)

if TYPE_CHECKING:
    from napari_sam2.core.window import Window
    from napari_sam2.session.state import SessionState

__all__ = ["UseOverlap", "UseWindow"]


@dataclass(frozen=True, slots=True)
class UseWindow(Setting):
    """The model sees intensities through another window."""

    name: ClassVar[str] = "window"
    title: ClassVar[str] = "window"
    window: Window

    def settle(self, state: SessionState) -> None:
        """Use it."""
        state.use_window(self.window)

    def as_json(self) -> dict[str, Any]:
        """Its ends and its name."""
        return window_to_json(self.window)

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written."""
        return cls(window_from_json(line))


@dataclass(frozen=True, slots=True)
class UseOverlap(Setting):
    """Another rule says who keeps a voxel that several objects claim."""

    name: ClassVar[str] = "overlap"
    title: ClassVar[str] = "overlap"
    rule: str

    def settle(self, state: SessionState) -> None:
        """Use it."""
        state.overlap = check_overlap(self.rule)

    def as_json(self) -> dict[str, Any]:
        """The rule."""
        return {"rule": self.rule}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written."""
        return cls(known_of(line["rule"], OVERLAP_RULES, "the overlap rule"))
