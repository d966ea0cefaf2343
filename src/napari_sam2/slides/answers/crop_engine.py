"""Prompts on a slide of any size, answered on a crop.

The crop suits the object.

To the engine a crop is a volume of one slice. What is decided here is where to look, and whether to look
again: at a larger crop while the object reaches the border, at a closer one when it is small.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.slice_masks import SliceMask, SliceScores
from napari_sam2.core.volume import Source, Volume
from napari_sam2.core.window import Window
from napari_sam2.engine.opening import open_engine
from napari_sam2.engine.verbs import ModelElsewhere
from napari_sam2.models.seen import refuse_one_image
from napari_sam2.slides.answers.crop import Crop, crop_around
from napari_sam2.slides.polygons import SIMPLIFY, mask_to_polygon, polygon_to_mask
from napari_sam2.slides.prompts import SlideBox, bounds_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.engine.verbs import Answered, AnyModel, SliceEngine
    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.prompts import Bounds, SlidePrompt

__all__ = ["CropAnswer", "CropEngine"]

MAX_GROWTH: Final = 3
"""A crop grows at most eightfold: an object that still reaches its border has leaked, or has no end."""

SMALL: Final = 8
"""An object smaller than this part of a reduced crop is looked at again, closer."""

FIELD_MICRONS: Final = 400.0
"""Side of the first crop around a bare click when nobody says what is on the screen: a gland with its surroundings."""

FIELD_PIXELS: Final = 1024
"""The same where a pixel's size is not known."""

FIELD_STEPS: Final = (1, 4, 16)
"""Without a person's screen to go by, a bare click is tried on fields so many times as large."""

AS_GOOD: Final = 0.02
"""Of predicted IoU: answers on several fields that differ by less are equally good."""

LARGEST_PIXELS: Final = 1024
KEPT_CROPS: Final = 24
"""Crops (image and features) that are kept, the last used; at most `FEATURE_BUDGET` of features."""

FEATURE_BUDGET: Final = 512 << 20

RGB: Final = Window(0.0, 255.0, "rgb")


@dataclass(frozen=True, slots=True, eq=False)
class CropAnswer:
    """One object on a slide, as a mask on its crop.

    Attributes
    ----------
    crop : Crop
        Where the model looked.
    mask : (rows, cols) bool array
        The object, in the crop's pixels.
    scores : SliceScores
        Doubt about it.
    is_cut : bool
        Whether the object goes on beyond the crop, which has grown as far as it may.
    anchor : Answered, optional
        The model's own answer, to be corrected by further clicks; None when the mask was pieced together.
    """

    crop: Crop
    mask: NDArray[np.bool_]
    scores: SliceScores
    is_cut: bool
    anchor: Answered | None = None

    @property
    def bounds(self) -> Bounds | None:
        """Edges of the object in level-0 pixel corners.

        None when it is empty.
        """
        crop_bounds = SliceMask.of(self.mask).bounds
        if crop_bounds is None:
            return None
        crop = self.crop
        row0, col0, row1, col1 = ((edge + 0.5) * crop.scale for edge in crop_bounds)
        return crop.row + row0, crop.col + col0, crop.row + row1, crop.col + col1

    def polygon(self, tolerance: float = SIMPLIFY) -> Any:
        """The object as a shapely geometry in level-0 pixel corners; see `mask_to_polygon`."""
        return mask_to_polygon(self.mask, self.crop.row, self.crop.col, self.crop.scale, tolerance)


