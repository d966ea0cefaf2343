"""The commands of the recipes: bad input is a sentence, and nothing is made."""

from __future__ import annotations

import runpy
import sys

import pytest


@pytest.mark.parametrize("command", ["boxed", "consolidation", "corrections"])
@pytest.mark.parametrize("text", [None, "prepare = [", "threads = 1"])
def test_bad_recipe_is_one_sentence_and_makes_nothing(tmp_path, monkeypatch, capsys, command, text):
    recipe, out = tmp_path / "recipe.toml", tmp_path / "out"
    if text is not None:
        recipe.write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [command, str(recipe), str(out)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"napari_sam2.training.{command}", run_name="__main__", alter_sys=False)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(recipe) in said
    assert not out.exists()
