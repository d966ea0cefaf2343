"""Names as prompts in the viewer, without Qt: nothing is segmented before a person accepts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam2.core.prompts import Point
from napari_sam2.plugin.settings import Preferences
from tests.finding.detectors.tiny import write_sam3
from tests.finding.project import noise_scan, subject, write_project


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path, finished=1, new=1)


@pytest.fixture
def searched(bench, project):
    bench.open(project.with_name("s01.nii.gz"))
    bench.controller.work.finding.use_project(project)
    bench.settle()
    bench.controller.work.finding.look_for("Hepar, left kidney")
    bench.settle()
    return bench


def candidate_layer(bench):
    return [layer for layer in bench.viewer.layers if layer.name.endswith("candidates")]


def test_candidates_change_no_voxel_and_are_no_objects_before_they_are_accepted(searched):
    work = searched.controller.work
    assert [c.name for c in work.finding.candidates] == ["liver", "left kidney"]
    assert not searched.labels().any()
    assert not work.snapshot.objects
    assert not work.snapshot.undo
    (layer,) = candidate_layer(searched)
    liver = work.finding.candidates[0]
    starts = work.shown.grid.to_voxel(layer.data[:, 0])
    assert np.all(starts >= np.minimum(liver.low, work.finding.candidates[1].low) - 0.51)
    assert work.view.slice()[1] == liver.best_slice(work.view.axis())


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def origins(sessions_folder):
    (events,) = sessions_folder.rglob("events.jsonl")
    return [json.loads(line).get("origin", "") for line in events.read_text().splitlines()]


def test_accepting_makes_an_object_of_the_proposed_mask_which_clicks_correct(searched, sessions_folder):
    work, truth = searched.controller.work, subject(1)[1] == 1
    proposed = work.finding.candidates[0].on_grid(work.shown.volume.shape)
    searched.controller.do("accept_candidate")
    searched.settle()
    assert {i: o.name for i, o in work.snapshot.objects.items()} == {1: "liver"}
    assert ((searched.labels() == 1) == proposed).all()
    assert dice(searched.labels() == 1, truth) > 0.7
    assert [c.name for c in work.finding.candidates] == ["left kidney"]
    assert origins(sessions_folder)[0].startswith("placed from s00 of project.csv; score 0.")
    place = np.argwhere(proposed)[len(np.argwhere(proposed)) // 2]
    work.add_prompt(Point(tuple(place), positive=False))
    searched.settle()
    assert not searched.labels()[tuple(place)]
    for _ in range(2):
        searched.controller.do("undo")
        searched.settle()
    assert not searched.labels().any()


def test_accepting_can_ask_the_model_instead(searched, sessions_folder):
    work, truth = searched.controller.work, subject(1)[1] == 1
    work.finding.answer = "model"
    searched.controller.do("accept_candidate")
    searched.settle()
    (slice_index,) = np.unique(np.argwhere(searched.labels() == 1)[:, work.snapshot.objects[1].axis])
    assert slice_index in work.snapshot.objects[1].slices
    assert origins(sessions_folder)[0].startswith("placed from s00 of project.csv; score 0.")
    searched.controller.do("propagate_both")
    searched.settle()
    assert dice(searched.labels() == 1, truth) > 0.7


def test_rejecting_leaves_nothing_behind(searched):
    for _ in range(2):
        searched.controller.do("reject_candidate")
    assert searched.controller.work.finding.candidates == ()
    assert candidate_layer(searched) == []
    assert not searched.controller.work.snapshot.objects


def test_what_cannot_be_found_is_said(bench, project):
    bench.open(noise_scan(project.parent))
    finding = bench.controller.work.finding
    finding.look_for("liver")
    assert "Choose the finished scans" in bench.controller.workspace.status
    finding.use_project(project)
    bench.settle()
    finding.look_for("liver")
    bench.settle()
    assert "liver: not found" in bench.controller.workspace.status
    finding.look_for("spleen")
    bench.settle()
    assert "they hold left kidney, liver, right kidney" in bench.warnings[-1]


def test_the_finished_scans_of_the_last_session_are_asked_again(bench, project, monkeypatch):
    bench.open(project.with_name("s01.nii.gz"))
    finding, workspace = bench.controller.work.finding, bench.controller.workspace
    finding.use_remembered()
    assert finding.memory is None
    monkeypatch.setattr(workspace, "preferences", lambda: Preferences(project=project.with_name("gone.csv")))
    finding.use_remembered()
    bench.settle()
    assert finding.memory is None
    assert not bench.warnings
    monkeypatch.setattr(workspace, "preferences", lambda: Preferences(project=project))
    finding.use_remembered()
    bench.settle()
    assert finding.memory.known() == ("left kidney", "liver", "right kidney")


def test_a_detector_can_be_asked_instead_and_is_told_to_be_experimental(bench, project, tmp_path):
    folder = tmp_path / "detector"
    folder.mkdir()
    write_sam3(folder)
    bench.open(project.with_name("s01.nii.gz"))
    finding, told = bench.controller.work.finding, []
    bench.controller.work.told.connect(told.append)
    finding.use_detector(folder)
    bench.settle()
    assert any("detector: Detectors are experimental" in sentence for sentence in told)
    finding.look_for("liver")
    bench.settle()
    assert "not found" in finding.summary
    assert not bench.labels().any()
