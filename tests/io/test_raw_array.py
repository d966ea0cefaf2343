"""NRRD and MetaImage, compared with SimpleITK and pynrrd, and refused where those read zeros or end the process."""

from __future__ import annotations

import itertools
import zlib

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk

from napari_sam2.errors import ImageFileError, NapariSam2Error
from napari_sam2.io import read_volume

VOXELS = np.random.default_rng(0).integers(-3000, 3000, (7, 6, 5)).astype(np.int16)


def metaimage(path, *lines, payload=None):
    packed = zlib.compress(VOXELS.tobytes(order="F")) if payload is None else payload
    head = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False"]
    head += ["ElementSpacing = 1 2 3", "DimSize = 7 6 5", "ElementType = MET_SHORT", *lines, "ElementDataFile = LOCAL"]
    path.write_bytes("\n".join(head).encode() + b"\n" + packed)
    return path


@pytest.mark.parametrize("stated", [None, 5, 100, 10**6, -1])
def test_compressed_voxels_are_read_whatever_size_the_header_states(tmp_path, stated):
    lines = ["CompressedData = True", *([] if stated is None else [f"CompressedDataSize = {stated}"])]
    np.testing.assert_array_equal(read_volume(metaimage(tmp_path / "a.mha", *lines)).voxels, VOXELS)


@pytest.mark.parametrize("size", [7 * 6 * 5 * 2 - 2, 7 * 6 * 5 * 2 + 2])
def test_a_compressed_stream_of_another_size_is_refused(tmp_path, size):
    path = metaimage(tmp_path / "a.mha", "CompressedData = True", payload=zlib.compress(bytes(size)))
    with pytest.raises(ImageFileError, match=r"truncated|more data than its header announces"):
        read_volume(path)


def test_a_small_file_that_expands_without_end_takes_no_memory(tmp_path):
    path = metaimage(tmp_path / "a.mha", "CompressedData = True", payload=zlib.compress(bytes(50 << 20)))
    assert path.stat().st_size < 60_000
    with pytest.raises(ImageFileError, match="more data than its header announces"):
        read_volume(path)


@pytest.mark.parametrize("bits", list(itertools.product((True, False), repeat=2)))
def test_byte_order_and_compression_of_metaimage_are_honoured(tmp_path, bits):
    compressed, big = bits
    raw = VOXELS.astype(">i2" if big else "<i2").tobytes(order="F")
    head = f"NDims = 3\nBinaryDataByteOrderMSB = {big}\nDimSize = 7 6 5\nElementType = MET_SHORT\n"
    head += f"CompressedData = {compressed}\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(head.encode() + (zlib.compress(raw) if compressed else raw))
    np.testing.assert_array_equal(read_volume(tmp_path / "a.mha").voxels, VOXELS)


@pytest.mark.parametrize("size", [0, 12, -1])
def test_a_header_before_detached_voxels_is_skipped_as_itk_does(tmp_path, size):
    (tmp_path / "a.raw").write_bytes(b"x" * (12 if size else 0) + VOXELS.tobytes(order="F"))
    (tmp_path / "a.mhd").write_text(
        f"NDims = 3\nDimSize = 7 6 5\nHeaderSize = {size}\nElementType = MET_SHORT\nElementDataFile = a.raw\n"
    )
    np.testing.assert_array_equal(read_volume(tmp_path / "a.mhd").voxels, VOXELS)
    other = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.mhd"))).transpose(2, 1, 0)
    np.testing.assert_array_equal(other, VOXELS)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("compress", [True, False])
def test_every_type_and_an_oblique_grid_equal_those_of_itk(tmp_path, dtype, suffix, compress):
    image = sitk.GetImageFromArray((VOXELS % 100).astype(dtype).transpose(2, 1, 0))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-10.5, 20.25, 3))
    image.SetDirection(np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0].ravel().tolist())
    path = tmp_path / f"x{suffix}"
    sitk.WriteImage(image, str(path), compress)
    volume = read_volume(path)
    assert volume.voxels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(volume.voxels, sitk.GetArrayFromImage(image).transpose(2, 1, 0))
    for index in ((0, 0, 0), (6, 2, 4)):
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(volume.voxel_to_world(index), (-x, -y, z), atol=1e-6)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("channels", [2, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_channels_beside_the_voxels_equal_those_of_itk(tmp_path, suffix, channels, dtype):
    array = np.random.default_rng(2).integers(0, 255, (5, 6, 7, channels)).astype(dtype)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), str(tmp_path / f"x{suffix}"))
    expected = array.transpose(2, 1, 0, 3)
    if channels == 3 and dtype == np.uint8:
        np.testing.assert_array_equal(read_volume(tmp_path / f"x{suffix}").voxels, expected)
        return
    with pytest.raises(ImageFileError, match=f"holds {channels} volumes"):
        read_volume(tmp_path / f"x{suffix}")
    found = read_volume(tmp_path / f"x{suffix}", volume_index=1)
    np.testing.assert_array_equal(found.voxels, expected[..., 1])


