"""Our RepViT against recorded outputs of timm's, on weights that are made from their names."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_sam2.models.edgetam.repvit import RepVit, fold

RECORDED = Path(__file__).parents[2] / "data" / "parity" / "timm_repvit_m1_32px.npz"


def weights(state):
    """A value for every weight of a state, drawn from its name."""
    made = {}
    for name, like in state.items():
        noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(like.shape).astype(np.float32)
        if name.endswith("num_batches_tracked"):
            noise = np.zeros((), np.int64)
        elif name.endswith("running_var"):
            noise = 0.5 + np.abs(noise)
        elif name.endswith("bn.weight"):
            noise = np.float32(0.3) + np.float32(0.1) * noise
        elif noise.ndim == 4:
            noise /= np.float32(np.sqrt(np.prod(noise.shape[1:])))
        else:
            noise *= np.float32(0.1)
        made[name] = torch.from_numpy(noise)
    return made


def image():
    return torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32))


@pytest.mark.parametrize("folded", [False, True])
def test_maps_equal_those_of_timm(folded):
    network = RepVit().eval()
    network.load_state_dict(weights(network.state_dict()))
    if folded:
        fold(network)
    with torch.inference_mode():
        stages = network(image())
    with np.load(RECORDED) as recorded:
        for number, stage in enumerate(stages):
            expected = torch.from_numpy(recorded[f"stage_{number}"])
            assert expected.std() > 0.1
            assert torch.allclose(stage, expected, atol=1e-4)
