"""A detector on a slide.

Words on a picture of the whole become prompts. What is small on the whole slide is not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.errors import UserInputError
from napari_sam2.slides.prompts import ObjectRequest, SlideBox
from napari_sam2.terms.naming import meaning_of, phrase_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam2.finding.detection import Detection
    from napari_sam2.slides.image.pyramid import Slide

__all__ = ["LARGEST_SIDE", "boxes_on_slide"]

LARGEST_SIDE: Final = 1333
"""Pixels of the picture that is looked at, at most."""


def boxes_on_slide(
    detection: Detection, names: Sequence[str], say: Callable[[str], None] = lambda note: None
) -> Callable[[Slide], list[ObjectRequest]]:
    """A source of prompts for `segment_slide`: boxes around what a detector sees.

    Parameters
    ----------
    detection : Detection
        Who is asked.
    names : sequence of str
        What is looked for; a name with a side is refused, since a picture has none.
    say : callable
        Told what a person should know, a sentence at a time.

    Raises
    ------
    UserInputError
        At once for names that cannot be asked for; from the source when nothing is found.
    """
    detection.check(names)
    sided = [name for name in names if meaning_of(name).side]
    if sided:
        raise UserInputError(f"A slide does not say where left and right are; leave the side of {sided[0]!r} out.")

    def found_on(slide: Slide) -> list[ObjectRequest]:
        for sentence in detection.notes:
            say(sentence)
        scale = max(1, -(-max(slide.shape) // LARGEST_SIDE))
        rows, cols = (-(-n // scale) for n in slide.shape)
        picture = slide.read_scaled(0, 0, rows, cols, scale)
        requests: list[ObjectRequest] = []
        for name in names:
            (boxes,) = detection.guarded.boxes(picture, [phrase_of(meaning_of(name))])
            kept = boxes.edges[boxes.scores >= detection.least_score] * scale
            for number, edges in enumerate(kept, start=1):
                row0, col0, row1, col1 = np.minimum(edges, np.tile(slide.shape, 2)).tolist()
                box = SlideBox(row0, col0, row1 - 1, col1 - 1)
                requests.append(ObjectRequest(len(requests) + 1, (box,), f"{name} {number}", name))
            say(f"{name}: {len(kept)} found by {detection.guarded.detector.name}; look at the result, nobody has")
        if not requests:
            raise UserInputError(f"Nothing was found on {slide.name} that the detector would not call by any word.")
        return requests

    return found_on
