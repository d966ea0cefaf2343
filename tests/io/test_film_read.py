"""Films from every file that says that it is one, and from no other."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from napari_sam2.errors import ImageFileError
from napari_sam2.io import read_volume
from napari_sam2.io.film_read import read_film

FRAMES = np.random.default_rng(0).integers(0, 256, (6, 20, 30)).astype(np.uint8)
COLOURS = np.random.default_rng(1).integers(0, 256, (6, 20, 30, 3)).astype(np.uint8)


def clip(path, frames, sop, **tags):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = sop
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = generate_uid(), generate_uid(), "US"
    ds.Rows, ds.Columns, ds.NumberOfFrames = 20, 30, len(frames)
    ds.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    ds.PhotometricInterpretation = "RGB" if frames.ndim == 4 else "MONOCHROME2"
    if frames.ndim == 4:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    for name, value in tags.items():
        setattr(ds, name, value)
    ds.PixelData = frames.tobytes()
    ds.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("frames", [FRAMES, COLOURS], ids=["grey", "colour"])
@pytest.mark.parametrize("sop", ["1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.7.4"])
def test_a_clip_of_ultrasound_or_secondary_capture_is_a_film(tmp_path, frames, sop):
    clip(tmp_path / "u.dcm", frames, sop, FrameTime=40.0, PixelSpacing=[0.2, 0.3])
    film = read_film(tmp_path / "u.dcm")
    np.testing.assert_array_equal(film.frames, frames)
    assert film.seconds == pytest.approx(0.04)
    assert film.spacing_mm == (0.2, 0.3)


@pytest.mark.parametrize("stated", [0.0, -5.0, None])
def test_a_time_between_frames_that_is_none_is_left_out(tmp_path, stated):
    clip(tmp_path / "u.dcm", FRAMES, "1.2.840.10008.5.1.4.1.1.3.1", FrameTime=stated)
    assert read_film(tmp_path / "u.dcm").seconds is None


def test_a_damaged_tag_of_a_clip_is_one_sentence(tmp_path):
    clip(tmp_path / "u.dcm", FRAMES, "1.2.840.10008.5.1.4.1.1.3.1", FrameTime=40.0)
    content = (tmp_path / "u.dcm").read_bytes()
    at = content.index(b"\x18\x00\x63\x10DS") + 4
    (tmp_path / "u.dcm").write_bytes(content[:at] + b"\x44\x7f" + content[at + 2 :])
    with pytest.raises(ImageFileError, match=r"u\.dcm"):
        read_film(tmp_path / "u.dcm")


def test_frames_with_places_are_a_volume_and_no_film(tmp_path):
    ds = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm"))
    ds.save_as(tmp_path / "ct.dcm")
    assert read_film(tmp_path / "ct.dcm") is None


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_one_slice_over_time_in_nifti_is_a_film(tmp_path, suffix):
    image = nib.Nifti1Image(FRAMES.transpose(2, 1, 0)[:, :, np.newaxis], np.diag([0.5, 0.25, 1, 1]))
    image.header.set_xyzt_units("mm", "msec")
    image.header["pixdim"][4] = 40
    nib.save(image, tmp_path / f"f{suffix}")
    film = read_film(tmp_path / f"f{suffix}")
    np.testing.assert_array_equal(film.frames, FRAMES)
    assert film.spacing_mm == (0.25, 0.5)
    assert film.seconds == pytest.approx(0.04)


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 7, 3), (5, 6, 1)])
def test_other_niftis_are_no_films(tmp_path, shape):
    nib.save(nib.Nifti1Image(np.zeros(shape, np.uint8), np.eye(4)), tmp_path / "v.nii")
    assert read_film(tmp_path / "v.nii") is None


def test_imagej_stacks_of_time_are_films_and_those_of_depth_are_not(tmp_path):
    tifffile.imwrite(tmp_path / "t.tif", FRAMES[:, None], imagej=True, metadata={"axes": "TCYX", "finterval": 2.5})
    film = read_film(tmp_path / "t.tif")
    np.testing.assert_array_equal(film.frames, FRAMES)
    assert film.seconds == 2.5
    tifffile.imwrite(tmp_path / "z.tif", FRAMES, imagej=True, metadata={"axes": "ZYX"})
    assert read_film(tmp_path / "z.tif") is None
    tifffile.imwrite(tmp_path / "one.tif", FRAMES[0])
    assert read_film(tmp_path / "one.tif") is None


@pytest.mark.parametrize("stated", ["x0.04", -1.0, "nan"])
def test_a_time_of_an_imagej_stack_that_is_none_is_left_out(tmp_path, stated):
    metadata = {"axes": "TCYX", "finterval": stated}
    tifffile.imwrite(tmp_path / "t.tif", FRAMES[:, None], imagej=True, metadata=metadata)
    film = read_film(tmp_path / "t.tif")
    np.testing.assert_array_equal(film.frames, FRAMES)
    assert film.seconds is None


@pytest.mark.parametrize("frames", [FRAMES, COLOURS], ids=["grey", "colour"])
def test_pages_of_one_size_are_a_film(tmp_path, frames):
    tifffile.imwrite(tmp_path / "p.tif", frames, photometric="rgb" if frames.ndim == 4 else "minisblack")
    np.testing.assert_array_equal(read_film(tmp_path / "p.tif").frames, frames)


def test_colours_of_16_bits_are_scaled_as_one_and_not_clipped(tmp_path):
    tifffile.imwrite(tmp_path / "c.tif", COLOURS.astype(np.uint16) * 257, photometric="rgb")
    np.testing.assert_array_equal(read_film(tmp_path / "c.tif").frames, COLOURS)


def test_a_gif_that_moves_is_a_film_and_a_damaged_one_is_refused(tmp_path):
    pages = [Image.fromarray(f) for f in FRAMES]
    pages[0].save(tmp_path / "f.gif", save_all=True, append_images=pages[1:], duration=80)
    film = read_film(tmp_path / "f.gif")
    np.testing.assert_array_equal(film.frames, FRAMES)
    assert film.seconds == pytest.approx(0.08)
    pages[0].save(tmp_path / "one.gif")
    assert read_film(tmp_path / "one.gif") is None
    (tmp_path / "bad.gif").write_bytes((tmp_path / "f.gif").read_bytes()[:1500])
    with pytest.raises(ImageFileError, match=r"bad\.gif is truncated"):
        read_film(tmp_path / "bad.gif")


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ({"Rows": 19}, "announces 6 frames of 19 x 30 pixels and holds 180 bytes more"),
        ({"NumberOfFrames": 5}, "announces 5 frames of 20 x 30 pixels and holds 600 bytes more"),
        ({"NumberOfFrames": 2**31 - 1}, "is too small for them"),
        ({"NumberOfFrames": 7}, "cannot be decoded"),
    ],
)
def test_a_clip_whose_header_and_pixels_disagree_is_refused(tmp_path, tags, sentence):
    """Frames of one row less were cut from those of the file, each a row further down; and 2 billion took hours."""
    clip(tmp_path / "u.dcm", FRAMES, "1.2.840.10008.5.1.4.1.1.3.1", **tags)
    with pytest.raises(ImageFileError, match=sentence):
        read_film(tmp_path / "u.dcm")


@pytest.mark.parametrize("odd", [FRAMES[0, :10], FRAMES[0].astype(np.uint16)])
def test_pages_of_another_kind_are_never_dropped_without_a_word(tmp_path, odd):
    for place in (3, 6):
        with tifffile.TiffWriter(tmp_path / "p.tif") as tiff:
            for page in [*FRAMES[:place], odd, *FRAMES[place:]]:
                tiff.write(page, metadata=None)
        if place == 3:
            with pytest.raises(ImageFileError, match="other sizes or types between its frames"):
                read_film(tmp_path / "p.tif")
    film = read_film(tmp_path / "p.tif")
    np.testing.assert_array_equal(film.frames, FRAMES)
    assert film.notes == ("p.tif holds 1 more pages of another size or type, which are no frames; they are left out.",)


def test_a_film_of_complex_numbers_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "c.tif", FRAMES.astype(np.complex64), metadata={"axes": "TYX"})
    with pytest.raises(ImageFileError, match="complex numbers"):
        read_film(tmp_path / "c.tif")


@pytest.mark.parametrize(("shown", "seconds"), [([40] * 6, 0.04), ([40, 80, 40, 10, 30, 40], None), ([0] * 6, None)])
def test_frames_of_a_gif_that_are_shown_for_different_times_have_no_rate(tmp_path, shown, seconds):
    pages = [Image.fromarray(frame) for frame in FRAMES]
    pages[0].save(tmp_path / "g.gif", save_all=True, append_images=pages[1:], duration=shown)
    film = read_film(tmp_path / "g.gif")
    assert film.seconds == seconds
    assert len(film.notes) == (len(set(shown)) > 1)


def matroska(path, times):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 30, 20, "gray"
        for time, frame in zip(times, FRAMES, strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="gray")
            picture.pts = time
            for packet in stream.encode(picture):
                output.mux(packet)
        for packet in stream.encode():
            output.mux(packet)


def test_a_matroska_film_that_lacks_its_end_is_refused_and_one_of_uneven_times_is_not(tmp_path):
    matroska(tmp_path / "m.mkv", range(6))
    film = read_film(tmp_path / "m.mkv")
    np.testing.assert_array_equal(film.frames, FRAMES)
    assert film.seconds == pytest.approx(0.1)
    content = (tmp_path / "m.mkv").read_bytes()
    (tmp_path / "m.mkv").write_bytes(content[:-400])  # five frames can be read
    with pytest.raises(ImageFileError, match="truncated or damaged: 400 bytes are missing"):
        read_film(tmp_path / "m.mkv")
    matroska(tmp_path / "m.mkv", [0, 1, 2, 10, 20, 60])
    film = read_film(tmp_path / "m.mkv")
    np.testing.assert_array_equal(film.frames, FRAMES)
    assert film.seconds is None
    assert "for different times" in film.notes[0]


@pytest.mark.parametrize("axes", ["TYX", "ZYX"])
@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_pages_that_are_stored_in_another_way_than_the_first_are_refused(tmp_path, axes, kind):
    """tifffile decodes all of them as the first: one changed byte made other values of every frame."""
    path = tmp_path / "f.tif"
    tifffile.imwrite(path, FRAMES, **{kind: True}, metadata={"axes": axes})
    with tifffile.TiffFile(path) as tiff:
        for page in (tiff.pages[0], tiff.pages[3]):
            at, good = page.aspage().tags["BitsPerSample"].valueoffset, path.read_bytes()
            path.write_bytes(good[:at] + b"\x01" + good[at + 1 :])
            with pytest.raises(ImageFileError, match=r"page \d is stored unlike the first"):
                (read_film if axes == "TYX" else read_volume)(path)
            path.write_bytes(good)
