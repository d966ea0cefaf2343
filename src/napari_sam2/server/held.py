"""One client's place on a server, and what is held there."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.server.refusals import lacking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.engine.engine import Anchor, Engine
    from napari_sam2.engine.verbs import Answered
    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.remote.pieces import VoxelLayout

__all__ = ["Fitted", "HeldEngine", "HeldVolume", "Lease"]

MOST_ANCHORS: Final = 4096
MOST_FITS: Final = 32
"""Of one lease (of one engine for fits); the least recently used ones go."""


@dataclass(eq=False)
class HeldVolume:
    """Voxels that came in pieces."""

    layout: VoxelLayout
    voxels: NDArray[Any]
    missing: set[int]
    used: float
    busy: int = 0
    """Runs and clicks under way; such a volume stays."""

    @property
    def is_complete(self) -> bool:
        """Whether all pieces have come."""
        return not self.missing


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A model that knows one object, and the slices that taught it."""

    model: SegmentationModel
    lessons: Sequence[Answered]


@dataclass(eq=False)
class HeldEngine:
    """An engine with what it was told apart from prompts."""

    engine: Engine
    volume: HeldVolume
    used: float
    fits: OrderedDict[str, Fitted] = field(default_factory=OrderedDict)

    def keep_fit(self, name: str, fitted: Fitted) -> None:
        """Take in a fitted model."""
        self.fits[name] = fitted
        while len(self.fits) > MOST_FITS:
            self.fits.popitem(last=False)


@dataclass(eq=False)
class Lease:
    """One client's place."""

    id: str
    token: str
    heard: float
    used: float
    engines: OrderedDict[str, HeldEngine] = field(default_factory=OrderedDict)
    anchors: OrderedDict[int, Anchor] = field(default_factory=OrderedDict)
    volumes: set[str] = field(default_factory=set)
    busy: int = 0
    """Clicks and runs under way."""

    def keep_anchor(self, key: int, anchor: Anchor) -> None:
        """Take in an answer."""
        self.anchors[key] = anchor
        self.anchors.move_to_end(key)
        while len(self.anchors) > MOST_ANCHORS:
            self.anchors.popitem(last=False)

    def anchors_of(self, keys: Sequence[int]) -> list[Anchor]:
        """The anchors of these keys.

        Raises
        ------
        Refusal
            Naming those that are not known.
        """
        missing = [key for key in keys if key not in self.anchors]
        if missing:
            raise lacking("anchor", missing)
        for key in keys:
            self.anchors.move_to_end(key)
        return [self.anchors[key] for key in keys]
