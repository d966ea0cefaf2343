"""The network around a click, in numpy, against the one in torch that is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_sam2.engine import correction
from napari_sam2.engine.correction_net import CHANNELS, Network
from napari_sam2.training.corrections.torch_net import CorrectionNet

WEIGHTS = Path(correction.__file__).parent / correction.NETWORK_WEIGHTS


@pytest.mark.parametrize("shape", [(13, 17, 20), (3, 33, 9), (1, 5, 12)])
def test_the_network_in_numpy_is_the_one_in_torch(shape):
    weights = load_file(WEIGHTS)
    trained = CorrectionNet().double()
    trained.load_state_dict(weights)
    channels = np.random.default_rng(1).normal(size=(CHANNELS, *shape)).astype(np.float32)
    with torch.inference_mode():
        wanted = trained(torch.from_numpy(channels).double()[None])[0].numpy()
    given = Network({name: values.numpy() for name, values in weights.items()})(channels)
    assert given.shape == shape
    assert np.abs(wanted - channels[-1]).max() > 0.1, "the weights say something"
    assert np.allclose(given, wanted, rtol=0, atol=1e-9)


def test_an_untrained_network_repeats_the_perceptron():
    channels = np.random.default_rng(2).normal(size=(CHANNELS, 6, 7, 8)).astype(np.float32)
    untrained = {name: values.detach().numpy() for name, values in CorrectionNet().state_dict().items()}
    assert np.array_equal(Network(untrained)(channels), channels[-1])
