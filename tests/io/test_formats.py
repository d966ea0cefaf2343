from __future__ import annotations

import gzip

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

from napari_sam2.errors import ImageFileError
from napari_sam2.io import read_labels, read_volume, write_labels

from .conftest import OBLIQUE


def itk_image(voxels, affine=OBLIQUE):
    lps = np.diag([-1, -1, 1, 1]) @ affine
    image = sitk.GetImageFromArray(voxels.transpose(2, 1, 0))
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return image


@pytest.fixture(params=["x.nrrd", "x.nhdr", "x.mha", "x.mhd"])
def itk_path(request, tmp_path):
    return tmp_path / request.param


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_itk_formats_give_stored_order_and_ras(itk_path, voxels, compress, dtype):
    values = (voxels % 120).astype(dtype)
    sitk.WriteImage(itk_image(values), str(itk_path), compress)
    volume = read_volume(itk_path)
    assert volume.voxels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(volume.voxels, values)
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-9)
    assert volume.oriented


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("keep", [0.5, 0.95])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_truncated_itk_files_are_refused_and_not_filled_with_zeros(tmp_path, voxels, compress, keep, suffix):
    path = tmp_path / f"x{suffix}"
    sitk.WriteImage(itk_image(voxels), str(path), compress)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ImageFileError, match="truncated"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_a_missing_data_file_is_named(tmp_path, voxels, suffix):
    sitk.WriteImage(itk_image(voxels), str(tmp_path / f"x{suffix}"), False)
    (tmp_path / "x.raw").unlink()
    with pytest.raises(ImageFileError, match=r"x\.raw does not exist"):
        read_volume(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_a_damaged_compressed_file_is_refused(tmp_path, voxels, suffix):
    path = tmp_path / f"x{suffix}"
    sitk.WriteImage(itk_image(voxels), str(path), True)
    content = bytearray(path.read_bytes())
    content[-400:-300] = b"\xff" * 100
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=r"x\.(nrrd|mha) (is|cannot)"):
        read_volume(path)


@pytest.mark.parametrize(("space", "flip"), [("left-posterior-superior", (-1, -1, 1)), ("RAS", (1, 1, 1))])
def test_nrrd_spaces_are_honoured(tmp_path, voxels, space, flip):
    directions = np.diag([0.5, 0.7, 2.0])
    header = {
        "space": space,
        "space directions": directions,
        "space origin": [1, 2, 3],
        "kinds": ["domain"] * 3,
    }
    nrrd.write(str(tmp_path / "x.nrrd"), voxels, header)
    volume = read_volume(tmp_path / "x.nrrd")
    np.testing.assert_array_equal(volume.voxels, voxels)
    np.testing.assert_allclose(volume.affine[:3, :3], np.diag(flip) @ directions)
    np.testing.assert_allclose(volume.affine[:3, 3], np.array(flip) * [1, 2, 3])


def test_nrrd_without_a_space_has_unknown_orientation(tmp_path, voxels):
    nrrd.write(str(tmp_path / "x.nrrd"), voxels, {"spacings": [1, 2, 3]})
    volume = read_volume(tmp_path / "x.nrrd")
    assert not volume.oriented
    np.testing.assert_allclose(volume.spacing, (1, 2, 3))


def test_bzip2_nrrd_is_refused_with_a_remedy(tmp_path, voxels):
    nrrd.write(str(tmp_path / "x.nrrd"), voxels, {"encoding": "bzip2"})
    with pytest.raises(ImageFileError, match="gzip or raw"):
        read_volume(tmp_path / "x.nrrd")


def test_several_itk_volumes_are_chosen_by_number(tmp_path, voxels):
    stack = sitk.JoinSeries([itk_image(voxels), itk_image(voxels + 1)])
    sitk.WriteImage(stack, str(tmp_path / "x.nrrd"))
    with pytest.raises(ImageFileError, match=r"holds 2 volumes.*--volume N"):
        read_volume(tmp_path / "x.nrrd")
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nrrd", volume_index=1).voxels, voxels + 1)


@pytest.mark.parametrize("suffix", [".mgh", ".mgz"])
def test_mgh_equals_nibabel(tmp_path, voxels, suffix):
    path = tmp_path / f"brain{suffix}"
    nib.save(nib.MGHImage(voxels, OBLIQUE), path)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, voxels)
    assert volume.voxels.dtype == np.int16
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-4)


