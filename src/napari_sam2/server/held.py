"""One client's place on a server, and what is held there."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.server.kept import Kept
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
"""Of one lease (of one engine for fits); their bytes are counted with those of scans and features."""


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
    fits: Kept[str, Fitted] = field(default_factory=lambda: Kept(MOST_FITS))


@dataclass(eq=False)
class Lease:
    """One client's place."""

    id: str
    token: str
    heard: float
    used: float
    engines: OrderedDict[str, HeldEngine] = field(default_factory=OrderedDict)
    anchors: Kept[int, Anchor] = field(default_factory=lambda: Kept(MOST_ANCHORS))
    volumes: set[str] = field(default_factory=set)
    busy: int = 0
    """Clicks and runs under way."""

    @property
    def answer_bytes(self) -> int:
        """Bytes of anchors and fits."""
        return self.anchors.nbytes + sum(held.fits.nbytes for held in self.engines.values())

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
        return [self.anchors[key] for key in keys]
