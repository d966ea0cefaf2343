"""SAM 2's image encoder: Hiera with a feature pyramid.

The numbers equal those of ``Sam2VisionModel`` up to rounding. What is constant is computed once: position
embeddings, the normalisation of intensities, which becomes part of the first layer (one channel for grey
images), and pairs of linear layers without anything between. Padding tokens go through no linear layer,
and a token-wise product over heads that transformers 5.23 computes and throws away is left out.

Source of the architecture: Ryali et al., "Hiera", ICML 2023; Bolya et al., "Window attention is bugged",
ICLR 2024, for the position embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)

from napari_sam2.models.sam2.kernels import Linear, attend, feed_forward, in_one

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["IMAGE_MEAN", "IMAGE_STD", "Encoder", "Neck", "supports", "supports_neck"]

IMAGE_MEAN: Final = (0.485, 0.456, 0.406)
IMAGE_STD: Final = (0.229, 0.224, 0.225)
"""ImageNet's statistics, with which SAM 2 was trained."""


def supports(vision_encoder: Any) -> bool:
    """Whether a vision encoder is built as `Encoder` expects it."""
    config = vision_encoder.config
    backbone: Any = getattr(config, "backbone_config", None)
    return (
        getattr(backbone, "model_type", "") == "sam2_hiera_det_model"
        and backbone.hidden_act == "gelu"
        and tuple(backbone.query_stride) == (2, 2)
        and supports_neck(config)
    )


def supports_neck(config: Any) -> bool:
    """Whether a vision encoder's feature pyramid is built as `Neck` expects it."""
    return bool(
        config.fpn_kernel_size == 1
        and config.fpn_stride == 1
        and config.fpn_padding == 0
        and sorted(config.fpn_top_down_levels) == [2, 3]
        and config.num_feature_levels == 3
    )


TOKENS_IN_CACHE: Final = 8192
"""Tokens that go through a block with windows at a time on a CPU."""


class Encoder:
    """Images in, three feature maps out.

    Parameters
    ----------
    vision_encoder : transformers.Sam2VisionModel
        Whose weights are used.
    decoder : transformers.Sam2VideoMaskDecoder
        Its projections of the two finer maps belong to the encoder, since they depend on the image only.
    size : int
        Side of the images in pixels.
    dtype : torch.dtype
        In which numbers are multiplied on a CPU, see `napari_sam2.models.sam2.kernels.Linear`.
    """

    def __init__(self, vision_encoder: Any, decoder: Any, size: int, dtype: torch.dtype = torch.float32) -> None:
        backbone, neck = vision_encoder.backbone, vision_encoder.neck
        patch = backbone.patch_embed.projection
        self._stride, self._padding = patch.stride, patch.padding
        weight = patch.weight.detach()
        std = torch.tensor(IMAGE_STD, device=weight.device).view(1, 3, 1, 1)
        mean = torch.tensor(IMAGE_MEAN, device=weight.device).view(1, 3, 1, 1)
        self._rgb = weight / std
        self._grey = self._rgb.sum(1, keepdim=True)
        with torch.no_grad():
            black = (-mean / std).expand(1, 3, size, size)
            constant = backbone.patch_embed(black)
            # Zero padding means the mean intensity, so what black contributes depends on the place.
            self._constant: Tensor = constant + backbone._get_pos_embed(constant.shape[1:3])
        self._blocks = [_Block(block, dtype) for block in backbone.blocks]
        self._stage_ends = [int(end) for end in backbone.stage_ends]
        self._neck = Neck(neck, decoder, dtype)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Feature maps of images.

        Parameters
        ----------
        images : Tensor, (B, C, S, S)
            Intensities in [0, 1]; C is 1 or 3.

        Returns
        -------
        tuple of Tensor
            (B, 32, S/4, S/4) and (B, 64, S/8, S/8) as the mask decoder wants them, and (B, 256, S/16, S/16).
        """
        weight = self._grey if images.shape[1] == 1 else self._rgb
        x = F.conv2d(images, weight, stride=self._stride, padding=self._padding).permute(0, 2, 3, 1) + self._constant
        stages = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in self._stage_ends:
                stages.append(x)
        return self._neck(stages)


class Neck:
    """The feature pyramid of SAM 2 and EdgeTAM.

    With the mask decoder's projections of the finer maps.

    Parameters
    ----------
    neck : transformers.Sam2VisionNeck
        Whose weights are used; built as `supports` wants it.
    decoder : transformers.Sam2VideoMaskDecoder
        As in `Encoder`.
    dtype : torch.dtype
        As in `Encoder`.
    """

    def __init__(self, neck: Any, decoder: Any, dtype: torch.dtype = torch.float32) -> None:
        flat = [conv.weight.detach().flatten(1) for conv in neck.convs]
        bias = [conv.bias.detach() for conv in neck.convs]
        self._top, self._coarse = Linear(flat[1], bias[1], dtype), Linear(flat[0], bias[0], dtype)
        fine, middle = decoder.conv_s0, decoder.conv_s1
        self._fine = Linear(*in_one(flat[3], bias[3], fine.weight.flatten(1), fine.bias), dtype)
        self._middle = Linear(*in_one(flat[2], bias[2], middle.weight.flatten(1), middle.bias), dtype)

    def __call__(self, stages: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (B, C, h, w) as the mask decoder wants them, of four stages (B, h, w, C) from fine to coarse."""
        coarse = self._coarse(stages[3]).repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
        maps = (self._fine(stages[0]), self._middle(stages[1]), self._top(stages[2]) + coarse)
        fine, middle, top = (m.permute(0, 3, 1, 2).contiguous() for m in maps)
        return fine, middle, top


