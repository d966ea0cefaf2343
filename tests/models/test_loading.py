from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_sam2.errors import EnvironmentLacksError, ModelError, UserInputError
from napari_sam2.models import load_model, resolve_device, zoo
from napari_sam2.models.sam2.adapter import Sam2Model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small, complete checkpoint in transformers' format."""
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VideoModel, Sam2VisionConfig
    from transformers import Sam2VideoPromptEncoderConfig as PromptConfig

    backbone = Sam2HieraDetConfig(
        image_size=[64, 64], hidden_size=32, embed_dim_per_stage=[32, 64, 128, 256], blocks_per_stage=[1, 2, 3, 1],
        num_attention_heads_per_stage=[1, 2, 4, 8], global_attention_blocks=[5],
    )  # fmt: skip
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[256, 128, 64, 32],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=PromptConfig(image_size=64),
        image_size=64,
        memory_attention_rope_feat_sizes=[4, 4],
        memory_attention_num_layers=1,
    )
    folder = tmp_path_factory.mktemp("checkpoints") / "small"
    torch.manual_seed(0)
    Sam2VideoModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def copied(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copied"))


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_complete_checkpoint_loads_with_its_hash(checkpoint):
    model = load_model(checkpoint, "cpu")
    assert isinstance(model, Sam2Model)
    assert model.input_size == 64
    assert len(model.card.sha256) == 64


def test_another_input_size_needs_no_other_weights(checkpoint):
    model = load_model(checkpoint, "cpu", input_size=128)
    features = model.encode(torch.rand(1, 1, 128, 128))[0]
    assert features[2].shape[-2:] == (8, 8)
    with pytest.raises(ModelError, match="multiple of 32"):
        load_model(checkpoint, "cpu", input_size=100)


def test_a_missing_weight_is_refused_rather_than_made_up(copied):
    weights = load_file(copied / "model.safetensors")
    weights.pop("no_memory_embedding")
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="misses 1 weights such as no_memory_embedding"):
        load_model(copied, "cpu")


def test_an_unexpected_weight_is_refused(copied):
    weights = load_file(copied / "model.safetensors")
    weights["surprise"] = torch.zeros(3)
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="unexpected 1 weights such as surprise"):
        load_model(copied, "cpu")


def test_a_truncated_file_is_refused_in_one_sentence(copied):
    file = copied / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(copied, "cpu")


class _Payload:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.canary,)


def test_a_pickled_checkpoint_is_never_opened(copied, tmp_path):
    canary = tmp_path / "canary"
    (copied / "model.safetensors").unlink()
    (copied / "pytorch_model.bin").write_bytes(pickle.dumps(_Payload(canary)))
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        load_model(copied, "cpu")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
        ({"trust_remote_code": True}, "trust_remote_code"),
        ({"vision_config": {"model_type": "../../etc/passwd"}}, "a path under 'model_type'"),
        ({"model_type": "dpt"}, "type 'dpt'"),
    ],
)
def test_a_configuration_that_reaches_beyond_the_network_is_refused(copied, change, message):
    edit_config(copied, **change)
    with pytest.raises(ModelError, match=message):
        load_model(copied, "cpu")


def test_settings_of_older_versions_that_mean_nothing_are_let_pass(copied):
    edit_config(copied, memory_attention_rope_theta=10000, num_beams=1)
    assert load_model(copied, "cpu").network.config.rope_parameters["rope_theta"] == 10000


