"""Small DICOM series made of pydicom's bundled CT, oblique, with shuffled file names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from pathlib import Path

ROTATION = Rotation.from_euler("xyz", (0.1, -0.2, 0.3)).as_matrix()
ORIGIN = np.array([-20.5, -30.25, 100.125])
ROW_SPACING, COLUMN_SPACING, STEP = 0.8, 0.7, 2.5


def make_series(folder: Path, count: int = 8, change=None, uid: str | None = None, shape=(24, 16)) -> np.ndarray:
    """Write slices and return their HU as (columns, rows, slices).

    `change(dataset, k)` may alter a slice before it is written, or return False to leave it out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    names = rng.permutation(count)
    series, study, frame = uid or generate_uid(), generate_uid(), generate_uid()
    values = rng.integers(900, 1100, (shape[1], shape[0], count)).astype(np.int16)
    for k in range(count):
        ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = series, study, frame
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.PatientName, ds.PatientID, ds.PatientBirthDate = "ZYXW^JANE", "MRN00123", "19610203"
        ds.Rows, ds.Columns = shape
        ds.PixelSpacing, ds.SliceThickness = [ROW_SPACING, COLUMN_SPACING], STEP
        ds.ImagePositionPatient = [round(float(c), 6) for c in ORIGIN + ROTATION[:, 2] * STEP * k]
        ds.ImageOrientationPatient = [round(float(c), 8) for c in (*ROTATION[:, 0], *ROTATION[:, 1])]
        ds.InstanceNumber, ds.AcquisitionNumber, ds.SeriesNumber = k + 1, 1, 4
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 1
        ds.PixelData = np.ascontiguousarray(values[:, :, k].T).tobytes()
        if change is None or change(ds, k) is not False:
            ds.save_as(folder / f"IM{names[k]:03d}.dcm", enforce_file_format=True)
    return values.astype(np.int32) - 1024


def enhance(folder: Path, out: Path, count: int = 6) -> np.ndarray:
    """Write an enhanced multi-frame CT, frames in reverse order, and return (columns, rows, slices)."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    values = make_series(folder, count)
    single = sorted((pydicom.dcmread(f) for f in folder.iterdir()), key=lambda d: -int(d.InstanceNumber))
    ds = pydicom.dcmread(next(folder.iterdir()))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    frames = []
    for one in single:
        item, place = Dataset(), Dataset()
        place.ImagePositionPatient = one.ImagePositionPatient
        item.PlanePositionSequence = Sequence([place])
        frames.append(item)
    shared, plane, measures, value = Dataset(), Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = ds.ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = ds.PixelSpacing, ds.SliceThickness
    value.RescaleSlope, value.RescaleIntercept, value.RescaleType = 1, -1024, "HU"
    shared.PlaneOrientationSequence = Sequence([plane])
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PixelValueTransformationSequence = Sequence([value])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    ds.NumberOfFrames = count
    ds.PixelData = b"".join(one.PixelData for one in single)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(ds, name)
    ds.save_as(out, enforce_file_format=True)
    return values
