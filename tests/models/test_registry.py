"""The table of model families, and what follows from it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from napari_sam2.models.family import function
from napari_sam2.models.registry import FAMILIES, ZOO, family_of_weights

DOCS = Path(__file__).parents[2] / "docs" / "models.md"


def test_every_function_of_the_table_exists_and_names_are_unique():
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    for family in FAMILIES:
        for reference in (family.load, family.load_built_in, family.load_file, family.preparation):
            assert not reference or callable(function(reference)), family.name
        if family.official:
            assert callable(function(f"{family.official}:renamed"))
            assert callable(function(f"{family.official}:config_of"))
    assert len(ZOO) == sum(len(family.entries) for family in FAMILIES)


def test_the_docs_tell_of_every_model_its_licence_and_size():
    text = DOCS.read_text(encoding="utf-8")
    for entry in ZOO.values():
        row = next(line for line in text.splitlines() if line.startswith("|") and f"`{entry.name}`" in line)
        assert entry.license in row
        assert f"{entry.megabytes} MB" in row or "as above" in row
        assert f"{entry.input_size} px" in row


@pytest.mark.parametrize(
    ("weights", "family"),
    [
        (["sam_prompt_encoder.x", "image_encoder.trunk.y"], "sam2"),
        (["sam_prompt_encoder.x", "spatial_perceiver.y"], "edgetam"),
        (["prompt_encoder.x", "image_encoder.y"], "sam1"),
        (["a.weight"], "sam2"),
    ],
)
def test_official_weights_tell_their_family(weights, family):
    assert family_of_weights(weights).name == family


def test_a_new_family_is_a_folder_and_one_row(tmp_path):
    """The row alone lets it be loaded, named, listed and refused with its name."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "family.py").write_text(
        textwrap.dedent("""
        from napari_sam2.models.family import Entry, Family
        FAMILY = Family(
            name="toy", title="Toy", model_types=("toy_video",),
            entries=(Entry("someone/toy", "MIT", 7, 0.1, "A toy."),), load="toy.loading:load_toy",
            official_names=("Toy",),
        )
    """)
    )
    (folder / "loading.py").write_text(
        "from types import SimpleNamespace\n\n"
        "def load_toy(folder, settings, device, card, *, quality, input_size):\n"
        "    return SimpleNamespace(input_size=64, depth=settings['depth'])\n"
    )
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text('{"model_type": "toy_video", "depth": 3}')
    script = textwrap.dedent("""
        import importlib.util, os, sys
        from pathlib import Path
        import napari_sam2.models
        napari_sam2.models.__path__.append(sys.argv[1])  # the folder
        source = (Path(napari_sam2.models.__file__).parent / "registry.py").read_text()
        source = source.replace("SAM1, SAM3)", "SAM1, SAM3, TOY)")  # the row
        line = "from napari_sam2.models.toy.family import FAMILY as TOY"
        source = source.replace("import FAMILY as SAM1", f"import FAMILY as SAM1\\n{line}")
        Path(sys.argv[1], "registry.py").write_text(source)
        spec = importlib.util.spec_from_file_location("napari_sam2.models.registry", sys.argv[1] + "/registry.py")
        sys.modules["napari_sam2.models.registry"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["napari_sam2.models.registry"])

        from typer.testing import CliRunner
        from napari_sam2.cli.app import _register, app
        from napari_sam2.errors import EnvironmentLacksError
        from napari_sam2.models import load_model
        _register()
        assert load_model(sys.argv[1] + "/checkpoint", "cpu").depth == 3
        try:
            load_model("someone/toy", "cpu")
        except EnvironmentLacksError as error:
            assert "models fetch someone/toy" in str(error) and "7 MB" in str(error)
        else:
            raise SystemExit("the model is not here")
        assert "someone/toy" in CliRunner().invoke(app, ["models", "list"]).output
        assert "Toy" in CliRunner().invoke(app, ["models", "import", "--help"]).output
    """)  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
