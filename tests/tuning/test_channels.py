"""A tuning on scans with further channels: one mix, settled once, kept with the model."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch

from napari_sam2.channels.opening import channel_files, read_stack
from napari_sam2.channels.pooled import Sides, pooled_mix
from napari_sam2.cli import main
from napari_sam2.core.mix import Mix, mix_to_json
from napari_sam2.errors import ManifestError, ModelError, UserInputError
from napari_sam2.evaluation.cases import blanked, make_case
from napari_sam2.evaluation.predictors import SessionPredictor
from napari_sam2.io import read_volume
from napari_sam2.models import load_model
from napari_sam2.models.seen import SeenChannels, read_seen
from napari_sam2.record.journal import Journal
from napari_sam2.session.session import Session
from napari_sam2.tuning import tune as tuning
from napari_sam2.tuning.cases import find_cases
from napari_sam2.tuning.channels import mix_of_scans, seen_channels
from napari_sam2.tuning.clips import clips_of
from napari_sam2.tuning.tune import TuneSettings, tune
from napari_sam2.tuning.verdict import judge
from tests.channels.scans import SPACING, two_channels
from tests.phantoms import box_on
from tests.tiny_sam2 import tiny_model

SUBJECTS = ("ann", "ben", "cem")
CUT = (slice(12, 60), slice(8, 56), slice(3, 13))
SHORT = 1e-6


@pytest.fixture
def pairs(tmp_path):
    """Three subjects; the object is seen in the difference of both channels only."""
    rows = ["case,image,channel_1,labels,subject,name"]
    for number, subject in enumerate(SUBJECTS):
        first, second, inside = two_channels(number)
        for name, voxels in (("a", first), ("b", second), ("labels", inside.astype(np.uint8))):
            nib.save(nib.Nifti1Image(voxels[CUT], np.diag([*SPACING, 1.0])), tmp_path / f"{subject}_{name}.nii.gz")
        rows.append(f"c{number},{subject}_a.nii.gz,second={subject}_b.nii.gz,{subject}_labels.nii.gz,{subject},thing")
    manifest = tmp_path / "pairs.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


@pytest.fixture
def better(monkeypatch):
    monkeypatch.setattr(tuning, "judge", lambda *scores: replace(judge(*scores), better=True))


def killed_and_resumed(pairs, folder, settings):
    """A run that is killed while it learns, and goes on; another choice then does not change what it began with."""

    def kill(progress):
        if progress.what == "learning" and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune([pairs], folder, settings, on_progress=kill)
    assert json.loads((folder / "run" / "plan.json").read_text())["mix"]["kind"] == "fused"
    return tune([pairs], folder, replace(settings, fusion="second"), resume=True)


def test_a_model_tuned_on_channels_needs_them_and_sees_its_own_mix(pairs, tiny_weights, tmp_path, better, capsys):
    folder, killed = tmp_path / "models" / "pair", tmp_path / "killed" / "pair"
    notes = []
    result = tune([pairs], folder, TuneSettings(str(tiny_weights), SHORT), say=notes.append)
    assert result.verdict.better
    assert any("learns from" in note and "second" in note for note in notes)
    killed_and_resumed(pairs, killed, TuneSettings(str(tiny_weights), SHORT))
    files = [{path.name: path.read_bytes() for path in place.iterdir() if path.is_file()} for place in (folder, killed)]
    assert "channels.json" in files[0]
    assert files[0] == files[1]
    seen = read_seen(folder)
    (row,) = seen.mix.weights
    assert seen.names == ("second",)
    assert row[0] > 0 > row[1]  # the difference, which is all that shows it
    report = json.loads((folder / "report.json").read_text())
    assert report["channels"]["seen"]["mix"] == mix_to_json(seen.mix)
    assert "needs second of every scan" in (folder / "card.md").read_text()
    reference, second = tmp_path / "ann_a.nii.gz", tmp_path / "ann_b.nii.gz"

    def segment(*more):
        out = tmp_path / f"out{len(list(tmp_path.glob('out*.nii.gz')))}.nii.gz"
        box = ["--box", "9,12,5,39,36,5", "--direction", "none"]
        return main(["segment", str(reference), "-o", str(out), "--model", str(folder), *box, *more]), out

    refused = [segment(), segment("--channel", f"other={second}"), segment("--channel", str(second))]
    assert [code for code, _ in refused] == [2, 2, 2]
    assert not any(out.exists() for _, out in refused)
    assert "give --channel second=FILE" in capsys.readouterr().err
    code, _ = segment("--channel", f"second={second}", "--fusion", "second")
    assert code == 2
    assert "as it was tuned" in capsys.readouterr().err
    # A further one is no harm, and their order means nothing.
    code, out = segment("--channel", f"third={reference}", "--channel", f"second={second}")
    assert code == 0
    written = json.loads(out.with_name(out.name.replace(".nii.gz", ".json")).read_text())
    row = written["ImageOfObject"]["1"]["weights"][0]
    assert (row[0], row[1], row[2]) == (seen.mix.weights[0][0], 0.0, seen.mix.weights[0][1])


def test_after_tuning_it_is_scored_on_what_it_will_be_shown(pairs, tiny_weights, tmp_path):
    """The mix as a scan of its own, and the same through a session with channels, give one mask."""
    scan = find_cases([pairs])[0]
    reference, labels, _ = scan.read()
    mix = mix_of_scans([scan], "fused")
    model = load_model(tiny_weights)
    image, window = replace(scan, mix=mix).image_seen(reference)
    alone = make_case("a", "thing", image, labels == 1, window)
    masks = []
    model.card = replace(model.card, seen=None)
    for case, seen in (
        (alone, None),
        (replace(alone, volume=reference, window=tuning_window(reference), channels=scan.stack(reference)), mix),
    ):
        model.card = replace(model.card, seen=None if seen is None else seen_channels(["second"], seen))
        predictor = SessionPredictor(model)
        predictor.start(case.volume, case.window, case.channels, case.fusion)
        predictor.box(box_on(labels == 1, 2, 5), range(3, 8))
        masks.append(predictor.mask())
    assert masks[0].any()
    assert np.array_equal(*masks)


def tuning_window(reference):
    from napari_sam2.core.window import choose_window

    return choose_window(reference)


def test_a_channel_that_has_changed_cannot_go_on_with_a_run(pairs, tiny_weights, tmp_path):
    settings = TuneSettings(str(tiny_weights), SHORT)
    tune([pairs], tmp_path / "m", settings, should_stop=lambda: True)
    path = tmp_path / "ben_b.nii.gz"
    stored = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(stored.dataobj) + 1, stored.affine), path)
    with pytest.raises(UserInputError, match="scans are not those"):
        tune([pairs], tmp_path / "m", settings, resume=True)


def test_the_images_beside_those_of_a_bids_dataset_are_their_channels(pairs, tmp_path):
    root = tmp_path / "bids"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "pairs", "BIDSVersion": "1.8.0"}')
    for subject in SUBJECTS:
        folder = root / f"sub-{subject}" / "anat"
        folder.mkdir(parents=True)
        for name, suffix in (("a", "FLAIR"), ("b", "T2w"), ("labels", "dseg")):
            (tmp_path / f"{subject}_{name}.nii.gz").rename(folder / f"sub-{subject}_{suffix}.nii.gz")
        (folder / f"sub-{subject}_dseg.tsv").write_text("index\tname\n1\tthing\n")
    found = find_cases([root], suffixes=["T2w"])
    assert [scan.subject for scan in found] == [f"sub-{subject}" for subject in SUBJECTS]
    assert {scan.image.name.rpartition("_")[2] for scan in found} == {"FLAIR.nii.gz"}
    assert [[(channel.name, channel.path.name) for channel in scan.channels] for scan in found] == [
        [("T2w", f"sub-{subject}_T2w.nii.gz")] for subject in SUBJECTS
    ]
    with pytest.raises(UserInputError, match=r"sub-ann_dseg\.nii\.gz may belong to .*FLAIR\.nii\.gz or .*T2w\.nii\.gz"):
        find_cases([root])
    with pytest.raises(ManifestError, match="no such image with the suffix PD"):
        find_cases([root], suffixes=["T2w", "PD"])
    with pytest.raises(UserInputError, match="is for a BIDS dataset"):
        find_cases([pairs], suffixes=["T2w"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("second=ben_b.nii.gz", "", "line 3: its channels are none, and those of pairs.csv, line 2 are second"),
        ("second=ben_b.nii.gz", "T2=ben_b.nii.gz", "line 3: its channels are T2"),
        ("second=ben_b.nii.gz", "second=ann_b.nii.gz", "ann_b.nii.gz is given for another subject"),
        ("second=ben_b.nii.gz", "second=none.nii.gz", "line 3: channel_1: "),
    ],
)
def test_rows_with_other_channels_are_refused_by_line(pairs, old, new, said):
    pairs.write_text(pairs.read_text().replace(old, new))
    with pytest.raises(ManifestError, match=said):
        find_cases([pairs])


def test_finished_objects_of_a_session_with_channels_are_learned_from_with_its_columns(tmp_path):
    rows = ["case,image,channel_1,session,subject"]
    for number, subject in enumerate(SUBJECTS[:2]):
        first, second, inside = two_channels(number)
        for name, voxels in (("a", first), ("b", second)):
            nib.save(nib.Nifti1Image(voxels[CUT], np.diag([*SPACING, 1.0])), tmp_path / f"{subject}_{name}.nii.gz")
        reference = read_volume(tmp_path / f"{subject}_a.nii.gz")
        stack = read_stack(reference, channel_files([f"second={subject}_b.nii.gz"], tmp_path))
        session = Session(reference, load_model("classical"), channels=stack)
        journal = Journal(session, tmp_path / f"{subject}.sam2session")
        session.add_prompt(1, box_on(inside[CUT], 2, 5))
        session.rename(1, "thing")
        session.finish_object(1)
        journal.close()
        rows.append(f"c{number},{subject}_a.nii.gz,second={subject}_b.nii.gz,{subject}.sam2session,{subject}")
    (tmp_path / "sessions.csv").write_text("\n".join(rows) + "\n")
    scan = find_cases([tmp_path / "sessions.csv"])[0]
    volume, labels, names = scan.read()
    assert names == {1: "thing"}
    assert labels.any()
    assert len(scan.prompts(volume)[1]) == 1
    alone = [re.sub(r",(channel_1|second=[^,]*)", "", row) for row in rows]
    (tmp_path / "sessions.csv").write_text("\n".join(alone) + "\n")
    with pytest.raises(ManifestError, match="line 2: The session has a channel second, which is not open"):
        find_cases([tmp_path / "sessions.csv"])


def test_sam2_learns_from_channels_as_colours(pairs):
    (scan, *_) = find_cases([pairs])
    mix = mix_of_scans([scan], "rgb")
    clips = clips_of([replace(scan, mix=mix)], tiny_model(64))
    assert clips[0].images.shape[1] == 3
    assert not torch.allclose(clips[0].images[:, 0], clips[0].images[:, 1])


def test_a_hidden_image_hides_every_channel(pairs):
    scan = find_cases([pairs])[0]
    volume, labels, _ = scan.read()
    case = replace(make_case("a", "thing", volume, labels == 1), channels=scan.stack(volume))
    hidden = blanked(case)
    seen = np.stack(hidden.channels.windowed(hidden.window, (slice(None),) * 3))
    assert seen.shape[0] == 2
    assert np.ptp(seen) == 0


def test_choices_of_channels_without_channels_are_refused(scans, tiny_weights, tmp_path, capsys):
    code = main(["tune", str(scans), "-o", str(tmp_path / "m"), "--from", str(tiny_weights), "--register", "rigid"])
    assert code == 2
    assert "channel_1" in capsys.readouterr().err


def test_structures_of_opposite_contrast_share_a_direction_and_one_channel_is_taken_where_it_does():
    rng = np.random.default_rng(0)

    def sides(shift, subject):
        """Two channels that share most of their noise, and a third that says nothing, without noise."""
        shared, still = rng.normal(0, 0.05, (2, 400, 1)), rng.normal(0, 1e-3, (2, 400, 1))
        noise = np.concatenate([shared + rng.normal(0, 0.02, (2, 400, 2)), still], axis=2)
        return Sides(0.5 + noise[0] + np.array([*shift, 0.0]), 0.5 + noise[1], subject)

    both = [sides((0.04, -0.04), "a"), sides((-0.04, 0.04), "b"), sides((0.04, -0.04), "c")]
    seen = np.concatenate([one.inside for one in both])
    mix = pooled_mix(both, seen, (0, 1, 2))
    (row,) = mix.weights
    assert mix.kind == "fused"
    assert row[0] * row[1] < 0
    assert abs(abs(row[0]) - abs(row[1])) < 0.3 * abs(row[0])
    assert abs(row[2]) < 0.3 * abs(row[0])
    plain = [sides((0.3, 0.0), "a"), sides((0.3, 0.0), "b")]
    assert pooled_mix(plain, seen, (0, 1, 2)) == Mix("one", ((1.0, 0.0, 0.0),), (0.0,))
    assert seen_channels(["b", "c"], pooled_mix(plain, seen, (0, 1, 2))) is None


def test_channels_that_weigh_nothing_are_not_needed():
    mix = Mix("fused", ((0.5, 0.0, 0.5),), (0.0,))
    seen = seen_channels(["t1", "t2"], mix)
    assert seen == SeenChannels(("t2",), Mix("fused", ((0.5, 0.5),), (0.0,)))


def test_a_damaged_table_of_channels_is_refused(tmp_path):
    for text in ("", "{}", '{"version": 1, "channels": ["a"], "mix": null}', '{"version": 2}', "[1]"):
        (tmp_path / "channels.json").write_text(text)
        with pytest.raises(ModelError, match="copy the folder again"):
            read_seen(tmp_path)


def test_a_lost_table_of_channels_is_told_by_the_report_beside_it(tmp_path):
    """The model would be shown one channel, and answer as if that were what it learned."""
    (tmp_path / "report.json").write_text(json.dumps({"channels": {"given": ["a"], "seen": {"channels": ["a"]}}}))
    with pytest.raises(ModelError, match=r"channels.json is missing.*copy the whole folder again"):
        read_seen(tmp_path)
    for report in ({"channels": {"given": ["a"], "seen": None}}, {}, [], {"channels": 1}):
        (tmp_path / "report.json").write_text(json.dumps(report))
        assert read_seen(tmp_path) is None
