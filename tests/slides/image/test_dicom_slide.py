"""DICOM slides of 16 bits and in JPEG-LS, written with pydicom alone."""

from __future__ import annotations

import jpeg_ls
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, generate_uid

from napari_sam2.errors import ImageFileError
from napari_sam2.slides.reader import open_slide

TILE = 64
SHAPE = (150, 200)
GREY = np.random.default_rng(3).integers(0, 4000, SHAPE, dtype=np.uint16)
COLOURS = np.random.default_rng(4).integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
SERIES = generate_uid()


def tiles(pixels):
    rows, cols = (-(-n // TILE) for n in pixels.shape[:2])
    padded = np.zeros((rows * TILE, cols * TILE, *pixels.shape[2:]), pixels.dtype)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    return [padded[r * TILE : (r + 1) * TILE, c * TILE : (c + 1) * TILE] for r in range(rows) for c in range(cols)]


def write_slide(
    path, pixels, *, syntax=ExplicitVRLittleEndian, spacing=0.0005, paths=1, flavour="VOLUME", path_id="1", stain="",
    corner=(0.0, 0.0), turned=(0, 1, 0, 1, 0, 0),
):  # fmt: skip
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.6", generate_uid()
    meta.TransferSyntaxUID = syntax
    made = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = generate_uid(), SERIES, generate_uid()
    made.Modality, made.PatientID, made.PatientName = "SM", "x", "x"
    made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = made.AccessionNumber = ""
    made.StudyID = made.SeriesNumber = made.InstanceNumber = "1"
    made.ImageType = ["ORIGINAL", "PRIMARY", flavour, "NONE"]
    made.Rows = made.Columns = TILE
    made.TotalPixelMatrixRows, made.TotalPixelMatrixColumns = pixels.shape[:2]
    made.DimensionOrganizationType, made.NumberOfOpticalPaths = "TILED_FULL", paths
    made.TotalPixelMatrixFocalPlanes = 1
    made.ImageOrientationSlide = list(turned)
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = corner
    made.TotalPixelMatrixOriginSequence = Sequence([origin])
    optics = Dataset()
    optics.OpticalPathIdentifier = path_id
    if stain:
        optics.OpticalPathDescription = stain
    made.OpticalPathSequence = Sequence([optics])
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [spacing, spacing], 0.001
    shared.PixelMeasuresSequence = Sequence([measures])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    organization = Dataset()
    organization.DimensionOrganizationUID = generate_uid()
    made.DimensionOrganizationSequence = Sequence([organization])
    is_colour = pixels.ndim == 3
    made.SamplesPerPixel, made.PhotometricInterpretation = (3, "RGB") if is_colour else (1, "MONOCHROME2")
    if is_colour:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, 0
    frames = tiles(pixels)
    made.NumberOfFrames = len(frames)
    if syntax == JPEGLSLossless:
        made.PixelData = encapsulate([bytes(jpeg_ls.encode_buffer(f.tobytes(), **_layout(f))) for f in frames])
        made["PixelData"].VR = "OB"
    else:
        made.PixelData = np.stack(frames).tobytes()
        made["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    made.save_as(path, enforce_file_format=True)
    return path


def _layout(frame):
    samples = frame.shape[2] if frame.ndim == 3 else 1
    return {
        "rows": frame.shape[0], "columns": frame.shape[1], "samples_per_pixel": samples,
        "bits_stored": 8 * frame.itemsize, "lossy_error": 0, "interleave_mode": 2 if samples > 1 else 0,
    }  # fmt: skip


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless])
@pytest.mark.parametrize("kind", ["grey", "colours"])
def test_every_piece_is_what_was_written(tmp_path, syntax, kind):
    pixels = GREY if kind == "grey" else COLOURS
    with open_slide(write_slide(tmp_path / "s.dcm", pixels, syntax=syntax)) as slide:
        assert slide.shape == SHAPE
        for piece in ((0, 0, *SHAPE), (50, 60, 40, 80), (149, 199, 1, 1)):
            row, col, rows, cols = piece
            found = slide._source.read(0, *piece)
            expected = pixels[row : row + rows, col : col + cols].reshape(rows, cols, -1)
            np.testing.assert_array_equal(found, expected)
        assert slide.mpp.mean == pytest.approx(0.5)
        assert (slide.mix is None) == (kind == "colours")


def test_levels_of_the_series_are_found_beside_the_file_and_its_label_is_not_one(tmp_path):
    full = write_slide(tmp_path / "a.dcm", GREY, syntax=JPEGLSLossless)
    write_slide(tmp_path / "b.dcm", np.ascontiguousarray(GREY[::2, ::2]), spacing=0.001)
    write_slide(tmp_path / "c.dcm", np.ascontiguousarray(GREY[:30, :30]), flavour="LABEL")
    for file in (full, tmp_path / "b.dcm"):
        with open_slide(file) as slide:
            assert slide._source.level_shapes == (SHAPE, (75, 100))
            np.testing.assert_array_equal(slide._source.read(1, 5, 6, 20, 30)[..., 0], GREY[::2, ::2][5:25, 6:36])
            assert slide.mpp.mean == pytest.approx(0.5)


def test_one_file_for_each_optical_path_makes_channels(tmp_path):
    rng = np.random.default_rng(5)
    written = [rng.integers(0, 4000, SHAPE, dtype=np.uint16) for _ in range(3)]
    for number, (pixels, stain) in enumerate(zip(written, ("DAPI", "CD3", ""), strict=True)):
        path_id = str(9 + number)  # 9, 10, 11: in the order of numbers
        write_slide(tmp_path / f"{3 - number}.dcm", pixels, path_id=path_id, stain=stain)
        coarse = np.ascontiguousarray(pixels[::2, ::2])
        write_slide(tmp_path / f"{3 - number}c.dcm", coarse, spacing=0.001, path_id=path_id, stain=stain)
    write_slide(tmp_path / "4.dcm", np.ascontiguousarray(GREY[::4, ::4]), spacing=0.002, path_id="9")  # of one only
    for file in ("1.dcm", "3c.dcm"):
        with open_slide(tmp_path / file) as slide:
            assert slide._source.level_shapes == (SHAPE, (75, 100))
            assert slide._source.n_channels == 3
            np.testing.assert_array_equal(
                slide._source.read(0, 40, 50, 30, 20), np.stack(written, axis=2)[40:70, 50:70]
            )
            np.testing.assert_array_equal(slide._source.read(1, 0, 0, 75, 100)[..., 1], written[1][::2, ::2])
            assert slide.mix.names == ("DAPI", "CD3", "11")


@pytest.mark.parametrize(
    "lies", [{"spacing": 0.00051}, {"corner": (0.0, 0.002)}, {"corner": (-1.0, 0.0)}, {"turned": (0, -1, 0, 1, 0, 0)}]
)
def test_optical_paths_that_do_not_lie_upon_each_other_are_no_channels(tmp_path, lies):
    write_slide(tmp_path / "a.dcm", GREY, path_id="1")
    write_slide(tmp_path / "b.dcm", GREY, path_id="2", **lies)
    for file in ("a.dcm", "b.dcm"):
        with pytest.raises(ImageFileError, match=r"[ab]\.dcm and [ab]\.dcm are of one series .* do not lie upon each"):
            open_slide(tmp_path / file)
    write_slide(tmp_path / "b.dcm", GREY, path_id="2", corner=(0.0004, 0.0))
    with open_slide(tmp_path / "a.dcm") as slide:
        assert slide._source.n_channels == 2


def test_the_level_that_was_opened_is_shown_even_where_another_path_lacks_it(tmp_path):
    fine = write_slide(tmp_path / "1.dcm", GREY, path_id="1")
    for path_id in "12":
        coarse = np.ascontiguousarray(GREY[::2, ::2])
        write_slide(tmp_path / f"{path_id}c.dcm", coarse, spacing=0.001, path_id=path_id)
    with open_slide(fine) as slide:
        assert (slide._source.level_shapes, slide._source.n_channels) == ((SHAPE, (75, 100)), 1)
        np.testing.assert_array_equal(slide._source.read(0, 0, 0, *SHAPE)[..., 0], GREY)
    with open_slide(tmp_path / "2c.dcm") as slide:
        assert (slide._source.level_shapes, slide._source.n_channels) == (((75, 100),), 2)


def test_a_file_beside_it_that_is_damaged_is_named_or_left_out(tmp_path):
    whole = write_slide(tmp_path / "1.dcm", GREY, path_id="1")
    other = pydicom.dcmread(write_slide(tmp_path / "2.dcm", GREY, path_id="2"))
    del other.OpticalPathSequence
    other.save_as(tmp_path / "2.dcm")
    with pytest.raises(ImageFileError, match=r"^2\.dcm is damaged"):
        open_slide(whole)
    del other.TotalPixelMatrixRows
    other.save_as(tmp_path / "2.dcm")
    with open_slide(whole) as slide:
        assert slide._source.n_channels == 1


def test_several_optical_paths_in_one_file_are_refused(tmp_path):
    with pytest.raises(ImageFileError, match=r"s\.dcm holds several optical paths"):
        open_slide(write_slide(tmp_path / "s.dcm", GREY, paths=2))


def test_a_truncated_one_is_refused(tmp_path):
    path = write_slide(tmp_path / "s.dcm", GREY, syntax=JPEGLSLossless)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageFileError, match=r"s\.dcm is damaged"), open_slide(path) as slide:
        slide.read(0, 0, 0, *SHAPE)


def test_the_reference_decodes_what_was_written(tmp_path):
    """pydicom's own pixel_array, frame by frame, holds the same tiles: the file is as it should be."""
    path = write_slide(tmp_path / "s.dcm", GREY, syntax=JPEGLSLossless)
    np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, np.stack(tiles(GREY)))
