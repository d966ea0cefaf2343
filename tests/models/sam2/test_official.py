"""Official ``.pt`` files: converted without loss, and never allowed to run code.

Parity with the official predictor itself, whose code is not part of this repository, is measured by
``benchmarks/against_official.py``; here the names are undone by a table written on its own.
"""

import os
import pickle
import re

import pytest
import torch

from napari_sam2.errors import ModelError, UserInputError
from napari_sam2.models import load_model, zoo
from napari_sam2.models.base import DecodeRequest, ModelCard, ViewPrompts
from napari_sam2.models.official import convert_official
from napari_sam2.models.sam2.adapter import Sam2Model
from napari_sam2.models.sam2.official import rename

BACK = (
    ("vision_encoder.backbone.patch_embed.projection", "image_encoder.trunk.patch_embed.proj"),
    ("vision_encoder.backbone", "image_encoder.trunk"),
    ("vision_encoder.neck", "image_encoder.neck"),
    ("memory_fuser", "fuser"),
    ("feature_projection", "pix_feat_proj"),
    ("memory_encoder.projection", "memory_encoder.out_proj"),
    ("depthwise_conv", "dwconv"),
    ("pointwise_conv", "pwconv"),
    ("memory_temporal_positional_encoding", "maskmem_tpos_enc"),
    ("no_memory_embedding", "no_mem_embed"),
    ("no_memory_positional_encoding", "no_mem_pos_enc"),
    ("no_object_pointer", "no_obj_ptr"),
    ("occlusion_spatial_embedding_parameter", "no_obj_embed_spatial"),
    ("temporal_positional_encoding_projection_layer", "obj_ptr_tpos_proj"),
    ("object_pointer_proj", "obj_ptr_proj"),
    ("shared_embedding.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"),
    ("mask_embed.conv1", "mask_downscaling.0"),
    ("mask_embed.layer_norm1", "mask_downscaling.1"),
    ("mask_embed.conv2", "mask_downscaling.3"),
    ("mask_embed.layer_norm2", "mask_downscaling.4"),
    ("mask_embed.conv3", "mask_downscaling.6"),
    ("prompt_encoder", "sam_prompt_encoder"),
    ("mask_decoder", "sam_mask_decoder"),
    ("upscale_conv1", "output_upscaling.0"),
    ("upscale_layer_norm", "output_upscaling.1"),
    ("upscale_conv2", "output_upscaling.3"),
    ("o_proj", "out_proj"),
    ("layer_norm", "norm"),
)


def official_name(name):
    """What Meta's code calls a weight of transformers'."""
    name = re.sub(r"(neck\.convs\.\d)\.", r"\1.conv.", name)
    name = re.sub(
        r"mask_downsampler\.layers\.(\d)\.(conv|layer_norm)\.",
        lambda m: f"mask_downsampler.encoder.{int(m[1]) * 3 + (m[2] != 'conv')}.",
        name,
    ).replace("mask_downsampler.final_conv", "mask_downsampler.encoder.12")
    three = re.search(r"output_hyper|iou_pred|pred_obj|object_pointer_proj", name)
    name = re.sub(r"\.layers\.0\.(weight|bias)$", r".layers.1.\1", name) if three else name
    name = name.replace(".proj_in.", ".layers.0.")
    name = name.replace(".proj_out.", ".layers.2." if three else ".layers.1.")
    name = re.sub(r"(fuser\.layers\.\d)\.scale$", r"\1.gamma", name)
    for new, old in BACK:
        name = name.replace(new, old)
    return name


def official_weights(network):
    """The weights of a network as Meta's code saves them."""
    weights = {official_name(k): w.clone() for k, w in network.state_dict().items() if "shared_image" not in k}
    points = weights.pop("sam_prompt_encoder.point_embed.weight")
    return weights | {f"sam_prompt_encoder.point_embeddings.{n}.weight": points[n : n + 1].clone() for n in range(4)}


