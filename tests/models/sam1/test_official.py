"""Official files of the first SAM: converted without loss. Names are undone by a table written on its own."""

import json
import re

import pytest
import torch
from transformers import SamModel

from napari_sam2.errors import ModelError
from napari_sam2.models import load_model, zoo
from napari_sam2.models.base import DecodeRequest, ModelCard, ViewPrompts
from napari_sam2.models.official import convert_official
from napari_sam2.models.sam1.adapter import Normalisation, Sam1Model
from napari_sam2.models.sam1.official import config_of
from napari_sam2.models.sam2.encoder import IMAGE_MEAN, IMAGE_STD
from tests.tiny_sam2 import enliven

SIZE = 64

BACK = (
    ("vision_encoder.layers", "image_encoder.blocks"),
    ("vision_encoder.neck.conv1", "image_encoder.neck.0"),
    ("vision_encoder.neck.layer_norm1", "image_encoder.neck.1"),
    ("vision_encoder.neck.conv2", "image_encoder.neck.2"),
    ("vision_encoder.neck.layer_norm2", "image_encoder.neck.3"),
    ("vision_encoder.patch_embed.projection", "image_encoder.patch_embed.proj"),
    ("vision_encoder", "image_encoder"),
    ("shared_embedding.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"),
    ("prompt_encoder.point_embed.", "prompt_encoder.point_embeddings."),
    ("mask_embed.conv1", "mask_downscaling.0"),
    ("mask_embed.layer_norm1", "mask_downscaling.1"),
    ("mask_embed.conv2", "mask_downscaling.3"),
    ("mask_embed.layer_norm2", "mask_downscaling.4"),
    ("mask_embed.conv3", "mask_downscaling.6"),
    ("upscale_conv1", "output_upscaling.0"),
    ("upscale_layer_norm", "output_upscaling.1"),
    ("upscale_conv2", "output_upscaling.3"),
    ("layer_norm", "norm"),
)


def official_weights(network):
    """The weights of a network as Meta's code saves them, with the constants that some files hold."""
    official = {"pixel_mean": torch.zeros(3, 1, 1), "pixel_std": torch.ones(3, 1, 1)}
    for name, tensor in network.state_dict().items():
        if name.startswith("shared_image"):
            continue
        old = name
        if re.search(r"output_hypernetworks|iou_prediction", name):
            old = re.sub(r"\.layers\.0\.(weight|bias)$", r".layers.1.\1", old)
            old = old.replace(".proj_in.", ".layers.0.").replace(".proj_out.", ".layers.2.")
        for new, official_part in BACK:
            old = old.replace(new, official_part)
        official[old] = tensor.clone()
    return official


@pytest.fixture(scope="module")
def network():
    """ViT-B's blocks, narrow and for small views, random weights."""
    like = {f"vision_encoder.layers.{n}.attn.proj.weight": torch.zeros(48, 48) for n in range(12)}
    torch.manual_seed(0)
    return enliven(SamModel(config_of(like, "sam.pth", SIZE)))


def test_an_official_file_answers_as_the_network_it_was_saved_from(network, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM2_MODELS", str(tmp_path))
    torch.save(official_weights(network), tmp_path / "sam_vit_b_01ec64.pth")
    zoo.import_checkpoint(tmp_path / "sam_vit_b_01ec64.pth", input_size=SIZE)
    assert set(zoo.verify("sam_vit_b_01ec64")) == {"config.json", "model.safetensors", "preprocessor_config.json"}
    torch.manual_seed(1)
    image, prompts = torch.rand(1, 1, SIZE, SIZE), ViewPrompts(torch.tensor([[30.0, 20.0]]), torch.tensor([True]))
    expected = Sam1Model(network, ModelCard("random", "sam1"), Normalisation(IMAGE_MEAN, IMAGE_STD))
    answers = [
        model.decode([DecodeRequest(model.encode(image)[0], prompts)])[0]
        for model in (load_model("sam_vit_b_01ec64", "cpu"), expected)
    ]
    assert torch.allclose(answers[0].logits, answers[1].logits, atol=1e-5)


def test_a_changed_preparation_is_found(network, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM2_MODELS", str(tmp_path))
    torch.save(official_weights(network), tmp_path / "mine.pth")
    folder = zoo.import_checkpoint(tmp_path / "mine.pth", input_size=SIZE)
    (folder / "preprocessor_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"preprocessor_config\.json is not the file"):
        zoo.verify("mine")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"preprocessor_config\.json is not the file"):
        zoo.verify("mine")


def test_medsam_sees_intensities_as_they_are(network, tmp_path):
    torch.save(official_weights(network), tmp_path / "medsam_vit_b.pth")
    folder = convert_official(tmp_path / "medsam_vit_b.pth", tmp_path / "out", input_size=SIZE)
    assert json.loads((folder / "preprocessor_config.json").read_text()) == {"do_normalize": False}


def test_a_missing_weight_and_another_encoder_are_refused(network, tmp_path):
    weights = official_weights(network)
    del weights["mask_decoder.iou_token.weight"]
    torch.save(weights, tmp_path / "sam.pth")
    with pytest.raises(ModelError, match=r"misses 1 weights such as mask_decoder\.iou_token\.weight"):
        convert_official(tmp_path / "sam.pth", tmp_path / "out", input_size=SIZE)
    few = {name: tensor for name, tensor in official_weights(network).items() if "blocks.11" not in name}
    torch.save(few, tmp_path / "mobile.pth")
    with pytest.raises(ModelError, match="its image encoder has 11 blocks"):
        convert_official(tmp_path / "mobile.pth", tmp_path / "out", input_size=SIZE)
