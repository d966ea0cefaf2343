from __future__ import annotations

import math

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_sam2.core.volume import Volume
from napari_sam2.errors import GeometryError
from napari_sam2.io import read_labels, read_volume
from napari_sam2.measures.measure import growth, measure, measurement_rows
from napari_sam2.sample_data import sample
from napari_sam2.tables import csv_text


def affine(spacing=(1.0, 1.0, 1.0), angles=(0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing
    matrix[:3, 3] = 5, -7, 11
    return matrix


def ellipsoid(shape, spacing, radii):
    grid = (np.indices(shape).transpose(1, 2, 3, 0) - (np.array(shape) - 1) / 2) * spacing
    return ((grid / radii) ** 2).sum(-1) <= 1


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.floats(-15, 15)] * 3), st.tuples(*[st.floats(0.6, 2)] * 3))
def test_an_ellipsoid_measures_right_on_any_grid(angles, spacing):
    radii = (18.0, 12.0, 15.0)
    shape = tuple(int(2 * r / s) + 5 for r, s in zip(radii, spacing, strict=True))
    mask = ellipsoid(shape, spacing, radii)
    volume = Volume(mask.astype(np.int16), affine(spacing, angles))
    (found,) = measure(mask.astype(np.uint8), volume)
    tolerance = 2 * max(spacing[:2])
    assert found.volume_ml == pytest.approx(4 / 3 * math.pi * np.prod(radii) / 1000, rel=0.03)
    assert found.long_axis_mm == pytest.approx(36, abs=tolerance)
    assert found.short_axis_mm == pytest.approx(24, abs=tolerance)
    p = 1.6075
    ab, ac, bc = (radii[0] * radii[1]) ** p, (radii[0] * radii[2]) ** p, (radii[1] * radii[2]) ** p
    smooth = 4 * math.pi * ((ab + ac + bc) / 3) ** (1 / p)
    assert smooth * 0.99 < found.surface_mm2 < smooth * 1.18
    np.testing.assert_allclose(found.centroid, (np.array(shape) - 1) / 2, atol=1e-6)
    np.testing.assert_allclose(found.centroid_mm, volume.voxel_to_world(found.centroid), atol=1e-9)


def test_recist_axes_of_a_rectangle_run_from_edge_to_edge():
    labels = np.zeros((30, 30, 5), np.uint8)
    labels[5:25, 10:15, 2] = 1
    (found,) = measure(labels, Volume(labels, affine((0.5, 1, 3))))
    assert found.long_axis_mm == pytest.approx(math.hypot(10, 5))
    assert found.short_axis_mm == pytest.approx(5 / math.cos(math.atan2(5, 10)), rel=1e-6)
    assert found.axis_slice == 2


def test_recist_does_not_reach_across_a_gap():
    labels = np.zeros((40, 10, 3), np.uint8)
    labels[2:6, 2:5, 1] = 1
    labels[30:36, 2:5, 1] = 1
    (found,) = measure(labels, Volume(labels, affine()))
    assert found.long_axis_mm == pytest.approx(math.hypot(6, 3))


def test_recist_looks_at_axial_slices_whatever_the_stored_order():
    mask = ellipsoid((50, 40, 30), (1, 1, 1), (10, 8, 14))
    expected = measure(mask.astype(np.uint8), Volume(mask.astype(np.int16), affine()))[0]
    turned = np.ascontiguousarray(mask.transpose(2, 0, 1)[::-1])
    axes = np.eye(4)[:, [2, 0, 1, 3]] @ np.diag([-1, 1, 1, 1])
    found = measure(turned.astype(np.uint8), Volume(turned.astype(np.int16), axes))[0]
    assert found.long_axis_mm == pytest.approx(expected.long_axis_mm)
    assert found.short_axis_mm == pytest.approx(expected.short_axis_mm)
    assert found.long_axis_mm == pytest.approx(20, abs=1.5)


