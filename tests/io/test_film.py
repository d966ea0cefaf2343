from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.core.prompts import ObjectPrompts
from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.hashing import sha256_of
from napari_sam2.io import film as film_module
from napari_sam2.io.film import files_of_film, write_label_film
from napari_sam2.io.sidecar import Provenance
from napari_sam2.measures.film import area_plot, pixels_over_time
from napari_sam2.terms.structures import structures_for

FRAMES = np.zeros((5, 20, 30), np.int32)
FRAMES[1:4, 5:9, 6:10] = 1
FRAMES[2, 15, 20] = 300
FILM = Volume(np.zeros((30, 20, 5), np.uint8), np.eye(4), oriented=False, source=Source("cells.gif"))


def made_by(**names):
    return Provenance(objects=[ObjectPrompts(int(i[1:]), (), name) for i, name in names.items()])


def test_labels_of_a_film_are_frames_over_time_with_all_that_belongs_to_them(tmp_path):
    path = tmp_path / "cells.ome.tif"
    write_label_film(
        FRAMES, FILM, path, made_by(_1="cell", _300="=debris"), seconds=0.5, mpp=Mpp(500.0, 250.0, "given")
    )
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "TYX"
        assert 'PhysicalSizeX="250.0"' in file.ome_metadata
        assert 'PhysicalSizeY="500.0"' in file.ome_metadata
        assert 'TimeIncrement="0.5"' in file.ome_metadata
        assert "PhysicalSizeZ" not in file.ome_metadata
        np.testing.assert_array_equal(file.asarray(), FRAMES)
    assert (tmp_path / "cells.tsv").read_text().splitlines() == [
        "index\tname\tframes\tpixels", "1\tcell\t3\t48", "300\t'=debris\t1\t1"
    ]  # fmt: skip
    areas = (tmp_path / "cells_areas.csv").read_text().splitlines()
    assert areas[0] == "frame,seconds,index,name,pixels,area_mm2"
    assert areas[1:4] == ["0,0,1,cell,0,0", "1,0.5,1,cell,16,2", "2,1,1,cell,16,2"]
    assert len(areas) == 11
    facts = json.loads((tmp_path / "cells.json").read_text())
    assert facts["Outputs"][0]["sha256"] == sha256_of(path)
    assert facts["Outputs"][0]["Labels"]["1"] == {"Name": "cell", "Frames": 3, "Pixels": 48}
    assert "VolumeML" not in (tmp_path / "cells.json").read_text()
    assert set(tmp_path.iterdir()) == set(files_of_film(path))


def test_an_existing_file_is_left_alone(tmp_path):
    path = tmp_path / "cells.ome.tif"
    path.write_text("mine")
    with pytest.raises(UserInputError, match="exists"):
        write_label_film(FRAMES, FILM, path, made_by())
    assert path.read_text() == "mine"
    write_label_film(FRAMES[:1], FILM, path, made_by(_1=""), overwrite=True)
    assert tifffile.imread(path).reshape(20, 30).sum() == 0


def test_all_files_of_a_film_are_written_or_none(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(film_module, "_areas", full)
    with pytest.raises(EnvironmentLacksError, match="No space left"):
        write_label_film(FRAMES, FILM, tmp_path / "cells.ome.tif", made_by(_1="cell"))
    assert list(tmp_path.iterdir()) == []


def test_pixels_are_counted_frame_by_frame():
    np.testing.assert_array_equal(pixels_over_time(FRAMES, [1, 300, 7]), [[0, 16, 16, 16, 0], [0, 0, 1, 0, 0], [0] * 5])


@pytest.mark.parametrize("n_frames", [1, 5])
def test_every_object_has_its_curve_in_the_plot(tmp_path, n_frames):
    objects = structures_for([1, 2], {1: "one", 2: "two"})
    plot = area_plot(np.full((2, n_frames), [[40], [90]]), objects, None, None)
    plot.save(tmp_path / "plot.png")
    colours = {tuple(c) for c in np.asarray(Image.open(tmp_path / "plot.png")).reshape(-1, 3).tolist()}
    assert {s.colour for s in objects} <= colours
    assert area_plot(np.zeros((0, 3), np.int64), [], 0.04, 0.1).size == plot.size
