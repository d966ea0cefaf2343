"""Quality settings: what they ask for, and that sizes share weights and answer as a network built for them."""

import pytest
import torch

from napari_sam2.errors import ModelError, UserInputError
from napari_sam2.models.base import DecodeRequest, ViewPrompts
from napari_sam2.models.quality import QUALITIES, choose_quality, fitted_size
from napari_sam2.models.sam2.adapter import Sam2Model
from tests.tiny_sam2 import tiny_model, tiny_network


def test_auto_is_exact_on_a_gpu_and_balanced_elsewhere():
    assert choose_quality("auto", torch.device("cuda")).name == "best"
    assert choose_quality("auto", torch.device("cpu")).name == "balanced"
    assert choose_quality("fast", torch.device("cuda")).name == "fast"


def test_an_unknown_setting_is_refused_with_the_choices():
    with pytest.raises(UserInputError, match="'great'; choose auto, fast, balanced, best"):
        choose_quality("great", torch.device("cpu"))


@pytest.mark.parametrize(("longest", "size"), [(40, 256), (100, 416), (128, 512), (512, 512)])
def test_a_slice_gets_no_more_than_one_mask_cell_per_voxel(longest, size):
    assert fitted_size(longest, QUALITIES["fast"].input_size) == size


def test_another_size_shares_weights_and_answers_as_a_network_built_for_it():
    small, built = tiny_model(128).at_size(224), Sam2Model(tiny_network(224), tiny_model(128).card)
    torch.manual_seed(0)
    image = torch.rand(1, 1, 224, 224)
    prompts = ViewPrompts(torch.tensor([[100.0, 90.0]]), torch.tensor([True]))
    answers = [model.decode([DecodeRequest(model.encode(image)[0], prompts)])[0] for model in (small, built)]
    assert answers[0].logits.shape == (56, 56)
    assert torch.allclose(answers[0].logits, answers[1].logits, atol=1e-4)


def test_a_model_that_has_been_used_can_take_another_size():
    model = tiny_model(128)
    prompts = ViewPrompts(torch.tensor([[60.0, 50.0]]), torch.tensor([True]))
    model.decode([DecodeRequest(model.encode(torch.rand(1, 1, 128, 128))[0], prompts)])
    assert model.at_size(160).encode(torch.rand(1, 1, 160, 160))[0][2].shape[-1] == 10


def test_sizes_share_the_parameters_of_one_network():
    model = tiny_model(128)
    theirs = {id(p) for p in model.at_size(256).network.parameters()}
    assert theirs == {id(p) for p in model.network.parameters()}
    with pytest.raises(ModelError, match="multiple of 32"):
        model.at_size(100)
