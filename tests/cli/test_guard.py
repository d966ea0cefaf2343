"""No command writes over what it reads: made from the command line's own table of parameters."""

from __future__ import annotations

import json
import os
import shutil
import typing
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
import typer

from napari_sam2.cli import main
from napari_sam2.cli.app import _register, app
from napari_sam2.cli.guard import FOLDERS, OUTPUTS, leaves, paths_among
from napari_sam2.errors import UserInputError
from napari_sam2.io.film import FILM_ENDINGS
from napari_sam2.io.formats import exported_suffixes, label_suffixes
from napari_sam2.io.guard import refuse_inputs_as_outputs
from napari_sam2.jobs.slide import segment_slide
from napari_sam2.slides.formats.write import FORMATS
from tests.phantoms import ball, box_on

VOLUME, INSIDE = ball(shape=(30, 28, 12), centre=(15, 14, 6), radii=(9, 7, 4), affine=np.diag([-1.0, 1, 2, 1]))
CORNERS = [list(corner) for corner in box_on(INSIDE, 2, 6).corners]

INPUTS = {
    "segment": {"image": "scan", "prompts": "prompts", "token_file": "config", "memory": "table"},
    "demo": {"token_file": "config"},
    "find": {"image": "scan", "names": ("config",), "memory": "table"},
    "replay": {"session": "session", "image": "scan", "token_file": "config"},
    "measure": {"image": "scan", "labels": "labels", "against": "labels2", "earlier": ("scan2", "labels2")},
    "evaluate": {
        "image": "scan", "labels": "labels", "compare": ("scores", "scores"), "root": "folder", "token_file": "config",
    },
    "export": {"labels": "labels", "reference": "scan"},
    "bids": {"labels": "labels", "reference": "scan"},
    "slide": {
        "slide_file": "slide",
        "prompts": "slide_prompts",
        "auto": "region",
        "objects": "region",
        "like": "region",
        "token_file": "config",
    },
    "film": {"clip": "clip", "prompts": "clip_prompts", "token_file": "config"},
    "train": {"config": "config"},
    "tune": {"sources": "table", "split": "scores"},
    "open": {"image": "scan", "labels": "labels"},
    "cohort run": {
        "memory": "table", "token_file": "config", "auto": "region", "like": "region",
        "source": "table", "prompts": "folder", "tls_ca": "config", "tls_cert": "config", "tls_key": "config",
    },
    "cohort status": {"output": "folder"},
    "cohort report": {"output": "folder"},
    "cohort review": {"output": "folder"},
    "models import": {"checkpoint": "scores"},
    "serve": {"token_file": "config", "tls_cert": "config", "tls_key": "config"},
}  # fmt: skip
"""What every path of a command is in these tests; `auto` and `names` are text that may name a file."""

ENDINGS = {
    "segment output": label_suffixes(),
    "replay output": label_suffixes(),
    "measure csv": (".csv", ".tsv"),
    "evaluate as_json": (".json",),
    "export output": exported_suffixes(),
    "slide output": tuple(FORMATS),
    "film output": FILM_ENDINGS,
}
BESIDE = {"segment feature_folder": {"output": "new.nii.gz"}}
"""Other outputs that a command must be given; they are not there yet."""

ALONE = {"measure": ("against", "earlier"), "evaluate": ("compare",), "slide": ("prompts", "auto", "objects")}
"""Parameters that exclude others: one of them at a time."""


def commands():
    _register()
    return dict(leaves(typer.main.get_command(app)))


