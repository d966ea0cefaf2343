from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from scipy.interpolate import RegularGridInterpolator

from napari_sam2.channels.alignment import checked_alignment, rigid_transform
from napari_sam2.channels.placing import is_same_grid, on_grid_of, refuse_without_place
from napari_sam2.channels.stack import ChannelStack, place_channel
from napari_sam2.core.volume import Volume
from napari_sam2.errors import GeometryError, UserInputError
from napari_sam2.io import read_labels, read_volume
from napari_sam2.models import load_model
from napari_sam2.record.save import save_session
from napari_sam2.sample_data import sample
from napari_sam2.session.session import Session
from tests.channels.scans import two_channels, volume
from tests.phantoms import box_on

ORDERS = list(itertools.permutations(range(3)))


def stored(voxels, affine, order, flips):
    """The same scan with its axes in another order and some of them reversed."""
    ornt = np.array([[order[a], -1 if flips[a] else 1] for a in range(3)])
    image = nib.Nifti1Image(voxels, affine).as_reoriented(ornt)
    return np.asarray(image.dataobj), image.affine


@settings(max_examples=25, deadline=None)
@given(order=st.sampled_from(ORDERS), flips=st.tuples(*[st.booleans()] * 3), shift=st.tuples(*[st.floats(-6, 6)] * 3))
def test_a_channel_has_the_reference_s_place_in_every_stored_order(order, flips, shift):
    rng = np.random.default_rng(0)
    fine = rng.random((14, 12, 10)).astype(np.float32)
    affine = np.array([[1.1, 0.1, 0, -8], [-0.1, 1.2, 0, -7], [0, 0, 1.5, -6], [0, 0, 0, 1]])
    reference = Volume(
        np.zeros((9, 8, 7), np.float32),
        np.array(
            [[1.5, 0, 0, -6.0 + shift[0]], [0, 1.6, 0.2, -5 + shift[1]], [0, -0.2, 1.4, -4 + shift[2]], [0, 0, 0, 1]]
        ),
    )
    other = Volume(*stored(fine, affine, order, flips))
    laid = on_grid_of(reference, other, np.eye(4))
    # An independent reader: scipy's interpolator in the order that was not changed.
    places = np.stack(np.meshgrid(*map(np.arange, reference.shape), indexing="ij"), -1)
    voxels = apply_affine(np.linalg.inv(affine) @ reference.affine, places)
    inside = ((voxels >= 0) & (voxels <= np.array(fine.shape) - 1)).all(-1)
    expected = RegularGridInterpolator(tuple(map(np.arange, fine.shape)), fine)(voxels[inside])
    assert np.allclose(laid[inside], expected, atol=1e-4)
    outside = ((voxels < -0.6) | (voxels > np.array(fine.shape) - 0.4)).any(-1)
    assert np.isnan(laid[outside]).all()


@pytest.mark.parametrize("order", ORDERS)
def test_a_label_map_has_the_reference_s_geometry_bit_for_bit(tmp_path, order):
    first, second, inside = two_channels()
    flips = (order[0] == 1, order[1] == 0, order[2] == 2)
    voxels, affine = stored(first, np.diag([1.0, 1, 2, 1]), order, flips)
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "a.nii.gz")
    reference = read_volume(tmp_path / "a.nii.gz")
    other = place_channel(reference, volume(second), "b")
    here, _ = stored(inside.astype(np.uint8), np.diag([1.0, 1, 2, 1]), order, flips)
    axis = reference.default_slice_axis
    index = int(here.any(axis=tuple(a for a in range(3) if a != axis)).nonzero()[0].mean())
    session = Session(reference, load_model("classical"), channels=ChannelStack(reference, (other,), "a"))
    session.add_prompt(1, box_on(here > 0, axis, index))
    save_session(session, tmp_path / "out.nii.gz")
    one, two = (nib.load(tmp_path / name).header for name in ("a.nii.gz", "out.nii.gz"))
    for field in ("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x",
                  "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"):  # fmt: skip
        assert one[field].tobytes() == two[field].tobytes()
    found = read_labels(tmp_path / "out.nii.gz", reference).take(index, axis) > 0
    wanted = here.take(index, axis) > 0
    assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.8


def test_the_same_grid_is_taken_as_it_is():
    first, second, _ = two_channels()
    one, two = volume(first), volume(second)
    assert is_same_grid(one, two)
    assert place_channel(one, two, "b").laid.voxels is two.voxels


def test_a_scan_elsewhere_is_refused_with_its_distance():
    first, second, _ = two_channels()
    affine = np.diag([1.0, 1, 2, 1])
    affine[0, 3] = 300
    with pytest.raises(GeometryError, match=r"300 mm .* do not overlap"):
        refuse_without_place(volume(first), Volume(second, affine), "b")


def test_another_grid_without_a_known_place_is_refused():
    first, second, _ = two_channels()
    plain = Volume(second[:-4], np.diag([1.0, 1, 2, 1]), oriented=False)
    with pytest.raises(GeometryError, match="does not say where it lies"):
        refuse_without_place(volume(first), plain, "b")


def test_two_channels_of_one_name_are_refused():
    first, second, _ = two_channels()
    reference = volume(first)
    channel = place_channel(reference, volume(second), "a")
    with pytest.raises(UserInputError, match="called 'a'"):
        ChannelStack(reference, (channel,), "a")


@pytest.fixture(scope="module")
def ct() -> Volume:
    return read_volume(sample("ct_abdomen")[0])


def moved(scan: Volume, transform) -> Volume:
    """Another look at the same body, inverted and bent, after it has moved."""
    bent = (1000.0 - np.sqrt(np.clip(scan.voxels.astype(np.float64) + 1100, 0, 4000) * 250)).astype(np.float32)
    return Volume(bent, transform @ scan.affine)


def test_a_moved_inverted_copy_is_laid_back_within_a_voxel(ct):
    turn, shift = np.radians(6), (14.0, -9.0, 8.0)
    transform = np.eye(4)
    transform[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    centre = ct.voxel_to_world((np.array(ct.shape) - 1) / 2)
    transform[:3, 3] = centre - transform[:3, :3] @ centre + shift
    found = rigid_transform(ct, moved(ct, transform), "copy")
    corners = np.array(list(itertools.product(*[(0.2 * n, 0.8 * n) for n in ct.shape])))
    places = ct.voxel_to_world(corners)
    off = np.linalg.norm(apply_affine(found, places) - apply_affine(transform, places), axis=1)
    assert off.max() < min(ct.spacing)


@pytest.mark.parametrize(("off", "is_told"), [((3.0, -4.0, 0.0), True), ((0.0, 0.0, 0.0), False)])
def test_a_pair_five_millimetres_off_is_told(ct, off, is_told):
    transform = np.eye(4)
    transform[:3, 3] = off
    assert checked_alignment(ct, moved(ct, transform)).is_off == is_told
