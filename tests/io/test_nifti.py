from __future__ import annotations

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_sam2.errors import GeometryError, ImageFileError
from napari_sam2.io import read_volume

from .conftest import OBLIQUE

HALF_TURN = 0.02
"""nibabel takes a quaternion's real part below 6e-4 as 0, the standard (and ITK) below 3e-4."""

ROOM = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def patched(path, offset, fmt, *values, out=None):
    """Overwrite header bytes of an uncompressed copy of `path`."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<" + fmt, content, offset, *values)
    out = out or path.with_name("patched.nii")
    out.write_bytes(content)
    return out


def stored_orders():
    axes = [(a, b, 3 - a - b) for a in range(3) for b in range(3) if a != b]
    return st.tuples(st.sampled_from(axes), st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3))


@st.composite
def affines(draw):
    axes, signs = draw(stored_orders())
    angles = draw(st.tuples(*[st.floats(-20, 20)] * 3))  # far from the ties between axes at 45 degrees
    spacing = draw(st.tuples(*[st.floats(0.2, 8)] * 3))
    origin = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    affine = np.eye(4)
    signed_axes = np.eye(3)[:, list(axes)] * signs
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ signed_axes * spacing
    affine[:3, 3] = origin
    return affine


def itk_affine(path):
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ affine


@ROOM
@given(affine=affines(), codes=st.sampled_from([(1, 1), (0, 2), (1, 0), (2, 1), (4, 4)]))
def test_affine_and_voxels_equal_those_of_nibabel_and_simpleitk(tmp_path, voxels, affine, codes):
    image = nib.Nifti1Image(voxels, None)
    image.header.set_qform(affine, codes[0])
    image.header.set_sform(affine, codes[1])
    path = tmp_path / "any.nii"
    nib.save(nib.Nifti1Image(voxels, None, image.header), path)
    volume = read_volume(path)
    reference = nib.load(path)
    assert volume.oriented
    np.testing.assert_array_equal(volume.voxels, voxels)
    np.testing.assert_allclose(volume.affine, reference.affine, atol=1e-4 if codes[1] else HALF_TURN)
    # ITK makes directions orthonormal by a singular value decomposition that is good to some 3e-4.
    np.testing.assert_allclose(volume.affine, itk_affine(path), atol=1e-3 * max(volume.spacing))
    assert volume.axis_codes == nib.aff2axcodes(reference.affine)


@ROOM
@given(affine=affines())
def test_the_qform_alone_gives_the_affine_that_nibabel_and_itk_compute(tmp_path, voxels, affine):
    header = nib.Nifti1Header()
    header.set_data_shape(voxels.shape)
    header.set_qform(affine, 1)
    path = tmp_path / "q.nii"
    nib.save(nib.Nifti1Image(voxels, None, header), path)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine, nib.load(path).affine, atol=HALF_TURN)
    np.testing.assert_allclose(volume.affine, itk_affine(path), atol=1e-3 * max(volume.spacing))


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_every_real_type_keeps_its_values_and_becomes_native(tmp_path, dtype, endian, kind):
    values = (np.arange(60).reshape(3, 4, 5) * 2).astype(dtype)
    header = kind.header_class(endianness=endian)
    header.set_data_dtype(dtype)
    path = tmp_path / "x.nii.gz"
    nib.save(kind(values, np.eye(4), header), path)
    volume = read_volume(path)
    assert volume.voxels.dtype == np.dtype(dtype)
    assert volume.voxels.dtype.isnative
    np.testing.assert_array_equal(volume.voxels, values)
    assert volume.source.header.version == (1 if kind is nib.Nifti1Image else 2)


@pytest.mark.parametrize("name", ["pair.hdr", "pair.img"])
def test_a_pair_of_files_opens_by_either_name(tmp_path, voxels, name):
    nib.save(nib.Nifti1Pair(voxels, OBLIQUE), tmp_path / "pair.hdr")
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.voxels, voxels)
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-5)


def test_half_a_pair_is_refused_naming_the_missing_half(tmp_path, voxels):
    nib.save(nib.Nifti1Pair(voxels, OBLIQUE), tmp_path / "pair.hdr")
    (tmp_path / "pair.img").unlink()
    with pytest.raises(ImageFileError, match=r"pair\.img is missing"):
        read_volume(tmp_path / "pair.hdr")


def test_compression_is_found_by_content_and_not_by_name(tmp_path, scan, voxels):
    plain = tmp_path / "plain.nii.gz"
    plain.write_bytes(gzip.decompress(scan.read_bytes()))
    packed = tmp_path / "packed.nii"
    packed.write_bytes(scan.read_bytes())
    np.testing.assert_array_equal(read_volume(plain).voxels, voxels)
    np.testing.assert_array_equal(read_volume(packed).voxels, voxels)


def test_nothing_stays_mapped_to_the_file(tmp_path, scan, voxels):
    path = tmp_path / "plain.nii"
    path.write_bytes(gzip.decompress(scan.read_bytes()))
    volume = read_volume(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    np.testing.assert_array_equal(volume.voxels, voxels)


@pytest.mark.parametrize(
    ("slope", "inter", "dtype", "expected"),
    [
        (np.nan, 0, np.int16, lambda v: v),
        (0, 5, np.int16, lambda v: v),
        (1, 0, np.int16, lambda v: v),
        (1, -1024, np.int32, lambda v: v.astype(int) - 1024),
        (2, -1024, np.float32, lambda v: v * 2.0 - 1024),
        (0.5, -100, np.float32, lambda v: v * 0.5 - 100),
        (np.inf, 0, np.int16, lambda v: v),
    ],
)
def test_scaling_is_applied_and_whole_numbers_stay_whole(scan, voxels, slope, inter, dtype, expected):
    volume = read_volume(patched(scan, 112, "ff", slope, inter))
    assert volume.voxels.dtype == dtype
    np.testing.assert_array_equal(volume.voxels, expected(voxels))


def test_rgb24_becomes_three_channels(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (5, 6, 7, 3)).astype(np.uint8)
    packed = colours.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nib.save(nib.Nifti1Image(packed, np.eye(4)), tmp_path / "rgb.nii.gz")
    volume = read_volume(tmp_path / "rgb.nii.gz")
    assert volume.is_rgb
    np.testing.assert_array_equal(volume.voxels, colours)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_numbers_are_refused_with_a_remedy(tmp_path, dtype):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), dtype), np.eye(4)), tmp_path / "c.nii.gz")
    with pytest.raises(ImageFileError, match="magnitude"):
        read_volume(tmp_path / "c.nii.gz")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((6, 5), (6, 5, 1)),
        ((6, 5, 1), (6, 5, 1)),
        ((1, 5, 4), (1, 5, 4)),
        ((6, 5, 4, 1), (6, 5, 4)),
        ((6, 5, 4, 1, 1), (6, 5, 4)),
        ((1, 1, 1), (1, 1, 1)),
    ],
)
def test_only_trailing_single_axes_are_dropped(tmp_path, shape, expected):
    nib.save(nib.Nifti1Image(np.ones(shape, np.int16), np.eye(4)), tmp_path / "s.nii")
    assert read_volume(tmp_path / "s.nii").shape == expected


@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (4, 5, 6, 1, 3)])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_one_of_several_volumes_is_read_when_chosen(tmp_path, shape, suffix):
    values = np.arange(np.prod(shape)).reshape(shape).astype(np.int16)
    path = tmp_path / ("many" + suffix)
    nib.save(nib.Nifti1Image(values, OBLIQUE), path)
    with pytest.raises(ImageFileError, match=r"many.*holds 3 volumes.*--volume N.*0 to 2"):
        read_volume(path)
    np.testing.assert_array_equal(read_volume(path, volume_index=1).voxels, values[..., 1].reshape(4, 5, 6))
    with pytest.raises(ImageFileError, match="no volume 3"):
        read_volume(path, volume_index=3)


def test_two_further_axes_cannot_be_chosen_with_one_number(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 2, 3), np.int16), np.eye(4)), tmp_path / "m.nii")
    with pytest.raises(ImageFileError, match="split it"):
        read_volume(tmp_path / "m.nii", volume_index=0)


def test_a_volume_number_for_a_3d_file_must_be_0(scan):
    assert read_volume(scan, volume_index=0).shape == (12, 20, 8)
    with pytest.raises(ImageFileError, match="no volume 1: it holds one volume, 0"):
        read_volume(scan, volume_index=1)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_a_truncated_gzip_file_is_refused(scan, keep):
    content = scan.read_bytes()
    scan.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ImageFileError, match=r"scan\.nii\.gz is truncated"):
        read_volume(scan)


def test_a_truncated_uncompressed_file_is_refused_with_both_sizes(tmp_path, scan):
    content = gzip.decompress(scan.read_bytes())
    path = tmp_path / "half.nii"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageFileError, match=r"truncated.*4192 bytes.*2096 bytes"):
        read_volume(path)


@pytest.mark.parametrize("where", [0.5, -3, -6])
def test_a_changed_byte_in_a_gzip_file_is_found(scan, where):
    content = bytearray(scan.read_bytes())
    content[where if where < 0 else int(len(content) * where)] ^= 0x55
    scan.write_bytes(content)
    with pytest.raises(ImageFileError, match=r"scan\.nii\.gz is (damaged|truncated)"):
        read_volume(scan)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"x" * 1000, b"\x1f\x8b" + b"junk" * 200, gzip.compress(b"text", mtime=0)]
)
def test_other_content_with_a_nifti_name_is_refused(tmp_path, content):
    path = tmp_path / "odd.nii.gz"
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=r"^odd\.nii\.gz (is|cannot)"):
        read_volume(path)


def test_analyze_files_are_refused_because_they_have_no_left_and_right(tmp_path):
    nib.save(nib.AnalyzeImage(np.zeros((4, 4, 4), np.int16), np.eye(4)), tmp_path / "a.hdr")
    with pytest.raises(ImageFileError, match=r"ANALYZE 7\.5"):
        read_volume(tmp_path / "a.hdr")


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ((3, 2000, 2000, 2000, 1, 1, 1, 1), r"truncated.*14\.9 GiB"),
        ((3, -4, 20, 8, 1, 1, 1, 1), "size -4 x 20 x 8"),
        ((3, 0, 20, 8, 1, 1, 1, 1), "size 0 x 20 x 8"),
        ((0, 12, 20, 8, 1, 1, 1, 1), "0 dimensions"),
        ((9, 12, 20, 8, 1, 1, 1, 1), "9 dimensions"),
        ((1, 12, 20, 8, 1, 1, 1, 1), "single row"),
    ],
)
def test_a_header_that_lies_about_size_is_refused_before_memory_is_taken(scan, dims, message):
    with pytest.raises(ImageFileError, match=message):
        read_volume(patched(scan, 40, "8h", *dims))


def test_a_compressed_header_that_lies_about_size_is_refused(scan, tmp_path):
    path = patched(scan, 40, "8h", 3, 20000, 20000, 2000, 1, 1, 1, 1)
    packed = tmp_path / "lie.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ImageFileError, match=r"1490\.1 GiB.*cannot hold"):
        read_volume(packed)


def test_more_than_the_machine_can_spare_is_refused(scan, monkeypatch):
    monkeypatch.setattr("napari_sam2.io.payload._memory_limit", lambda: 1000)
    with pytest.raises(ImageFileError, match="this machine can spare"):
        read_volume(scan)


def test_a_gzip_bomb_behind_a_small_header_is_not_unpacked_to_its_end(scan, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_sam2.io.payload._TRAILING", 1 << 20)
    bomb = tmp_path / "bomb.nii.gz"
    bomb.write_bytes(gzip.compress(gzip.decompress(scan.read_bytes()) + b"\0" * (1 << 26)))
    read = []
    original = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, n=-1: read.append(n) or original(self, n))
    assert read_volume(bomb).shape == (12, 20, 8)
    assert sum(read) < 1 << 22


def test_an_unknown_datatype_is_refused(scan):
    with pytest.raises(ImageFileError, match="datatype 9999"):
        read_volume(patched(scan, 70, "h", 9999))


def test_codes_of_zero_give_spacing_only_and_a_note(scan):
    volume = read_volume(patched(scan, 252, "hh", 0, 0))
    assert not volume.oriented
    np.testing.assert_allclose(volume.spacing, nib.affines.voxel_sizes(OBLIQUE), rtol=1e-5)
    assert "left and right are unknown" in volume.source.notes[0]


def test_different_sform_and_qform_are_reported_and_the_sform_is_used(scan):
    path = patched(scan, 252, "h", 1)
    with path.open("r+b") as file:
        file.seek(268)
        file.write(struct.pack("<f", 500.0))
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-5)
    assert any("sform and qform differ" in note for note in volume.source.notes)


@pytest.mark.parametrize("row", [(np.nan,) * 4, (0, 0, 0, 0), (np.inf, 0, 0, 0)])
def test_an_unusable_sform_falls_back_to_the_qform_with_a_note(scan, row):
    with_q = nib.load(scan)
    with_q.set_qform(OBLIQUE, 1)
    nib.save(with_q, scan)
    volume = read_volume(patched(scan, 280, "4f", *row))
    np.testing.assert_allclose(volume.affine, with_q.get_qform(), atol=1e-4)
    assert any("qform is used" in note for note in volume.source.notes)


def test_no_usable_orientation_at_all_is_an_error(scan):
    with pytest.raises(GeometryError, match="not a usable matrix"):
        read_volume(patched(scan, 280, "4f", *(np.nan,) * 4))


def test_a_sheared_grid_is_kept_and_noted(tmp_path, voxels):
    sheared = np.diag([1.0, 1, 3, 1])
    sheared[1, 2] = 0.9
    nib.save(nib.Nifti1Image(voxels, sheared), tmp_path / "ct.nii")
    volume = read_volume(tmp_path / "ct.nii")
    np.testing.assert_allclose(volume.affine, sheared, atol=1e-6)
    assert any("sheared by 16.7 degrees" in note for note in volume.source.notes)


@pytest.mark.parametrize("size", [0.0, -2.0, np.nan, np.inf])
def test_voxel_sizes_that_are_not_positive_numbers_are_an_error(scan, size):
    with pytest.raises(GeometryError, match=r"voxel size along j .*pixdim\[2\]"):
        read_volume(patched(scan, 84, "f", size))


def test_a_qfac_of_zero_counts_as_one(scan):
    image = nib.load(scan)
    image.set_qform(OBLIQUE, 1)
    image.set_sform(None, 0)
    nib.save(image, scan)
    assert nib.load(scan).header["pixdim"][0] == 1
    np.testing.assert_allclose(read_volume(patched(scan, 76, "f", 0.0)).affine, nib.load(scan).affine, atol=1e-4)


@pytest.mark.parametrize(("unit", "scale"), [(1, 1000), (2, 1), (3, 0.001), (0, 1)])
def test_units_are_converted_to_millimetres(scan, unit, scale):
    volume = read_volume(patched(scan, 123, "b", unit | 8))
    np.testing.assert_allclose(volume.affine[:3], OBLIQUE[:3] * scale, rtol=1e-5)
    assert volume.source.header.unit == unit


def test_a_unit_that_nifti_does_not_know_is_said(scan):
    notes = read_volume(patched(scan, 123, "b", 7)).source.notes
    assert "The header's unit of length (7) is none that NIfTI knows; millimetres are taken." in notes
    assert not any("unit of length" in note for note in read_volume(patched(scan, 123, "b", 0)).source.notes)


def test_values_that_are_not_finite_are_kept_and_counted(tmp_path):
    values = np.zeros((4, 4, 4), np.float32)
    values[0, 0, :3] = np.nan, np.inf, -np.inf
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "nan.nii")
    volume = read_volume(tmp_path / "nan.nii")
    np.testing.assert_array_equal(volume.voxels, values)
    assert volume.source.notes == ("3 voxels are not numbers or infinite; they are shown as black or white.",)


def test_the_source_has_name_hash_and_no_text_of_the_header(tmp_path, voxels):
    import hashlib

    image = nib.Nifti1Image(voxels, OBLIQUE)
    image.header["descrip"] = b"DOE^JANE"
    image.header["db_name"] = b"MRN00123"
    path = tmp_path / "Zoë scan (1).nii.gz"
    nib.save(image, path)
    source = read_volume(path).source
    assert source.name == path.name
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "DOE" not in repr(source)
    assert "MRN" not in repr(source)


@pytest.mark.parametrize("name", ["missing.nii.gz", "folder"])
def test_a_path_that_is_no_file_is_refused_by_name(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ImageFileError, match=f"^{name} ") as error:
        read_volume(tmp_path / name)
    assert str(tmp_path) not in str(error.value)


def test_scaled_values_beyond_float32_do_not_become_infinite(tmp_path):
    values = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    path = tmp_path / "x.nii"
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([1e38, 3e38], "<f4").tobytes()  # scl_slope, scl_inter
    path.write_bytes(content)
    np.testing.assert_allclose(read_volume(path).voxels, values * float(np.float32(1e38)) + float(np.float32(3e38)))
