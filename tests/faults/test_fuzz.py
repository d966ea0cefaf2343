"""Files with bytes changed, cut out or cut off: read as something valid, or refused in a sentence."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_sam2.errors import NapariSam2Error
from napari_sam2.io import read_labels, read_volume, write_labels
from napari_sam2.io.dicom_seg import write_dicom_seg
from napari_sam2.io.prompt_file import read_prompt_file
from napari_sam2.io.seg_nrrd import write_seg_nrrd
from napari_sam2.terms.structures import structures_for
from tests.io.dicom_maker import enhance, make_series

ROUNDS = 40
"""In the suite; 1200 per kind were run when this was written."""
SHAPE = (7, 6, 5)


def sources(folder):
    """One small valid file of each kind."""
    values = np.random.default_rng(0).integers(0, 500, SHAPE).astype(np.int16)
    nifti = nib.Nifti1Image(values, np.diag([1.0, 1, 2, 1]))
    nifti.set_qform(nifti.affine, 1)
    nib.save(nifti, folder / "a.nii")
    nib.save(nib.Nifti2Image(values, nifti.affine), folder / "b.nii")
    nib.save(nib.MGHImage(values, nifti.affine), folder / "c.mgz")
    image = sitk.GetImageFromArray(values)
    for name in ("d.nrrd", "e.mha"):
        sitk.WriteImage(image, str(folder / name), False)
        sitk.WriteImage(image, str(folder / f"z{name}"), True)
    Image.fromarray(values[:, :, 0].astype(np.uint8)).save(folder / "f.png")
    Image.fromarray(values[:, :, 0].astype(np.uint8)).save(folder / "g.tif")
    Image.fromarray(values[:, :, 0].astype(np.uint8)).save(folder / "h.jpg")
    volume = read_volume(folder / "a.nii")
    write_seg_nrrd((values > 200).astype(np.uint8), volume, folder / "i.seg.nrrd", structures_for([1]))
    make_series(folder / "series", count=1, shape=(6, 5))
    next((folder / "series").iterdir()).rename(folder / "j.dcm")
    enhance(folder / "frames", folder / "k.dcm", count=3)
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


KINDS = ["a.nii", "b.nii", "c.mgz", "d.nrrd", "zd.nrrd", "e.mha", "ze.mha", "f.png", "g.tif", "h.jpg", "i.seg.nrrd"]
KINDS += ["j.dcm", "k.dcm"]


def damaged(content, rng):
    array = bytearray(content)
    header = min(len(array), 1200 if rng.random() < 0.5 else 360)
    for _ in range(rng.integers(1, 5)):
        if not array:
            break
        where = int(rng.integers(0, min(header, len(array)) if rng.random() < 0.85 else len(array)))
        kind = rng.random()
        if kind < 0.7:
            array[where] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(0, 256))]))
        elif kind < 0.85:
            del array[where : where + int(rng.integers(1, 30))]
        else:
            array[where:where] = bytes(rng.integers(0, 256, int(rng.integers(1, 8))).astype(np.uint8))
    return bytes(array[: int(rng.integers(0, len(array) + 1))] if rng.random() < 0.1 else array)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path, kind):
    (tmp_path / "good").mkdir()
    content = sources(tmp_path / "good")[kind]
    if kind == "c.mgz":
        content = gzip.decompress(content)
    rng = np.random.default_rng(sum(kind.encode()))
    path = tmp_path / kind
    image = read_volume(tmp_path / "good" / "a.nii")
    refusals = []
    for round_number in range(ROUNDS):
        bad = damaged(content, rng)
        path.write_bytes(gzip.compress(bad, 1) if round_number % 3 == 0 and "dcm" not in kind else bad)
        try:
            volume = read_volume(path)
            labels = np.zeros(volume.shape, np.uint8)
            labels.flat[0] = 1
            out = write_labels(labels, volume, tmp_path / "out.nii.gz", overwrite=True)
            np.testing.assert_array_equal(read_labels(out, volume), labels)
            read_labels(path, image)
        except NapariSam2Error as error:
            refusals.append(str(error))
    assert refusals
    assert all("\n" not in text and str(tmp_path) not in text for text in refusals)


def test_a_damaged_prompt_file_is_read_or_refused_and_nothing_else(tmp_path):
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.int16), np.eye(4)), tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    content = b'{"version": 1, "objects": [{"id": 1, "name": "x", "prompts": [{"box": [[1, 2, 3], [4, 5, 3]]}, '
    content += b'{"point": [1, 2, 3], "positive": false}, {"mask": "a.nii", "axis": 2, "slice": 1}]}]}'
    read_prompt_file_from = tmp_path / "p.json"
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(600):
        read_prompt_file_from.write_bytes(damaged(content, rng))
        try:
            read_prompt_file(read_prompt_file_from, volume)
        except NapariSam2Error:
            refused += 1
    assert refused > 300


def test_a_damaged_dicom_seg_is_read_or_refused_and_nothing_else(tmp_path):
    make_series(tmp_path / "ct", count=4, shape=(6, 5))
    volume = read_volume(tmp_path / "ct")
    labels = (volume.voxels > 0).astype(np.uint8)
    write_dicom_seg(labels, volume, tmp_path / "seg.dcm", structures_for([1]), model={})
    content = (tmp_path / "seg.dcm").read_bytes()
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(ROUNDS):
        bad = bytearray(content)
        for where in rng.integers(300, len(bad), 5):
            bad[where] = int(rng.integers(0, 256))
        (tmp_path / "bad.dcm").write_bytes(bad)
        try:
            read_labels(tmp_path / "bad.dcm", volume)
        except NapariSam2Error:
            refused += 1
    assert refused


def fuzzing():
    """The script of the long runs, ``benchmarks/fuzz.py``, whose fixed part runs here."""
    spec = importlib.util.spec_from_file_location("fuzz", Path(__file__).parents[2] / "benchmarks" / "fuzz.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FUZZ = fuzzing()
FUZZED = (
    "a.nii", "b.nii", "c.mgh", "d.nrrd", "e.mha", "f.png", "g.tif", "h.jpg", "i.seg.nrrd", "j.dcm", "k.dcm",
    "l.seg.dcm", "p.prompts.json", "q.slideprompts.json", "r.geojson", "s.ome.tif", "s.tif", "t.ctbl", "t.tsv", "t.txt",
    "m.avi", "m.dcm", "m.gif", "m.mp4", "m.nii", "m.tif", "n.array.json", "n.attributes.json", "n.piece", "n.zarr.zip",
    "o.bmp", "o.jp2", "o.webp", "o16.jp2", "u.jsonl", "v.npy", "v.roi", "v.zip", "v.safetensors", "z.mha", "z.nrrd",
)  # fmt: skip


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    FUZZ.make_sources(folder)
    return folder


def test_every_kind_of_the_long_runs_is_in_the_suite(good):
    assert sorted(p.name for p in good.iterdir() if p.is_file()) == sorted(FUZZED)


@pytest.mark.parametrize("name", FUZZED)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 10**6))
@pytest.mark.filterwarnings("ignore")
def test_damage_of_any_kind_ends_in_a_sentence_or_in_the_voxels_of_an_independent_reader(good, name, number):
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(FUZZ.mutation(name, (good / name).read_bytes(), number, 0))
        sentence = fault = ""
        try:
            fault = FUZZ.wrong_read(name, path, FUZZ.read_one(name, path, good))
        except NapariSam2Error as error:
            sentence = str(error)
        assert fault == ""
        assert folder not in sentence
