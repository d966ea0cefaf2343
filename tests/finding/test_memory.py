from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.core.volume import Volume
from napari_sam2.core.window import choose_window
from napari_sam2.errors import UserInputError
from napari_sam2.finding.exemplars import exemplars_in
from napari_sam2.finding.memory import ProjectMemory

from .project import mirrored, noise_scan, volume_of, write_project


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    return ProjectMemory(exemplars_in(write_project(tmp_path_factory.mktemp("project"))))


def find(memory, volume, *names):
    return memory.propose(volume, choose_window(volume), names)


def iou(candidate, truth):
    places = np.argwhere(truth)
    low, high = np.maximum(candidate.low, places.min(0)), np.minimum(candidate.high, places.max(0))
    shared = np.prod(np.maximum(high - low + 1, 0))
    sizes = [
        np.prod(np.subtract(b, a) + 1) for a, b in ((candidate.low, candidate.high), (places.min(0), places.max(0)))
    ]
    return shared / (sum(sizes) - shared)


def test_structures_of_a_new_scan_are_found_by_any_name(memory):
    volume, labels = volume_of(7)
    found = find(memory, volume, "Hepar", "64033007")
    assert [c.name for c in found.candidates] == ["liver", "left kidney", "right kidney"]
    assert not found.missing
    for candidate, label_id in zip(found.candidates, (1, 2, 3), strict=True):
        assert iou(candidate, labels == label_id) >= 0.5, candidate.name
        assert candidate.source == "placed from s00, s01 of project.csv" or "s01, s00" in candidate.source


@pytest.mark.parametrize("seed", [5, 6])
def test_sides_are_those_of_the_world_however_a_scan_is_stored(memory, seed):
    volume, labels = mirrored(*volume_of(seed))
    for name, label_id, other in (("left kidney", 2, 3), ("right kidney", 3, 2)):
        (candidate,) = find(memory, volume, name).candidates
        assert iou(candidate, labels == label_id) >= 0.4
        assert iou(candidate, labels == other) == 0


def test_two_runs_propose_the_same(memory):
    volume, _ = volume_of(7)
    first, second = (find(memory, volume, "liver").candidates[0] for _ in range(2))
    assert (first.low, first.high, first.score, first.sha256) == (second.low, second.high, second.score, second.sha256)


def test_a_scan_of_something_else_holds_nothing(memory, tmp_path):
    from napari_sam2.io.read import read_volume

    found = find(memory, read_volume(noise_scan(tmp_path)), "liver", "left kidney")
    assert not found.candidates
    assert "not found" in found.missing["liver"]


def test_a_structure_outside_of_the_scan_is_not_found(memory):
    volume, _ = volume_of(7)
    upper = Volume(
        volume.voxels[:, :, 16:], volume.affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 16], [0, 0, 0, 1]])
    )
    found = find(memory, upper, "liver", "left kidney")
    assert "left kidney" in found.missing


def test_an_unknown_name_is_refused_with_the_known_ones(memory):
    with pytest.raises(UserInputError, match=r"holds 'spleen'; they hold .*left kidney, liver, right kidney"):
        memory.check(["liver", "spleen"])


def test_a_lesion_is_refused(memory):
    with pytest.raises(UserInputError, match="A lesion has no place"):
        memory.check(["liver metastasis"])


def test_sides_cannot_be_told_without_an_orientation(memory):
    volume, _ = volume_of(7)
    with pytest.raises(UserInputError, match="left and right"):
        find(memory, Volume(volume.voxels, volume.affine, oriented=False), "left kidney")


def test_a_picture_is_refused(memory):
    with pytest.raises(UserInputError, match="picture"):
        find(memory, Volume(np.arange(400, dtype=np.float32).reshape(20, 20, 1), np.eye(4)), "liver")


def test_a_scan_is_not_its_own_exemplar(tmp_path):
    from napari_sam2.io.read import read_volume

    memory = ProjectMemory(exemplars_in(write_project(tmp_path, finished=1, new=0)))
    found = find(memory, read_volume(tmp_path / "s00.nii.gz"), "liver")
    assert not found.candidates
    assert found.missing["liver"] == "liver: not found; only this scan itself holds it."


def test_a_project_without_a_finished_scan_is_refused(tmp_path):
    with pytest.raises(UserInputError, match="no finished scan"):
        exemplars_in(write_project(tmp_path, finished=0, new=1))


def test_a_label_map_without_names_takes_those_of_its_manifest(tmp_path):
    """The same cell that tuning reads; without it the sentence says where names belong."""
    project = write_project(tmp_path, finished=1)
    for table in tmp_path.rglob("*.tsv"):
        table.unlink()
    volume, _ = volume_of(1)
    with pytest.raises(UserInputError, match="column 'name'"):
        find(ProjectMemory(exemplars_in(project)), volume, "liver")
    lines = project.read_text().splitlines()
    names = ["name", "1=liver;2=left kidney", ""]
    project.write_text("\n".join(f"{line},{name}" for line, name in zip(lines, names, strict=True)))
    memory = ProjectMemory(exemplars_in(project))
    assert memory.known() == ("left kidney", "liver")
    assert [c.name for c in find(memory, volume, "liver").candidates] == ["liver"]
    project.write_text(project.read_text().replace("2=left kidney", "7=left kidney"))
    with pytest.raises(UserInputError, match="case s00 holds no voxel of 7=left kidney; correct the column 'name'"):
        ProjectMemory(exemplars_in(project)).known()