class CropEngine:
    """Answers prompts anywhere on a slide.

    How large the slide is does not matter. Several threads may ask at a time.

    Parameters
    ----------
    slide : Slide
        What is looked at.
    model : AnyModel
        The network or method that answers, here or elsewhere.

    Raises
    ------
    UserInputError
        If the model was tuned on several channels of scans.
    """

    def __init__(self, slide: Slide, model: AnyModel) -> None:
        refuse_one_image(model.card)
        self.slide = slide
        self.model = model
        # A model that zooms looks at a part of the crop only; more than twice its view is wasted.
        share = 2 if model.view_policy.zoom else 1
        self.pixels = min(LARGEST_PIXELS, 1 << math.ceil(math.log2(share * model.input_size)))
        self._engines: OrderedDict[Crop, SliceEngine[Any, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def answer(
        self,
        prompts: Sequence[SlidePrompt],
        *,
        previous: CropAnswer | None = None,
        field: float | None = None,
    ) -> CropAnswer:
        """Segment one object.

        Parameters
        ----------
        prompts : sequence of SlidePrompt
            All of its prompts; checked by `check_requests`.
        previous : CropAnswer, optional
            The answer that these prompts correct.
        field : float, optional
            Level-0 pixels along the longer side of what the person sees; the first crop around bare
            clicks is of this size. Without it several sizes are tried.

        Returns
        -------
        CropAnswer
            On a crop that holds all prompts, and the whole object unless it `is_cut`.
        """
        around = bounds_of(p.bounds for p in prompts)
        if previous is not None and previous.anchor is not None and previous.crop.contains(around):
            answer = self._predict(previous.crop, prompts, previous.anchor)
        elif previous is not None and previous.bounds is not None:
            answer = self._again(self._crop(bounds_of((around, previous.bounds))), prompts, previous)
        else:
            answer = self._first(prompts, around, field)
        return self._closer(self._grown(answer, prompts, around), prompts, around)

    def choices(self, prompts: Sequence[SlidePrompt], *, field: float | None = None) -> list[CropAnswer]:
        """The different masks that clicks may mean; parameters as in `answer`.

        Returns
        -------
        list of CropAnswer
            The best first; one alone where the model, or a server, has no other.
        """
        around = bounds_of(p.bounds for p in prompts)
        base = FIELD_PIXELS if self.slide.mpp is None else FIELD_MICRONS / self.slide.mpp.mean
        crop = self._field_crop(around, base if field is None else field)
        on_crop = self.engine_on(crop)
        if isinstance(self.model, ModelElsewhere):
            return [self._predict(crop, prompts, None)]
        # A network, and with it torch, is on this machine only where the model is.
        from napari_sam2.engine.choices import choices
        from napari_sam2.engine.engine import Engine

        if not isinstance(on_crop, Engine):
            raise TypeError("a model on this machine has an engine on this machine")
        found = []
        for anchor in choices(on_crop, 0, crop.slice_prompts(prompts)):
            mask = anchor.mask.full((crop.rows, crop.cols))
            answer = CropAnswer(crop, mask, anchor.scores, crop.is_cut(mask, self.slide.shape), anchor)
            if answer.bounds is not None:
                found.append(self._grown(answer, prompts, around))
        return found

    def answer_from(self, geometry: Any) -> CropAnswer | None:
        """What `answer` would have given for an outline.

        In level-0 pixel corners, to be corrected; None if empty.

        Nothing is known of how the model saw it, so its scores are NaN.
        """
        if geometry.is_empty:
            return None
        col0, row0, col1, row1 = geometry.bounds
        crop = self._crop((row0, col0, row1, col1))
        mask = polygon_to_mask(geometry, crop.row, crop.col, (crop.rows, crop.cols), crop.scale)
        return CropAnswer(crop, mask, SliceScores(math.nan, math.nan), crop.is_cut(mask, self.slide.shape))

    def engine_on(self, crop: Crop, feature_budget: int = FEATURE_BUDGET) -> SliceEngine[Any, Any]:
        """The engine that sees one crop, with the features it has.

        New ones keep `feature_budget` bytes.
        """
        with self._lock:
            if crop in self._engines:
                self._engines.move_to_end(crop)
                return self._engines[crop]
            pixels = self.slide.read_scaled(crop.row, crop.col, crop.rows, crop.cols, crop.scale)
            volume = Volume(pixels[:, :, np.newaxis], np.eye(4), oriented=False, source=Source(self.slide.name))
            engine = self._engines[crop] = open_engine(volume, self.model, RGB, 2, feature_budget)
            self._keep_within_budget()
            return engine

    def forget(self, crop: Crop) -> None:
        """Let go of what is known of one crop."""
        with self._lock:
            self._engines.pop(crop, None)

    def _keep_within_budget(self) -> None:
        while len(self._engines) > 1 and (
            len(self._engines) > KEPT_CROPS or sum(map(_feature_bytes, self._engines.values())) > FEATURE_BUDGET
        ):
            self._engines.popitem(last=False)

    def _crop(self, bounds: Bounds) -> Crop:
        return crop_around(bounds, self.slide.shape, self.pixels)

    def _first(self, prompts: Sequence[SlidePrompt], known: Bounds, field: float | None) -> CropAnswer:
        if any(isinstance(p, SlideBox) for p in prompts):
            return self._predict(self._crop(known), prompts, None)
        if field is not None:
            return self._predict(self._field_crop(known, field), prompts, None)
        base = FIELD_PIXELS if self.slide.mpp is None else FIELD_MICRONS / self.slide.mpp.mean
        crops = dict.fromkeys(self._field_crop(known, base * step) for step in FIELD_STEPS)
        answers = [self._predict(crop, prompts, None) for crop in crops]
        complete = [a for a in answers if a.bounds is not None and not a.is_cut] or answers
        best = max(a.scores.predicted_iou for a in complete)
        # Among equals, the field that the object fills best: in the others the model saw little of it.
        return max((a for a in complete if a.scores.predicted_iou >= best - AS_GOOD), key=_fill)

    def _field_crop(self, known: Bounds, field: float) -> Crop:
        """A crop of `field` level-0 pixels around bare clicks, or larger when they lie farther apart."""
        row, col, half = (known[0] + known[2]) / 2, (known[1] + known[3]) / 2, field / 2
        around = (row - half, col - half, row + half, col + half)
        crop = crop_around(around, self.slide.shape, self.pixels, context=1.0)
        return crop if crop.contains(known) else self._crop(known)

    def _predict(self, crop: Crop, prompts: Sequence[SlidePrompt], previous: Answered | SliceMask | None) -> CropAnswer:
        engine = self.engine_on(crop)
        anchor = engine.predict(0, crop.slice_prompts(prompts), previous=previous)
        mask = anchor.mask.full((crop.rows, crop.cols))
        return CropAnswer(crop, mask, anchor.scores, crop.is_cut(mask, self.slide.shape), anchor)

    def _again(self, crop: Crop, prompts: Sequence[SlidePrompt], earlier: CropAnswer) -> CropAnswer:
        carried = SliceMask.of(crop.carry(earlier.mask, earlier.crop))
        return self._predict(crop, prompts, carried if carried.n_voxels else None)

    def _grown(self, answer: CropAnswer, prompts: Sequence[SlidePrompt], known: Bounds) -> CropAnswer:
        """Look at larger crops while the object reaches the border."""
        for _ in range(MAX_GROWTH):
            if not answer.is_cut or answer.bounds is None:
                break
            row0, col0, row1, col1 = bounds_of((known, answer.bounds))
            side = 2 * max(answer.crop.rows, answer.crop.cols) * answer.crop.scale
            row, col = (row0 + row1) / 2, (col0 + col1) / 2
            around = (row - side / 2, col - side / 2, row + side / 2, col + side / 2)
            crop = crop_around(around, self.slide.shape, self.pixels, context=1.0)
            if crop == answer.crop:
                break
            answer = self._again(crop, prompts, answer)
        return answer

    def _closer(self, answer: CropAnswer, prompts: Sequence[SlidePrompt], known: Bounds) -> CropAnswer:
        """Look closer at an object that is small on a reduced crop."""
        if answer.crop.scale == 1 or answer.bounds is None or answer.is_cut:
            return answer
        bounds = bounds_of((known, answer.bounds))
        longer = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
        if longer * SMALL > max(answer.crop.rows, answer.crop.cols) * answer.crop.scale:
            return answer
        closer = self._again(self._crop(bounds), prompts, answer)
        return answer if closer.bounds is None or closer.is_cut else closer


def _feature_bytes(engine: SliceEngine[Any, Any]) -> int:
    """Bytes of features here; an engine elsewhere keeps its own there."""
    features = getattr(engine, "features", None)
    return 0 if features is None else int(features.nbytes)


def _fill(answer: CropAnswer) -> float:
    """Longer side of the object over that of its crop."""
    if answer.bounds is None:
        return 0.0
    row0, col0, row1, col1 = answer.bounds
    return max(row1 - row0, col1 - col0) / (max(answer.crop.rows, answer.crop.cols) * answer.crop.scale)
