"""Films from files to files: every kind of file, several objects, and what is refused."""

from __future__ import annotations

import csv
import json
import sys

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam2.cli import main
from napari_sam2.core.prompts import Box
from napari_sam2.errors import EnvironmentLacksError, ImageFileError
from napari_sam2.io.film_read import read_film
from napari_sam2.models import load_model
from tests.io.test_film_read import clip
from tests.zarr_maker import write_image

N, ROWS, COLS = 16, 60, 80
CENTRES = {1: (30, 22, 11), 2: (30, 60, 7)}
"""Rows, columns and radii of two discs; the second one moves up and down."""


def truth() -> np.ndarray:
    """Labels (T, rows, columns)."""
    rows, cols = np.ogrid[:ROWS, :COLS]
    labels = np.zeros((N, ROWS, COLS), np.uint8)
    for t in range(N):
        for i, (row, col, radius) in CENTRES.items():
            moved = row + (i == 2) * round(6 * np.sin(t / 2))
            labels[t][(rows - moved) ** 2 + (cols - col) ** 2 <= radius**2] = i
    return labels


def frames() -> np.ndarray:
    noise = np.random.default_rng(2).normal(0, 6, (N, ROWS, COLS))
    return np.clip(60 + 110 * (truth() > 0) + noise, 0, 255).astype(np.uint8)


def boxes(at: int) -> list[dict]:
    objects = []
    for i in CENTRES:
        rows, cols = (np.flatnonzero((truth()[at] == i).any(axis=a)) for a in (1, 0))
        corners = [[int(cols[n]), int(rows[n]), at] for n in (0, -1)]
        objects.append({"id": i, "name": f"disc {i}", "prompts": [{"box": corners}]})
    return objects


def write_video(path, pictures, codec, pixels) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = pictures.shape[2], pictures.shape[1], pixels
        for picture in pictures:
            rgb = np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def write_clip(path) -> None:
    grey, name = frames(), path.name
    if name.endswith(".ome.tif"):
        tifffile.imwrite(path, grey, photometric="minisblack", metadata={"axes": "TYX"})
    elif name == "imagej.tif":
        tifffile.imwrite(path, grey[:, None], imagej=True, metadata={"axes": "TCYX", "finterval": 0.04})
    elif name.endswith(".zarr"):
        write_image(path, grey, "tyx", (0.04, 0.5, 0.5), units={"t": "second", "y": "millimeter", "x": "millimeter"})
    elif name == "pages.tif":
        tifffile.imwrite(path, grey, photometric="minisblack")
    elif name.endswith(".gif"):
        first, *others = (Image.fromarray(f) for f in grey)
        first.save(path, save_all=True, append_images=others, duration=40)
    elif name.endswith(".dcm"):
        clip(path, grey, "1.2.840.10008.5.1.4.1.1.3.1", FrameTime=40.0, Rows=ROWS, Columns=COLS)
    elif name.endswith(".nii.gz"):
        nib.save(nib.Nifti1Image(grey.transpose(2, 1, 0)[:, :, np.newaxis], np.eye(4)), path)
    else:
        codec = {".avi": ("rawvideo", "bgr24"), ".mkv": ("ffv1", "bgr0"), ".mp4": ("mpeg4", "yuv420p")}[path.suffix]
        write_video(path, grey, *codec)


KINDS = ("o.ome.tif", "imagej.tif", "pages.tif", "f.gif", "u.dcm", "t.nii.gz", "v.avi", "v.mkv", "v.mp4", "z.ome.zarr")


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"version": 1, "space": "voxel", "objects": boxes(8)}))
    return path


@pytest.mark.parametrize("name", KINDS)
def test_objects_of_every_kind_of_film_keep_their_ids_over_all_frames(tmp_path, prompts, name, capsys):
    source, out = tmp_path / name, tmp_path / "labels.ome.tif"
    write_clip(source)
    assert main(["film", str(source), "-o", str(out), "--prompts", str(prompts), "--model", "classical"]) == 0
    assert "0 to 15 (16)" in capsys.readouterr().out
    labels = tifffile.imread(out)
    for i in CENTRES:
        assert min(iou(labels[t] == i, truth()[t] == i) for t in range(N)) > 0.65, i
    rows = list(csv.DictReader((tmp_path / "labels_areas.csv").read_text().splitlines()))
    assert len(rows) == 2 * N
    assert int(rows[3]["pixels"]) == (labels[3] == 1).sum()
    timed = name not in ("o.ome.tif", "pages.tif", "t.nii.gz")
    assert (rows[1]["seconds"] == "0.04") is timed
    facts = json.loads((tmp_path / "labels.json").read_text())
    assert facts["Source"]["sha256"]
    assert facts["Prompts"][0]["Kind"] == "box"


def test_what_is_no_film_is_refused_with_a_way_on(tmp_path, prompts, capsys):
    nib.save(nib.Nifti1Image(np.zeros((5, 6, 7), np.uint8), np.eye(4)), tmp_path / "v.nii.gz")
    given = ["film", str(tmp_path / "v.nii.gz"), "-o", str(tmp_path / "o.ome.tif")]
    assert main([*given, "--prompts", str(prompts)]) == 2
    assert "v.nii.gz is no film" in capsys.readouterr().err
    assert main(given) == 2
    assert "Say what to follow" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["v.avi", "v.mp4", "v.mkv"])
def test_a_video_that_is_cut_short_or_whose_frames_had_to_be_patched_is_refused(tmp_path, name):
    write_clip(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / f"cut{name}").write_bytes(whole[: 2 * len(whole) // 3])
    with pytest.raises(ImageFileError, match="damaged"):
        read_film(tmp_path / f"cut{name}")


def test_colours_of_a_video_stay_colours(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3)).astype(np.uint8)
    write_video(tmp_path / "c.avi", colours, "rawvideo", "bgr24")
    film = read_film(tmp_path / "c.avi")
    np.testing.assert_array_equal(film.frames, colours)
    assert film.seconds == pytest.approx(0.04)


def test_without_its_reader_a_video_says_what_to_install(tmp_path, monkeypatch):
    write_clip(tmp_path / "v.avi")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(EnvironmentLacksError, match=r"napari-sam2\[film\]"):
        read_film(tmp_path / "v.avi")


def test_a_flat_drawing_is_outlined_by_the_network_as_well():
    """Two values and no noise: without grain the disc's outline had an IoU of 0.65."""
    from napari_sam2.core.prompts import ObjectPrompts
    from napari_sam2.core.volume import Volume
    from napari_sam2.session.session import Session

    rows, cols = np.ogrid[:96, :128]
    disc = (rows - 48) ** 2 + (cols - 60) ** 2 <= 15**2
    for low, high in ((70, 180), (180, 70)):
        frame = np.where(disc, high, low).astype(np.uint8).T[:, :, np.newaxis]
        session = Session(Volume(frame, np.eye(4), oriented=False), load_model("bundled", "cpu"), axis=2)
        session.set_objects([ObjectPrompts(1, (Box(((45, 33, 0), (75, 63, 0))),))])
        assert iou(session.label_map()[..., 0].T == 1, disc) > 0.95
