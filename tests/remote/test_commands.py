"""``--remote`` wherever ``--model`` is taken: the same files as with the model on this machine, or a sentence."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import tifffile

from napari_sam2.cli import main
from napari_sam2.cli.bids_app import main as bids_app
from napari_sam2.cohort.case import run_case
from napari_sam2.measures.metrics import dice
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.slides.formats.geojson import read_geojson
from tests.channels.scans import two_channels
from tests.cli.test_guard import commands
from tests.cohort.cases import job_of, write_case, write_manifest
from tests.jobs.test_film import boxes, frames
from tests.phantoms import box_on
from tests.remote.serving import TOKEN, served
from tests.slides.conftest import stained, write_ome


@pytest.fixture(scope="module")
def server():
    with served({"classical": ClassicalModel()}) as running:
        yield running


@pytest.fixture
def elsewhere(server, tmp_path):
    """The options that let the server answer."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    return ["--model", "classical", "--remote", server.url, "--token-file", str(token)]


HERE = ["--model", "classical"]


def test_every_command_that_takes_a_model_takes_a_server():
    options = {name: {o for p in command.params for o in p.opts} for name, command in commands().items()}
    takes = {name: known for name, known in options.items() if "--model" in known}
    assert {"segment", "slide", "film", "replay", "evaluate", "demo", "cohort run"} <= takes.keys()
    assert [name for name, known in takes.items() if not {"--remote", "--token-file"} <= known] == []


@pytest.fixture
def slide(tmp_path):
    """A picture with two discs, and prompts on them."""
    path = write_ome(tmp_path / "discs.ome.tif", stained((500, 600), (200, 200, 60), (200, 450, 50)))
    prompts = tmp_path / "prompts.json"
    objects = [
        {"id": 1, "prompts": [{"box": [[140, 140], [260, 260]]}]},
        {"id": 2, "prompts": [{"point": [200, 450]}, {"point": [300, 300], "positive": False}]},
    ]
    prompts.write_text(json.dumps({"version": 1, "objects": objects}))
    return path, prompts


def test_a_slide_by_a_server_has_the_outlines_it_has_here(slide, elsewhere, server, tmp_path):
    path, prompts = slide
    for name, options in (("here", HERE), ("there", elsewhere)):
        assert main(["slide", str(path), "--prompts", str(prompts), "-o", str(tmp_path / f"{name}.geojson"),
                     "--refine", "1", *options]) == 0  # fmt: skip
    here, there = (read_geojson(tmp_path / f"{name}.geojson") for name in ("here", "there"))
    assert [o.geometry.wkb for o in here] == [o.geometry.wkb for o in there]
    assert len(here) == 2


def test_a_slide_is_not_worked_through_by_a_server(slide, elsewhere, tmp_path, capsys):
    assert (
        main(
            [
                "slide",
                str(slide[0]),
                "--auto",
                "tissue",
                "--object-size",
                "60px",
                "-o",
                str(tmp_path / "a.geojson"),
                *elsewhere,
            ]
        )
        == 2
    )
    assert "Looking for objects asks a model about thousands of points" in capsys.readouterr().err
    assert not (tmp_path / "a.geojson").exists()
    assert (
        main(
            [
                "slide",
                str(slide[0]),
                "--auto",
                "nuclei",
                "--object-size",
                "30px",
                "-o",
                str(tmp_path / "n.geojson"),
                *elsewhere,
            ]
        )
        == 0
    )


def test_a_film_by_a_server_has_the_labels_it_has_here(elsewhere, tmp_path):
    clip, prompts = tmp_path / "clip.tif", tmp_path / "prompts.json"
    tifffile.imwrite(clip, frames(), photometric="minisblack", metadata={"axes": "TYX"})
    prompts.write_text(json.dumps({"version": 1, "objects": boxes(3)}))
    for name, options in (("here", HERE), ("there", elsewhere)):
        arguments = ["film", str(clip), "-o", str(tmp_path / f"{name}.ome.tif"), "--prompts", str(prompts)]
        assert main([*arguments, *options]) == 0
    here, there = (tifffile.imread(tmp_path / f"{name}.ome.tif") for name in ("here", "there"))
    assert np.array_equal(here, there)
    assert set(np.unique(here)) == {0, 1, 2}


