"""The first SAM behind the protocol against transformers' `SamModel` used directly, on the same weights."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.engine.engine import Engine
from napari_sam2.engine.propagate import propagate
from napari_sam2.errors import ModelError, UserInputError
from napari_sam2.models import load_model
from napari_sam2.models.base import Decoded, DecodeRequest, MemoryRef, ModelCard, RememberRequest, ViewPrompts
from napari_sam2.models.sam1.adapter import LEAST_IOU, Normalisation, Sam1Model
from napari_sam2.models.sam2.encoder import IMAGE_MEAN, IMAGE_STD
from tests.models.session_reference import moving_discs
from tests.tiny_sam2 import enliven

SIZE = 128
CELLS = SIZE // 4
PLAIN = Normalisation((0.0,) * 3, (1.0,) * 3)


def small_network():
    """SAM with a narrow image encoder and random weights."""
    vision = SamVisionConfig(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=SIZE,
        window_size=3,
        global_attn_indexes=[2],
        initializer_range=0.1,
    )
    config = SamConfig(
        vision_config=vision,
        prompt_encoder_config=SamPromptEncoderConfig(image_size=SIZE),
        mask_decoder_config=SamMaskDecoderConfig(iou_head_hidden_dim=32, mlp_dim=64),
    )
    torch.manual_seed(0)
    network = enliven(SamModel(config))
    with torch.no_grad():
        network.mask_decoder.iou_prediction_head.proj_out.bias.fill_(0.8)
    return network


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture
def model(network):
    return Sam1Model(network, ModelCard("small", "sam1"), Normalisation(IMAGE_MEAN, IMAGE_STD))


def image(seed=1):
    return torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def clicks(*points, positive=None):
    kinds = torch.tensor(positive) if positive else torch.ones(len(points), dtype=torch.bool)
    return ViewPrompts(torch.tensor(points).float().view(-1, 2), kinds)


def with_box(prompts, *edges):
    return ViewPrompts(prompts.points, prompts.positive, torch.tensor(edges).float(), prompts.mask)


def direct(network, seed, *, multimask, **prompts):
    """Logits and expected IoU of the best mask, from transformers alone."""
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (IMAGE_MEAN, IMAGE_STD))
    with torch.inference_mode():
        out = network((image(seed).expand(-1, 3, -1, -1) - mean) / std, multimask_output=multimask, **prompts)
    best = int(out.iou_scores[0, 0].argmax())
    return out.pred_masks[0, 0, best], float(out.iou_scores[0, 0, best])


def given(points, labels):
    return {"input_points": torch.tensor([[points]]).float(), "input_labels": torch.tensor([[labels]])}


NOTHING = clicks()
BOX = {"input_boxes": torch.tensor([[[20.0, 30.0, 80.0, 90.0]]])}
KINDS = {
    "click": (clicks((60.0, 50.0)), True, given([[60.0, 50.0]], [1])),
    "clicks": (
        clicks((60.0, 50.0), (9.0, 99.0), positive=[True, False]),
        False,
        given([[60.0, 50.0], [9.0, 99.0]], [1, 0]),
    ),
    # Boxes are outer edges here, and centres of the corner pixels there.
    "box": (with_box(NOTHING, 19.5, 29.5, 80.5, 90.5), False, BOX),
    "box and click": (with_box(clicks((60.0, 50.0)), 19.5, 29.5, 80.5, 90.5), False, BOX | given([[60.0, 50.0]], [1])),
}


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_are_answered_as_by_transformers(network, model, kind):
    prompts, multimask, theirs = KINDS[kind]
    expected, quality = direct(network, 1, multimask=multimask, **theirs)
    answer = model.decode([DecodeRequest(model.encode(image())[0], prompts)])[0]
    assert expected.std() > 0.1
    assert torch.allclose(answer.logits, expected, atol=1e-3)
    assert answer.predicted_iou == pytest.approx(quality, abs=1e-3)
    assert answer.object_score > 0


def test_a_correction_feeds_the_last_answer_back_as_in_transformers(network, model):
    features = model.encode(image())[0]
    before = model.decode([DecodeRequest(features, KINDS["click"][0])])[0]
    corrected = model.decode([DecodeRequest(features, KINDS["clicks"][0], previous=before)])[0]
    expected, _ = direct(network, 1, multimask=False, **KINDS["clicks"][2], input_masks=before.logits[None, None])
    assert torch.allclose(corrected.logits, expected, atol=1e-3)
    assert not torch.allclose(corrected.logits, direct(network, 1, multimask=False, **KINDS["clicks"][2])[0], atol=1e-2)


def test_a_mask_with_a_click_is_answered_as_by_transformers(network, model):
    mask = torch.zeros(SIZE, SIZE)
    mask[40:72, 20:60] = 1
    prompts = ViewPrompts(*(getattr(KINDS["click"][0], name) for name in ("points", "positive")), mask=mask)
    answer = model.decode([DecodeRequest(model.encode(image())[0], prompts)])[0]
    low = torch.nn.functional.interpolate(mask[None, None], size=(CELLS, CELLS), mode="bilinear", antialias=True)
    expected, _ = direct(network, 1, multimask=False, **KINDS["click"][2], input_masks=20 * low - 10)
    assert torch.allclose(answer.logits, expected, atol=1e-3)


def test_a_mask_alone_is_the_answer(model):
    mask = torch.zeros(SIZE, SIZE)
    mask[40:72, 20:60] = 1
    answer = model.decode(
        [DecodeRequest(model.encode(image())[0], ViewPrompts(NOTHING.points, NOTHING.positive, mask=mask))]
    )
    assert torch.equal((answer[0].logits > 0).float(), mask[::4, ::4])


def square_memory(model, row=8, col=4, side=6):
    logits = torch.full((CELLS, CELLS), -7.0)
    logits[row : row + side, col : col + side] = 5.0
    decoded = Decoded(logits, 9.0, 1.0)
    return logits, model.remember([RememberRequest(model.encode(image(2))[0], decoded, prompted=True)])[0]


def test_a_mask_is_carried_as_mask_and_box_prompt(network, model):
    logits, memory = square_memory(model)
    request = DecodeRequest(model.encode(image())[0], memories=(MemoryRef(memory, -1, prompted=True),))
    answer = model.decode([request])[0]
    # Cells 4 to 9 and 8 to 13 are pixels 16 to 39 and 32 to 55; ten of 1024 more on each side.
    more = 10 * SIZE / 1024
    box = torch.tensor([[[16 - more, 32 - more, 39 + more, 55 + more]]])
    expected, quality = direct(network, 1, multimask=False, input_boxes=box, input_masks=logits[None, None])
    assert torch.allclose(answer.logits, expected, atol=1e-3)
    assert answer.object_score == pytest.approx(20 * (quality - LEAST_IOU), abs=0.02)


def test_the_nearest_slice_with_the_object_is_carried(model):
    features = model.encode(image())[0]
    _, near = square_memory(model)
    _, far = square_memory(model, row=20, col=20)
    lost = model.remember([RememberRequest(features, Decoded(torch.ones(CELLS, CELLS), -3.0, 1.0), prompted=False)])[0]
    alone = model.decode([DecodeRequest(features, memories=(MemoryRef(near, -2, prompted=False),))])[0]
    refs = (MemoryRef(far, -5, True), MemoryRef(lost, -1, False), MemoryRef(near, -2, False))
    assert torch.equal(model.decode([DecodeRequest(features, memories=refs)])[0].logits, alone.logits)
    absent = model.decode([DecodeRequest(features, memories=(MemoryRef(lost, -1, False),))])[0]
    assert absent.object_score < 0
    assert not (absent.logits > 0).any()


def test_a_mask_that_sam_thinks_is_bad_ends_the_object(network, model):
    bias = network.mask_decoder.iou_prediction_head.proj_out.bias
    _, memory = square_memory(model)
    request = DecodeRequest(model.encode(image())[0], memories=(MemoryRef(memory, -1, prompted=True),))
    with torch.no_grad():
        bias.fill_(-9.0)
        ended, prompted = model.decode([request, DecodeRequest(request.features, KINDS["click"][0])])
        bias.fill_(0.8)
    assert ended.object_score < 0 < prompted.object_score


def test_requests_of_all_kinds_are_answered_together_as_one_at_a_time(model):
    features = model.encode(torch.cat([image(seed) for seed in range(6)]))
    _, memory = square_memory(model)
    requests = [DecodeRequest(f, prompts) for f, (prompts, _, _) in zip(features, KINDS.values(), strict=False)]
    requests += [
        DecodeRequest(features[4], memories=(MemoryRef(memory, -1, True),)),
        DecodeRequest(features[5], with_box(NOTHING, 9.5, 9.5, 50.5, 60.5)),
    ]
    for together, request in zip(model.decode(requests), requests, strict=True):
        alone = model.decode([request])[0]
        assert torch.allclose(together.logits, alone.logits, atol=1e-3)
        assert together.predicted_iou == pytest.approx(alone.predicted_iou, abs=1e-3)


def test_the_engine_carries_a_mask_through_slices(model):
    voxels = moving_discs(SIZE, 4)
    engine = Engine(Volume(voxels, np.eye(4), oriented=False), model, Window(0, 1, "unit"), axis=2)
    anchor = engine.predict(0, SlicePrompts(np.array([[50.0, 45.0]]), np.array([True])))
    results = list(propagate(engine, {1: [anchor]}))
    assert [result.index for result in results] == [1, 2, 3][: len(results)]
    assert results


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints") / "sam"
    network.save_pretrained(folder)
    return folder


@pytest.fixture
def copied(checkpoint, tmp_path):
    return Path(shutil.copytree(checkpoint, tmp_path / "sam"))


def test_a_folder_answers_as_the_network_it_was_saved_from(model, checkpoint):
    loaded = load_model(checkpoint, "cpu")
    request = DecodeRequest(model.encode(image())[0], KINDS["click"][0])
    found = loaded.decode([DecodeRequest(loaded.encode(image())[0], KINDS["click"][0])])[0]
    assert torch.allclose(found.logits, model.decode([request])[0].logits, atol=1e-5)
    assert (loaded.card.kind, loaded.input_size, len(loaded.card.sha256)) == ("sam1", SIZE, 64)


def test_intensities_are_prepared_as_the_folder_says(network, copied):
    plain = Sam1Model(network, ModelCard("small", "sam1"), PLAIN)
    (copied / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False, "image_mean": [9, 9, 9]}))
    assert torch.allclose(load_model(copied, "cpu").encode(image())[0][0], plain.encode(image())[0][0], atol=1e-4)
    (copied / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}))
    assert torch.allclose(load_model(copied, "cpu").encode(image())[0][0], plain.encode(image())[0][0], atol=1e-4)
    for wrong in ("[", "[1]", '{"image_mean": 3}', '{"image_std": [1, 0, 1]}'):
        (copied / "preprocessor_config.json").write_text(wrong)
        with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
            load_model(copied, "cpu")


def test_what_sam_cannot_do_is_refused_in_a_sentence(checkpoint):
    with pytest.raises(UserInputError, match=r"SAM answers at 128 pixels .* no quality 'fast'"):
        load_model(checkpoint, "cpu", quality="fast")


def test_a_damaged_folder_is_refused(copied):
    weights = load_file(copied / "model.safetensors")
    del weights["vision_encoder.pos_embed"]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"misses 1 weights such as vision_encoder\.pos_embed"):
        load_model(copied, "cpu")
    settings = json.loads((copied / "config.json").read_text())
    settings["vision_config"]["image_size"] = 256
    (copied / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="a SAM of a build that is not known"):
        load_model(copied, "cpu")


def test_all_masks_of_a_click_are_the_three_of_transformers(network, model):
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (IMAGE_MEAN, IMAGE_STD))
    with torch.inference_mode():
        theirs = network((image().expand(-1, 3, -1, -1) - mean) / std, multimask_output=True, **KINDS["click"][2])
    features = model.encode(image())[0]
    click, box = (DecodeRequest(features, KINDS[kind][0]) for kind in ("click", "box"))
    answers, boxed = model.decode_all([click, box])
    assert len(answers) == 3
    for answer, mask, iou in zip(answers, theirs.pred_masks[0, 0], theirs.iou_scores[0, 0], strict=True):
        assert torch.allclose(answer.logits, mask, atol=1e-3)
        assert answer.predicted_iou == pytest.approx(float(iou), abs=1e-3)
    assert len(boxed) == 1
