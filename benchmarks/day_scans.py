"""Scans for the day's story, made of the bundled CT: as DICOM, and as a later scan in which an organ has grown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["write_later_scan", "write_series"]

ORDER = (2, 0, 1)
"""How the later scan stores its axes: a viewer that does not turn it shows the patient lying."""

MOVED_MM = (9.0, -6.0, 7.0)
TURNED_DEGREES = 3.0
"""How the patient lies in the later scan."""

SHRINK = 0.06
REACH_MM = 45.0
"""How much nearer to the centre of the organ a place of the later scan comes from, and how far that reaches."""


def write_series(volume: Volume, folder: Path) -> Path:
    """Write a CT as a series of DICOM slices, of nobody."""
    import pydicom
    from pydicom.data import get_testdata_file
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    step_i, step_j, step_k = (float(step) for step in volume.spacing)
    along_i, along_j = lps[:3, 0] / step_i, lps[:3, 1] / step_j
    for k in range(volume.shape[2]):
        ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = series, study, frame
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.PatientName, ds.PatientID = "STORY", "STORY"
        ds.Rows, ds.Columns = volume.shape[1], volume.shape[0]
        ds.PixelSpacing, ds.SliceThickness = [step_j, step_i], step_k
        ds.ImagePositionPatient = [round(float(c), 6) for c in (lps @ (0, 0, k, 1))[:3]]
        ds.ImageOrientationPatient = [round(float(c), 8) for c in (*along_i, *along_j)]
        ds.InstanceNumber = k + 1
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 1
        ds.PixelData = np.ascontiguousarray(volume.voxels[:, :, k].T.astype(np.int16)).tobytes()
        ds.save_as(folder / f"IM{k:04d}.dcm", enforce_file_format=True)
    return folder


def write_later_scan(
    volume: Volume, labels: NDArray[np.integer], grown: int, image: Path, truth: Path
) -> tuple[float, float]:
    """Write the same body as it is later: moved, stored otherwise, one organ larger.

    Returns
    -------
    before, after : float
        The organ's volume in mL.
    """
    affine = volume.affine[:, [*ORDER, 3]]
    shape = [volume.shape[axis] for axis in ORDER]
    centre = volume.voxel_to_world(np.argwhere(labels == grown).mean(axis=0))
    middle = volume.voxel_to_world((np.array(volume.shape) - 1) / 2)
    turn = Rotation.from_euler("z", TURNED_DEGREES, degrees=True).as_matrix()
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    at = grid @ affine[:3, :3].T + affine[:3, 3]
    at = (at - middle) @ turn.T + middle + MOVED_MM
    away = at - centre
    near = np.exp(-(np.linalg.norm(away, axis=-1, keepdims=True) ** 2) / (2 * REACH_MM**2))
    voxels = np.moveaxis(volume.world_to_voxel(centre + away * (1 - SHRINK * near)), -1, 0)
    later = ndimage.map_coordinates(volume.voxels, voxels, order=1, mode="nearest")
    laid = ndimage.map_coordinates(labels, voxels, order=0, mode="constant")
    nib.save(nib.Nifti1Image(later.astype(np.int16), affine), image)
    nib.save(nib.Nifti1Image(laid.astype(np.uint8), affine), truth)
    before, after = (float(np.count_nonzero(n == grown)) * volume.voxel_volume_ml for n in (labels, laid))
    return before, after
