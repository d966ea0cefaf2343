"""A tuning from scans to a folder, with a network of few weights."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from napari_sam2.cli import main
from napari_sam2.errors import ModelError, UserInputError
from napari_sam2.models import load_model
from napari_sam2.models.small.folder import write_folder
from napari_sam2.tuning import tune as tuning
from napari_sam2.tuning.cases import find_cases
from napari_sam2.tuning.small import SmallLearner
from napari_sam2.tuning.tune import TuneSettings, tune
from napari_sam2.tuning.verdict import judge

SHORT = 1e-6
"""Minutes in which only the fewest steps are done."""


@pytest.fixture
def judged(monkeypatch):
    """Lets a test say what the verdict is; all figures stay as they were measured."""

    def say(better: bool) -> None:
        def verdict(*scores):
            return _with(judge(*scores), better)

        monkeypatch.setattr(tuning, "judge", verdict)

    return say


def _with(verdict, better):
    from dataclasses import replace

    return replace(verdict, better=better)


def run(scans, folder, weights, **how):
    return tune([scans], folder, TuneSettings(str(weights), SHORT), **how)


def bytes_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_better_model_is_a_folder_that_loads_under_its_own_name(scans, tiny_weights, tmp_path, judged):
    judged(True)
    result = run(scans, tmp_path / "my ball", tiny_weights)
    assert result.verdict.better
    assert sorted(p.name for p in result.folder.iterdir()) == sorted(
        ["card.md", "config.json", "curve.png", "model.safetensors", "report.json", "split.json"]
    )
    model = load_model(result.folder)
    assert model.card.name == "my ball"
    before = load_model(tiny_weights).net.state_dict()
    changed = {key for key, value in model.net.state_dict().items() if not torch.equal(value, before[key])}
    assert any(key.startswith("mask.") for key in changed)
    assert any(key.startswith("encode.") for key in changed)


def test_what_is_not_better_lies_in_rejected_and_is_no_model(scans, tiny_weights, tmp_path, judged):
    judged(False)
    code = main(
        ["tune", str(scans), "-o", str(tmp_path / "mine"), "--from", str(tiny_weights), "--minutes", str(SHORT)]
    )
    assert code == 5
    assert (tmp_path / "mine" / "rejected" / "model.safetensors").is_file()
    assert not (tmp_path / "mine" / "model.safetensors").exists()
    assert "Not better" in (tmp_path / "mine" / "card.md").read_text()


def test_a_killed_run_that_goes_on_gives_the_same_bytes_and_names_nobody(scans, tiny_weights, tmp_path):
    whole, parts = tmp_path / "a" / "m", tmp_path / "b" / "m"
    for folder in (whole, parts):
        folder.parent.mkdir()
    run(scans, whole, tiny_weights)

    def kill(progress):
        if progress.what == "learning" and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(scans, parts, tiny_weights, on_progress=kill)
    assert run(scans, parts, tiny_weights, resume=True).verdict is not None
    assert bytes_of(whole) == bytes_of(parts)
    for name, content in bytes_of(whole).items():
        for word in (b"case-", b"manifest", str(tmp_path).encode(), b"dov", b"eva_"):
            assert word not in content, (name, word)


def test_a_learner_killed_between_two_checkpoints_learns_the_same(scans, tiny_weights, tmp_path):
    material = find_cases([scans])

    def learner(folder):
        return SmallLearner(load_model(tiny_weights), material, folder, 4, 2, 0)

    def kill(step):
        if step == 3:
            raise KeyboardInterrupt

    assert learner(tmp_path / "whole").run(lambda _: None, lambda: False)
    with pytest.raises(KeyboardInterrupt):
        learner(tmp_path / "parts").run(kill, lambda: False)
    assert learner(tmp_path / "parts").run(lambda _: None, lambda: False)
    states = []
    for name in ("whole", "parts"):
        (tmp_path / f"{name} written").mkdir()
        learner(tmp_path / name).write(tmp_path / f"{name} written")
        states.append((tmp_path / f"{name} written" / "model.safetensors").read_bytes())
    assert states[0] == states[1]
    assert learner(tmp_path / "whole").curve() == learner(tmp_path / "parts").curve()


def test_a_stop_leaves_a_run_to_go_on_with(scans, tiny_weights, tmp_path):
    steps = []
    result = run(
        scans, tmp_path / "m", tiny_weights,
        on_progress=lambda p: steps.append(p.done) if p.what == "learning" else None,
        should_stop=lambda: bool(steps) and steps[-1] >= 2,
    )  # fmt: skip
    assert result.verdict is None
    plan = json.loads((tmp_path / "m" / "run" / "plan.json").read_text())
    assert plan["threads"] == torch.get_num_threads()
    assert steps[-1] == 2
    with pytest.raises(UserInputError, match="--resume"):
        run(scans, tmp_path / "m", tiny_weights)


def test_other_scans_or_another_model_cannot_go_on_with_a_run(scans, tiny_weights, tmp_path):
    run(scans, tmp_path / "m", tiny_weights, should_stop=lambda: True)
    with pytest.raises(UserInputError, match="model is not the one"):
        tune([scans], tmp_path / "m", TuneSettings("bundled", SHORT), resume=True)
    scans.write_text("\n".join(scans.read_text().splitlines()[:-1]))
    with pytest.raises(UserInputError, match="scans are not those"):
        run(scans, tmp_path / "m", tiny_weights, resume=True)


def test_one_subject_exits_with_2(scans, tmp_path, capsys):
    scans.write_text("\n".join(scans.read_text().splitlines()[:2]) + "\n")
    assert main(["tune", str(scans), "-o", str(tmp_path / "m")]) == 2
    assert "one subject" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_the_held_out_scans_are_not_learned_from(scans, tiny_weights, tmp_path):
    """Labels of held-out subjects change the figures, and no weight."""
    run(scans, tmp_path / "one", tiny_weights)
    report = json.loads((tmp_path / "one" / "report.json").read_text())
    held_out = {score["case"] for score in report["scores"]["before"]["held_out"]}
    for scan in find_cases([scans]):
        if scan.key in held_out:
            _shift(scan.labels)
    run(scans, tmp_path / "two", tiny_weights)
    other = json.loads((tmp_path / "two" / "report.json").read_text())
    assert report["sha256"] == other["sha256"]
    assert report["scores"]["before"] != other["scores"]["before"]


def _shift(path: Path) -> None:
    import nibabel as nib

    stored = nib.load(path)
    nib.save(nib.Nifti1Image(np.roll(np.asarray(stored.dataobj), 3, 0), stored.affine), path)


def test_a_tuned_folder_is_taken_in_under_its_name(scans, tiny_weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NAPARI_SAM2_MODELS", str(tmp_path / "models"))
    weights = load_model(tiny_weights).weights
    (tmp_path / "my ball").mkdir()
    write_folder(tmp_path / "my ball", weights.net.state_dict(), weights)
    (tmp_path / "my ball" / "card.md").write_text("a card")
    assert main(["models", "import", str(tmp_path / "my ball")]) == 0
    assert load_model("my ball").card.name == "my ball"
    assert (tmp_path / "models" / "my ball" / "card.md").read_text() == "a card"
    assert main(["models", "import", str(tmp_path / "my ball")]) == 2
    assert "already" in capsys.readouterr().err
    assert main(["models", "import", str(scans.parent / "models")]) == 3


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_killed_before_its_plan_begins_anew_with_and_without_resume(scans, tiny_weights, tmp_path, resume):
    work = tmp_path / "m" / "run"
    work.mkdir(parents=True)
    (work / ".plan.json.part").write_text("{")
    assert run(scans, tmp_path / "m", tiny_weights, resume=resume, should_stop=lambda: True).verdict is None
    assert (work / "plan.json").is_file()


def test_whatever_is_damaged_in_a_stopped_run_it_goes_on_or_says_what_helps(scans, tiny_weights, tmp_path):
    stopped = tmp_path / "stopped"
    seen = []
    begun = run(scans, stopped, tiny_weights, on_progress=seen.append, should_stop=lambda: _learned(seen, 2))
    assert begun.verdict is None
    files = sorted(path.name for path in (stopped / "run").iterdir() if path.is_file())
    assert {"plan.json", "checkpoint.safetensors"} <= set(files)
    told = {}
    for number, name in enumerate(files):
        whole = (stopped / "run" / name).read_bytes()
        (stopped / "run" / name).write_bytes((b"", whole[: len(whole) // 2], b'{"a": [' * 2000)[number % 3])
        try:
            run(scans, stopped, tiny_weights, resume=True, should_stop=lambda: True)
        except (UserInputError, ModelError) as error:
            told[name] = str(error)
        (stopped / "run" / name).write_bytes(whole)
    assert set(told) <= {"plan.json", "checkpoint.safetensors"}
    assert all("begin anew" in sentence and str(tmp_path) not in sentence for sentence in told.values())


def _learned(seen, steps):
    return any(p.what == "learning" and p.done >= steps for p in seen)


def test_a_folder_that_is_closed_is_told_before_anything_is_read(tmp_path, capsys, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir()
    really = os.open

    def refuse(path, flags, *how, **more):
        if str(path).startswith(str(closed)) and flags & os.O_CREAT:
            raise OSError(errno.EACCES, "Permission denied", str(path))
        return really(path, flags, *how, **more)

    monkeypatch.setattr(os, "open", refuse)
    for folder in (closed, closed / "models" / "mine"):
        assert main(["tune", str(tmp_path / "nothing.csv"), "-o", str(folder)]) == 2
        assert "its folder does not allow it (Permission denied)" in " ".join(capsys.readouterr().err.split())


def test_a_table_that_names_a_series_of_volumes_is_not_told_of_an_option_that_is_missing(scans, tmp_path, capsys):
    several = tmp_path / "several.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 4, 3), np.int16), np.eye(4)), several)
    (tmp_path / "t.csv").write_text("case,image,labels,name\na,several.nii.gz,ann_labels.nii.gz,liver\n")
    assert main(["tune", str(tmp_path / "t.csv"), "-o", str(tmp_path / "m")]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "several.nii.gz holds 3 volumes" in told
    assert "give a file that holds the one that is meant" in told
    assert "--volume" not in told
