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
from napari_sam2.models.small.boxed import agreed_with_box, refined_by_box
from napari_sam2.models.small.channels import box_statistics
from napari_sam2.models.small.weights import order_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_sam2.models.base import ViewShift

__all__ = [
    "CHANNELS",
    "FORMAT",
    "BoxNet",
    "BoxNetConfig",
    "Place",
    "box_channels",
    "read_box_net",
    "read_boxes",
    "seen_closer",
    "seen_from_afar",
    "write_box_net",
]

#: Written into every file.
FORMAT = "napari-sam2-boxed-1"
#: Logits are divided by this before they become channels.
LOGIT_SCALE = 4.0
#: Added to the network's logits: it was trained on objects with holes and thin ones as well, and where it is in doubt
#: an object that a person boxes is rather larger. Chosen on sections that nothing was trained on.
LIFT = 0.6
#: Share of the box's longer side around it, whose intensities count for the scale of the image's channels.
RING = 0.15
#: Spread below which all is noise.
FLOOR = 0.01
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


def box_channels(stack: Tensor, logits: Tensor, boxes: Tensor, voxels: Tensor) -> tuple[Tensor, Tensor]:
    """What the network sees of B boxed views.

    Parameters
    ----------
    stack : Tensor, (B, 3, S, S)
        The slice before, the boxed slice and the one after, in [0, 1].
    logits : Tensor, (B, S, S)
        The model's answer in this view.
    boxes : Tensor, (B, 4)
        Outer edges x0, y0, x1, y1 in pixels of the view.
    voxels : Tensor, (B,)
        Voxels of the slice along a pixel of the view.

    Returns
    -------
    channels : Tensor, (B, `CHANNELS`, S, S)
    before : Tensor, (B, S, S)
        The model's answer, made to agree with the box.
    """
    image = stack[:, 1]
    before = torch.stack([refined_by_box(one, seen, box) for one, seen, box in zip(logits, image, boxes, strict=True)])
    equalised, once, thrice = box_statistics(image, boxes)
    across, down_, distance, near = _places(boxes, image.shape[-1])
    weight = near / near.sum((1, 2), keepdim=True).clamp(min=1e-6)
    mean = (image * weight).sum((1, 2), keepdim=True)
    spread = ((image - mean) ** 2 * weight).sum((1, 2), keepdim=True).sqrt()
    slices = torch.tanh((stack - mean[:, None]) / (2 * spread[:, None] + FLOOR))
    pixel = (torch.log2(voxels.clamp(min=1e-3)) / 3).clamp(-1, 1)[:, None, None].expand_as(image)
    known = [torch.tanh(values / LOGIT_SCALE) for values in (logits, before)]
    others = [equalised - 0.5, once, thrice, known[0], known[1], distance, across, down_, pixel]
    return torch.cat([slices, torch.stack(others, 1)], 1), before


def read_boxes(net: BoxNet, stack: Tensor, logits: Tensor, boxes: Tensor, voxels: Tensor) -> Tensor:
    """The network's answer to B boxed views; arguments as for `box_channels`.

    Returns
    -------
    Tensor, (B, S, S)
        Logits, made to agree with the box.
    """
    answers = net(*box_channels(stack, logits, boxes, voxels)) + LIFT
    return torch.stack([agreed_with_box(one, box) for one, box in zip(answers, boxes, strict=True)])


def seen_closer(values: Tensor, shift: ViewShift, own: int, size: int) -> Tensor:
    """A view's values as seen in a closer view, (size, size).

    Parameters
    ----------
    values : Tensor, (h, h)
        Over the whole of a view of ``own`` pixels.
    shift : ViewShift
        From a pixel of the closer view to one of that view.
    own, size : int
        Sides of both, in pixels.
    """
    scale, x, y = _relation(shift, own, size)
    return _sampled(values, scale, x, y, size, "border")


def seen_from_afar(values: Tensor, shift: ViewShift, own: int, around: float) -> Tensor:
    """A closer view's values as seen in the whole view.

    In pixels as fine as those of the closer view.

    Parameters
    ----------
    values : Tensor, (n, n)
        In the closer view.
    shift, own
        As for `seen_closer`.
    around : float
        Value of what the closer view does not show.
    """
    scale, x, y = _relation(shift, own, values.shape[-1])
    side = max(own, round(values.shape[-1] / scale))
    return _sampled(values - around, 1 / scale, -x / scale, -y / scale, side, "zeros") + around


def _relation(shift: ViewShift, own: int, size: int) -> tuple[float, float, float]:
    """Share of the whole view's side that the closer view takes, and where it begins, x and y, over that side."""
    begins = [(offset + 0.5 - 0.5 * shift.scale) / own for offset in (shift.dx, shift.dy)]
    return shift.scale * size / own, begins[0], begins[1]


def _sampled(values: Tensor, scale: float, x: float, y: float, side: int, padding: str) -> Tensor:
    # A place t of the result, in [0, 1], lies at scale * t + x (or y); grid_sample counts from -1 to 1.
    theta = torch.tensor([[scale, 0, scale + 2 * x - 1], [0, scale, scale + 2 * y - 1]], device=values.device)
    grid = functional.affine_grid(theta[None], [1, 1, side, side], align_corners=False)
    return functional.grid_sample(values.float()[None, None], grid, padding_mode=padding, align_corners=False)[0, 0]


def _places(boxes: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distance from the middle across and down, signed distance to the nearest side, the box with a ring around it."""
    axis = torch.arange(side, dtype=torch.float32, device=boxes.device)
    x0, y0, x1, y1 = (boxes[:, k, None] for k in range(4))
    longer = RING * torch.maximum(x1 - x0, y1 - y0)
    u = (axis - (x0 + x1) / 2).abs() / ((x1 - x0) / 2).clamp(min=0.5)
    v = (axis - (y0 + y1) / 2).abs() / ((y1 - y0) / 2).clamp(min=0.5)
    across, down_ = (2 * torch.tanh(u / 2))[:, None, :], (2 * torch.tanh(v / 2))[:, :, None]
    in_x, in_y = torch.minimum(axis - x0, x1 - axis), torch.minimum(axis - y0, y1 - axis)
    inside = torch.minimum(in_y[:, :, None], in_x[:, None, :])
    shorter = (torch.minimum(x1 - x0, y1 - y0) / 2).clamp(min=1)[:, :, None]
    near = (in_y > -longer)[:, :, None] & (in_x > -longer)[:, None, :]
    whole = torch.zeros_like(inside)
    return across + whole, down_ + whole, (inside / shorter).clamp(-1, 1), near.float()


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