def test_a_damaged_or_missing_configuration_is_named(copied):
    (copied / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json is not valid JSON"):
        load_model(copied, "cpu")
    (copied / "config.json").unlink()
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        load_model(copied, "cpu")


def test_a_model_that_is_not_here_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM2_MODELS", str(tmp_path))
    with pytest.raises(EnvironmentLacksError, match=r"models fetch facebook/sam2\.1-hiera-tiny.*156 MB.*Apache-2\.0"):
        load_model("facebook/sam2.1-hiera-tiny")
    with pytest.raises(UserInputError, match="There is no model 'nonsense'"):
        load_model("nonsense")


def test_a_model_copied_by_hand_is_pinned_once_and_then_verified(monkeypatch, tmp_path, checkpoint):
    monkeypatch.setenv("NAPARI_SAM2_MODELS", str(tmp_path))
    name = "facebook/sam2.1-hiera-tiny"
    shutil.copytree(checkpoint, zoo.folder_of(name))
    pinned = zoo.verify(name)
    assert zoo.verify(name) == pinned
    model = load_model(name, "cpu")
    assert (model.card.name, model.card.license) == (name, "Apache-2.0")
    assert model.card.sha256 == pinned["model.safetensors"]
    file = zoo.folder_of(name) / "model.safetensors"
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(changed)
    with pytest.raises(ModelError, match="its SHA-256 differs"):
        zoo.verify(name)


def test_a_device_that_is_not_here_is_named_with_those_that_are():
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(EnvironmentLacksError, match=r"no device 'tpu'.*available: auto, cpu"):
        resolve_device("tpu")


def _mutations():
    """Settings of a checkpoint that describe no network, or one without end."""
    yield from (
        {"image_size": 10**9}, {"image_size": -64}, {"image_size": "64"}, {"image_size": None}, {"image_size": 0},
        {"memory_attention_num_layers": 10**9}, {"memory_attention_num_layers": -1},
        {"memory_attention_num_layers": "x"},
        {"memory_attention_hidden_size": 10**8}, {"memory_attention_hidden_size": 0}, {"vision_config": 3},
        {"vision_config": []}, {"vision_config": {"backbone_config": {"hidden_size": 10**7}}},
        {"vision_config": {"backbone_config": {"blocks_per_stage": 7}}},
        {"vision_config": {"backbone_channel_list": "abc"}}, {"prompt_encoder_config": "no"},
        {"prompt_encoder_config": {"patch_size": 0}}, {"mask_decoder_config": {"num_attention_heads": 0}},
        {"num_maskmem": 10**7}, {"num_maskmem": "seven"}, {"memory_attention_rope_feat_sizes": [0, 0]},
        {"memory_attention_rope_theta": "hot"}, {"model_type": ["sam2_video"]}, {"model_type": {}}, {"model_type": 5},
    )  # fmt: skip


@pytest.mark.parametrize("change", list(_mutations()), ids=str)
def test_settings_of_no_possible_network_end_in_one_sentence(copied, change):
    """Damaged metadata: a ModelError or UserInputError that names the folder alone, soon and in little memory."""
    edit_config(copied, **change)
    with pytest.raises((ModelError, UserInputError)) as refused:
        load_model(copied, "cpu", quality="best")
    assert str(copied) not in str(refused.value)
    assert copied.name in str(refused.value) or "input size" in str(refused.value)


@pytest.mark.parametrize(
    "metadata",
    [
        {"config": "not json"},
        {"config": "[1, 2]"},
        {"config": json.dumps({"widths": [10**7] * 4, "heads": 4})},
        {"config": json.dumps({"widths": [1], "heads": 4})},
        {"config": json.dumps({"widths": [8, 8, 8, 8], "heads": 0})},
        {"config": json.dumps({})},
        {"input_size": "1000000000"},
        {"input_size": "0"},
        {"input_size": "x"},
        {"name": None},
        {"format": "another"},
    ],
    ids=str,
)
def test_a_weight_file_with_damaged_metadata_ends_in_one_sentence(tmp_path, metadata):
    from safetensors import safe_open

    from napari_sam2.models.small import model as small

    bundled = Path(small.__file__).parents[1] / "weights" / small.BUNDLED_FILE
    with safe_open(bundled, framework="pt") as stored:
        known = stored.metadata()
    changed = {key: value for key, value in {**known, **metadata}.items() if value is not None}
    save_file(load_file(bundled), tmp_path / "w.safetensors", metadata=changed)
    with pytest.raises(ModelError) as refused:
        load_model(tmp_path / "w.safetensors", "cpu")
    assert "w.safetensors" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x05\0\0\0\0\0\0\0[1,2]", b"\x02\0\0\0\0\0\0\0{}"])
def test_a_file_that_is_no_safetensors_ends_in_one_sentence(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.safetensors") as refused:
        load_model(tmp_path / "w.safetensors", "cpu")
    assert str(tmp_path) not in str(refused.value)
