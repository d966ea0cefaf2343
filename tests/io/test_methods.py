from __future__ import annotations

import pytest

from napari_sam2 import __version__
from napari_sam2.core.prompts import Box, ObjectPrompts, Point
from napari_sam2.core.window import Window
from napari_sam2.errors import ImageFileError
from napari_sam2.io import read_volume, write_labels
from napari_sam2.io.methods import methods_paragraph
from napari_sam2.io.sidecar import Provenance, write_sidecars


@pytest.fixture
def saved(scan, tmp_path, labels):
    def save(**facts):
        volume = read_volume(scan)
        out = write_labels(labels, volume, tmp_path / "out.nii.gz")
        write_sidecars(out, labels, volume, Provenance(**facts))
        return out

    return save


def test_everything_that_is_known_is_said(saved):
    box, click = Box(((1, 2, 3), (5, 9, 3))), Point((1, 2, 3))
    text = methods_paragraph(
        saved(
            model={
                "name": "facebook/sam2.1-hiera-tiny",
                "revision": "abc",
                "sha256": "0123456789abcdef",
                "quality": "balanced",
                "input_size": "512",
                "precision": "bfloat16",
            },
            window=Window(-160, 240, "CT-soft"),
            slice_axis=2,
            objects=[
                ObjectPrompts(1, (box, click, Point((1, 1, 3), positive=False)), "liver"),
                ObjectPrompts(2, (box,), "spleen"),
            ],
            settings={"direction": "both"},
            helpers={"correction-3": "Clicks were answered by a network of their own"},
            edited=True,
        )
    )
    assert text.startswith(
        f"Liver and spleen were segmented semi-automatically with napari-sam2 {__version__} and the model "
        "facebook/sam2.1-hiera-tiny (revision abc, SHA-256 0123456789ab, quality balanced, 512 pixels, bfloat16). "
        "The prompts were 2 boxes, 1 including click and 1 excluding click on axial slices. "
        "Intensities from -160 to 240 (CT-soft) were mapped"
    )
    by_helper = "Clicks were answered by a network of their own (correction-3)."
    assert f"in both directions. {by_helper} The result was then edited by hand. Software: Python 3." in text


def test_nothing_is_said_of_what_is_not_known(saved):
    text = methods_paragraph(saved())
    assert "model" not in text.split("Software")[0]
    assert "prompts" not in text
    assert "Intensities" not in text


@pytest.mark.parametrize("content", ["{}", "[]", "nonsense", None])
def test_without_a_sidecar_of_this_program_nothing_is_made_up(saved, content):
    out = saved()
    beside = out.with_name("out.json")
    beside.unlink() if content is None else beside.write_text(content)
    with pytest.raises(ImageFileError, match=r"out\.json"):
        methods_paragraph(out)