def paths_of(command) -> set[str]:
    hints = typing.get_type_hints(command.callback)
    return {name for name, hint in hints.items() if "Path" in str(hint)}


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    place = {name: tmp_path / f"{name}.x" for name in ("scores", "config", "table")}
    for name in ("scan", "scan2"):
        place[name] = tmp_path / f"sub-0{len(name)}_T1w.nii.gz"
        nib.save(nib.Nifti1Image(VOLUME.voxels, VOLUME.affine), place[name])
    for name in ("labels", "labels2"):
        place[name] = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(INSIDE.astype(np.uint8), VOLUME.affine), place[name])
    place["prompts"] = tmp_path / "organs.json"
    objects = [{"id": 1, "prompts": [{"box": CORNERS}]}]
    place["prompts"].write_text(json.dumps({"version": 1, "space": "voxel", "objects": objects}))
    place["slide"] = tmp_path / "slide.ome.tif"
    tifffile.imwrite(place["slide"], np.full((64, 64, 3), 200, np.uint8), photometric="rgb")
    place["slide_prompts"] = tmp_path / "glands.json"
    objects = [{"id": 1, "prompts": [{"box": [[8, 8], [40, 40]]}]}]
    place["slide_prompts"].write_text(json.dumps({"version": 1, "objects": objects}))
    place["region"] = tmp_path / "region.geojson"
    place["region"].write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    place["clip"] = tmp_path / "clip.tif"
    frames = np.random.default_rng(0).integers(0, 60, (3, 40, 40)).astype(np.uint8)
    frames[:, 10:30, 10:30] += 100
    tifffile.imwrite(place["clip"], frames, photometric="minisblack")
    place["clip_prompts"] = tmp_path / "beat.json"
    objects = [{"id": 1, "prompts": [{"box": [[9, 9, 1], [30, 30, 1]]}]}]
    place["clip_prompts"].write_text(json.dumps({"version": 1, "objects": objects}))
    for name in ("scores", "config", "table"):
        place[name].write_text("{}")
    place["folder"] = tmp_path / "folder"
    place["folder"].mkdir()
    (place["folder"] / "inside.txt").write_text("mine")
    place["session"] = tmp_path / "work.sam2session"
    place["session"].mkdir()
    (place["session"] / "session.json").write_text("{}")
    return place


def contents(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.is_symlink()}


def arguments(command, name: str, values: dict[str, object]) -> list[str]:
    given: list[str] = [*name.split()]
    for parameter in command.params:
        if parameter.name not in values:
            continue
        value = values[parameter.name]
        parts = [str(part) for part in value] if isinstance(value, tuple) else [str(value)]
        option = next((o for o in parameter.opts if o.startswith("--")), None)
        given += [option, *parts] if option else parts
    return given


def test_every_path_of_every_command_is_an_input_here_or_a_declared_output():
    for name, command in commands().items():
        declared = {key.rsplit(" ", 1)[1] for key in OUTPUTS if key.rsplit(" ", 1)[0] == name}
        unknown = paths_of(command) - declared - set(INPUTS.get(name, {}))
        assert not unknown, f"{name}: say in OUTPUTS of cli/guard.py or in INPUTS here what {unknown} is"
    assert {key.rsplit(" ", 1)[0] for key in OUTPUTS} <= set(commands())


def inputs_of(name: str, output: str, files: dict[str, Path], folder: Path):
    """Each input of a command in turn: its kind, and what gives values of all parameters with another in its place."""
    for victim, kinds in INPUTS[name].items():
        for place, kind in enumerate(kinds if isinstance(kinds, tuple) else (kinds,)):
            left_out = set(ALONE.get(name, ())) - {victim}
            if name == "evaluate" and victim == "compare":
                left_out |= {"image", "labels"}
            base = {
                key: tuple(files[k] for k in what) if isinstance(what, tuple) else files[what]
                for key, what in INPUTS[name].items()
                if key not in left_out
            }
            base |= {key: folder / file for key, file in BESIDE.get(f"{name} {output}", {}).items()}

            def given(own: Path, target: Path, base=base, victim=victim, place=place):
                value = base[victim]
                value = (*value[:place], own, *value[place + 1 :]) if isinstance(value, tuple) else own
                return {**base, victim: value, output: target}

            yield kind, given


def attacks(name: str, output: str, files: dict[str, Path], folder: Path):
    """Values of a command's parameters in which an input is given as the output."""
    for kind, given in inputs_of(name, output, files, folder):
        for ending in ENDINGS.get(f"{name} {output}", ("",)):
            own = folder / f"in{ending}"
            if files[kind].is_dir():
                own = files[kind]
            else:
                shutil.copyfile(files[kind], own)
            link = folder / f"link{ending}"
            link.unlink(missing_ok=True)
            link.symlink_to(own)
            roundabout = own.parent / ".." / own.parent.name / own.name
            for target in (own, link, roundabout):
                yield given(own, target)


