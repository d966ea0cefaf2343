"""The tracker of SAM 3 in the engine against transformers' own session, on the same weights."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    Sam3TrackerVideoConfig,
    Sam3TrackerVideoInferenceSession,
    Sam3TrackerVideoMaskDecoderConfig,
    Sam3TrackerVideoModel,
    Sam3TrackerVideoPromptEncoderConfig,
    Sam3VisionConfig,
    Sam3ViTConfig,
)

from napari_sam2.errors import ModelError, UserInputError
from napari_sam2.models import load_model
from napari_sam2.models.base import DecodeRequest, ModelCard, ViewPrompts
from napari_sam2.models.sam3.adapter import IMAGE_MEAN, IMAGE_STD, Sam3Tracker
from tests.models.session_reference import assert_equal, box, click, engine_logits, moving_discs, session_logits
from tests.tiny_sam2 import enliven

SIZE = 112


def small_network():
    """The tracker with a narrow image encoder and random weights."""
    backbone = Sam3ViTConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=SIZE,
        window_size=4,
        global_attn_indexes=[1, 3],
        pretrain_image_size=56,
    )
    config = Sam3TrackerVideoConfig(
        vision_config=Sam3VisionConfig(backbone_config=backbone),
        prompt_encoder_config=Sam3TrackerVideoPromptEncoderConfig(image_size=SIZE),
        mask_decoder_config=Sam3TrackerVideoMaskDecoderConfig(iou_head_hidden_dim=32, mlp_dim=64),
        image_size=SIZE,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=64,
    )
    torch.manual_seed(0)
    return enliven(Sam3TrackerVideoModel(config))


@pytest.fixture(scope="module")
def network():
    return small_network()


STATISTICS = ([IMAGE_MEAN] * 3, [IMAGE_STD] * 3)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("prompt", [click(40.0, 48.0), box(20.0, 25.0, 60.0, 70.0)], ids=["click", "box"])
def test_propagation_equals_that_of_transformers(network, prompt, reverse):
    voxels, index = moving_discs(SIZE), 5 if reverse else 0
    theirs, ours = prompt
    expected = session_logits(
        network, Sam3TrackerVideoInferenceSession, voxels, STATISTICS, {index: theirs}, reverse=reverse
    )
    found = engine_logits(Sam3Tracker(network, ModelCard("small", "sam3")), voxels, {index: ours}, reverse=reverse)
    assert found.keys() == expected.keys()
    assert_equal(found, expected)


def test_of_many_prompted_slices_the_nearest_four_are_attended_to_as_in_transformers(network):
    voxels = moving_discs(SIZE, 9)
    prompts = {index: click(40.0 + index, 48.0 - index) for index in (0, 4, 5, 6, 7, 8)}
    expected = session_logits(
        network, Sam3TrackerVideoInferenceSession, voxels, STATISTICS, {i: p[0] for i, p in prompts.items()}
    )
    model = Sam3Tracker(network, ModelCard("small", "sam3"))
    found = engine_logits(model, voxels, {i: p[1] for i, p in prompts.items()}, slices=range(4))
    assert list(found) == [0, 1, 2, 3]
    assert_equal(found, {i: expected[i] for i in found})


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    """A folder with a small tracker as transformers saves it."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tracker"
    network.save_pretrained(folder)
    return folder


def write_whole_sam3(checkpoint, folder):
    """The same tracker as it lies in a whole SAM 3: its encoder is the detector's, its neck its own."""
    weights = {}
    for name, tensor in load_file(checkpoint / "model.safetensors").items():
        stem = name.removeprefix("tracker_model.")
        owner = "detector_model" if stem.startswith("vision_encoder.backbone.") else "tracker_model"
        weights[f"{owner}.{stem}".replace("tracker_model.vision_encoder.neck.", "tracker_neck.")] = tensor
    weights["detector_model.text_encoder.weight"] = torch.zeros(3)
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tracker = json.loads((checkpoint / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "sam3_video", "tracker_config": tracker}))
    return folder


def answer(model):
    torch.manual_seed(1)
    prompts = ViewPrompts(torch.tensor([[50.0, 60.0]]), torch.tensor([True]))
    return model.decode([DecodeRequest(model.encode(torch.rand(1, 1, SIZE, SIZE))[0], prompts)])[0]


@pytest.mark.parametrize("whole", [False, True], ids=["tracker alone", "in a whole SAM 3"])
def test_a_folder_answers_as_the_network_it_was_saved_from(network, checkpoint, tmp_path, whole):
    folder = write_whole_sam3(checkpoint, tmp_path / "sam3") if whole else checkpoint
    model = load_model(folder, "cpu")
    expected = answer(Sam3Tracker(network, ModelCard("small", "sam3")))
    assert torch.allclose(answer(model).logits, expected.logits, atol=1e-5)
    assert (model.card.kind, model.input_size, model.view_policy.quality) == ("sam3", SIZE, "best")


def test_what_sam3_cannot_do_is_refused_in_a_sentence(checkpoint):
    with pytest.raises(UserInputError, match=r"SAM 3 answers at 112 pixels .* no quality 'balanced'"):
        load_model(checkpoint, "cpu", quality="balanced")
    with pytest.raises(UserInputError, match="112 pixels only; got an input size of 512"):
        load_model(checkpoint, "cpu", input_size=512)


def test_a_damaged_whole_sam3_is_refused(checkpoint, tmp_path):
    folder = write_whole_sam3(checkpoint, tmp_path / "sam3")
    weights = load_file(folder / "model.safetensors")
    del weights["tracker_model.no_memory_embedding"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"misses 1 weights such as no_memory_embedding"):
        load_model(folder, "cpu")
    (folder / "config.json").write_text(json.dumps({"model_type": "sam3_video", "tracker_config": None}))
    with pytest.raises(ModelError, match="says nothing of its tracker"):
        load_model(folder, "cpu")
