"""RepViT, the image encoder of EdgeTAM.

Its weights have the names of transformers' checkpoints.

transformers takes this encoder from timm, which needs torchvision; neither is needed here. Source of the
architecture: Wang et al., "RepViT: Revisiting mobile CNN from ViT perspective", CVPR 2024; numbers equal
those of timm's ``repvit_m1`` with the same weights.

For inference, normalisation and the parallel branches of a block become part of one convolution each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["M1_DEPTHS", "M1_WIDTHS", "RepVit", "RepVitBackbone", "RepVitConfig", "fold"]

M1_WIDTHS: Final = (48, 96, 192, 384)
M1_DEPTHS: Final = (2, 2, 14, 2)
"""Channels and blocks per stage of RepViT-M1, the only one that EdgeTAM comes with."""

SQUEEZED_SHARE: Final = 0.25
DIVISOR: Final = 8
"""Channels inside a squeeze-and-excite layer: this share, rounded to a multiple of `DIVISOR`."""


class RepVit(nn.Module):
    """Image encoder with four maps, at strides 4, 8, 16, 32.

    Images are (B, 3, H, W).

    Parameters
    ----------
    widths : sequence of int
        Channels of the four stages.
    depths : sequence of int
        Blocks of the four stages.
    """

    def __init__(self, widths: tuple[int, ...] = M1_WIDTHS, depths: tuple[int, ...] = M1_DEPTHS) -> None:
        super().__init__()
        self.stem = _Stem(widths[0])
        for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            before = widths[number - 1] if number else None
            self.add_module(f"stages_{number}", _Stage(before, width, depth))
        self.n_stages = len(widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps from fine to coarse."""
        x = self.stem(images)
        stages = []
        for number in range(self.n_stages):
            x = self.get_submodule(f"stages_{number}")(x)
            stages.append(x)
        return stages


class RepVitConfig(PreTrainedConfig):  # type: ignore[misc]
    """Configuration of `RepVitBackbone`: ``widths`` and ``depths`` as `RepVit` takes them."""

    model_type = "napari_sam2_repvit"
    widths: tuple[int, ...] | list[int] = M1_WIDTHS
    depths: tuple[int, ...] | list[int] = M1_DEPTHS


class RepVitBackbone(PreTrainedModel):  # type: ignore[misc]
    """`RepVit` where transformers' EdgeTAM expects its wrapper of timm.

    Its weights have the same names.
    """

    config_class = RepVitConfig
    main_input_name = "pixel_values"

    def __init__(self, config: RepVitConfig) -> None:
        super().__init__(config)
        self.timm_model = RepVit(tuple(config.widths), tuple(config.depths))
        self.post_init()

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutput:
        """Maps from fine to coarse.

        They stand in the place of the last hidden state.
        """
        return BaseModelOutput(last_hidden_state=self.timm_model(pixel_values))


AutoConfig.register(RepVitConfig.model_type, RepVitConfig)
AutoModel.register(RepVitConfig, RepVitBackbone)


class _ConvNorm(nn.Module):
    """A convolution without bias, then normalisation."""

    def __init__(self, width: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(width, out, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.bn(self.c(x))
        return normed

    def folded(self) -> nn.Conv2d:
        """The same as one convolution."""
        return fuse_conv_bn_eval(self.c, self.bn)


class _Stem(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(3, width // 2, 3, stride=2)
        self.conv2 = _ConvNorm(width // 2, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(F.gelu(self.conv1(x)))
        return out


class _TokenMixer(nn.Module):
    """Three branches over each channel alone: 3 x 3, 1 x 1, and nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = _ConvNorm(width, width, 3, groups=width)
        self.conv1 = _ConvNorm(width, width, 1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.conv(x) + self.conv1(x) + x
        return mixed

    def folded(self) -> nn.Conv2d:
        """The same as one convolution."""
        large, small = self.conv.folded(), self.conv1.folded()
        if large.bias is None or small.bias is None:
            raise TypeError("A folded convolution has a bias.")
        with torch.no_grad():
            large.weight[:, :, 1, 1] += small.weight[:, :, 0, 0] + 1
            large.bias += small.bias
        return large


class _SqueezeExcite(nn.Module):
    """Channels weighted by what the whole map holds."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inside = max(DIVISOR, int(width * SQUEEZED_SHARE + DIVISOR / 2) // DIVISOR * DIVISOR)
        self.fc1 = nn.Conv2d(width, inside, 1)
        self.fc2 = nn.Conv2d(inside, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))).sigmoid()
        return x * weights


class _ChannelMixer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(width, 2 * width)
        self.conv2 = _ConvNorm(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.conv2(F.gelu(self.conv1(x)))
        return x + mixed


class _Block(nn.Module):
    def __init__(self, width: int, *, excite: bool) -> None:
        super().__init__()
        self.token_mixer = _TokenMixer(width)
        self.se = _SqueezeExcite(width) if excite else nn.Identity()
        self.channel_mixer = _ChannelMixer(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.channel_mixer(self.se(self.token_mixer(x)))
        return out


class _Downsample(nn.Module):
    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.pre_block = _Block(before, excite=False)
        self.spatial_downsample = _ConvNorm(before, before, 3, stride=2, groups=before)
        self.channel_downsample = _ConvNorm(before, width)
        self.ffn = _ChannelMixer(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.ffn(self.channel_downsample(self.spatial_downsample(self.pre_block(x))))
        return out


class _Stage(nn.Module):
    def __init__(self, before: int | None, width: int, depth: int) -> None:
        super().__init__()
        self.downsample = nn.Identity() if before is None else _Downsample(before, width)
        self.blocks = nn.Sequential(*(_Block(width, excite=number % 2 == 0) for number in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(self.downsample(x))
        return out


def fold(network: nn.Module) -> None:
    """Let every normalised convolution and token mixer be one.

    The network is good for inference only afterwards.
    """
    for name, module in network.named_children():
        if isinstance(module, (_ConvNorm, _TokenMixer)):
            setattr(network, name, module.folded())
        else:
            fold(module)