@pytest.fixture(scope="module", params=["SAM 2.1", "SAM 2"])
def network(request):
    """A real architecture (tiny), small views, random weights."""
    from transformers import Sam2VideoConfig, Sam2VideoModel

    from napari_sam2.models.sam2.sizing import resize_config

    new = request.param == "SAM 2.1"
    config = Sam2VideoConfig(
        enable_occlusion_spatial_embedding=new, enable_temporal_pos_encoding_for_object_pointers=new
    )
    resize_config(config, 64)
    torch.manual_seed(0)
    network = Sam2VideoModel(config).eval()
    # One and the same in every real checkpoint; drawn twice at random here.
    network.shared_image_embedding = network.prompt_encoder.shared_embedding
    return network


def answer(model):
    torch.manual_seed(1)
    image, prompts = torch.rand(1, 1, 64, 64), ViewPrompts(torch.tensor([[30.0, 20.0]]), torch.tensor([True]))
    return model.decode([DecodeRequest(model.encode(image)[0], prompts)])[0]


def test_an_official_file_answers_as_the_network_it_was_saved_from(network, tmp_path):
    torch.save({"model": official_weights(network)}, tmp_path / "sam.pt")
    folder = convert_official(tmp_path / "sam.pt", tmp_path / "converted", input_size=64)
    found = answer(load_model(folder, "cpu", quality="best"))
    expected = answer(Sam2Model(network, ModelCard("random", "sam2")))
    assert torch.allclose(found.logits, expected.logits, atol=1e-5)
    assert torch.allclose(found.state, expected.state, atol=1e-5)


def test_renaming_gives_every_weight_a_name_of_its_own(network):
    official = official_weights(network)
    assert len({rename(name) for name in official}) == len(official)


def test_an_imported_file_is_found_by_name_with_its_licence(network, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM2_MODELS", str(tmp_path / "models"))
    torch.save({"model": official_weights(network)}, tmp_path / "MedSAM2_mine.pt")
    zoo.import_checkpoint(tmp_path / "MedSAM2_mine.pt", input_size=64)
    card = load_model("MedSAM2_mine", "cpu").card
    assert (card.name, card.license, len(card.sha256)) == ("MedSAM2_mine", "CC-BY-SA-4.0", 64)
    assert zoo.verify("MedSAM2_mine")
    with pytest.raises(UserInputError, match="nothing to fetch"):
        zoo.fetch("MedSAM2_mine")


def test_a_missing_weight_is_refused_by_name(network, tmp_path):
    weights = official_weights(network)
    del weights["memory_attention.norm.weight"]
    torch.save({"model": weights}, tmp_path / "sam.pt")
    with pytest.raises(ModelError, match=r"misses 1 weights such as memory_attention.layer_norm.weight"):
        convert_official(tmp_path / "sam.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unexpected_weight_is_refused_by_name(network, tmp_path):
    torch.save({**official_weights(network), "extra.weight": torch.ones(2)}, tmp_path / "sam.pt")
    with pytest.raises(ModelError, match=r"unexpected 1 weights such as extra.weight"):
        convert_official(tmp_path / "sam.pt", tmp_path / "out")


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_a_payload_is_refused_and_does_not_run(tmp_path):
    torch.save({"model": {"a": torch.ones(1)}, "extra": Canary(tmp_path / "ran")}, tmp_path / "evil.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Canary(tmp_path / "ran"), protocol=2))
    for name in ("evil.pt", "plain.pt"):
        with pytest.raises(ModelError, match="could run code"):
            convert_official(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{"model": {}}, [1, 2], {"model": {"a": 1}}], ids=["empty", "list", "number"])
def test_a_file_without_weights_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(ModelError, match="holds no weights of SAM,"):
        convert_official(tmp_path / "odd.pt", tmp_path / "out")


def test_another_network_and_a_damaged_file_are_refused(tmp_path):
    torch.save({"model": {"a.weight": torch.ones(2)}}, tmp_path / "other.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "other.pt").read_bytes()[:200])
    with pytest.raises(ModelError, match="not an official SAM 2 checkpoint"):
        convert_official(tmp_path / "other.pt", tmp_path / "out")
    with pytest.raises(ModelError, match=r"cut\.pt"):
        convert_official(tmp_path / "cut.pt", tmp_path / "out")


def test_the_terms_of_a_licence_are_shown_before_anything_is_fetched():
    assert "CC-BY-SA-4.0: Name the authors" in zoo.describe("wanglab/MedSAM2")
    assert "156 MB" in zoo.describe("facebook/sam2-hiera-tiny")
