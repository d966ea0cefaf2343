"""The protocol between the engine and any model behind it.

The engine decides *what* is asked (which slice, which view, which memories); a model answers. A model
sees only square views: `input_size` x `input_size` pixels cut from a slice, intensities in [0, 1].

Coordinates in a view are (x, y) = (column, row), with integers at pixel centres: pixel (0, 0) covers
-0.5 to 0.5. All tensors are float32 on the model's device unless a docstring says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from napari_sam2.models.seen import SeenChannels

__all__ = [
    "BoxReader",
    "CloseBox",
    "DecodeRequest",
    "Decoded",
    "DescribedModel",
    "Features",
    "FittableModel",
    "ManyMaskModel",
    "MemoryRef",
    "ModelCard",
    "ModelFit",
    "MovableModel",
    "QuickModel",
    "RememberRequest",
    "ResizableModel",
    "RevisedModel",
    "SegmentationModel",
    "ViewPolicy",
    "ViewPrompts",
    "ViewShift",
    "described_model",
    "viewing_of",
]

Features: TypeAlias = "tuple[Tensor, ...]"
"""What a model knows of one view: plain tensors, so that the engine can measure and keep them."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Who a model is, as written into every result.

    Attributes
    ----------
    name : str
        What the user types, for example ``"classical"`` or ``"facebook/sam2.1-hiera-tiny"``.
    kind : str
        Name of its family, see `napari_sam2.models.registry.FAMILIES`.
    revision : str
        Commit or version of the weights; empty when there is none.
    sha256 : str
        SHA-256 of the weight file; empty for a model without weights.
    license : str
        SPDX identifier of the weights' licence.
    summary : str
        One sentence: what it is and what it is good for.
    seen : SeenChannels, optional
        The channels that it was tuned on; None for a model of one image.
    """

    name: str
    kind: str
    revision: str = ""
    sha256: str = ""
    license: str = ""
    summary: str = ""
    seen: SeenChannels | None = None


@dataclass(frozen=True, slots=True)
class ViewPolicy:
    """Which square of the slice a model wants to look at.

    Attributes
    ----------
    zoom : bool
        False: the whole slice. True: a square around the object that follows it through the slices.
    factor : float
        Side of the zoomed square over the longer side of the object's bounding box.
    follow_factor : float
        The same while propagating, from the previous slice's mask.
    min_side : float
        Smallest side of a zoomed square, in voxels of the finer in-plane spacing.
    slack : float
        A zoomed square stays where it is, so that its features can be used again and memories lie on one
        grid, while the object is inside and the square that fits now is no more than this times larger or
        smaller. 1 follows every change.
    dips : bool
        Whether a fall and a rise of the predicted IoU mean that a run has left the object for a like neighbour, see
        `napari_sam2.engine.ending`.
    quality : str
        Name of the setting that it belongs to, for the record; empty where there is no choice.
    fit : bool
        Whether a view of the whole slice has no more pixels than its voxels can fill, see
        `napari_sam2.models.quality.fitted_size`. For models that can change their input size.
    encodes : bool
        Whether features cost more than reading them from a disk. False for a model whose features are the view.
    """

    zoom: bool
    factor: float = 2.2
    follow_factor: float = 2.4
    min_side: float = 16.0
    slack: float = 1.0
    dips: bool = False
    fit: bool = False
    quality: str = ""
    encodes: bool = True


@dataclass(frozen=True, slots=True)
class ViewPrompts:
    """The prompts of one object on one slice, in view coordinates.

    Attributes
    ----------
    points : Tensor, (N, 2)
        (x, y) of the clicks.
    positive : Tensor, (N,) bool
        True includes, False excludes.
    box : Tensor, (4,), optional
        x0, y0, x1, y1 of the box's *outer edges*; a box around pixel 3 alone is 2.5 to 3.5.
    mask : Tensor, (S, S), optional
        A mask given by the user, as coverage in [0, 1].
    """

    points: Tensor
    positive: Tensor
    box: Tensor | None = None
    mask: Tensor | None = None


@dataclass(frozen=True, slots=True)
class ViewShift:
    """Where pixel (x, y) of one view lies in another.

    At ``(scale * x + dx, scale * y + dy)``.
    """

    scale: float = 1.0
    dx: float = 0.0
    dy: float = 0.0


@dataclass(frozen=True, slots=True)
class Decoded:
    """A model's answer for one object in one view.

    Attributes
    ----------
    logits : Tensor, (h, w)
        Mask logits over the whole view, at the resolution of the answer (h = w); > 0 is inside.
    object_score : float
        Logit that the object is present in the view at all.
    predicted_iou : float
        The model's own estimate of the IoU of this mask, 0 to 1.
    state : Any
        Whatever the model wants back in `remember` and in a later `DecodeRequest.previous`.
    """

    logits: Tensor
    object_score: float
    predicted_iou: float
    state: Any = None


@dataclass(frozen=True, slots=True)
class MemoryRef:
    """One remembered slice, as seen from the slice being decoded.

    Attributes
    ----------
    memory : Any
        What `SegmentationModel.remember` returned.
    offset : int
        Slice index of the memory minus the index of the slice being decoded, counted along the
        propagation: -1 is the slice just passed.
    prompted : bool
        True for a slice that a person prompted or accepted (a conditioning memory).
    shift : ViewShift
        From a pixel of the current view to the pixel of the memory's view at the same place.
    """

    memory: Any
    offset: int
    prompted: bool
    shift: ViewShift = field(default_factory=ViewShift)


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """A request for one mask: features, prompts and memories.

    ``memories`` is sorted: prompted slices first (nearest first), then tracked slices (nearest first).
    ``previous`` is the last answer on this very slice and view, when a click corrects it (its ``state`` is
    None when it comes from a mask rather than from the model). ``n_slices`` counts the whole volume's slices.
    """

    features: Features
    prompts: ViewPrompts | None = None
    memories: tuple[MemoryRef, ...] = ()
    previous: Decoded | None = None
    n_slices: int = 1


@dataclass(frozen=True, slots=True)
class CloseBox:
    """A boxed slice seen closer than in the model's own view.

    Attributes
    ----------
    stack : Tensor, (3, N, N)
        The slice before, the boxed slice and the one after, in [0, 1], grey; at either end of a volume the boxed slice
        takes the place of what is missing.
    box : Tensor, (4,)
        Outer edges x0, y0, x1, y1 in pixels of the close view.
    shift : ViewShift
        From a pixel of the close view to the pixel of the model's own view at the same place.
    voxels : float
        Voxels of the slice along a pixel of the close view.
    """

    stack: Tensor
    box: Tensor
    shift: ViewShift
    voxels: float


@dataclass(frozen=True, slots=True)
class RememberRequest:
    """A decoded slice to be turned into a memory.

    ``prompted`` as in `MemoryRef`.
    """

    features: Features
    decoded: Decoded
    prompted: bool


@runtime_checkable
class ResizableModel(Protocol):
    """A model whose weights answer at several input sizes."""

    def at_size(self, size: int) -> SegmentationModel:
        """The same weights, looking at views of `size` pixels."""
        ...


class ModelFit(Protocol):
    """A fit of a model to one object, under way.

    The model itself stays as it is.
    """

    def step(self) -> None:
        """Learn a little more; about a tenth of a second."""
        ...

    def model(self) -> SegmentationModel:
        """The model that knows the object, as far as it has learned.

        It sees, and remembers, as the first one does.
        """
        ...


@runtime_checkable
class FittableModel(Protocol):
    """A model that can be fitted to one object."""

    def fit(self, lessons: Sequence[tuple[Features, Tensor]], seed: int) -> ModelFit:
        """Begin a fit.

        Parameters
        ----------
        lessons : sequence of (Features, Tensor)
            Views of slices that a person answered for, each with the object's mask in the view, (S, S), 0 to 1.
        seed : int
            The same lessons, seed and number of steps give the same model.
        """
        ...


@runtime_checkable
class OneThreadModel(Protocol):
    """A model that answers one object on one thread.

    See `napari_sam2.engine.side_by_side`.
    """

    @property
    def one_thread(self) -> bool:
        """Whether it does, where it runs now."""
        ...


@runtime_checkable
class ManyMaskModel(Protocol):
    """A model that has several masks for one click."""

    def decode_all(self, requests: Sequence[DecodeRequest]) -> list[list[Decoded]]:
        """Every mask for each request.

        One where the prompts are not ambiguous.
        """
        ...


@runtime_checkable
class MovableModel(Protocol):
    """A model that can go on on the CPU.

    For when its device has no memory left.
    """

    device: torch.device
    card: ModelCard

    def on_cpu(self) -> SegmentationModel:
        """The same weights on the CPU.

        Itself when it is there already; this model stays as it is.
        """
        ...


@runtime_checkable
class QuickModel(Protocol):
    """A model that can answer faster, and a little less surely."""

    def quick(self) -> SegmentationModel:
        """The same weights, asked the quick way.

        For what is only looked at; this model stays as it is.
        """
        ...


@runtime_checkable
class RevisedModel(Protocol):
    """A model that can answer as an earlier revision."""

    card: ModelCard

    def at_revision(self, revision: str) -> SegmentationModel:
        """The model as it was; itself where nothing has changed since."""
        ...


@runtime_checkable
class BoxReader(Protocol):
    """A model that looks at boxed slices once more.

    Closer, with their neighbours, and only where the box is the only prompt.
    """

    close_view: tuple[float, int] | None
    """Side of the close view over the longer side of the box, and in pixels; None where nothing is looked at again."""

    def read_box(self, answer: Decoded, seen: CloseBox) -> Decoded:
        """A better answer than the first one."""
        ...


class DescribedModel(Protocol):
    """What a record says of a model, wherever it runs."""

    card: ModelCard
    view_policy: ViewPolicy
    input_size: int
    device: Any


@runtime_checkable
class SegmentationModel(Protocol):
    """The protocol of a model; lists keep their order.

    Attributes
    ----------
    input_size : int
        S, the side of the square views in pixels.
    max_memories : int
        How many tracked (not prompted) slices are worth keeping for `DecodeRequest.memories`.
    """

    card: ModelCard
    view_policy: ViewPolicy
    input_size: int
    max_memories: int
    device: torch.device

    def encode(self, images: Tensor) -> list[Features]:
        """Features of views.

        The expensive step, done once per view and kept by the engine.

        Parameters
        ----------
        images : Tensor, (B, C, S, S)
            Intensities in [0, 1]; C is 1 for grey, 3 for RGB.
        """
        ...

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        """One mask per request; the cheap step."""
        ...

    def remember(self, requests: Sequence[RememberRequest]) -> list[Any]:
        """Memories of decoded slices."""
        ...


def viewing_of(model: DescribedModel) -> dict[str, str]:
    """How a model looks at slices: quality, size, views, precision."""
    policy = model.view_policy
    return {
        "quality": policy.quality,
        "input_size": str(model.input_size),
        "views": "around the object" if policy.zoom else "whole slice",
        "precision": str(getattr(model, "dtype", "torch.float32")).removeprefix("torch."),
    }


def described_model(model: DescribedModel) -> dict[str, str]:
    """What a journal says of a model.

    Which one it is, and how it looks at slices.
    """
    card = model.card
    return {"name": card.name, "revision": card.revision, "sha256": card.sha256, **viewing_of(model)}