def test_a_truncated_mgz_is_refused(tmp_path, voxels):
    path = tmp_path / "brain.mgz"
    nib.save(nib.MGHImage(voxels, OBLIQUE), path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(ImageFileError, match="truncated"):
        read_volume(path)


def test_mgh_frames_are_chosen_by_number(tmp_path, voxels):
    frames = np.stack([voxels, voxels + 1], axis=-1)
    nib.save(nib.MGHImage(frames, OBLIQUE), tmp_path / "b.mgz")
    with pytest.raises(ImageFileError, match="holds 2 volumes"):
        read_volume(tmp_path / "b.mgz")
    np.testing.assert_array_equal(read_volume(tmp_path / "b.mgz", volume_index=1).voxels, voxels + 1)


@pytest.mark.parametrize("content", [b"not an image", b"\0\0\0\2" + bytes(400)])
def test_other_content_named_mgh_is_refused(tmp_path, content):
    (tmp_path / "x.mgh").write_bytes(content)
    with pytest.raises(ImageFileError, match="not an MGH file"):
        read_volume(tmp_path / "x.mgh")


@pytest.mark.parametrize("source", ["x.nrrd", "x.mha", "x.mgz"])
def test_labels_for_other_formats_lie_on_their_image(tmp_path, voxels, labels, source):
    path = tmp_path / source
    if source.endswith("mgz"):
        nib.save(nib.MGHImage(voxels, OBLIQUE), path)
    else:
        sitk.WriteImage(itk_image(voxels), str(path))
    volume = read_volume(path)
    out = write_labels(labels, volume, tmp_path / "out.nii.gz")
    np.testing.assert_allclose(nib.load(out).affine, OBLIQUE, atol=1e-4)
    np.testing.assert_array_equal(read_labels(out, volume), labels)


@pytest.fixture
def colours():
    return np.random.default_rng(1).integers(0, 255, (20, 30, 3)).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colour_pictures_are_one_slice_of_rows_and_columns(tmp_path, colours, suffix):
    Image.fromarray(colours).save(tmp_path / f"x{suffix}")
    volume = read_volume(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(volume.voxels, colours[:, :, np.newaxis])
    assert not volume.oriented
    assert volume.shape == (20, 30, 1)


def test_jpeg_opens(tmp_path, colours):
    Image.fromarray(colours).save(tmp_path / "x.jpg")
    assert read_volume(tmp_path / "x.jpg").is_rgb


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_pictures_keep_their_depth(tmp_path, dtype, suffix):
    grey = np.arange(600).reshape(20, 30).astype(dtype)
    Image.fromarray(grey).save(tmp_path / f"x{suffix}")
    volume = read_volume(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(volume.voxels[..., 0], grey)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_an_opaque_alpha_channel_is_dropped_and_transparent_places_are_white(tmp_path, colours, suffix):
    path = tmp_path / f"x{suffix}"
    alpha = np.full((20, 30, 1), 255, np.uint8)
    Image.fromarray(np.concatenate([colours, alpha], axis=-1)).save(path)
    np.testing.assert_array_equal(read_volume(path).voxels[:, :, 0], colours)
    alpha[3, 3] = 100
    Image.fromarray(np.concatenate([colours, alpha], axis=-1)).save(path)
    shown = read_volume(path).voxels[:, :, 0]
    expected = np.rint(colours[3, 3] * (100 / 255) + 255 * (155 / 255))
    assert np.abs(shown[3, 3] - expected).max() <= 1
    colours[3, 3] = shown[3, 3]
    np.testing.assert_array_equal(shown, colours)


def test_palette_pictures_become_rgb(tmp_path, colours):
    Image.fromarray(colours).quantize(16).save(tmp_path / "x.png")
    assert read_volume(tmp_path / "x.png").is_rgb


def test_tiff_pages_are_chosen_by_number(tmp_path):
    pages = np.arange(2 * 50 * 40).reshape(2, 50, 40).astype(np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", pages)
    with pytest.raises(ImageFileError, match=r"holds 2 pictures.*--volume N"):
        read_volume(tmp_path / "x.tif")
    np.testing.assert_array_equal(read_volume(tmp_path / "x.tif", volume_index=1).voxels[..., 0], pages[1])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_truncated_pictures_are_refused(tmp_path, colours, suffix):
    path = tmp_path / f"x{suffix}"
    Image.fromarray(colours).save(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ImageFileError, match="damaged"):
        read_volume(path)


def test_huge_pictures_are_refused_before_decoding(tmp_path, monkeypatch, colours):
    monkeypatch.setattr("napari_sam2.io.picture.LARGEST_PIXELS", 100)
    Image.fromarray(colours).save(tmp_path / "x.png")
    with pytest.raises(ImageFileError, match="30 x 20 pixels"):
        read_volume(tmp_path / "x.png")


@pytest.mark.parametrize("content", [b"GIF89a" + bytes(100), b"%PDF-1.7", gzip.compress(b"hello" * 100, mtime=0)])
def test_unknown_kinds_are_refused_with_the_list_of_known_ones(tmp_path, content):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(ImageFileError, match="supported are NIfTI"):
        read_volume(tmp_path / "x.bin")
