"""OME-Zarr in: written by hand without a zarr library, read as volumes."""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import pytest

from napari_sam2.core.window import Window, choose_window
from napari_sam2.errors import GeometryError, ImageFileError, SeveralVolumesError
from napari_sam2.io.read import check_image, files_of_image, read_volume
from napari_sam2.io.zarr_store import is_zarr
from tests.zarr_maker import UNITS, write_image

BOTH = pytest.mark.parametrize("version", ["0.4", "0.5"])
RNG = np.random.default_rng(5)
STACK = RNG.integers(0, 60000, (5, 70, 90), dtype=np.uint16)


@BOTH
@pytest.mark.parametrize("packed", [False, True])
def test_a_stack_is_read_with_the_size_and_place_that_it_states(tmp_path, version, packed):
    path = write_image(
        tmp_path / "s.ome.zarr", STACK, "zyx", (2, 0.5, 0.25), version=version, translation=(10, 20, 30), levels=2,
        packed=packed,
    )  # fmt: skip
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, STACK.transpose(2, 1, 0))
    assert volume.voxels.dtype == np.uint16
    np.testing.assert_allclose(volume.spacing, (0.00025, 0.0005, 0.002))
    np.testing.assert_allclose(volume.affine[:3, 3], (0.03, 0.02, 0.01))
    assert not volume.oriented
    assert volume.source.notes == ()
    assert volume.source.name == "s.ome.zarr"


@BOTH
def test_transformations_of_the_whole_image_come_after_those_of_a_level(tmp_path, version):
    path = write_image(tmp_path / "s.zarr", STACK, "zyx", (1, 1, 1), version=version, translation=(1, 2, 3))
    file = path / (".zattrs" if version == "0.4" else "zarr.json")
    said = json.loads(file.read_text())
    inner = said if version == "0.4" else said["attributes"]["ome"]
    inner["multiscales"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": [10, 10, 10]}, {"type": "translation", "translation": [0, 0, 5]}
    ]  # fmt: skip
    file.write_text(json.dumps(said))
    volume = read_volume(path)
    np.testing.assert_allclose(volume.spacing, (0.01,) * 3)
    np.testing.assert_allclose(volume.affine[:3, 3] * 1000, (35, 20, 10))


@BOTH
def test_of_channels_and_moments_one_is_chosen_by_number_and_told_by_name(tmp_path, version):
    values = RNG.integers(0, 250, (2, 3, 4, 20, 30), dtype=np.uint8)
    said = {"omero": {"channels": [{"label": name} for name in ("DAPI", "GFP", "RFP")]}}
    path = write_image(tmp_path / "m.zarr", values, "tczyx", (1, 1, 2, 1, 1), version=version, **said)
    with pytest.raises(SeveralVolumesError, match=r"6 volumes \(2 along t and 3 along c; channels are 0 DAPI, 1 GFP"):
        read_volume(path)
    volume = read_volume(path, volume_index=4)
    np.testing.assert_array_equal(volume.voxels, values[1, 1].transpose(2, 1, 0))
    assert volume.source.notes == ("Volume 4 is the channel GFP.",)
    with pytest.raises(ImageFileError, match="no volume 6: it holds 6, 0 to 5"):
        read_volume(path, volume_index=6)


def stated(low, high, colour="00FF00"):
    return {"label": "GFP", "color": colour, "window": {"min": 0, "max": 65535, "start": low, "end": high}}


@BOTH
def test_a_channel_is_seen_through_the_window_that_the_file_states(tmp_path, version):
    values = RNG.integers(100, 4000, (2, 4, 20, 30), dtype=np.uint16)
    channels = {"omero": {"channels": [stated(150, 900, "FF0000"), stated(200, 3000)]}}
    path = write_image(tmp_path / "w.zarr", values, "czyx", (1, 2, 1, 1), version=version, **channels)
    first, second = (read_volume(path, volume_index=n) for n in (0, 1))
    assert choose_window(first) == Window(150, 900, "file")
    assert choose_window(second) == Window(200, 3000, "file")
    assert second.source.display.colour == (0, 255, 0)
    assert choose_window(second, "1000/500") == Window(750, 1250, "level/width")


@pytest.mark.parametrize("ends", [(0, 65535), (5000, 6000), (0, 0), ("a", 5), (0, 10**400), (-1e300, 1e300)])
def test_a_window_that_says_nothing_or_shows_nothing_is_not_taken(tmp_path, ends):
    values = RNG.integers(100, 1000, (4, 20, 30), dtype=np.uint16)
    path = write_image(tmp_path / "w.zarr", values, "zyx", (2, 1, 1), omero={"channels": [stated(*ends)]})
    assert choose_window(read_volume(path)).name == "percentile"


