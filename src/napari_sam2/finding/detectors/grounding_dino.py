"""Grounding DINO: words to boxes, on the networks of transformers.

"Grounding DINO: Marrying DINO with grounded pre-training" (Liu et al., 2023), and MM Grounding DINO of the same build.
Pictures are prepared by transformers' own processor for PIL, which needs no torchvision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.finding.detectors.detector import Boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

__all__ = ["GroundingDino"]

LEAST_SCORE: Final = 0.25
"""Below it a box is none; that of transformers' ``post_process_grounded_object_detection``."""


class GroundingDino:
    """A Grounding DINO; see `napari_sam2.finding.detectors.detector.Detector`.

    Parameters
    ----------
    network : transformers.GroundingDinoForObjectDetection or MMGroundingDinoForObjectDetection
        In eval mode, on its device.
    tokenizer : transformers.BertTokenizer
        With the words of its text encoder.
    preparation : transformers.GroundingDinoImageProcessorPil
        As the checkpoint says.
    name, sha256 : str
        What people are told, and the hash of its weights.
    """

    def __init__(self, network: Any, tokenizer: Any, preparation: Any, name: str, sha256: str) -> None:
        self.network, self.name, self.sha256 = network, name, sha256
        self._tokenizer, self._preparation = tokenizer, preparation

    def look(self, picture: NDArray[np.uint8]) -> _View:
        """Prepare a picture; the network itself takes it together with words."""
        prepared = self._preparation(picture, input_data_format="channels_last", return_tensors="pt")
        return _View(self, prepared["pixel_values"], prepared["pixel_mask"], picture.shape[:2])

    def ask(self, pixels: torch.Tensor, mask: torch.Tensor, phrases: Sequence[str]) -> tuple[Any, list[list[int]]]:
        """What the network answers, and where each phrase stands in its text."""
        import torch

        device = self.network.device
        # A dot after each phrase: how it was trained (its processor, `_merge_candidate_labels_text`).
        text = self._tokenizer(" ".join(f"{phrase}." for phrase in phrases), return_tensors="pt")
        text = {key: value.to(device) for key, value in text.items()}
        with torch.inference_mode():
            answer = self.network(pixel_values=pixels.to(device), pixel_mask=mask.to(device), **text)
        return answer, _places(text["input_ids"][0].tolist(), self._tokenizer.convert_tokens_to_ids("."))


class _View:
    def __init__(self, dino: GroundingDino, pixels: torch.Tensor, mask: torch.Tensor, shape: tuple[int, ...]) -> None:
        self._dino, self._pixels, self._mask, self._shape = dino, pixels, mask, shape

    def boxes(self, phrases: Sequence[str]) -> list[Boxes]:
        """Boxes of each phrase; a score is the largest over its words, as in transformers."""
        answer, places = self._dino.ask(self._pixels, self._mask, phrases)
        said = answer.logits[0].float().sigmoid().cpu().numpy().astype(np.float64)
        col, row, cols, rows = answer.pred_boxes[0].float().cpu().numpy().astype(np.float64).T
        edges = np.stack([row - rows / 2, col - cols / 2, row + rows / 2, col + cols / 2], axis=-1)
        edges = edges.clip(0, 1) * np.tile(self._shape, 2)
        return [Boxes.sorted(edges, said[:, at].max(axis=-1), LEAST_SCORE) for at in places]


def _places(ids: list[int], dot: int) -> list[list[int]]:
    """Places of each phrase's words: between the mark of the start and dots."""
    places: list[list[int]] = [[]]
    for place, token in enumerate(ids[1:-1], start=1):
        if token == dot:
            places.append([])
        else:
            places[-1].append(place)
    return places[:-1]
