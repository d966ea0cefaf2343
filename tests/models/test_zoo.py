from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from napari_sam2.errors import EnvironmentLacksError, ModelError
from napari_sam2.models import zoo

NAME = "facebook/sam2.1-hiera-tiny"
PAGE = b"<html><body>Please sign in to the guest network.</body></html>"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that serves what the test puts into it; there is no network here."""
    served: dict[str, bytes] = {}
    monkeypatch.setenv("NAPARI_SAM2_MODELS", str(tmp_path / "models"))
    api = SimpleNamespace(model_info=lambda *_, **__: SimpleNamespace(sha="c0ffee"))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api)

    def download(name, file, *, revision, local_dir):
        assert (name, revision) == (NAME, "c0ffee")
        local_dir.mkdir(parents=True, exist_ok=True)
        (local_dir / file).write_bytes(served[file])

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return served


def test_a_fetched_model_is_pinned_by_commit_and_hash(hub, tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "w.safetensors")
    hub |= {"config.json": b"{}", "model.safetensors": (tmp_path / "w.safetensors").read_bytes()}
    said = []
    folder = zoo.fetch(NAME, report=said.append)
    assert "156 MB" in said[0]
    assert "c0ffee" in (folder / "manifest.json").read_text()
    assert set(zoo.verify(NAME)) == {"config.json", "model.safetensors"}


@pytest.mark.parametrize("wrong", ["config.json", "model.safetensors"])
def test_a_page_instead_of_weights_is_removed_and_named(hub, tmp_path, wrong):
    save_file({"w": torch.zeros(2)}, tmp_path / "w.safetensors")
    hub |= {"config.json": b"{}", "model.safetensors": (tmp_path / "w.safetensors").read_bytes(), wrong: PAGE}
    with pytest.raises(ModelError, match=f"What came as {wrong}"):
        zoo.fetch(NAME)
    assert list(zoo.folder_of(NAME).iterdir()) == []


def test_without_a_network_the_way_by_hand_is_named(hub):
    with pytest.raises(EnvironmentLacksError, match=r"copy them into .*models verify"):
        zoo.fetch(NAME)


def test_a_model_that_is_given_on_request_only_says_where_to_ask(hub):
    with pytest.raises(
        EnvironmentLacksError, match=r"ask for access at https://huggingface\.co/facebook/sam3, run 'hf"
    ):
        zoo.fetch("facebook/sam3")
    assert "Not for military" in zoo.describe("facebook/sam3")


def test_every_model_that_can_be_fetched_is_in_the_docs_with_its_licence():
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    for name, entry in zoo.ZOO.items():
        row = next(line for line in page.splitlines() if line.startswith("|") and f"`{name}`" in line)
        assert entry.license in row, name
        assert f"{entry.input_size} px" in row, name