def test_a_moment_of_a_channel_has_the_window_of_its_channel(tmp_path):
    values = RNG.integers(100, 4000, (2, 2, 4, 20, 30), dtype=np.uint16)
    channels = {"omero": {"channels": [stated(150, 900), stated(200, 3000)]}}
    path = write_image(tmp_path / "t.zarr", values, "tczyx", (1, 1, 2, 1, 1), **channels)
    assert [choose_window(read_volume(path, volume_index=n)).high for n in range(4)] == [900, 3000, 900, 3000]


def test_red_green_and_blue_of_eight_bits_are_one_picture(tmp_path):
    values = RNG.integers(0, 250, (3, 4, 20, 30), dtype=np.uint8)
    colours = [{"color": c, "window": {"start": 0, "end": 255}} for c in ("FF0000", "00FF00", "0000FF")]
    path = write_image(tmp_path / "rgb.zarr", values, "czyx", (1, 1, 1, 1), omero={"channels": colours})
    np.testing.assert_array_equal(read_volume(path).voxels, values.transpose(3, 2, 1, 0))


def test_one_plane_is_a_volume_of_one_slice(tmp_path):
    volume = read_volume(write_image(tmp_path / "p.zarr", STACK[0], "yx", (3, 4)))
    assert volume.shape == (90, 70, 1)
    np.testing.assert_allclose(volume.spacing, (0.004, 0.003, 1))
    assert volume.source.notes == ("There is one plane only; its thickness is taken as 1 mm.",)


def test_a_unit_is_never_guessed(tmp_path):
    bare = read_volume(write_image(tmp_path / "bare.zarr", STACK, "zyx", (3, 2, 1), units={}))
    assert bare.spacing == (1, 2, 3)
    assert "No unit of length is stated" in bare.source.notes[0]
    path = write_image(tmp_path / "half.zarr", STACK, "zyx", (3, 2, 1), units={"x": "micrometer"})
    with pytest.raises(GeometryError, match="no usable unit of length for some of its axes"):
        read_volume(path)
    path = write_image(tmp_path / "odd.zarr", STACK, "zyx", (3, 2, 1), units={**UNITS, "z": "parsec"})
    with pytest.raises(GeometryError, match="no usable unit"):
        read_volume(path)


@BOTH
def test_a_zip_file_is_read_like_its_folder(tmp_path, version):
    folder = write_image(tmp_path / "s.ome.zarr", STACK, "zyx", (1, 1, 1), version=version)
    for name, root in (("a.ome.zarr", tmp_path), ("b.zarr", folder)):
        shutil.make_archive(str(tmp_path / name), "zip", root, "s.ome.zarr" if root == tmp_path else ".")
        np.testing.assert_array_equal(read_volume(tmp_path / f"{name}.zip").voxels, STACK.transpose(2, 1, 0))


@BOTH
def test_pieces_that_no_file_holds_are_told(tmp_path, version):
    path = write_image(tmp_path / "s.zarr", STACK, "zyx", (1, 1, 1), version=version, leave_out=[(0, 0, 0), (4, 1, 1)])
    volume = read_volume(path)
    assert not volume.voxels[:64, :64, 0].any()
    assert "2 of 20 pieces are not there and read as 0" in volume.source.notes[0]


def test_the_hash_is_of_what_was_read_and_labels_beside_it_do_not_change_it(tmp_path):
    path = write_image(tmp_path / "s.zarr", STACK, "zyx", (1, 1, 1))
    before = read_volume(path).source
    write_image(path / "labels" / "cells", (STACK > 5).astype(np.uint8), "zyx", (1, 1, 1))
    assert read_volume(path).source.sha256 == before.sha256
    piece = path / "0" / "4" / "1" / "1"
    piece.write_bytes(b"\1" + piece.read_bytes()[1:])
    assert read_volume(path).source.sha256 != before.sha256
    assert piece in before.files
    assert set(before.files) < set(files_of_image(path))
    check_image(path)


def test_a_field_of_a_plate_is_read_by_its_folder_and_the_plate_says_so(tmp_path):
    from tests.zarr_maker import write_group

    plate = tmp_path / "p.zarr"
    write_group(plate, {"plate": {"wells": [{"path": "A/1"}]}}, "0.4")
    write_image(plate / "A" / "1" / "0", STACK, "zyx", (1, 1, 1))
    with pytest.raises(ImageFileError, match="is a plate of wells"):
        read_volume(plate)
    assert read_volume(plate / "A" / "1" / "0").shape == (90, 70, 5)


def test_of_several_images_the_folder_of_one_is_asked_for(tmp_path):
    from tests.zarr_maker import write_group

    root = tmp_path / "two.zarr"
    write_group(root, {"bioformats2raw.layout": 3}, "0.4")
    for number in "01":
        write_image(root / number, STACK[: int(number) + 1], "zyx", (1, 1, 1))
    with pytest.raises(ImageFileError, match=r"2 images; give the folder of one, such as two\.zarr/0"):
        read_volume(root)
    assert read_volume(root / "1").shape[2] == 2


