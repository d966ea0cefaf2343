"""Actions that begin and end an automatic run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from napari_sam2.core.actions import Line, Setting
from napari_sam2.core.checked import flag_of, number_of
from napari_sam2.slides.automatic.run import AutomaticRequest
from napari_sam2.slides.encoding import (
    LARGEST,
)

if TYPE_CHECKING:
    from napari_sam2.slides.state import SlideState

__all__ = ["BeginAutomatic", "EndAutomatic"]


@dataclass(frozen=True, slots=True, eq=False)
class BeginAutomatic(Setting):
    """An automatic run has begun."""

    name: ClassVar[str] = "automatic begun"
    title: ClassVar[str] = "automatic run"
    request: AutomaticRequest

    def settle(self, state: SlideState) -> None:
        """Note it, so that it can be gone on with."""
        state.unfinished = self.request

    def as_json(self) -> dict[str, Any]:
        """What was asked for."""
        return self.request.as_json()

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        number_of(line["object_size"], 1e-6, LARGEST, "the size of objects")
        flag_of(line["tissue_only"])
        flag_of(line.get("nuclei", False))
        try:
            return cls(AutomaticRequest.from_json(line))
        except Exception as error:  # shapely raises many kinds on malformed geometries
            raise ValueError("the region cannot be read") from error


class EndAutomatic(Setting):
    """The automatic run has ended, or was given up."""

    name = title = "automatic ended"

    def settle(self, state: SlideState) -> None:
        """Note it."""
        state.unfinished = None
