"""A fit changes what it may, repeats, and teaches what it should."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_sam2.models.base import DecodeRequest, FittableModel, MemoryRef, RememberRequest
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.models.small.channels import ALL_CHANNELS
from napari_sam2.models.small.fitting import MIXED
from napari_sam2.models.small.model import load_bundled, load_small
from napari_sam2.models.small.net import NetConfig, SmallNet
from napari_sam2.models.small.weights import write_weights

SIDE = 96


def scene(centre=(50, 44), radii=(24, 17)):
    """An even ellipse of middling contrast on a mottled ground, and its mask."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    mask = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 < 1
    mottle = functional.interpolate(
        torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0)),
        size=(SIDE, SIDE),
        mode="bicubic",
    )[0, 0]
    image = (0.3 + 0.25 * mottle).clamp(0, 1)
    return torch.where(torch.from_numpy(mask), torch.tensor(0.52), image), torch.from_numpy(mask).float()


@pytest.fixture(scope="module")
def model():
    return load_bundled()


def fitted(model, steps, seed=0):
    image, mask = scene()
    fit = model.fit([((image,), mask)], seed)
    for _ in range(steps):
        fit.step()
    return fit.model()


def test_only_models_that_can_be_fitted_say_so(model):
    assert isinstance(model, FittableModel)
    assert not isinstance(ClassicalModel(), FittableModel)


def test_a_fit_repeats_with_its_seed_and_leaves_the_model_alone(model):
    before = {name: value.clone() for name, value in model.net.state_dict().items()}
    one, again, other = fitted(model, 2), fitted(model, 2), fitted(model, 2, seed=1)
    states = [found.net.state_dict() for found in (one, again, other)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert any(not torch.equal(value, states[2][name]) for name, value in states[0].items())
    assert all(torch.equal(value, before[name]) for name, value in model.net.state_dict().items())


def test_only_decoding_and_scores_learn_so_that_memories_stay_what_they_were(model):
    changed = {
        name.split(".")[0]
        for name, value in fitted(model, 1).net.state_dict().items()
        if not torch.equal(value, model.net.state_dict()[name])
    }
    assert changed == {"decode", "mask", "scores"}


def test_the_answer_is_mixed_with_the_one_from_before(model):
    image, mask = scene()
    fit = model.fit([((image,), mask)], 0)
    fit.step()
    raw = dict(fit.learning._net.named_parameters())["mask.bias"].detach()
    before = dict(model.net.named_parameters())["mask.bias"].detach()
    mixed = dict(fit.model().net.named_parameters())["mask.bias"]
    assert torch.allclose(mixed, before + MIXED * (raw - before), atol=1e-7)


def test_a_fitted_model_finds_again_what_a_damaged_memory_has_lost(model):
    """The next slice shows the same object, the slice just passed was cut in half."""
    image, mask = scene()
    next_image, truth = scene(centre=(51, 45), radii=(25, 17))
    cut = mask.clone()
    cut[:46] = 0

    def answer(judged):
        logits = [(2 * m - 1) * 10 for m in (mask, cut)]
        requests = [DecodeRequest((view,)) for view in (image, image)]
        decoded = judged.decode(requests)
        made = [type(d)(values, 10.0, 1.0, d.state) for d, values in zip(decoded, logits, strict=True)]
        anchor, last = judged.remember([RememberRequest((image,), d, prompted=True) for d in made])
        refs = (MemoryRef(anchor, -5, True), MemoryRef(last, -1, False))
        found = judged.decode([DecodeRequest((next_image,), memories=refs)])[0].logits > 0
        return 2 * float((found * truth).sum()) / float(found.sum() + truth.sum())

    assert answer(fitted(model, 10)) > answer(model) + 0.005


def test_a_deeper_network_with_more_channels_can_be_fitted_too(tmp_path):
    config = NetConfig(widths=(8, 16, 16, 24), heads=2, channels=ALL_CHANNELS, deeper=(1, 1), attend=1, late=True)
    torch.manual_seed(0)
    write_weights(tmp_path / "deep.safetensors", SmallNet(config).state_dict(), config, SIDE, "deep", "prompted")
    model = load_small(tmp_path / "deep.safetensors")
    found = fitted(model, 2)
    assert found.net.config == config
    assert not torch.equal(found.net.state_dict()["mask.weight"], model.net.state_dict()["mask.weight"])
