"""The text detector of SAM 3, on the network of transformers.

"SAM 3: Segment anything with concepts" (2025). Its image processor in transformers needs torchvision; `prepared` does
the same arithmetic with torch alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.finding.detectors.detector import Boxes
from napari_sam2.models.sam3.adapter import IMAGE_MEAN, IMAGE_STD

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

__all__ = ["Sam3Detector", "prepared"]

LEAST_SCORE: Final = 0.3
"""Below it a box is none; that of transformers' ``post_process_object_detection``."""

WORDS: Final = 32
"""Places of its text encoder, all filled, as in transformers' ``Sam3Processor``."""


class Sam3Detector:
    """The detector of a SAM 3; see `napari_sam2.finding.detectors.detector.Detector`.

    Parameters
    ----------
    network : transformers.Sam3Model
        In eval mode, on its device.
    tokenizer : transformers.CLIPTokenizer
        With the words of its text encoder.
    name, sha256 : str
        What people are told, and the hash of its weights.
    """

    def __init__(self, network: Any, tokenizer: Any, name: str, sha256: str) -> None:
        self.network, self.name, self.sha256 = network, name, sha256
        self._tokenizer = tokenizer

    def look(self, picture: NDArray[np.uint8]) -> _View:
        """Encode a picture once, for all words."""
        import torch

        pixels = prepared(picture, self.network.config.vision_config.image_size)
        with torch.inference_mode():
            seen = self.network.get_vision_features(pixels.to(self.network.device))
        return _View(self, seen, picture.shape[:2])

    def ask(self, seen: Any, phrase: str) -> Any:
        """What the network answers for one phrase about an encoded picture."""
        import torch

        text = self._tokenizer(phrase, return_tensors="pt", padding="max_length", max_length=WORDS, truncation=True)
        with torch.inference_mode():
            return self.network(
                vision_embeds=seen,
                input_ids=text["input_ids"].to(self.network.device),
                attention_mask=text["attention_mask"].to(self.network.device),
            )


class _View:
    def __init__(self, detector: Sam3Detector, seen: Any, shape: tuple[int, ...]) -> None:
        self._detector, self._seen, self._shape = detector, seen, shape

    def boxes(self, phrases: Sequence[str]) -> list[Boxes]:
        """Boxes of each phrase; a score is that of the box times that the phrase is there at all."""
        return [self._of(self._detector.ask(self._seen, phrase)) for phrase in phrases]

    def _of(self, answer: Any) -> Boxes:
        scores = (answer.pred_logits.float().sigmoid() * answer.presence_logits.float().sigmoid())[0]
        edges = answer.pred_boxes[0].float().cpu().numpy().astype(np.float64)[:, [1, 0, 3, 2]]
        edges = edges.clip(0, 1) * np.tile(self._shape, 2)
        return Boxes.sorted(edges, scores.cpu().numpy().astype(np.float64), LEAST_SCORE)


def prepared(picture: NDArray[np.uint8], size: int) -> torch.Tensor:
    """A picture (rows, columns, 3) as SAM 3 takes it.

    That is (1, 3, size, size) in float32: drawn to a square in eight bits, as in training, then scaled to -1 to 1. The
    arithmetic is that of transformers' ``Sam3ImageProcessor`` with torchvision 0.28, which resizes by the same function
    of torch.
    """
    import torch

    pixels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    if pixels.shape[-2:] != (size, size):
        pixels = torch.nn.functional.interpolate(
            pixels, (size, size), mode="bilinear", align_corners=False, antialias=True
        )
    return (pixels.float() - 255 * IMAGE_MEAN) / (255 * IMAGE_STD)
