from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam2.cli.app import main
from napari_sam2.errors import UserInputError
from napari_sam2.finding.detection import EXPERIMENTAL, Detection
from napari_sam2.finding.job import seen_on_film
from napari_sam2.finding.on_slides import boxes_on_slide
from napari_sam2.jobs.film import segment_film
from napari_sam2.jobs.slide import segment_slide

from .detectors.scripted import GREYS, Scripted
from .detectors.tiny import write_sam3


@pytest.fixture
def detection(tmp_path):
    return Detection(Scripted, tmp_path)


def test_what_is_seen_on_a_film_is_followed_from_its_best_frame(tmp_path, detection):
    frames = np.full((16, 48, 64), 60, np.uint8)
    for index, frame in enumerate(frames):
        frame[10 + index : 22 + index, 8 + index : 26 + index] = GREYS["liver"]
    clip, out, told = tmp_path / "clip.tif", tmp_path / "out.ome.tif", []
    tifffile.imwrite(clip, frames, imagej=True, metadata={"axes": "TYX"})
    run = segment_film(clip, out, seen_on_film(detection, ["liver"], told.append), model="classical", window="127/255")
    assert told[0] == EXPERIMENTAL
    assert run.objects[0]["frames"] == [0, 15]
    (obj,) = run.session.objects.values()
    (box,) = obj.prompts
    index = box.low[2]
    assert (box.low, box.high) == ((8 + index, 10 + index, index), (25 + index, 21 + index, index))


def test_what_is_seen_on_a_slide_is_outlined(tmp_path, detection):
    picture = np.full((300, 400, 3), 60, np.uint8)
    picture[40:90, 50:120] = GREYS["liver"]
    picture[200:260, 300:380] = GREYS["liver"]
    path, out, told = tmp_path / "slide.png", tmp_path / "out.geojson", []
    Image.fromarray(picture).save(path)
    run = segment_slide(path, out, prompts=boxes_on_slide(detection, ["liver"], told.append), model="classical")
    assert run.n_objects == 2
    assert told[0] == EXPERIMENTAL
    features = json.loads(out.read_text())["features"]
    assert sorted(f["properties"]["name"] for f in features) == ["liver 1", "liver 2"]
    lows = sorted(np.array(f["geometry"]["coordinates"][0]).min(axis=0).tolist() for f in features)
    assert np.abs(np.array(lows) - [[50, 40], [300, 200]]).max() <= 3


def test_a_large_slide_is_looked_at_as_a_whole(tmp_path, detection):
    picture = np.full((2800, 900, 3), 60, np.uint8)
    picture[300:900, 120:420] = GREYS["liver"]
    Image.fromarray(picture).save(tmp_path / "slide.png")
    from napari_sam2.slides.reader import open_slide

    with open_slide(tmp_path / "slide.png") as slide:
        (request,) = boxes_on_slide(detection, ["liver"])(slide)
        with pytest.raises(UserInputError, match=r"Nothing was found on slide\.png"):
            boxes_on_slide(detection, ["kidney"])(slide)
    (box,) = request.prompts
    assert np.abs(np.array(box.bounds) - (300, 120, 900, 420)).max() <= 3


def test_a_slide_has_no_sides(detection):
    with pytest.raises(UserInputError, match="leave the side of 'left kidney' out"):
        boxes_on_slide(detection, ["left kidney"])


def test_nothing_is_written_where_nothing_is_found(tmp_path, capsys):
    folder = tmp_path / "detector"
    folder.mkdir()
    write_sam3(folder)
    Image.fromarray(np.full((60, 80, 3), 60, np.uint8)).save(tmp_path / "slide.png")
    tifffile.imwrite(tmp_path / "clip.tif", np.full((4, 40, 40), 60, np.uint8), imagej=True, metadata={"axes": "TYX"})
    slide = ["slide", str(tmp_path / "slide.png"), "-o", str(tmp_path / "out.geojson"), "--model", "classical"]
    film = ["film", str(tmp_path / "clip.tif"), "-o", str(tmp_path / "out.ome.tif"), "--model", "classical"]
    before = set(tmp_path.iterdir())
    for arguments in (slide, film):
        assert main([*arguments, "--text", "gland", "--detector", str(folder)]) == 2
        assert main([*arguments, "--text", "gland"]) == 2
        assert main([*arguments, "--detector", str(folder)]) == 2
    assert capsys.readouterr().err.count("belong together") == 3
    assert set(tmp_path.iterdir()) == before
