from __future__ import annotations

import shutil

import pytest
import torch

from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.models import load_model
from napari_sam2.models.fingerprint import fingerprint
from napari_sam2.models.small.model import BUNDLED_FILE


def test_the_bundled_model_has_the_hash_that_its_card_states():
    assert fingerprint("bundled") == load_model("bundled", "cpu").card.sha256


def test_a_weight_file_that_changes_has_another_fingerprint(tmp_path):
    import napari_sam2.models as package

    copy = tmp_path / "mine.safetensors"
    shutil.copy(f"{package.__path__[0]}/weights/{BUNDLED_FILE}", copy)
    before = fingerprint(str(copy))
    assert before == fingerprint("bundled")
    copy.write_bytes(copy.read_bytes() + b"\0")
    assert fingerprint(str(copy)) != before


def test_a_model_that_is_not_here_says_so_without_being_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM2_MODELS", str(tmp_path))
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(EnvironmentLacksError, match="not on this machine"):
        fingerprint("facebook/sam2.1-hiera-tiny")
    with pytest.raises(UserInputError):
        fingerprint(str(tmp_path / "none.safetensors"))
