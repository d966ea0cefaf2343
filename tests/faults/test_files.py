"""Faults of disks, names and processes, with real processes where it takes one."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.errors import EnvironmentLacksError, ImageFileError, UserInputError
from napari_sam2.io import read_labels, read_volume, write_labels
from napari_sam2.io.atomic import STALE_SECONDS
from napari_sam2.io.labels import source_has_changed
from napari_sam2.io.sidecar import Provenance, write_sidecars

SHAPE = (24, 20, 16)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs signals and /dev/full of Linux")


@pytest.fixture
def scan(tmp_path):
    values = np.random.default_rng(0).integers(0, 1000, SHAPE).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([-1.0, 1, 2, 1])), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


@pytest.fixture
def volume(scan):
    return read_volume(scan)


def filled(value):
    return np.full(SHAPE, value, np.uint8)


def left_in(folder):
    return sorted(p.name for p in folder.iterdir())


SLOW_WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from napari_sam2.io import read_volume, write_labels
scan, out = sys.argv[1:]
def slow(self, data):
    with self.open("wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        print("half", flush=True)
        time.sleep(60)
Path.write_bytes = slow
write_labels(np.full((24, 20, 16), 9, np.uint8), read_volume(scan), out, overwrite=True)
"""


@LINUX
def test_a_kill_during_saving_leaves_the_old_file_and_later_remains_are_cleared(tmp_path, scan, volume):
    out = write_labels(filled(1), volume, tmp_path / "out.nii.gz")
    with subprocess.Popen([sys.executable, "-c", SLOW_WRITER, scan, out], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    np.testing.assert_array_equal(read_labels(out, volume), filled(1))
    (remains,) = (p for p in tmp_path.iterdir() if ".part" in p.name)
    long_ago = time.time() - STALE_SECONDS - 60
    os.utime(remains, (long_ago, long_ago))
    write_labels(filled(2), volume, out, overwrite=True)
    assert left_in(tmp_path) == ["out.nii.gz", "scan.nii.gz"]


WRITER = """
import sys
import numpy as np
from napari_sam2.errors import UserInputError
from napari_sam2.io import read_volume, write_labels
scan, out, value, overwrite = sys.argv[1:]
volume = read_volume(scan)
for _ in range(8 if overwrite == "yes" else 1):
    try:
        write_labels(np.full((24, 20, 16), int(value), np.uint8), volume, out, overwrite=overwrite == "yes")
        print("written")
    except UserInputError:
        print("refused")
"""


@pytest.mark.parametrize("overwrite", ["yes", "no"])
def test_processes_that_write_one_file_never_mix(tmp_path, scan, volume, overwrite):
    out = tmp_path / "out.nii.gz"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, scan, out, str(value), overwrite], stdout=subprocess.PIPE, text=True
        )
        for value in (1, 2, 3)
    ]
    answers = "".join(process.communicate()[0] for process in running)
    assert np.unique(read_labels(out, volume)).tolist() in ([1], [2], [3])
    assert answers.count("written") == (24 if overwrite == "yes" else 1)
    assert left_in(tmp_path) == ["out.nii.gz", "scan.nii.gz"]


@LINUX
def test_a_full_disk_is_reported_and_leaves_the_old_file(tmp_path, scan, volume):
    """The limit on a file's size makes the kernel refuse bytes as a full disk does."""
    out = write_labels(filled(1), volume, tmp_path / "out.nii")
    script = """
import resource, signal, sys
import numpy as np
from napari_sam2.errors import EnvironmentLacksError
from napari_sam2.io import read_volume, write_labels
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_labels(np.full((24, 20, 16), 9, np.uint8), read_volume(sys.argv[1]), sys.argv[2], overwrite=True)
except EnvironmentLacksError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", script, scan, out], capture_output=True, text=True, check=True)
    assert "Cannot write out.nii" in run.stdout
    np.testing.assert_array_equal(read_labels(out, volume), filled(1))
    assert left_in(tmp_path) == ["out.nii", "scan.nii.gz"]


def test_a_folder_removed_meanwhile_is_reported(tmp_path, volume):
    folder = tmp_path / "drive"
    folder.mkdir()
    shutil.rmtree(folder)
    with pytest.raises(UserInputError, match="does not exist"):
        write_labels(filled(1), volume, folder / "out.nii.gz")


def test_an_input_output_error_while_reading_is_reported_by_name(scan, monkeypatch):
    def fail(self, *args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(gzip.GzipFile, "readinto", fail)
    with pytest.raises(ImageFileError, match=r"scan\.nii\.gz cannot be read \(Input/output error\)"):
        read_volume(scan)


def test_a_source_that_changed_since_it_was_opened_is_noticed_and_recorded(tmp_path, scan, volume):
    assert not source_has_changed(volume)
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.int16), np.diag([-1.0, 1, 2, 1])), scan)
    assert source_has_changed(volume)
    out = write_labels(filled(1), volume, tmp_path / "out.nii.gz")
    json_path, _ = write_sidecars(out, filled(1), volume, Provenance())
    assert json.loads(json_path.read_text())["Source"]["ChangedSinceOpened"] is True


def test_a_source_that_is_gone_does_not_stop_saving(tmp_path, scan, volume):
    scan.unlink()
    assert not source_has_changed(volume)
    np.testing.assert_array_equal(read_labels(write_labels(filled(1), volume, tmp_path / "o.nii"), volume), filled(1))


def test_an_uncompressed_source_may_be_replaced_while_its_volume_is_in_use(tmp_path, volume):
    """Saving over a mapped file kills the process; nothing here is mapped."""
    path = tmp_path / "plain.nii"
    nib.save(nib.Nifti1Image(volume.voxels, volume.affine), path)
    code = f"""
