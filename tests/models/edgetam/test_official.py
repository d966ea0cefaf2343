"""The official EdgeTAM file: converted without loss. Names are undone by a table written on its own."""

import re

import pytest
import torch
from transformers import EdgeTamVideoModel

from napari_sam2.errors import ModelError
from napari_sam2.models import load_model, zoo
from napari_sam2.models.base import DecodeRequest, ModelCard, ViewPrompts
from napari_sam2.models.edgetam.adapter import EdgeTamModel
from napari_sam2.models.edgetam.official import config_of
from napari_sam2.models.official import convert_official
from tests.models.sam2.test_official import official_weights as sam2_names
from tests.tiny_sam2 import enliven

SIZE = 256

BACK = (
    ("vision_encoder.backbone.timm_model", "image_encoder.trunk.body"),
    ("layer_norm_input", "attn.norm_x"),
    ("layer_norm_latents", "attn.norm_latents"),
    ("layer_norm_self", "self_attn.norm"),
    ("cross_attention", "attn"),
    ("self_attention", "self_attn"),
    ("self_mlp", "self_ff"),
    ("mlp.layer_norm", "ff.0"),
    ("self_ff.layer_norm", "self_ff.0"),
    ("mlp.up_proj", "ff.1"),
    ("self_ff.up_proj", "self_ff.1"),
    ("mlp.down_proj", "ff.3"),
    ("self_ff.down_proj", "self_ff.3"),
    ("q_proj", "to_q"),
    ("o_proj", "to_out"),
    ("latents_1d", "latents"),
    ("layer_norm", "norm"),
)


def perceiver_name(name):
    for new, old in BACK:
        name = name.replace(new, old)
    return name


def official_weights(network):
    """The weights of a network as Meta's code saves them."""
    ours = network.state_dict()
    own = {name: ours[name].clone() for name in ours if re.match(r"vision_encoder\.backbone|spatial_perceiver", name)}
    rest = {name: ours[name] for name in ours if name not in own}
    rest = {
        re.sub(r"(memory_attention.*)\.mlp\.up_proj", r"\1.linear1", name).replace("mlp.down_proj", "linear2"): tensor
        for name, tensor in rest.items()
    }
    official = sam2_names(StateOnly(rest))
    for name, tensor in own.items():
        if name.endswith("k_proj.weight"):
            both = torch.cat([tensor, own[name.replace("k_proj", "v_proj")]])
            official[perceiver_name(name).replace("k_proj", "to_kv")] = both
        elif not name.endswith("v_proj.weight"):
            official[perceiver_name(name)] = tensor
    return official


class StateOnly:
    def __init__(self, state):
        self._state = state

    def state_dict(self):
        return self._state


@pytest.fixture(scope="module")
def network():
    """The published architecture, smaller views, random weights."""
    torch.manual_seed(0)
    network = enliven(EdgeTamVideoModel(config_of({}, "EdgeTAM", SIZE)))
    # One and the same in every real checkpoint; drawn twice at random here.
    network.shared_image_embedding = network.prompt_encoder.shared_embedding
    return network


def test_an_official_file_answers_as_the_network_it_was_saved_from(network, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM2_MODELS", str(tmp_path))
    torch.save({"model": official_weights(network)}, tmp_path / "edgetam.pt")
    zoo.import_checkpoint(tmp_path / "edgetam.pt", input_size=SIZE)
    assert zoo.verify("edgetam")
    torch.manual_seed(1)
    image, prompts = torch.rand(1, 1, SIZE, SIZE), ViewPrompts(torch.tensor([[30.0, 20.0]]), torch.tensor([True]))
    found, expected = (
        model.decode([DecodeRequest(model.encode(image)[0], prompts)])[0]
        for model in (load_model("edgetam", "cpu"), EdgeTamModel(network, ModelCard("random", "edgetam")))
    )
    assert torch.allclose(found.logits, expected.logits, atol=1e-5)
    assert torch.allclose(found.state, expected.state, atol=1e-5)


def test_every_weight_of_the_perceiver_arrives(network, tmp_path):
    torch.save({"model": official_weights(network)}, tmp_path / "edgetam.pt")
    model = load_model(convert_official(tmp_path / "edgetam.pt", tmp_path / "out", input_size=SIZE), "cpu")
    for name, tensor in network.spatial_perceiver.state_dict().items():
        assert torch.equal(model.network.spatial_perceiver.state_dict()[name], tensor), name


def test_a_missing_weight_is_refused_by_name(network, tmp_path):
    weights = official_weights(network)
    del weights["spatial_perceiver.latents_2d"]
    torch.save({"model": weights}, tmp_path / "edgetam.pt")
    with pytest.raises(ModelError, match=r"misses 1 weights such as spatial_perceiver\.latents_2d"):
        convert_official(tmp_path / "edgetam.pt", tmp_path / "out", input_size=SIZE)
