"""The small network behind the protocol that the engine drives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_sam2.errors import ModelError
from napari_sam2.models.base import Decoded, ModelCard, ViewPolicy
from napari_sam2.models.device_copy import copy_to
from napari_sam2.models.small.box_net import read_box_net
from napari_sam2.models.small.box_view import read_closely, seen_closer, seen_from_afar
from napari_sam2.models.small.boxed import refined_by_box
from napari_sam2.models.small.channels import PromptBatch, RememberedBatch, build_channels
from napari_sam2.models.small.fitting import Lesson, NetworkFit
from napari_sam2.models.small.flat import with_grain
from napari_sam2.models.small.net import NetOutput, Tokens
from napari_sam2.models.small.requests import (
    Memory,
    anchor_of,
    joined,
    last_of,
    mirrored,
    prompt_batch,
    remembered_batch,
    resized,
)
from napari_sam2.models.small.revisions import BOX_READER, BOXED, READ
from napari_sam2.models.small.weights import NEVER, SmallWeights, read_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.models.base import CloseBox, DecodeRequest, Features, MemoryRef, RememberRequest
    from napari_sam2.models.small.box_net import BoxNet

__all__ = [
    "BOXED",
    "BOX_NET_FILE",
    "BOX_READER",
    "BUNDLED_FILE",
    "BUNDLED_SHA256",
    "READ",
    "SmallModel",
    "bundled_weights",
    "load_bundled",
    "load_small",
]

#: The weights in the package, and the hash they must have.
BUNDLED_FILE = "small-1.safetensors"
BUNDLED_SHA256 = "11959d6b25dd59fcdd56aed61605fc7f55660eb34070e0297cbe10f6aa76c75f"
#: The second network, for boxed slices, and the hash that its file must have.
BOX_NET_FILE = f"{BOX_READER}.safetensors"
BOX_NET_SHA256 = "2e66a68d8ff2650d71b4db8bc00cb5ec27b7fde786dc44296058b54ac4af59bf"
#: Views decoded at once; more costs memory and gains nothing on a CPU.
BATCH = 16
#: Side of the view over that of the object. 2.2 was best or level with 2.0 for following, and better than 2.4,
#: 2.7 and 3.0, on held-out synthetic slabs and textures.
VIEW_FACTOR, FOLLOW_FACTOR = 2.2, 2.2
#: Rec. 601 weights of red, green and blue.
LUMA = (0.299, 0.587, 0.114)
#: Logit that stands for certainty where a person's mask is taken as it is.
CERTAIN = 10.0
#: Least object score where a person drew a box: it is there, however hard it is to see.
BOXED_SCORE = 0.1
#: Logit of what the close view of a box does not show.
BEYOND = -4.0


@dataclass(frozen=True, slots=True)
class _State:
    """What `SmallModel.decode` leaves for `remember` and `read_box`.

    Token features, (C, S / 8, S / 8), and the network's own logits, (S, S).
    """

    features: Tensor
    logits: Tensor


class SmallModel:
    """The small convolutional model.

    Parameters
    ----------
    weights : SmallWeights
        Network and weights.
    device : torch.device
        Where it runs.
    card : ModelCard, optional
        What it is called; by default the bundled model.
    boxed : bool
        Whether answers to a box are made to agree with it. The card's revision then ends with `BOXED`.
    box_net : BoxNet, optional
        The second network, which reads boxed slices.
    reads : bool
        Whether it does. The card's revision then ends with `READ`.
    """

    def __init__(
        self,
        weights: SmallWeights,
        device: torch.device | None = None,
        card: ModelCard | None = None,
        boxed: bool = True,
        box_net: BoxNet | None = None,
        reads: bool = True,
    ) -> None:
        self.device = device or torch.device("cpu")
        self._weights = weights
        self.net = weights.net.to(self.device)
        self.input_size = weights.input_size
        self.max_memories = 2
        self.view_policy = ViewPolicy(
            zoom=True, factor=VIEW_FACTOR, follow_factor=FOLLOW_FACTOR, dips=True, encodes=False
        )
        self.boxed = boxed
        self._box_net = None if box_net is None else box_net.to(self.device)
        self.reads = boxed and reads and box_net is not None
        known = card or ModelCard(
            name="bundled",
            kind="bundled",
            revision=weights.name,
            sha256=weights.sha256,
            license="Apache-2.0",
            summary="Small convolutional model trained on synthetic shapes and unlabelled textures.",
        )
        plain = known.revision.removesuffix(READ).removesuffix(BOXED)
        self.card = replace(known, revision=plain + (READ if self.reads else BOXED if boxed else ""))

    @property
    def weights(self) -> SmallWeights:
        """Network, sizes and name, as they were read."""
        return self._weights

    @property
    def one_thread(self) -> bool:
        """Whether one object is answered on one thread.

        On a CPU, where the network is too small for more.
        """
        return self.device.type == "cpu"

    @property
    def close_view(self) -> tuple[float, int] | None:
        """How closely boxed slices are read, see `napari_sam2.models.base.BoxReader`."""
        if not self.reads or self._box_net is None:
            return None
        return self._box_net.config.factor, self._box_net.config.size

    def on_cpu(self) -> SmallModel:
        """The same weights on the CPU; itself when it is there already."""
        if self.device.type == "cpu":
            return self
        cpu = torch.device("cpu")
        box_net = None if self._box_net is None else copy_to(self._box_net, cpu)
        return self.with_weights(replace(self._weights, net=copy_to(self.net, cpu)), box_net=box_net, device=cpu)

    def quick(self) -> SmallModel:
        """The same network, asked once instead of both ways round."""
        return self.with_weights(replace(self._weights, mirrored=NEVER))

    def at_revision(self, revision: str) -> SmallModel:
        """The same weights, answering boxes as they did at a revision."""
        reads = revision.endswith(READ)
        boxed = reads or revision.endswith(BOXED)
        if boxed == self.boxed and (reads and self._box_net is not None) == self.reads:
            return self
        return SmallModel(self._weights, self.device, self.card, boxed, self._box_net, reads)

    def with_weights(
        self, weights: SmallWeights, box_net: BoxNet | None = None, device: torch.device | None = None
    ) -> SmallModel:
        """The model with other weights, answering boxes the same way."""
        box_net = self._box_net if box_net is None else box_net
        return SmallModel(weights, device or self.device, self.card, self.boxed, box_net, self.reads)

    @torch.inference_mode()
    def read_box(self, answer: Decoded, seen: CloseBox) -> Decoded:
        """Read a boxed slice once more, from close by, see `napari_sam2.models.small.box_view`."""
        if not self.reads or self._box_net is None or not isinstance(answer.state, _State):
            return answer
        stack, box = seen.stack.to(self.device), seen.box.to(self.device)
        known = seen_closer(answer.state.logits, seen.shift, self.input_size, stack.shape[-1])
        logits = read_closely(self._box_net, stack, known, box, seen.voxels)
        if logits is None:
            return answer
        whole = seen_from_afar(logits, seen.shift, self.input_size, BEYOND)
        return replace(answer, logits=whole)

    def fit(self, lessons: Sequence[tuple[Features, Tensor]], seed: int) -> _SmallFit:
        """Begin a fit to one object; see `napari_sam2.models.small.fitting`."""
        passed = [Lesson(features[0], self._resized(mask)) for features, mask in lessons]
        return _SmallFit(self, NetworkFit(self.net, passed, seed))

    def encode(self, images: Tensor) -> list[Features]:
        """Keep the views in grey.

        The network itself needs the prompts, so it runs in `decode`.
        """
        size = self.input_size
        if images.dim() != 4 or images.shape[1] not in (1, 3) or images.shape[-2:] != (size, size):
            message = f"views must have shape (B, 1 or 3, {size}, {size}), got {tuple(images.shape)}"
            raise ModelError(message)
        images = images.to(self.device, torch.float32)
        if images.shape[1] == 3:
            weights = torch.tensor(LUMA, device=self.device)[:, None, None]
            images = (images * weights).sum(1, keepdim=True)
        return [(with_grain(view),) for view in images[:, 0].clamp(0, 1)]

    @torch.inference_mode()
    def decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        """One mask per request."""
        answers: list[Decoded] = []
        for start in range(0, len(requests), BATCH):
            answers.extend(self._decode(requests[start : start + BATCH]))
        return answers

    def remember(self, requests: Sequence[RememberRequest]) -> list[Memory]:
        """Keep image, mask and token features of decoded slices."""
        memories = []
        for request in requests:
            image, decoded = request.features[0], request.decoded
            mask = torch.sigmoid(self._resized(decoded.logits))
            if decoded.object_score <= 0:
                mask = torch.zeros_like(mask)
            state = decoded.state
            features = state.features if isinstance(state, _State) else self._features(image, mask)
            memories.append(Memory(image, mask, features))
        return memories

    def _decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        images = torch.stack([request.features[0] for request in requests])
        prompts = prompt_batch(requests, self.input_size, self.device)
        anchors = [anchor_of(request.memories) for request in requests]
        lasts = [last_of(request.memories) for request in requests]
        remembered = [self._remembered(refs) for refs in (anchors, lasts)]
        channels = self._channels(images, prompts, remembered[0][0], remembered[1][0])
        output = self._asked(channels, [tokens for _, tokens in remembered], [r.prompts is not None for r in requests])
        return [
            self._answer(
                request,
                output.logits[index],
                float(output.presence[index]),
                float(torch.sigmoid(output.iou[index])),
                _State(output.features[index], output.logits[index]),
            )
            for index, request in enumerate(requests)
        ]

    def _channels(self, images: Tensor, prompts: PromptBatch, anchor: RememberedBatch, last: RememberedBatch) -> Tensor:
        return build_channels(images, prompts, anchor, last, self.net.config.channels)

    def _asked(self, channels: Tensor, memories: list[Tokens], prompted: list[bool]) -> NetOutput:
        """The network's answer, once or both ways round; prompted slices can afford what carried ones cannot."""
        when = self._weights.mirrored
        if when != NEVER and (when == "always" or all(prompted)):
            return self._both_ways(channels, memories)
        output: NetOutput = self.net(channels, memories)
        return output

    def _both_ways(self, channels: Tensor, memories: list[Tokens]) -> NetOutput:
        """The mean of the answers to the views and to their mirror images; features of the views themselves.

        Both go through the network together: a convolution of two costs a fifth less than two of one.
        """
        count = len(channels)
        both = [joined(tokens, mirrored(tokens, self.input_size)) for tokens in memories]
        output = self.net(torch.cat([channels, channels.flip(-1)]), both)
        return NetOutput(
            (output.logits[:count] + output.logits[count:].flip(-1)) / 2,
            (output.iou[:count] + output.iou[count:]) / 2,
            (output.presence[:count] + output.presence[count:]) / 2,
            output.features[:count],
        )

    def _answer(
        self, request: DecodeRequest, logits: Tensor, object_score: float, predicted_iou: float, state: _State
    ) -> Decoded:
        """User input has priority: a lone mask is the answer, and a boxed object is there and fills its box."""
        prompts = request.prompts
        if prompts is not None and prompts.mask is not None and not len(prompts.points) and prompts.box is None:
            mask_logits = (self._resized(prompts.mask) - 0.5) * 2 * CERTAIN
            return Decoded(mask_logits, CERTAIN, 1.0, state)
        if prompts is not None and prompts.box is not None:
            object_score = max(object_score, BOXED_SCORE)
            if self.boxed and prompts.mask is None and request.previous is None and not len(prompts.points):
                logits = refined_by_box(logits, request.features[0], prompts.box)
        return Decoded(logits, object_score, predicted_iou, state)

    def _remembered(self, refs: Sequence[MemoryRef | None]) -> tuple[RememberedBatch, Tokens]:
        return remembered_batch(refs, self.input_size, self.net.config.widths[2], self.device)

    def _resized(self, values: Tensor) -> Tensor:
        return resized(values, self.input_size, self.device)

    @torch.inference_mode()
    def _features(self, image: Tensor, mask: Tensor) -> Tensor:
        """Token features of a slice that this model did not decode itself, such as an accepted one."""
        one = torch.ones(1, device=self.device)
        prompts = PromptBatch(
            torch.zeros(1, 4, device=self.device),
            torch.zeros(1, device=self.device),
            torch.zeros(1, 1, 2, device=self.device),
            torch.full((1, 1), -1, device=self.device),
            mask[None],
            one,
        )
        nothing = self._remembered([None])[0]
        channels = self._channels(image[None], prompts, nothing, nothing)
        features: Tensor = self.net(channels, []).features[0]
        return features


@dataclass(frozen=True, slots=True, eq=False)
class _SmallFit:
    """A fit under way, and what its model is made of."""

    unfitted: SmallModel
    learning: NetworkFit

    def step(self) -> None:
        self.learning.step()

    def model(self) -> SmallModel:
        model = self.unfitted
        return model.with_weights(replace(model.weights, net=self.learning.mixed()))


def load_small(path: Path, device: torch.device | None = None, sha256: str = "") -> SmallModel:
    """A small model from a weight file.

    For example one trained with ``napari-sam2 train``.
    """
    return SmallModel(read_weights(path, sha256), device)


def load_bundled(device: torch.device | None = None) -> SmallModel:
    """The small model whose weights come with the package.

    With its second network for boxed slices.
    """
    box_net = read_box_net(Path(__file__).parent / BOX_NET_FILE, BOX_NET_SHA256)
    return SmallModel(bundled_weights(), device, box_net=box_net)


def bundled_weights() -> SmallWeights:
    """The weights in the package, without the second network."""
    return read_weights(Path(__file__).parent.parent / "weights" / BUNDLED_FILE, BUNDLED_SHA256)