def _attrs(path, change):
    file = path / ".zattrs"
    said = json.loads(file.read_text())
    change(said)
    file.write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s["multiscales"][0].update(version="0.3"), "is OME-Zarr 0.3; 0.4 and 0.5 are read"),
        (lambda s: s["multiscales"][0].update(version="0.6"), "is OME-Zarr 0.6"),
        (lambda s: s.pop("multiscales"), "holds no image of OME-Zarr"),
        (lambda s: s["multiscales"][0].update(axes=["z", "y", "x"]), "cannot be understood"),
        (lambda s: s["multiscales"][0].pop("axes"), "cannot be understood"),
        (lambda s: s["multiscales"][0]["datasets"][0].update(path="../../etc"), "cannot be understood"),
        (lambda s: s["multiscales"][0]["datasets"][0].update(path="9"), "has no array '9'"),
        (lambda s: s["multiscales"][0]["datasets"].clear(), "cannot be understood"),
        (
            lambda s: s["multiscales"][0]["datasets"][0].update(
                coordinateTransformations=[{"type": "affine", "affine": [[1]]}]
            ),
            "cannot be understood",
        ),
        (
            lambda s: s["multiscales"][0]["datasets"][0].update(
                coordinateTransformations=[{"type": "scale", "scale": [1, 0, 1]}]
            ),
            "cannot be understood",
        ),
        (
            lambda s: s["multiscales"][0]["datasets"][0].update(
                coordinateTransformations=[{"type": "scale", "scale": [1, 1]}]
            ),
            "cannot be understood",
        ),
    ],
)
def test_what_is_not_understood_is_refused_in_a_sentence(tmp_path, change, sentence):
    path = write_image(tmp_path / "s.zarr", STACK, "zyx", (1, 1, 1))
    _attrs(path, change)
    with pytest.raises(ImageFileError, match=sentence) as caught:
        read_volume(path)
    assert str(tmp_path) not in str(caught.value)


def test_pieces_with_a_side_of_0_are_refused(tmp_path):
    path = write_image(tmp_path / "s.zarr", STACK, "zyx", (1, 1, 1), version="0.5")
    said = json.loads((path / "0" / "zarr.json").read_text())
    said["chunk_grid"]["configuration"]["chunk_shape"][1] = 0
    (path / "0" / "zarr.json").write_text(json.dumps(said))
    with pytest.raises(ImageFileError, match="pieces have a side of 0"):
        read_volume(path)


@BOTH
def test_a_truncated_piece_is_refused(tmp_path, version):
    path = write_image(tmp_path / "s.zarr", STACK, "zyx", (1, 1, 1), version=version, packed=True)
    pieces = sorted(f for f in (path / "0").rglob("*") if f.is_file() and not f.name.startswith((".", "zarr")))
    pieces[3].write_bytes(pieces[3].read_bytes()[:200])
    with pytest.raises(ImageFileError, match="a piece of it cannot be decoded"):
        read_volume(path)


def test_a_codec_that_runs_code_is_never_used(tmp_path):
    """numcodecs has Python's pickle as a codec: a piece of such an array would run what it holds."""
    import pickle

    ran = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (ran.write_text, ("x",))

    path = write_image(tmp_path / "s.zarr", STACK, "zyx", (1, 1, 1))
    said = json.loads((path / "0" / ".zarray").read_text())
    said["filters"] = [{"id": "pickle"}]
    (path / "0" / ".zarray").write_text(json.dumps(said))
    for piece in (path / "0").rglob("[0-9]*"):
        if piece.is_file():
            piece.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ImageFileError, match=r"s\.zarr is (damaged|compressed)"):
        read_volume(path)
    assert not ran.exists()


def test_a_codec_that_is_not_of_the_known_ones_is_named(tmp_path):
    path = write_image(tmp_path / "s.zarr", STACK, "zyx", (1, 1, 1))
    said = json.loads((path / "0" / ".zarray").read_text())
    said["filters"] = [{"id": "categorize", "labels": ["a"], "dtype": "<U1"}]
    (path / "0" / ".zarray").write_text(json.dumps(said))
    with pytest.raises(ImageFileError, match="compressed by 'categorize', which is not read here"):
        read_volume(path)


def test_what_is_no_zarr_is_not_taken_for_it(tmp_path):
    (tmp_path / "d").mkdir()
    assert not is_zarr(tmp_path / "d")
    assert not is_zarr(tmp_path / "absent")
    with zipfile.ZipFile(tmp_path / "x.zarr.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    assert not is_zarr(tmp_path / "x.zarr.zip")
    with pytest.raises(ImageFileError, match=r"x\.zarr\.zip is damaged, or no group of OME-Zarr"):
        read_volume(tmp_path / "x.zarr.zip")
