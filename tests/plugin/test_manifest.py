from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import get_args

import npe2
import pytest
import yaml

import napari_sam2
from napari_sam2.plugin import commands
from napari_sam2.plugin.control.action_table import ACTIONS, CLASS_KEYS, key_help, keyed
from napari_sam2.plugin.control.work import Kind

PACKAGED = Path(napari_sam2.__file__).parent / "napari.yaml"
TOP = Path(__file__).parents[2] / "napari.yaml"


def test_the_manifest_is_valid_and_everything_it_names_can_be_imported():
    manifest = npe2.PluginManifest.from_file(PACKAGED)
    manifest.validate_imports()
    assert manifest.name == "napari-sam2"


def test_the_manifest_at_the_top_is_the_packaged_one():
    assert TOP.read_bytes() == PACKAGED.read_bytes()


def test_every_action_exists_and_its_key_is_used_once_on_every_kind_of_work():
    rows = [entry for entry in (*ACTIONS, *CLASS_KEYS) if entry.key]
    for kind in get_args(Kind):
        keys = [entry.key for entry in rows if kind in entry.on]
        assert len(keys) == len(set(keys))
        assert all(kind in keyed(kind)[key].on for key in keys)
    keys = {entry.key for entry in ACTIONS if entry.key}
    for entry in ACTIONS:
        assert callable(entry.run), entry.name
        assert entry.on <= set(get_args(Kind)), entry.name
    assert len(key_help()) > len(keys)


def test_every_action_is_a_command_in_the_palette_and_in_the_menu():
    contributions = yaml.safe_load(PACKAGED.read_text())["contributions"]
    named = {
        c["id"]: c["python_name"].split(":")[1] for c in contributions["commands"] if "commands:" in c["python_name"]
    }
    assert list(named) == [f"napari-sam2.{entry.name}" for entry in ACTIONS]
    assert list(named.values()) == [entry.name for entry in ACTIONS]
    in_menu = [item["command"] for item in contributions["menus"]["napari-sam2/segment"]]
    assert sorted(in_menu) == sorted(named)


def test_manifest_and_tutorial_are_as_the_script_writes_them():
    spec = importlib.util.spec_from_file_location("write_actions", TOP.parent / "docs" / "write_actions.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for path, written in ((PACKAGED, script.manifest), (TOP.parent / "docs" / "tutorial.md", script.tutorial)):
        text = path.read_text(encoding="utf-8")
        assert written(text) == text, f"{path.name}: run docs/write_actions.py"


def test_a_command_that_is_no_action_does_not_exist():
    with pytest.raises(AttributeError, match="no_such_thing"):
        commands.no_such_thing  # noqa: B018


def test_a_key_that_means_two_things_says_where_each_is_meant():
    told = [(key, text.split(":")[0]) for key, text in key_help()]
    twice = {key for key, _ in told if [k for k, _ in told].count(key) > 1}
    assert twice
    assert {where for key, where in told if key in twice} == {"on a scan", "on a slide"}


def test_the_key_card_of_the_tutorial_is_the_table_of_actions():
    card = (TOP.parent / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for key, told in key_help():
        assert f"| {key} | {told[0].upper() + told[1:].rstrip('.')} |" in card, key
