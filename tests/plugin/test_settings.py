"""Preferences: each one is read from napari, and each one takes effect."""

from __future__ import annotations

from pathlib import Path

import npe2
import pytest
from napari.settings import get_plugin_settings

import napari_sam2
from napari_sam2.core.window import CT_PRESETS
from napari_sam2.io.label_tables import read_terms
from napari_sam2.plugin.control.models import ModelChoice
from napari_sam2.plugin.settings import Preferences, read_preferences, remember_names, remember_project
from napari_sam2.sample_data import sample
from tests.plugin.conftest import BALL_CENTRE, Bench
from tests.tiny_sam2 import tiny_network

CENTRE = BALL_CENTRE.astype(int)
LOW, HIGH = CENTRE - (8, 8, 0), CENTRE + (8, 8, 0)


@pytest.fixture
def registered(plugin_settings, npe2pm):
    """napari's settings of this plugin, in a folder of the test."""
    npe2pm.register(npe2.PluginManifest.from_file(Path(napari_sam2.__file__).parent / "napari.yaml"))
    return get_plugin_settings("napari-sam2")


@pytest.fixture
def bench_with():
    """Controllers on viewers without Qt, with these preferences."""
    made = []

    def make(**set_to):
        made.append(Bench(**set_to))
        return made[-1]

    yield make
    for bench in made:
        bench.controller.close()
        bench.thread.shutdown()


def test_the_defaults_of_the_manifest_are_those_of_the_program(registered):
    assert read_preferences() == Preferences()


def test_without_the_plugin_registered_the_defaults_hold(plugin_settings):
    assert read_preferences() == Preferences()
    remember_names(Path("list.csv"))


def test_everything_that_is_set_is_read(registered, tmp_path):
    registered.model.name, registered.model.device, registered.model.quality = "classical", "cpu", "fast"
    registered.annotation.preview, registered.annotation.overlap = True, "last"
    registered.annotation.ct_window = "CT-lung"
    registered.storage.autosave, registered.storage.feature_gib = str(tmp_path), 0.5
    registered.storage.features = str(tmp_path / "features")
    remember_names(tmp_path / "list.csv")
    remember_project(tmp_path / "project.csv")
    assert read_preferences() == Preferences(
        ModelChoice("classical", "cpu", "fast"),
        True,
        "last",
        "CT-lung",
        tmp_path / "list.csv",
        tmp_path,
        0.5,
        tmp_path / "features",
        tmp_path / "project.csv",
    )
    remember_names(None)
    assert read_preferences().names is None


def test_every_preset_can_be_chosen_and_nothing_else(registered):
    for name in CT_PRESETS:
        registered.annotation.ct_window = name
    with pytest.raises(ValueError, match="CT-rainbow"):
        registered.annotation.ct_window = "CT-rainbow"
    with pytest.raises(ValueError, match="feature_gib"):
        registered.storage.feature_gib = 0


def test_overlap_rule_and_memory_are_those_of_the_session(bench_with, ball_file):
    bench = bench_with(overlap="last", feature_gib=0.25)
    bench.open(ball_file)
    session = bench.controller.work.stream_session()
    assert session.overlap == "last"
    assert session.engine(2).features._budget == 2**28
    for _ in range(2):
        bench.box(LOW, HIGH)
        bench.controller.do("next_object")
    assert set(bench.labels().ravel()) == {0, 2}


def test_features_go_to_the_chosen_folder_and_nowhere_without_one(bench_with, ball_file, tmp_path):
    tiny_network().save_pretrained(tmp_path / "model")
    for folder, many in ((None, False), (tmp_path / "features", True)):
        bench = bench_with(model=ModelChoice(str(tmp_path / "model"), "cpu"), features=folder)
        bench.open(ball_file)
        bench.box(LOW, HIGH)
        assert bool(list(tmp_path.rglob("features/*/*.safetensors"))) == many


def test_a_ct_opens_in_the_chosen_window_and_other_scans_do_not(bench_with, ball_file):
    bench = bench_with(ct_window="CT-bone")
    image = bench.open(sample("ct_abdomen")[0])
    assert bench.controller.work.snapshot.window.name == "CT-bone"
    assert tuple(image.contrast_limits) == (-500, 1300)
    bench.open(ball_file)
    assert bench.controller.work.snapshot.window.name == "percentile"


def test_journals_go_to_the_chosen_folder(bench_with, ball_file, tmp_path, monkeypatch):
    monkeypatch.delenv("NAPARI_SAM2_SESSIONS")
    bench = bench_with(autosave=tmp_path / "kept here")
    bench.open(ball_file)
    bench.box(LOW, HIGH)
    assert list((tmp_path / "kept here").glob("*/events.jsonl"))


def test_a_folder_that_cannot_be_written_is_told_and_work_is_kept_elsewhere(
    bench_with, ball_file, tmp_path, monkeypatch
):
    monkeypatch.delenv("NAPARI_SAM2_SESSIONS")
    monkeypatch.setattr("napari_sam2.plugin.control.autosave.user_state_dir", lambda *_, **__: str(tmp_path / "state"))
    (tmp_path / "a file").write_text("")
    bench = bench_with(autosave=tmp_path / "a file" / "x")
    bench.open(ball_file)
    assert "cannot be written" in bench.warnings[-1]
    bench.box(LOW, HIGH)
    assert list((tmp_path / "state").glob("sessions/*/events.jsonl"))


def test_preview_and_names_hold_when_a_panel_opens(bench_with, ball_file, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("index,name\n1,target\n")
    bench = bench_with(preview=True, names=path)
    bench.controller.panel_shown()
    assert bench.controller.workspace.preview.on
    assert bench.controller.names.names[0] == read_terms(path)[0].name
    bench.open(ball_file)
    bench.box(LOW, HIGH)
    assert bench.controller.work.object(1).name == "target"


def test_a_list_of_names_that_is_gone_is_told_and_the_panel_works(bench_with, ball_file, tmp_path):
    bench = bench_with(names=tmp_path / "gone.csv")
    bench.controller.panel_shown()
    assert "gone.csv" in bench.warnings[-1]
    bench.open(ball_file)
    assert bench.controller.work is not None


@pytest.mark.parametrize(("quality", "zoom"), [("fast", False), ("balanced", True)])
def test_the_quality_is_that_of_the_model(bench_with, tmp_path, quality, zoom):
    tiny_network().save_pretrained(tmp_path / "tiny")
    bench = bench_with(model=ModelChoice(str(tmp_path / "tiny"), "cpu", quality))
    assert bench.controller.models.get().view_policy.zoom is zoom