@pytest.mark.parametrize("key", [key for key in OUTPUTS if key.rsplit(" ", 1)[0] in INPUTS and key != "bids root"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_no_input_is_ever_an_output(key, overwrite, files, tmp_path, capsys):
    name, output = key.rsplit(" ", 1)
    command = commands()[name]
    can_overwrite = any("--overwrite" in parameter.opts for parameter in command.params)
    tried = 0
    for values in attacks(name, output, files, tmp_path):
        given = arguments(command, name, values) + (["--overwrite"] if overwrite and can_overwrite else [])
        before = contents(tmp_path)
        code = main(given)
        told = capsys.readouterr()
        assert code == 2, (given, told)
        assert told.out == ""
        assert len(told.err.splitlines()) == 1, told.err
        assert "input" in told.err, told.err
        assert contents(tmp_path) == before, given
        tried += 1
    assert tried


def test_sidecars_never_replace_inputs(files, tmp_path, capsys):
    """The prompt file organs.json beside the output organs.nii.gz."""
    before = contents(tmp_path)
    for extra in ([], ["--overwrite"]):
        assert main(["film", *map(str, (files["clip"], "-o", tmp_path / "beat.ome.tif", "--prompts"))
                     , str(files["clip_prompts"]), *extra]) == 2  # fmt: skip
        assert "beat.json is one of the inputs" in capsys.readouterr().err
        assert main(["segment", *map(str, (files["scan"], "-o", tmp_path / "organs.nii.gz", "--prompts"))
                     , str(files["prompts"]), *extra]) == 2  # fmt: skip
        assert "organs.json is one of the inputs" in capsys.readouterr().err
        assert contents(tmp_path) == before


def test_a_mask_that_a_prompt_file_names_is_never_an_output(files, tmp_path, capsys):
    prompts = tmp_path / "mask_prompts.json"
    entry = {"mask": "labels.nii.gz", "axis": 2, "slice": 6}
    prompts.write_text(json.dumps({"version": 1, "objects": [{"id": 1, "prompts": [entry]}]}))
    before = contents(tmp_path)
    given = [
        "segment",
        files["scan"],
        "-o",
        files["labels"],
        "--prompts",
        prompts,
        "--overwrite",
        "--model",
        "classical",
    ]
    assert main([str(part) for part in given]) == 2
    assert "labels.nii.gz is one of the inputs" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_derivative_never_replaces_the_labels_it_is_made_of(files, tmp_path, capsys):
    given = ["bids", files["labels"], "--reference", files["scan"], "--root", tmp_path / "root"]
    assert main([str(part) for part in given]) == 0
    made = next((tmp_path / "root").rglob("*_dseg.nii.gz"))
    before = contents(tmp_path)
    given = ["bids", made, "--reference", files["scan"], "--root", tmp_path / "root", "--overwrite"]
    capsys.readouterr()
    assert main([str(part) for part in given]) == 2
    assert "one of the inputs" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_file_of_an_input_folder_is_never_replaced(files, tmp_path, capsys):
    inside = files["folder"] / "inside.csv"
    inside.write_text("a slice of a series")
    given = ["measure", files["folder"], files["labels"], "--csv", inside, "--overwrite"]
    assert main([str(part) for part in given]) == 2
    assert "lies in folder, which is an input" in capsys.readouterr().err
    assert inside.read_text() == "a slice of a series"


def whole_folder(place: Path, mark: str) -> Path:
    """A folder that is one thing, with a part that is marked as well."""
    part = place / "labels" / "cells"
    part.mkdir(parents=True)
    for folder in (place, part.parent, part):
        (folder / mark).write_text("{}")
    return place


@pytest.mark.parametrize("key", [key for key in OUTPUTS if key.rsplit(" ", 1)[0] in INPUTS and key != "bids root"])
def test_nothing_new_is_put_into_a_folder_that_is_one_input(key, files, tmp_path, capsys):
    name, output = key.rsplit(" ", 1)
    command = commands()[name]
    whole = whole_folder(tmp_path / "whole.ome.zarr", "zarr.json")
    ending = ENDINGS.get(key, ("",))[0]
    before = contents(tmp_path)
    for _, given in inputs_of(name, output, files, tmp_path):
        for own in (whole, whole / "labels" / "cells"):
            for target in (whole / f"new{ending}", whole / "labels" / f"new{ending}"):
                assert main(arguments(command, name, given(own, target))) == 2
                assert "would be put into whole.ome.zarr, an input" in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("key", [key for key in OUTPUTS if key.rsplit(" ", 1)[0] in INPUTS])
@pytest.mark.parametrize("target", [".", "/"])
def test_a_folder_without_a_name_is_no_file_to_write(key, target, files, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(files["folder"])
    name, output = key.rsplit(" ", 1)
    if key in FOLDERS:
        return
    before = contents(tmp_path)
    for _, given in list(inputs_of(name, output, files, tmp_path))[:1]:
        values = {**given(files["scan"], Path(target)), output: target}
        assert main(arguments(commands()[name], name, values)) == 2
        assert f"Cannot write {target}: that is a folder; give a file name." in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_new_file_beside_a_series_or_a_whole_folder_is_no_fault(tmp_path):
    whole = whole_folder(tmp_path / "whole.ome.zarr", ".zattrs")
    series = tmp_path / "series"
    series.mkdir()
    refuse_inputs_as_outputs([whole, series], [tmp_path / "new.nii.gz", series / "new.nii.gz"])
    with pytest.raises(UserInputError, match="be put into work"):
        refuse_inputs_as_outputs([whole_folder(tmp_path / "work", "session.json")], [tmp_path / "work" / "a.nii.gz"])


def test_an_input_inside_a_folder_that_would_be_replaced_is_safe(files, tmp_path, capsys):
    folder = tmp_path / "x.ome.zarr"
    folder.mkdir()
    shutil.copy(files["labels"], folder / "labels.nii.gz")
    given = ["export", folder / "labels.nii.gz", "--reference", files["scan"], "-o", folder, "--overwrite"]
    assert main([str(part) for part in given]) == 2
    assert "would be replaced" in capsys.readouterr().err
    assert (folder / "labels.nii.gz").is_file()


def test_commands_write_only_what_they_declare(files, tmp_path):
    """What the guard compares with is all that is written."""
    out = tmp_path / "out"
    out.mkdir()
    scan, labels = files["scan"], files["labels"]
    runs = {
        "segment": {"image": scan, "prompts": files["prompts"], "output": out / "a.nii.gz", "keep_session": True},
        "measure": {"image": scan, "labels": labels, "csv": out / "m.csv"},
        "export": {"labels": labels, "reference": scan, "output": out / "e.seg.nrrd", "consecutive": True},
        "slide": {"slide_file": files["slide"], "prompts": files["slide_prompts"], "output": out / "s.geojson"},
        "film": {"clip": files["clip"], "prompts": files["clip_prompts"], "output": out / "f.ome.tif"},
    }
    for name, values in runs.items():
        command = commands()[name]
        flags = {"keep_session": "--session", "consecutive": "--consecutive-ids"}
        given = arguments(command, name, {k: v for k, v in values.items() if v is not True})
        given += [flag for key, flag in flags.items() if values.get(key)]
        model = [] if name in ("measure", "export") else ["--model", "classical"]
        before = set(out.iterdir())
        assert main([*given, *model]) == 0, name
        made = set(out.iterdir()) - before
        output = next(key for key in OUTPUTS if key.startswith(f"{name} "))
        declared = OUTPUTS[output]({"auto": None, "keep_session": False, **values})
        assert made <= set(declared), (name, made)
        assert made


@pytest.mark.skipif(os.path.exists("/PROC"), reason="needs a file system that tells letter case apart")  # noqa: PTH110
def test_letter_case_is_left_to_the_disk(files, tmp_path):
    """Where the disk tells SCAN from scan, they are two files; where it does not, `samefile` sees one."""
    from napari_sam2.io.guard import is_one_of

    upper = files["scan"].with_name(files["scan"].name.upper())
    assert not is_one_of(upper, [files["scan"]])
    shutil.copy(files["scan"], upper)
    assert not is_one_of(upper, [files["scan"]])
    upper.unlink()
    os.link(files["scan"], upper)
    assert is_one_of(upper, [files["scan"]])


@pytest.mark.parametrize(
    "value", ["{}", "nuclei:{}", "T2={}", "T2={}:1", "{}:all", "nuclei:{}:0"], ids=lambda text: text.format("file")
)
def test_a_file_is_an_input_behind_a_kind_or_a_name_and_before_a_number(value, tmp_path):
    file = tmp_path / "t2.nii.gz"
    file.touch()
    assert file in paths_among([[value.format(file)]])
    assert not paths_among([value.format(tmp_path / "nothing")])


def test_the_region_of_nuclei_is_never_the_result(tmp_path):
    region = tmp_path / "region.geojson"
    region.write_text("{}")
    with pytest.raises(UserInputError, match=r"region\.geojson"):
        segment_slide(tmp_path / "slide.tif", region, auto=f"nuclei:{region}", overwrite=True)
    assert region.read_text() == "{}"