import numpy as np
from napari_sam2.io import read_volume
volume = read_volume({str(path)!r})
open({str(path)!r}, "wb").close()
print(int(volume.voxels.astype(np.int64).sum()))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, str(int(volume.voxels.astype(np.int64).sum())))


NAMES = ["mit Leerzeichen (1).nii.gz", "Zoë_Ößterreich_扫描.nii.gz", "-n.nii.gz", "a\nb.nii.gz", "x" * 240 + ".nii.gz"]


@pytest.mark.parametrize("name", NAMES, ids=["spaces", "umlauts", "leading dash", "newline", "240 characters"])
def test_unusual_names_are_read_and_written(tmp_path, scan, name):
    renamed = tmp_path / name
    shutil.copy(scan, renamed)
    volume = read_volume(renamed)
    out = write_labels(filled(1), volume, tmp_path / ("l" + name))
    write_sidecars(out, filled(1), volume, Provenance())
    np.testing.assert_array_equal(read_labels(out, volume), filled(1))


def test_a_name_that_no_disk_takes_is_refused_in_a_sentence(tmp_path, volume):
    name = "x" * 300 + ".nii.gz"
    with pytest.raises(ImageFileError, match="cannot be opened"):
        read_volume(tmp_path / name)
    with pytest.raises((UserInputError, EnvironmentLacksError), match="Cannot write"):
        write_labels(filled(1), volume, tmp_path / name)


def test_a_link_to_the_image_in_another_case_or_folder_is_still_the_image(tmp_path, scan, volume):
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    with pytest.raises(UserInputError, match="is the image itself"):
        write_labels(filled(1), volume, tmp_path / "elsewhere" / "scan.nii.gz", overwrite=True)


def test_an_empty_label_map_says_so_in_its_sidecar(tmp_path, volume):
    out = write_labels(filled(0), volume, tmp_path / "out.nii.gz")
    json_path, _ = write_sidecars(out, filled(0), volume, Provenance())
    assert '"Empty": true' in json_path.read_text()


@pytest.mark.parametrize(
    ("shape", "spacing", "axis"),
    [
        ((1, 1, 1), (1, 1, 1), 2),
        ((30, 30, 1), (1, 1, 1), 2),
        ((30, 30, 2), (0.3, 0.3, 10), 2),
        ((4, 30, 30), (10, 0.3, 0.3), 0),
        ((8, 8, 3000), (1, 1, 1), 2),
    ],
    ids=["one voxel", "one slice", "thick slices", "thick sagittal slices", "3000 slices"],
)
def test_extreme_shapes_are_read_and_written_with_the_right_slice_axis(tmp_path, shape, spacing, axis):
    path = tmp_path / "x.nii.gz"
    nib.save(nib.Nifti1Image(np.ones(shape, np.uint16) * 65535, np.diag([*spacing, 1])), path)
    volume = read_volume(path)
    assert volume.default_slice_axis == axis
    labels = np.ones(shape, np.uint8)
    np.testing.assert_array_equal(read_labels(write_labels(labels, volume, tmp_path / "l.nii.gz"), volume), labels)


@pytest.mark.parametrize("value", [np.int16(-32768), np.uint16(65535), np.float32(1e30), np.float64(-1e300)])
def test_extreme_values_are_read_as_they_are(tmp_path, value):
    array = np.zeros((3, 3, 3), value.dtype)
    array[0, 0, 0] = value
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nii.gz").voxels, array)
