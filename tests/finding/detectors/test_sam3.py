import json

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from napari_sam2.finding.detectors import sam3 as module
from napari_sam2.finding.detectors.loading import load_detector
from napari_sam2.finding.detectors.sam3 import WORDS, prepared


def test_scores_and_boxes_are_those_of_transformers(sam3, picture, monkeypatch):
    """As in its ``Sam3Processor`` and ``post_process_object_detection``, which need torchvision to be imported."""
    monkeypatch.setattr(module, "LEAST_SCORE", -1.0)
    monkeypatch.setattr("napari_sam2.finding.detectors.detector.SAME", 2.0)
    folder, network = sam3
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    text = tokenizer("left kidney", return_tensors="pt", padding="max_length", max_length=32)
    assert text["input_ids"].shape == (1, WORDS)
    with torch.inference_mode():
        answer = network(pixel_values=prepared(picture, 112), **text)
    scores = (answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid())[0].numpy()
    order = np.argsort(-scores, kind="stable")
    height, width = picture.shape[:2]
    boxes = (answer.pred_boxes[0] * torch.tensor([width, height, width, height])).numpy()
    inside = boxes.clip(0, (width, height, width, height))[:, [1, 0, 3, 2]]
    _, found = load_detector(folder, torch.device("cpu")).look(picture).boxes(["liver", "left kidney"])
    assert found.scores == pytest.approx(scores[order], abs=1e-5)
    assert found.edges == pytest.approx(inside[order], abs=1e-3)


def test_a_picture_is_prepared_as_by_transformers(request):
    """Against what ``Sam3ImageProcessor`` made of the same picture with torchvision (see ``sam3_prepared.py``)."""
    recorded = np.load(request.path.with_name("sam3_prepared.npz"))
    for name in ("smaller", "larger", "same"):
        ours = prepared(recorded[f"{name}_picture"], 48)[0].numpy()
        assert np.abs(ours - recorded[f"{name}_prepared"]).max() <= 1e-6, name


def test_the_detector_of_a_whole_sam3_is_read_and_its_tracker_left(sam3, tmp_path, picture):
    folder, _ = sam3
    weights = {f"detector_model.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights | {"tracker_model.x": torch.zeros(2)}, tmp_path / "model.safetensors", {"format": "pt"})
    own = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "sam3_video", "detector_config": own}))
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    whole, alone = (load_detector(f, torch.device("cpu")) for f in (tmp_path, folder))
    asked = [d.ask(d.look(picture)._seen, "liver").pred_boxes for d in (whole, alone)]
    assert torch.equal(*asked)
