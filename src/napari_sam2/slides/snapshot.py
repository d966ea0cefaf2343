"""A slide's session at one moment, frozen.

What panels and tables look at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from napari_sam2.slides.objects import ObjectClass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam2.core.pixel_size import Mpp
    from napari_sam2.slides.automatic.run import AutomaticRequest
    from napari_sam2.slides.objects import SlideObject
    from napari_sam2.slides.prompts import SlidePrompt

__all__ = ["CLASSES", "SlideSnapshot"]

CLASSES: Final = (
    ObjectClass("Tumor", (200, 0, 0)),
    ObjectClass("Stroma", (150, 200, 150)),
    ObjectClass("Immune cells", (160, 90, 160)),
    ObjectClass("Necrosis", (50, 50, 50)),
    ObjectClass("Other", (255, 200, 0)),
)
"""QuPath's own, with its colours, so that both programs mean the same."""


@dataclass(frozen=True, slots=True, eq=False)
class SlideSnapshot:
    """A session as it is at one moment.

    Safe to hand to another thread.

    Attributes
    ----------
    objects : tuple of SlideObject
        In the order of their creation.
    prompts : mapping of str to tuple of SlidePrompt
        By object id; absent for objects that were drawn, imported, found automatically or edited by hand.
    classes : tuple of ObjectClass
        To choose from.
    mpp : Mpp, optional
        The size of a pixel.
    overlap : str
        One of `napari_sam2.slides.objects.OVERLAP_RULES`.
    position : int
        Steps that can be undone.
    unfinished : AutomaticRequest, optional
        An automatic run that was stopped.
    """

    objects: tuple[SlideObject, ...] = ()
    prompts: Mapping[str, tuple[SlidePrompt, ...]] = field(default_factory=dict)
    classes: tuple[ObjectClass, ...] = CLASSES
    mpp: Mpp | None = None
    overlap: str = "keep"
    position: int = 0
    unfinished: AutomaticRequest | None = None

    def find(self, object_id: str) -> SlideObject | None:
        """The object of an id; None when there is none."""
        return next((obj for obj in self.objects if obj.object_id == object_id), None)
