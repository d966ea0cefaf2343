"""SAM 2's architecture, as small as it gets, with random weights: numbers to compare, no knowledge."""

import torch
from transformers import (
    Sam2HieraDetConfig,
    Sam2VideoConfig,
    Sam2VideoMaskDecoderConfig,
    Sam2VideoModel,
    Sam2VideoPromptEncoderConfig,
    Sam2VisionConfig,
)

from napari_sam2.models.base import ModelCard
from napari_sam2.models.sam2.adapter import Sam2Model


def tiny_config(size=128, **settings):
    """The configuration of a network with 5 small blocks; `settings` go to `Sam2VideoConfig`."""
    grid = size // 16
    backbone = Sam2HieraDetConfig(
        hidden_size=16,
        num_attention_heads=1,
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[8, 4, 14, 7],
        global_attention_blocks=[3],
        image_size=[size, size],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[128, 64, 32, 16],
        backbone_feature_sizes=[[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
    )
    given = {
        "enable_occlusion_spatial_embedding": True,
        "enable_temporal_pos_encoding_for_object_pointers": True,
        "memory_attention_num_layers": 2,
        "memory_attention_feed_forward_hidden_size": 64,
        **settings,
    }
    return Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(image_size=size),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(iou_head_hidden_dim=32, mlp_dim=64),
        image_size=size,
        memory_attention_rope_feat_sizes=[grid, grid],
        **given,
    )


def tiny_network(size=128, seed=0, **settings):
    """Random weights; constants that are zero at first are random as well, so that leaving one out is seen."""
    torch.manual_seed(seed)
    return enliven(Sam2VideoModel(tiny_config(size, **settings)))


def enliven(network):
    """The network in eval mode, its random weights changed so that every part of it counts."""
    network = network.eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1 or not parameter.any():
                parameter.add_(torch.randn_like(parameter) * 0.1)
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                parameter.mul_(8)  # peaked attention: a wrong key changes the answer
        for head in network.mask_decoder.output_hypernetworks_mlps:
            head.proj_out.weight.mul_(300)  # logits of a few units, as trained ones
        if hasattr(network.mask_decoder, "pred_obj_score_head"):  # the first SAM has none
            network.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(4.0)
    return network


def tiny_model(size=128, seed=0, **settings):
    """The same behind the protocol."""
    return Sam2Model(tiny_network(size, seed, **settings), ModelCard("tiny", "sam2"))
