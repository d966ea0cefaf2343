"""Films opened from their files: the same masks as the command gives, and a source that is claimed only when true."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_sam2.cli import main
from napari_sam2.core.prompts import Box
from napari_sam2.plugin.reader import get_reader
from napari_sam2.plugin.slide.reader import napari_get_slide_reader
from tests.jobs.test_film import boxes, write_clip


@pytest.mark.parametrize("name", ["imagej.tif", "f.gif", "u.dcm", "t.nii.gz", "v.avi", "o.ome.tif", "z.ome.zarr"])
def test_the_window_gives_the_same_masks_and_files_as_the_command(bench, tmp_path, name):
    prompts = tmp_path / "p.json"
    prompts.write_text(json.dumps({"version": 1, "space": "voxel", "objects": boxes(8)}))
    source = tmp_path / name
    write_clip(source)
    out = tmp_path / "command.ome.tif"
    assert main(["film", str(source), "-o", str(out), "--prompts", str(prompts), "--model", "classical"]) == 0
    read = (napari_get_slide_reader if name.endswith((".tif", ".zarr")) else get_reader)(str(source))
    (data, fields, _) = read(str(source))[0]
    layer = bench.viewer.add_image(data, **fields)
    bench.controller.use_image(layer)
    bench.settle()
    work = bench.controller.work
    assert work.kind == "film"
    for entry in boxes(8):
        work.select(entry["id"])
        work.add_prompt(Box(tuple(tuple(c) for c in entry["prompts"][0]["box"])), 2)
        bench.settle()
    for entry in boxes(8):
        work.select(entry["id"])
        bench.controller.do("propagate_both")
        bench.settle()
    work.save(tmp_path / "window.ome.tif")
    bench.settle()
    assert bench.warnings == []
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "window.ome.tif"), tifffile.imread(out))
    ours, theirs = ((tmp_path / f"{n}_areas.csv").read_text() for n in ("command", "window"))
    assert ours.replace("disc 1", "object 1").replace("disc 2", "object 2") == theirs


def test_labels_of_an_edited_film_do_not_claim_its_file(bench, tmp_path):
    source = tmp_path / "f.gif"
    write_clip(source)
    (data, fields, _) = get_reader(str(source))(str(source))[0]
    work = []
    for frames_shown in (data, data[:, ::-1]):
        layer = bench.viewer.add_image(frames_shown, **fields)
        bench.controller.use_image(layer)
        bench.settle()
        work.append(bench.controller.work.shown)
    assert work[0].volume.source.sha256
    assert work[0].seconds == pytest.approx(0.04)
    assert not work[1].volume.source.sha256
    assert work[1].seconds is None
