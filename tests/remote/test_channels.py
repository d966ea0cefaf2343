"""Scans with several channels, answered by a server in a process of its own."""

from __future__ import annotations

import csv
import json

import nibabel as nib
import numpy as np
import pytest
import torch

from napari_sam2.cli import main
from napari_sam2.core.mix import Mix
from napari_sam2.measures.metrics import dice
from napari_sam2.models.seen import CHANNELS, SeenChannels, seen_to_json
from napari_sam2.models.small.folder import write_folder
from napari_sam2.models.small.net import NetConfig, SmallNet
from napari_sam2.models.small.weights import read_weights, write_weights
from tests.channels.scans import two_channels
from tests.phantoms import box_on
from tests.remote.serving import TOKEN, ServerProcess


@pytest.fixture
def pair_model(tmp_path):
    """A folder of a network of few, random weights that was tuned on a scan and its second channel."""
    torch.manual_seed(0)
    write_weights(tmp_path / "tiny.safetensors", SmallNet(NetConfig((8, 8, 16, 16), heads=2)).state_dict(),
                  NetConfig((8, 8, 16, 16), heads=2), 32, "tiny")  # fmt: skip
    weights = read_weights(tmp_path / "tiny.safetensors")
    folder = tmp_path / "pair"
    folder.mkdir()
    write_folder(folder, weights.net.state_dict(), weights)
    seen = SeenChannels(("second",), Mix("fused", ((2.0, -2.0),), (0.5,)))
    (folder / CHANNELS).write_text(json.dumps(seen_to_json(seen)))
    return folder


@pytest.fixture
def server(tmp_path, pair_model):
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    server = ServerProcess(tmp_path, 0, "--models", f"classical,{pair_model}")
    yield server
    server.close()


@pytest.fixture
def cases(tmp_path):
    """A table of two scans, each with a channel; neither shows the object alone."""
    rows = []
    for number in range(2):
        first, second, inside = two_channels(number)
        for name, voxels in (("a", first), ("b", second), ("truth", inside.astype(np.uint8))):
            nib.save(nib.Nifti1Image(voxels, np.diag([1.0, 1, 2, 1])), tmp_path / f"{name}{number}.nii.gz")
        corners = [list(corner) for corner in box_on(inside, 2, 8).corners]
        prompts = {"version": 1, "objects": [{"id": 1, "prompts": [{"box": corners}]}]}
        (tmp_path / f"p{number}.json").write_text(json.dumps(prompts))
        rows.append([f"c{number}", f"a{number}.nii.gz", f"second=b{number}.nii.gz", f"p{number}.json"])
    with (tmp_path / "cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["case", "image", "channel_1", "prompts"], *rows])
    return tmp_path / "cases.csv"


def labels_of(path):
    return np.asarray(nib.load(path).dataobj)


def test_a_cohort_with_channels_by_a_server_has_the_label_maps_it_has_here(cases, server, pair_model, tmp_path, capsys):
    there = ["--remote", server.url, "--token-file", str(tmp_path / "token")]
    for name, model in (("c", "classical"), ("m", str(pair_model))):
        how = ["--shard", "1/1", "--direction", "none"] if name == "m" else ["--shard", "1/1"]
        run = ["cohort", "run", str(cases), *how]
        assert main([*run, "-o", str(tmp_path / f"{name}-here"), "--model", model]) == 0
        assert main([*run, "-o", str(tmp_path / f"{name}-there"), "--model", model, *there]) == 0
        for case in ("c0", "c1"):
            folders = [tmp_path / f"{name}-{where}" / case for where in ("here", "there")]
            one, two = (labels_of(folder / "labels.nii.gz") for folder in folders)
            assert np.array_equal(one, two)
            facts = [json.loads((folder / "labels.json").read_text()) for folder in folders]
            assert facts[0]["ImageOfObject"] == facts[1]["ImageOfObject"]
            assert facts[0]["ImageOfObject"]["1"]["kind"] == "fused"
    assert (
        dice(labels_of(tmp_path / "c-there" / "c0" / "labels.nii.gz") == 1, labels_of(tmp_path / "truth0.nii.gz") == 1)
        > 0.85
    )
    # A model that was tuned on channels says so over the line as well.
    capsys.readouterr()
    how = ["--box", "21,20,8,51,44,8", "-o", str(tmp_path / "x.nii.gz"), "--model", str(pair_model), *there]
    assert main(["segment", str(tmp_path / "a0.nii.gz"), *how]) == 2
    assert "further channels second" in capsys.readouterr().err