@pytest.mark.parametrize("at", [0, 3])
def test_a_list_axis_of_nrrd_may_stand_first_or_last(tmp_path, at):
    array = np.stack([VOXELS, VOXELS + 1], axis=at)
    vectors = np.insert(np.diag([1.0, 2.0, 3.0]), at, np.nan, axis=0)
    kinds = ["domain"] * 3
    kinds.insert(at, "list")
    header = {
        "space": "left-posterior-superior",
        "space directions": vectors,
        "kinds": kinds,
        "space origin": [0, 0, 0],
    }
    nrrd.write(str(tmp_path / "x.nrrd"), array, header)
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nrrd", volume_index=1).voxels, VOXELS + 1)


@pytest.mark.parametrize("line", ["foo: " + "x" * 1000, "content: " + "y" * 5000, "key:=" + "z" * 100_000, "a" * 3000])
def test_a_long_line_in_a_nrrd_header_does_not_end_the_process(tmp_path, line):
    head = ["NRRD0004", "type: short", "dimension: 3", "space: left-posterior-superior", "sizes: 7 6 5",
            "space directions: (1,0,0) (0,1,0) (0,0,1)", "kinds: domain domain domain", "endian: little",
            "encoding: raw", "space origin: (0,0,0)", line]  # fmt: skip
    (tmp_path / "x.nrrd").write_bytes("\n".join(head).encode() + b"\n\n" + VOXELS.tobytes(order="F"))
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nrrd").voxels, VOXELS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sizes: 7 6 5", "sizes: 7 6 -5"), ("sizes: 7 6 5", "sizes: 7 6 99999999999"), ("sizes: 7 6 5", "sizes: 7"),
        ("dimension: 3", "dimension: 2"), ("endian: little", "endian: odd"), ("type: short", "type: block"),
        ("(0,0,1)", "(0,0,nan)"), ("(0,0,1)", "(0,0)"), ("(0,0,1)", "(0,0,0)"), ("(0,0,1)", "x"),
        ("encoding: raw", "encoding: hex"), ("encoding: raw", "byte skip: 1e9"), ("encoding: raw", "line skip: 2"),
        ("origin: (0,0,0)", "origin: (0,0,inf)"),
    ],
)  # fmt: skip
def test_a_wrong_nrrd_header_is_one_sentence(tmp_path, old, new):
    head = "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 7 6 5\nspace directions: "
    head += "(1,0,0) (0,1,0) (0,0,1)\nkinds: domain domain domain\nendian: little\nencoding: raw\nspace origin: (0,0,0)"
    assert old in head
    (tmp_path / "x.nrrd").write_bytes(head.replace(old, new).encode() + b"\n\n" + VOXELS.tobytes(order="F"))
    with pytest.raises(NapariSam2Error, match=r"^x\.nrrd"):
        read_volume(tmp_path / "x.nrrd")


@pytest.mark.parametrize(
    "line",
    [
        "DimSize = 7 6 4", "NDims = 2", "ElementType = MET_OTHER", "BinaryData = False", "ObjectType = Tube",
        "ElementNumberOfChannels = 0", "TransformMatrix = 1 0 0", "Offset = a b c", "ElementSpacing = 1 nan 1",
        "ElementSpacing = 1 0 1",
    ],
)  # fmt: skip
def test_a_wrong_metaimage_header_is_one_sentence(tmp_path, line):
    path = metaimage(tmp_path / "x.mha", "CompressedData = True")
    head = path.read_bytes()
    key = line.split(" ")[0].encode()
    lines = [part for part in head.split(b"\n", 8) if not part.startswith(key)]
    path.write_bytes(line.encode() + b"\n" + b"\n".join(lines))
    with pytest.raises(NapariSam2Error, match=r"^x\.mha"):
        read_volume(path)
