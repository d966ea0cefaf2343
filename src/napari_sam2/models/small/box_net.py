"""The second network for a boxed slice.

It sees the inside of the box larger.

The model looks at a view in which the box takes less than half of the side, and answers every kind of prompt on every
slice. This network answers one question only: what in this box is the object? Its view is closer, it sees the two
neighbouring slices, and it begins with the model's answer after the rule of `napari_sam2.models.small.boxed`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from napari_sam2.errors import ModelError
from napari_sam2.hashing import sha256_of
from napari_sam2.models.small.blocks import GROUPS, Block, down, norm
from napari_sam2.models.small.weights import order_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "CHANNELS",
    "FORMAT",
    "BoxNet",
    "BoxNetConfig",
    "Place",
    "read_box_net",
    "write_box_net",
]

#: Written into every file.
FORMAT = "napari-sam2-boxed-1"
#: Logits are divided by this before they become channels.
LOGIT_SCALE = 4.0
#: Planes of the last layers that come from the U-Net.
FINE = 8
#: Sizes that a file may ask for.
VIEW_SIZES, MOST_WIDE = range(32, 257, 16), 512


class Place:
    """Index of each channel.

    The first three are the slice before, the boxed slice and the one after.
    """

    IMAGE = 1
    EQUALISED = 3
    ONCE = 4
    THRICE = 5
    ANSWER = 6
    BEFORE = 7
    DISTANCE = 8
    ACROSS = 9
    DOWN = 10
    PIXEL = 11


#: Number of channels, and those that the last layers see once more.
CHANNELS = 12
SEEN_AGAIN = (Place.IMAGE, Place.ONCE, Place.BEFORE, Place.DISTANCE)


@dataclass(frozen=True, slots=True)
class BoxNetConfig:
    """Sizes of the network.

    Attributes
    ----------
    size : int
        Side of the view, in pixels; a multiple of 16.
    factor : float
        Side of the view over the longer side of the box.
    widths : tuple of int
        Channels at 1/2, 1/4, 1/8 and 1/16 of the view's side.
    neighbours : bool
        Whether the two neighbouring slices are seen; otherwise the slice itself takes their place.
    """

    size: int = 96
    factor: float = 1.6
    widths: tuple[int, int, int, int] = (32, 64, 96, 128)
    neighbours: bool = True

    def __post_init__(self) -> None:
        """Refuse sizes that no network of this kind can have."""
        if self.size not in VIEW_SIZES or not 1.2 <= self.factor <= 3.0:
            raise ModelError(f"a boxed view of {self.size} pixels and {self.factor} times the box is out of range")
        if len(self.widths) != 4 or any(w < GROUPS or w % GROUPS or w > MOST_WIDE for w in self.widths):
            raise ModelError(f"widths must be four multiples of {GROUPS} up to {MOST_WIDE}, got {self.widths}")

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BoxNetConfig:
        """From plain values.

        Raises
        ------
        ModelError
            If a value is missing, unknown or out of range.
        """
        try:
            a, b, c, d = (int(width) for width in values["widths"])
            sizes = {**values, "widths": (a, b, c, d), "size": int(values["size"]), "factor": float(values["factor"])}
            return cls(**sizes)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the sizes of a boxed network cannot be read: {error!r}") from error


class BoxNet(nn.Module):
    """U-Net whose answer is added to the one that there was."""

    def __init__(self, config: BoxNetConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c, d = config.widths
        self.stem = nn.Sequential(nn.Conv2d(CHANNELS, a, 4, 2, 1, bias=False), norm(a), nn.SiLU())
        self.encode = nn.ModuleList([Block(a), Block(b), Block(c), nn.Sequential(Block(d), Block(d))])
        self.down = nn.ModuleList([down(a, b), down(b, c), down(c, d)])
        self.lateral = nn.ModuleList([nn.Conv2d(b, a, 1), nn.Conv2d(c, b, 1), nn.Conv2d(d, c, 1)])
        self.decode = nn.ModuleList([Block(a), Block(b), Block(c)])
        self.planes = nn.Conv2d(a, 4 * FINE, 3, padding=1)
        last = nn.Conv2d(2 * FINE, 1, 3, padding=1)
        self.fine = nn.Sequential(nn.Conv2d(FINE + len(SEEN_AGAIN), 2 * FINE, 3, padding=1), nn.SiLU(), last)
        # It begins as the answer that there was.
        for values in last.parameters():
            nn.init.zeros_(values)

    def forward(self, channels: Tensor, before: Tensor) -> Tensor:
        """Logits of the object, (B, S, S).

        From channels (B, C, S, S) and the logits before (B, S, S).
        """
        half = self.encode[0](self.stem(channels))
        quarter = self.encode[1](self.down[0](half))
        eighth = self.encode[2](self.down[1](quarter))
        bottom = self.encode[3](self.down[2](eighth))
        up = self.decode[2](eighth + _upsample(self.lateral[2](bottom)))
        up = self.decode[1](quarter + _upsample(self.lateral[1](up)))
        up = self.decode[0](half + _upsample(self.lateral[0](up)))
        planes = functional.pixel_shuffle(self.planes(up), 2)
        answer: Tensor = self.fine(torch.cat([planes, channels[:, list(SEEN_AGAIN)].to(planes.dtype)], 1))[:, 0].float()
        return answer + before.clamp(-LOGIT_SCALE, LOGIT_SCALE)


def read_box_net(path: Path, sha256: str = "") -> BoxNet:
    """Read the network of a file.

    Parameters
    ----------
    path : Path
        A safetensors file, half precision.
    sha256 : str
        The hash that the file must have; empty accepts any.

    Raises
    ------
    ModelError
        If the file is missing, damaged, another file than expected, or not of this kind.
    """
    if not path.is_file():
        raise ModelError(f"the weight file {path.name} is not there; reinstall the package")
    if sha256 and sha256_of(path) != sha256:
        raise ModelError(f"{path.name} is not the expected file; reinstall the package")
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            tensors = {key: stored.get_tensor(key).float() for key in stored.keys()}  # noqa: SIM118
        if metadata.get("format") != FORMAT:
            raise ModelError(f"{path.name} holds {metadata.get('format', 'no format')!r}, expected {FORMAT!r}")
        net = BoxNet(BoxNetConfig.from_dict(json.loads(metadata["config"])))
        net.load_state_dict(tensors, strict=True)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path.name} is damaged or of another kind: {error}") from error
    return net.eval()


def write_box_net(path: Path, weights: Mapping[str, Tensor], config: BoxNetConfig) -> None:
    """Write weights in half precision, as `read_box_net` reads them."""
    tensors = {name: values.to(torch.float16).contiguous() for name, values in weights.items()}
    save_file(tensors, path, metadata={"format": FORMAT, "config": config.to_json()})
    order_metadata(path)


def _upsample(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
