import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_sam2.errors import EnvironmentLacksError, ModelError, UserInputError
from napari_sam2.finding.detectors.loading import folder_of_detector, load_detector

CPU = torch.device("cpu")


@pytest.fixture
def copy(sam3, tmp_path):
    shutil.copytree(sam3[0], tmp_path / "copy")
    return tmp_path / "copy"


def change(folder, **settings):
    own = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(own | settings))


def test_an_id_whose_files_are_not_here_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EnvironmentLacksError, match=r"nothing is downloaded here.*hf download someone/detector"):
        folder_of_detector("someone/detector")


@pytest.mark.parametrize("name", ["no folder", "/no/such/folder", "../..x"])
def test_what_is_neither_a_folder_nor_an_id_is_refused(name):
    with pytest.raises(UserInputError, match="There is no folder"):
        folder_of_detector(name)


def test_the_files_of_an_id_are_found_where_the_hubs_client_has_put_them(monkeypatch, tmp_path, sam3):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--someone--detector"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40)
    shutil.copytree(sam3[0], place / "snapshots" / ("0" * 40))
    folder = folder_of_detector("someone/detector")
    assert load_detector(folder, CPU).name.startswith("SAM 3")


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("config.json", "holds no config.json"),
        ("model.safetensors", "holds no model.safetensors"),
        ("merges.txt", "holds no table of words"),
    ],
)
def test_a_missing_file_is_named(copy, file, sentence):
    (copy / file).unlink()
    with pytest.raises(ModelError, match=sentence):
        load_detector(copy, CPU)


def test_another_kind_of_network_is_refused(copy):
    change(copy, model_type="owlv2")
    with pytest.raises(ModelError, match="'owlv2'; detectors are grounding-dino"):
        load_detector(copy, CPU)


def test_settings_that_name_code_are_refused(copy):
    change(copy, auto_map={"AutoModel": "evil.Model"})
    with pytest.raises(ModelError, match="not trusted"):
        load_detector(copy, CPU)


def test_missing_weights_are_never_made_up(copy):
    weights = load_file(copy / "model.safetensors")
    weights.pop("text_projection.weight")
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"misses 1 weights such as text_projection\.weight"):
        load_detector(copy, CPU)


def test_damage_is_one_sentence(copy):
    (copy / "vocab.json").write_text("{")
    with pytest.raises(ModelError) as told:
        load_detector(copy, CPU)
    assert str(copy) not in str(told.value)
    assert "\n" not in str(told.value)
