from __future__ import annotations

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk

from napari_sam2.errors import GeometryError, ImageFileError, UserInputError
from napari_sam2.io import read_labels, read_volume, write_labels
from napari_sam2.io.labels import read_named_labels
from napari_sam2.io.seg_nrrd import write_seg_nrrd
from napari_sam2.terms.structures import structures_for

NAMES = {1: 'Leber "links" \\ü', 2: "spleen"}


@pytest.fixture
def volume(scan):
    return read_volume(scan)


@pytest.fixture
def path(tmp_path, volume, labels):
    return write_seg_nrrd(labels, volume, tmp_path / "x.seg.nrrd", structures_for(NAMES, NAMES))


def test_nifti_to_seg_nrrd_and_back_is_exact(tmp_path, path, volume, labels):
    back, names = read_named_labels(path, volume)
    np.testing.assert_array_equal(back, labels)
    assert names == NAMES
    out = write_labels(back, volume, tmp_path / "back.nii.gz")
    np.testing.assert_array_equal(read_labels(out, volume), labels)


def test_pynrrd_and_simpleitk_agree_on_voxels_and_geometry(path, volume, labels):
    array, header = nrrd.read(str(path))
    np.testing.assert_array_equal(array, labels)
    lps = np.diag([-1, -1, 1, 1]) @ volume.affine
    np.testing.assert_array_equal(header["space directions"].T, lps[:3, :3])
    np.testing.assert_array_equal(header["space origin"], lps[:3, 3])
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).transpose(2, 1, 0), labels)
    np.testing.assert_allclose(image.GetOrigin(), lps[:3, 3], atol=1e-9)
    assert image.GetMetaData("Segment1_Name") == "spleen"


def test_the_keys_are_those_that_slicer_reads(path):
    header = nrrd.read_header(str(path))
    assert header["Segment0_LabelValue"] == "1"
    assert header["Segment0_Layer"] == "0"
    assert header["Segment0_Extent"] == "3 6 4 11 2 4"
    assert len(header["Segment0_Color"].split()) == 3
    assert "SCT^78961009^Spleen" in header["Segment1_Tags"]
    assert header["Segmentation_MasterRepresentation"] == "Binary labelmap"


def test_a_part_cropped_and_flipped_by_another_program_is_put_back(tmp_path, path, volume, labels):
    array, header = nrrd.read(str(path))
    directions, origin = header["space directions"], header["space origin"]
    header["space origin"] = origin + directions[0] * 2 + directions[1] * 13
    header["space directions"] = directions * [[1], [-1], [1]]
    nrrd.write(str(tmp_path / "c.seg.nrrd"), array[2:11, 13:2:-1], header)
    np.testing.assert_array_equal(read_labels(tmp_path / "c.seg.nrrd", volume), labels)


@pytest.mark.parametrize("shift", [0.3, 100])
def test_a_segmentation_elsewhere_is_refused(tmp_path, path, volume, shift):
    array, header = nrrd.read(str(path))
    header["space origin"] = header["space origin"] + header["space directions"][0] * shift
    nrrd.write(str(tmp_path / "c.seg.nrrd"), array, header)
    with pytest.raises(GeometryError, match="does not lie on the grid"):
        read_labels(tmp_path / "c.seg.nrrd", volume)


def in_layers(path, layers, **segments):
    """Rewrite a segmentation with several layers, as Slicer does for segments that may overlap."""
    _, header = nrrd.read(str(path))
    for key in ("sizes", "dimension"):
        header.pop(key, None)
    header["kinds"] = ["list", "domain", "domain", "domain"]
    header["space directions"] = np.vstack([np.full(3, np.nan), header["space directions"]])
    nrrd.write(str(path), np.stack(layers), {**header, **segments})


def test_segments_that_overlap_are_refused_with_a_remedy(path, volume, labels):
    in_layers(path, [labels, (labels > 0) * np.uint8(2)], Segment1_Layer="1")
    with pytest.raises(ImageFileError, match=r"segments that overlap .*export them to a labelmap"):
        read_labels(path, volume)


def test_layers_that_do_not_overlap_are_one_label_map(path, volume, labels):
    first, second = sorted(set(np.unique(labels)) - {0})
    in_layers(path, [labels * (labels == first), labels * (labels == second)], Segment1_Layer="1")
    np.testing.assert_array_equal(read_labels(path, volume), labels)


def test_one_value_in_two_layers_is_two_objects_with_their_names(path, volume, labels):
    first, second = sorted(set(np.unique(labels)) - {0})
    layers = [(labels == first).astype(np.uint8), (labels == second).astype(np.uint8)]
    in_layers(path, layers, Segment0_LabelValue="1", Segment1_LabelValue="1", Segment1_Layer="1")
    found, names = read_named_labels(path, volume)
    np.testing.assert_array_equal(found == 1, labels == first)
    np.testing.assert_array_equal(found == 2, labels == second)
    assert [names[1][:5], names[2][:5]] == [NAMES[int(first)][:5], NAMES[int(second)][:5]]  # pynrrd writes ASCII


def test_equal_labels_give_equal_bytes(tmp_path, path, volume, labels):
    again = write_seg_nrrd(labels, volume, tmp_path / "y.seg.nrrd", structures_for(NAMES, NAMES))
    assert again.read_bytes() == path.read_bytes()


def test_the_name_must_be_one_that_slicer_knows(tmp_path, volume, labels):
    with pytest.raises(UserInputError, match=r"\.seg\.nrrd"):
        write_seg_nrrd(labels, volume, tmp_path / "x.nrrd", structures_for(NAMES))


def test_large_ids_and_empty_maps_are_written(tmp_path, volume, labels):
    big = labels.astype(np.int32) * 70000
    path = write_seg_nrrd(big, volume, tmp_path / "b.seg.nrrd", structures_for([70000, 140000]))
    np.testing.assert_array_equal(read_labels(path, volume), big)
    path = write_seg_nrrd(labels * 0, volume, tmp_path / "e.seg.nrrd", [])
    assert not read_labels(path, volume).any()