def test_shapes_equal_those_of_simpleitk_on_a_real_ct():
    image_path, labels_path, names = sample("ct_abdomen")
    volume = read_volume(image_path)
    found = measure(read_labels(labels_path, volume), volume, names)
    image, labels = sitk.ReadImage(str(image_path)), sitk.ReadImage(str(labels_path))
    shape, statistics = sitk.LabelShapeStatisticsImageFilter(), sitk.LabelStatisticsImageFilter()
    shape.Execute(labels)
    statistics.Execute(image, labels)
    assert [m.label_id for m in found] == list(shape.GetLabels())
    for m in found:
        assert m.name == names[m.label_id]
        assert m.voxels == shape.GetNumberOfPixels(m.label_id)
        assert m.volume_ml == pytest.approx(shape.GetPhysicalSize(m.label_id) / 1000, rel=1e-5)
        assert m.surface_mm2 == pytest.approx(shape.GetPerimeter(m.label_id), rel=0.15)
        lps = np.array(shape.GetCentroid(m.label_id)) * [-1, -1, 1]
        np.testing.assert_allclose(m.centroid_mm, lps, atol=1e-3)
        assert m.intensity.mean == pytest.approx(statistics.GetMean(m.label_id), rel=1e-6)
        assert m.intensity.sd == pytest.approx(statistics.GetSigma(m.label_id), rel=1e-3)
        assert m.intensity.unit == "HU"
        box = shape.GetBoundingBox(m.label_id)
        assert (*m.low, *(h - lo + 1 for lo, h in zip(m.low, m.high, strict=True))) == box


def test_units_of_the_header_count(tmp_path):
    image = nib.Nifti1Image(np.ones((10, 10, 10), np.int16), np.diag([500, 500, 500, 1.0]))
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "micro.nii")
    labels = np.ones((10, 10, 10), np.uint8)
    (found,) = measure(labels, read_volume(tmp_path / "micro.nii"))
    assert found.volume_ml == pytest.approx(0.125)
    assert found.long_axis_mm == pytest.approx(5 * math.sqrt(2))


def test_pieces_and_borders_are_seen():
    labels = np.zeros((20, 20, 20), np.int32)
    labels[2:5, 2:5, 2:5] = 70000
    labels[5:8, 5:8, 5:8] = 70000  # touches by a corner
    labels[12:14, 12:14, 12:14] = 70000
    labels[0:3, 15:18, 15:18] = 4
    border, inner = measure(labels, Volume(labels, affine()))
    assert (inner.label_id, inner.components, inner.touches_border) == (70000, 2, False)
    assert (border.label_id, border.components, border.touches_border) == (4, 1, True)


def test_voxels_that_are_not_finite_are_left_out_of_the_intensities():
    values = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    values[0, 0] = np.nan, np.inf, -np.inf
    (found,) = measure(np.ones((3, 3, 3), np.uint8), Volume(values, affine()))
    assert found.intensity.mean == pytest.approx(np.arange(3, 27).mean())
    assert (found.intensity.low, found.intensity.high) == (3, 26)


def test_one_voxel_and_colour_pictures_can_be_measured():
    labels = np.zeros((4, 4, 1), np.uint8)
    labels[1, 1] = 1
    (found,) = measure(labels, Volume(np.zeros((4, 4, 1, 3), np.uint8), affine(), oriented=False))
    assert found.long_axis_mm == pytest.approx(math.sqrt(2))
    assert math.isnan(found.intensity.mean)
    assert not found.touches_border  # a single slice is no border


def test_an_empty_label_map_has_no_measurements():
    empty = np.zeros((3, 3, 3), np.uint8)
    assert measure(empty, Volume(empty, affine())) == []


def test_labels_of_another_shape_are_refused():
    with pytest.raises(GeometryError, match="shape"):
        measure(np.ones((3, 3, 3), np.uint8), Volume(np.ones((3, 3, 4)), affine()))


def test_growth_compares_scans_with_different_grids():
    small, large = np.zeros((12, 12, 12), np.uint8), np.zeros((24, 24, 24), np.uint8)
    small[2:6, 2:6, 2:6] = 1
    small[8:10, 8:10, 8:10] = 2
    large[4:16, 4:12, 4:12] = 1
    before = measure(small, Volume(small, affine()), {1: "node"})
    after = measure(large, Volume(large, affine((0.5, 0.5, 0.5))), {1: "node"})
    node, gone = growth(before, after)
    assert node.name == "node"
    assert node.volume_ml == pytest.approx((0.064, 0.096))
    assert node.volume_percent == pytest.approx(50)
    assert gone.label_id == 2
    assert math.isnan(gone.volume_percent)


def test_rows_name_their_units():
    labels = np.ones((3, 3, 3), np.uint8)
    ct = Volume(np.full((3, 3, 3), -1000, np.int16), affine())
    rows = measurement_rows(measure(labels, ct, {1: "=air()"}), case="scan.nii.gz")
    assert rows[0]["intensity_mean_hu"] == -1000
    lines = csv_text(rows).splitlines()
    assert lines[0].startswith("case,id,name,voxels,volume_ml,surface_mm2,long_axis_mm")
    assert lines[1].startswith("scan.nii.gz,1,'=air(),27,0.027,")