class _Block:
    """One block of Hiera: attention in windows or over the whole grid, then feed-forward."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        attention = block.attn
        self._dtype = dtype
        self._norms = (block.layer_norm1, block.layer_norm2)
        self._window = int(block.window_size)
        self._pools = block.query_stride is not None
        self._heads = int(attention.num_attention_heads)
        self._qkv = Linear(attention.qkv.weight, attention.qkv.bias, dtype)
        self._qkv_of_padding = attention.qkv.bias.detach()
        self._out = Linear(attention.proj.weight, attention.proj.bias, dtype)
        self._residual = Linear(block.proj.weight, block.proj.bias, dtype) if block.dim != block.dim_out else None
        self._first = Linear(block.mlp.proj_in.weight, block.mlp.proj_in.bias, dtype)
        self._second = Linear(block.mlp.proj_out.weight, block.mlp.proj_out.bias, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, H, W, C) in; out the same, or half the grid and another C where the block pools."""
        if self._window == 0 or x.device.type != "cpu":
            return self._whole(x)
        # Windows know nothing of each other: a few rows of them at a time stay in the cache.
        rows = self._window * max(1, TOKENS_IN_CACHE // (self._window * x.shape[0] * x.shape[2]))
        return torch.cat([self._whole(x[:, start : start + rows]) for start in range(0, x.shape[1], rows)], dim=1)

    def _whole(self, x: Tensor) -> Tensor:
        normed = self._norms[0](x)
        if self._residual is not None:
            x = self._residual(normed)
            x = _pooled(x) if self._pools else x
        x = self._out(self._attention(self._qkv.narrow(normed))).add_(x)
        return feed_forward(self._norms[1](x), self._first, self._second, "gelu").add_(x)

    def _attention(self, qkv: Tensor) -> Tensor:
        if self._window == 0:
            return self._over_the_grid(qkv)
        height, width = qkv.shape[1:3]
        windows, shape = _windows(qkv, self._window, self._qkv_of_padding)
        query, key, value = windows.chunk(3, dim=-1)
        side = self._window
        if self._pools:
            query, side, height, width = _pooled(query), side // 2, height // 2, width // 2
        attended = F.scaled_dot_product_attention(self._by_head(query), self._by_head(key), self._by_head(value))
        attended = attended.transpose(1, 2).reshape(*shape, side, side, -1)
        return attended.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, :height, :width].contiguous()

    def _over_the_grid(self, qkv: Tensor) -> Tensor:
        query, key, value = qkv.chunk(3, dim=-1)
        query = _pooled(query) if self._pools else query
        height, width = query.shape[1:3]
        query, key, value = (self._by_head(part) for part in (query, key, value))
        if qkv.device.type == "cpu":
            scale = query.shape[-1] ** -0.5
            by_head = zip(*(part.flatten(0, 1) for part in (query, key, value)), strict=True)
            attended = torch.stack([attend(q, k, v, scale, self._dtype) for q, k, v in by_head])
            attended = attended.view(*query.shape)
        else:
            attended = F.scaled_dot_product_attention(query, key, value)
        return attended.transpose(1, 2).reshape(len(qkv), height, width, -1)

    def _by_head(self, x: Tensor) -> Tensor:
        """(N, h, w, C) as (N, heads, h * w, C / heads)."""
        return x.reshape(len(x), -1, self._heads, x.shape[-1] // self._heads).transpose(1, 2)


def _windows(x: Tensor, side: int, padding: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """Cut (B, H, W, C) into (B * n, side, side, C) windows, padded with `padding` (C,); also (B, rows, columns)."""
    count, height, width, channels = x.shape
    rows, cols = -(-height // side), -(-width // side)
    if (rows * side, cols * side) != (height, width):
        padded = padding.to(x.dtype).expand(count, rows * side, cols * side, channels).clone()
        padded[:, :height, :width] = x
        x = padded
    cut = x.view(count, rows, side, cols, side, channels).transpose(2, 3)
    return cut.reshape(-1, side, side, channels), (count, rows, cols)


def _pooled(x: Tensor) -> Tensor:
    """The largest of every 2 x 2 tokens of (B, H, W, C)."""
    top, bottom = x[:, ::2], x[:, 1::2]
    return torch.maximum(
        torch.maximum(top[:, :, ::2], top[:, :, 1::2]), torch.maximum(bottom[:, :, ::2], bottom[:, :, 1::2])
    )
