"""What is asked of every slide of a cohort."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SlideWish"]


@dataclass(frozen=True, slots=True)
class SlideWish:
    """How slides are segmented.

    Attributes
    ----------
    auto, object_size, like, mpp, channel, polarity, plane
        See `napari_sam2.jobs.slide.segment_slide`. Without `auto`, every slide has prompts.
    like_sha256, region_sha256 : str
        Of the file `like`, and of the region that `auto` names, so that others mean other results.
    """

    auto: str | None = None
    object_size: str | None = None
    like: Path | None = None
    mpp: float | None = None
    channel: tuple[str | int, ...] = ()
    polarity: str = "auto"
    plane: str | None = None
    like_sha256: str = ""
    region_sha256: str = ""

    def said(self) -> dict[str, str]:
        """Everything that decides about a result, as text.

        What was not asked for is left out, and so are names of files.
        """
        chosen = asdict(self) | {"like": None}
        if self.region_sha256:
            chosen["auto"] = "nuclei:region" if str(self.auto).startswith("nuclei:") else "region"
        default = asdict(SlideWish())
        return {f"slide_{name}": str(value) for name, value in chosen.items() if value != default[name]}