def test_a_scan_with_a_channel_by_a_server_has_the_labels_it_has_here(elsewhere, tmp_path):
    first, second, inside = two_channels()
    for name, voxels in (("a", first), ("b", second)):
        nib.save(nib.Nifti1Image(voxels, np.diag([1.0, 1, 2, 1])), tmp_path / f"{name}.nii.gz")
    box = ",".join(str(c) for corner in box_on(inside, 2, 8).corners for c in corner)
    for name, options in (("here", HERE), ("there", elsewhere)):
        output = tmp_path / f"{name}.nii.gz"
        assert main(["segment", str(tmp_path / "a.nii.gz"), "--channel", str(tmp_path / "b.nii.gz"), "--box", box,
                     "-o", str(output), *options]) == 0  # fmt: skip
    here, there = (np.asarray(nib.load(tmp_path / f"{name}.nii.gz").dataobj) for name in ("here", "there"))
    assert np.array_equal(here, there)
    assert dice(here == 1, inside) > 0.8


@pytest.fixture
def manifest(tmp_path):
    rows = [write_case(tmp_path / "scans", f"c{n}", seed=n) for n in range(2)]
    return write_manifest(tmp_path / "m.csv", rows, "prompts")


def cohort(manifest, output, *options):
    return main(["cohort", "run", str(manifest), "-o", str(output), "--shard", "1/1", *map(str, options)])


def test_a_cohort_by_a_server_has_the_label_maps_it_has_here_and_skips_what_is_done(
    manifest, elsewhere, tmp_path, capsys
):
    assert cohort(manifest, tmp_path / "here", *HERE) == 0
    assert cohort(manifest, tmp_path / "there", *elsewhere) == 0
    for case in ("c0", "c1"):
        here, there = (nib.load(tmp_path / name / case / "labels.nii.gz") for name in ("here", "there"))
        assert np.asarray(here.dataobj).any()
        assert np.array_equal(np.asarray(here.dataobj), np.asarray(there.dataobj))
    capsys.readouterr()
    assert cohort(manifest, tmp_path / "there", *elsewhere, "--json") == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 2


def test_a_cohort_without_its_server_does_not_begin(manifest, elsewhere, tmp_path, capsys):
    with served({"classical": ClassicalModel()}) as other:
        gone = [*elsewhere[:3], other.url, *elsewhere[4:]]
    assert cohort(manifest, tmp_path / "out", *gone) == 3
    assert "does not answer" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_case_whose_server_has_gone_for_good_ends_the_run_rather_than_failing_one_case_after_the_other(
    elsewhere, tmp_path
):
    row = write_case(tmp_path / "scans", "a")
    with served({"classical": ClassicalModel()}) as other:
        url = other.url
    outcome = run_case(job_of(tmp_path, row, remote=url, token_file=tmp_path / "token"))
    assert (outcome["state"], outcome["stop"], outcome["retry"]) == ("failed", True, False)
    assert "does not answer" in outcome["error"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--device", "cpu"], "--device and --quality are the server's choice"),
        (["--remote", "ssh://me@host?start"], "every worker would start a server"),
    ],
)
def test_what_does_not_go_together_is_refused(manifest, elsewhere, tmp_path, options, sentence, capsys):
    assert cohort(manifest, tmp_path / "out", *elsewhere, *options) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bids_dataset_by_a_server(elsewhere, tmp_path, capsys):
    root = tmp_path / "dataset"
    write_case(tmp_path, "a")
    for folder, ending in ((root, "nii.gz"), (root / "derivatives" / "prompts", "json")):
        where = folder / "sub-01" / "anat"
        where.mkdir(parents=True)
        (tmp_path / f"a.{ending}").rename(where / f"sub-01_T1w.{ending}")
    (root / "dataset_description.json").write_text('{"Name": "balls", "BIDSVersion": "1.10.0"}')
    assert bids_app([str(root), str(tmp_path / "out"), "participant", "--n-procs", "1", *elsewhere]) == 0
    labels = tmp_path / "out" / "sub-01" / "anat" / "sub-01_desc-T1w_dseg.nii.gz"
    assert np.asarray(nib.load(labels).dataobj).any()
