"""Meta's official predictor with random weights, from a copy of its source that the person who measures has.

Nothing of it is part of this repository. ``git clone https://github.com/facebookresearch/sam2`` and give the
folder as ``--sam2-src``; it needs hydra-core, iopath, tqdm and pillow. torchvision is not needed: the three
names imported from it are never called here.
"""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def build(source: Path, config: str, size: int, device: str = "cpu"):
    """An official video predictor for views of `size` pixels."""
    stub, transforms = types.ModuleType("torchvision"), types.ModuleType("torchvision.transforms")
    transforms.Normalize = transforms.Resize = transforms.ToTensor = object
    stub.transforms = transforms
    sys.modules |= {"torchvision": stub, "torchvision.transforms": transforms}
    sys.path.insert(0, str(source))
    import sam2.sam2_video_predictor as predictor
    from sam2.build_sam import build_sam2_video_predictor

    del sys.modules["torchvision"], sys.modules["torchvision.transforms"]
    predictor.tqdm = lambda items, **_: items
    predictor.load_video_frames = lambda video_path, **_: video_path
    grid = size // 16
    torch.manual_seed(0)
    network = build_sam2_video_predictor(
        config,
        None,
        device=device,
        hydra_overrides_extra=[
            f"++model.image_size={size}",
            f"++model.memory_attention.layer.self_attention.feat_sizes=[{grid},{grid}]",
            f"++model.memory_attention.layer.cross_attention.feat_sizes=[{grid},{grid}]",
        ],
    )
    network.fill_hole_area = 0  # its kernel is for CUDA only, and optional
    return network


@torch.no_grad()
def enliven(network) -> None:
    """Give random weights an object that is present, attention with peaks and logits of a few units."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in network.named_parameters():
        if name.endswith(("pos_embed", "pos_embed_window")):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.02)
        if name.endswith("gamma"):
            parameter.fill_(0.3)
        if re.search(r"cross_attn_image\.(q|k)_proj\.weight", name):
            parameter.mul_(3)
        if name.endswith("pred_obj_score_head.layers.2.bias"):
            parameter.fill_(6.0)
    for head in network.sam_mask_decoder.output_hypernetworks_mlps:
        head.layers[2].weight.mul_(30)


def phantom(n_slices: int, side: int) -> np.ndarray:
    """Discs that change from slice to slice, with noise; (side, side, n_slices) in [0, 1]."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    slices = []
    for z in range(n_slices):
        image = 0.15 * (np.hypot((y - 0.5) / 0.45, (x - 0.5) / 0.4) < 1)
        for k, (cy, cx, radius, bright) in enumerate([(0.4, 0.35, 0.12, 0.5), (0.6, 0.6, 0.1, 0.7)]):
            shift = 0.01 * np.sin(z * 0.5 + k)
            image = image + bright * (np.hypot(y - cy - shift, x - cx - shift) < radius)
        slices.append(np.clip(image + rng.normal(0, 0.03, image.shape), 0, 1))
    return np.stack(slices, axis=2).astype(np.float32)


class Official:
    """Clicks and propagation with the official predictor; everything is encoded again, as it does.

    On a GPU in bfloat16 autocast, as its README has it.
    """

    def __init__(self, network, size: int) -> None:
        self.network, self.size = network, size
        self.device = next(network.parameters()).device
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def open(self, voxels: np.ndarray) -> None:
        frames = torch.from_numpy(np.moveaxis(voxels, 2, 0).copy())[:, None]
        frames = F.interpolate(frames, size=(self.size, self.size), mode="bilinear", align_corners=False)
        video = (((frames - MEAN) / STD).to(self.device), *voxels.shape[:2])
        with self.autocast:
            self.state = self.network.init_state(video)

    def click(self, clicks: dict[int, tuple[int, float, float]]) -> torch.Tensor:
        """Click once per object, given as slice, row and column; logits of the last one's slice."""
        self.network.reset_state(self.state)
        for number, (index, row, col) in clicks.items():
            with self.autocast:
                _, _, logits = self.network.add_new_points_or_box(
                    self.state, index, number, points=[[col, row]], labels=[1]
                )
        return logits[:, 0]

    def propagate(self) -> list[torch.Tensor]:
        with self.autocast:
            return [logits[:, 0].clone() for _, _, logits in self.network.propagate_in_video(self.state)]
