"""What napari's dialog calls our reader, and what the tutorial does."""

from __future__ import annotations

from pathlib import Path

from npe2 import PluginManifest

import napari_sam2


def test_the_tutorial_names_the_reader_as_naparis_dialog_does():
    manifest = PluginManifest.from_file(Path(napari_sam2.__file__).with_name("napari.yaml"))
    tutorial = Path(__file__).parents[2] / "docs" / "tutorial.md"
    assert f"choose *{manifest.display_name}* when napari asks for a reader" in tutorial.read_text(encoding="utf-8")
