"""Prompts of the panel as a prompt file for the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from napari.layers._source import layer_source

from napari_sam2.cli import main
from napari_sam2.io import read_volume
from napari_sam2.io.prompt_file import read_prompt_file
from tests.plugin.conftest import BALL_CENTRE

if TYPE_CHECKING:
    from tests.plugin.conftest import Bench

CENTRE = BALL_CENTRE.astype(int)
LOW, HIGH = CENTRE - (8, 8, 0), CENTRE + (8, 8, 0)


def test_the_saved_prompts_segment_the_scan_as_the_panel_did(bench: Bench, ball_file: Path, tmp_path: Path):
    with layer_source(path=str(ball_file)):
        bench.open(ball_file)
    bench.box(LOW, HIGH)
    bench.controller.do("propagate_both")
    bench.settle()
    bench.controller.do("save_prompts")
    bench.settle()
    assert bench.controller.workspace.status.startswith("The prompts are saved in ")
    (file,) = ball_file.parent.glob("*_prompts.json")
    (obj,) = read_prompt_file(file, read_volume(ball_file))
    snapshot = bench.controller.work.current_object
    assert (obj.object_id, obj.prompts) == (snapshot.object_id, tuple(snapshot.prompts))
    output = tmp_path / "again.nii.gz"
    assert main(["segment", *map(str, (ball_file, "-o", output, "--prompts", file)), "--model", "classical"]) == 0
    assert (np.asarray(nib.load(output).dataobj) == 1).sum() == snapshot.n_voxels


def test_an_earlier_prompt_file_stays_and_nothing_is_written_without_prompts(bench: Bench, ball_file: Path):
    with layer_source(path=str(ball_file)):
        bench.open(ball_file)
    bench.controller.do("save_prompts")
    bench.settle()
    assert "nothing to save" in bench.controller.workspace.status
    assert not list(ball_file.parent.glob("*_prompts*"))
    bench.box(LOW, HIGH)
    for _ in range(2):
        bench.controller.do("save_prompts")
        bench.settle()
    names = sorted(file.name for file in ball_file.parent.glob("*_prompts*"))
    assert len(names) == 2
    assert names[0].endswith("_prompts-2.json")
    assert names[1].endswith("_prompts.json")


def test_prompts_on_a_layer_from_no_file_go_to_the_home_folder(bench: Bench, ball_file: Path, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    bench.open(ball_file)
    bench.box(LOW, HIGH)
    bench.controller.do("save_prompts")
    bench.settle()
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["ball_prompts.json"]
    assert bench.controller.workspace.status.endswith("in your home folder.")
