"""EdgeTAM in the engine against transformers' own session, on the same weights."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    EdgeTamVideoConfig,
    EdgeTamVideoInferenceSession,
    EdgeTamVideoModel,
    EdgeTamVideoPromptEncoderConfig,
    EdgeTamVisionConfig,
)

from napari_sam2.errors import ModelError, UserInputError
from napari_sam2.models import load_model
from napari_sam2.models.base import (
    DecodeRequest,
    MemoryRef,
    ModelCard,
    RememberRequest,
    ResizableModel,
    ViewPrompts,
)
from napari_sam2.models.edgetam.adapter import EdgeTamModel
from napari_sam2.models.edgetam.loading import make_config
from napari_sam2.models.edgetam.repvit import RepVitConfig
from napari_sam2.models.sam2.encoder import IMAGE_MEAN, IMAGE_STD
from tests.models.session_reference import assert_equal, box, click, engine_logits, moving_discs, session_logits
from tests.tiny_sam2 import enliven

SIZE = 256


def small_network(**settings):
    """EdgeTAM with a narrow image encoder and random weights."""
    grid = SIZE // 16
    vision = EdgeTamVisionConfig(
        backbone_config=RepVitConfig(widths=[16, 16, 32, 32], depths=[1, 2, 2, 1]),
        backbone_channel_list=[32, 32, 16, 16],
        backbone_feature_sizes=[[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
    )
    config = EdgeTamVideoConfig(
        vision_config=vision,
        prompt_encoder_config=EdgeTamVideoPromptEncoderConfig(image_size=SIZE),
        image_size=SIZE,
        memory_attention_rope_feat_sizes=[grid, grid],
        memory_attention_mlp_hidden_size=64,
        perceiver_resampler_num_latents=48,
        perceiver_resampler_num_latents_2d=64,
        memory_attention_rope_k_sizes=[8, 8],
        **settings,
    )
    torch.manual_seed(0)
    return enliven(EdgeTamVideoModel(config))


@pytest.fixture(scope="module", params=["as published", "with encodings of SAM 2.1"])
def network(request):
    new = request.param != "as published"
    return small_network(enable_temporal_pos_encoding_for_object_pointers=new, enable_occlusion_spatial_embedding=new)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("prompt", [click(90.0, 110.0), box(50.0, 60.0, 130.0, 150.0)], ids=["click", "box"])
def test_propagation_equals_that_of_transformers(network, prompt, reverse):
    voxels, index = moving_discs(SIZE), 5 if reverse else 0
    theirs, ours = prompt
    expected = session_logits(
        network, EdgeTamVideoInferenceSession, voxels, (IMAGE_MEAN, IMAGE_STD), {index: theirs}, reverse=reverse
    )
    model = EdgeTamModel(network, ModelCard("small", "edgetam"))
    found = engine_logits(model, voxels, {index: ours}, reverse=reverse)
    assert found.keys() == expected.keys()
    assert_equal(found, expected)


def test_several_slices_are_remembered_and_answered_as_one_at_a_time():
    model = EdgeTamModel(small_network(), ModelCard("small", "edgetam"))
    features = model.encode(torch.rand(3, 1, SIZE, SIZE))
    prompts = [ViewPrompts(torch.tensor([[x, 90.0]]), torch.tensor([True])) for x in (60.0, 100.0, 140.0)]
    requests = [DecodeRequest(f, p) for f, p in zip(features, prompts, strict=True)]
    remembering = [RememberRequest(f, d, prompted=True) for f, d in zip(features, model.decode(requests), strict=True)]
    together = model.remember(remembering)
    for one, request in zip(together, remembering, strict=True):
        alone = model.remember([request])[0]
        assert torch.allclose(one.features, alone.features, atol=1e-4)
        assert torch.equal(one.pointer, alone.pointer)
    following = [
        DecodeRequest(f, memories=(MemoryRef(memory, -1, prompted=True),))
        for f, memory in zip(features[::-1], together, strict=True)
    ]
    for one, request in zip(model.decode(following), following, strict=True):
        assert torch.allclose(one.logits, model.decode([request])[0].logits, atol=1e-3)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder with a small EdgeTAM as transformers saves it."""
    folder = tmp_path_factory.mktemp("checkpoints") / "edgetam"
    small_network().save_pretrained(folder)
    return folder


@pytest.fixture
def copied(checkpoint, tmp_path):
    return Path(shutil.copytree(checkpoint, tmp_path / "edgetam"))


def edit_config(folder, change):
    path = folder / "config.json"
    settings = json.loads(path.read_text())
    change(settings)
    path.write_text(json.dumps(settings))


def answer(model):
    torch.manual_seed(1)
    prompts = ViewPrompts(torch.tensor([[130.0, 90.0]]), torch.tensor([True]))
    return model.decode([DecodeRequest(model.encode(torch.rand(1, 1, SIZE, SIZE))[0], prompts)])[0]


def test_a_folder_answers_as_the_network_it_was_saved_from(checkpoint):
    model = load_model(checkpoint, "cpu")
    expected = answer(EdgeTamModel(small_network(), ModelCard("small", "edgetam")))
    assert torch.allclose(answer(model).logits, expected.logits, atol=1e-5)
    assert (model.card.kind, model.input_size, len(model.card.sha256)) == ("edgetam", SIZE, 64)
    assert not model.view_policy.zoom


def test_what_edgetam_cannot_do_is_refused_in_a_sentence(checkpoint):
    for quality in ("fast", "balanced"):
        with pytest.raises(UserInputError, match=f"EdgeTAM answers at 256 pixels .* no quality '{quality}'"):
            load_model(checkpoint, "cpu", quality=quality)
    with pytest.raises(UserInputError, match="There is no quality 'great'"):
        load_model(checkpoint, "cpu", quality="great")
    with pytest.raises(UserInputError, match="256 pixels only; got an input size of 512"):
        load_model(checkpoint, "cpu", input_size=512)
    assert not isinstance(load_model(checkpoint, "cpu", quality="best"), ResizableModel)


def test_a_damaged_folder_is_refused(copied):
    weights = load_file(copied / "model.safetensors")
    weights.pop("spatial_perceiver.latents_1d")
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"misses 1 weights such as spatial_perceiver\.latents_1d"):
        load_model(copied, "cpu")


def test_another_image_encoder_or_an_impossible_size_is_refused(copied):
    def other_encoder(settings):
        settings["vision_config"]["backbone_config"] = {"model_type": "timm_wrapper", "architecture": "resnet50"}

    edit_config(copied, lambda settings: settings.update(image_size=200))
    with pytest.raises(ModelError, match="for 200 pixels; its memories need a multiple of 128"):
        load_model(copied, "cpu")
    edit_config(copied, other_encoder)
    with pytest.raises(ModelError, match="has the image encoder 'resnet50'; EdgeTAM's is 'repvit_m1'"):
        load_model(copied, "cpu")


def test_the_published_configuration_gives_the_published_network():
    settings = {
        "image_size": 1024,
        "enable_occlusion_spatial_embedding": False,
        "enable_temporal_pos_encoding_for_object_pointers": False,
        "memory_attention_rope_theta": 10000,
        "vision_config": {
            "model_type": "edgetam_vision_model",
            "backbone_config": {"model_type": "timm_wrapper", "architecture": "repvit_m1", "num_classes": 1000},
        },
    }
    with torch.device("meta"):
        network = EdgeTamVideoModel(make_config(settings, "EdgeTAM"))
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(13.9e6, rel=0.01)
