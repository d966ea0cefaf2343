"""Whatever a session asks of an engine, the engine elsewhere has, and a session without networks can ask it."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import napari_sam2
from napari_sam2.engine.engine import Engine
from napari_sam2.engine.verbs import GlancingEngine, ModelElsewhere, SliceEngine
from napari_sam2.remote.engine import RemoteEngine
from napari_sam2.remote.model import RemoteModel

PACKAGE = Path(napari_sam2.__file__).parent
ASKING = ("session", "record", "plugin/scan", "plugin/control", "jobs")
"""Where engines are asked for by `state.engine(axis)`, which may be either kind."""


def verbs():
    return {name for name in vars(SliceEngine) if not name.startswith("_")}


def asked_of_engines(source):
    """Names that are read from what `engine(...)` gave, directly or through a variable called engine."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute):
            continue
        of = node.value
        is_call = isinstance(of, ast.Call) and isinstance(of.func, ast.Attribute) and of.func.attr == "engine"
        if is_call or (isinstance(of, ast.Name) and of.id == "engine"):
            found.add(node.attr)
    return found


def test_sessions_ask_engines_for_their_verbs_alone():
    asked = set()
    for folder in ASKING:
        for file in sorted((PACKAGE / folder).rglob("*.py")):
            if "slide" not in file.name:
                asked |= asked_of_engines(file.read_text(encoding="utf-8"))
    assert {"predict", "propagate", "propagate_fitted", "plane"} <= asked
    # A glance is asked of those that have one, after a look at what they are.
    known = verbs() | {name for name in vars(GlancingEngine) if not name.startswith("_")}
    assert asked <= known, f"SliceEngine and RemoteEngine lack {sorted(asked - known)}"


def test_both_engines_have_all_verbs_with_the_same_arguments():
    for name in verbs():
        here, there = getattr(Engine, name, None), getattr(RemoteEngine, name, None)
        if name in ("plane", "can_fit"):
            continue
        arguments = [list(inspect.signature(verb).parameters) for verb in (getattr(SliceEngine, name), here, there)]
        assert arguments[0] == arguments[1] == arguments[2], name


def test_an_attribute_that_is_no_verb_is_seen():
    assert asked_of_engines("state.engine(2).features.get(1)\nengine.plane") == {"features", "plane"}


def test_a_remote_model_is_one_that_answers_elsewhere():
    members = {name for name in vars(ModelElsewhere) if not name.startswith("_")} | set(ModelElsewhere.__annotations__)
    source = inspect.getsource(RemoteModel)
    assert all(f"self.{name}" in source or hasattr(RemoteModel, name) for name in members)


def test_session_journal_and_client_work_without_torch_and_transformers():
    code = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Without())
import napari_sam2.cli.segment, napari_sam2.jobs.segment, napari_sam2.record.replay, napari_sam2.remote.model
import napari_sam2.plugin.control.controller
from napari_sam2.core.volume import Volume
from napari_sam2.session.session import Session
import numpy
Session(Volume(numpy.arange(60.0).reshape(3, 4, 5), numpy.eye(4)), None).label_map()
print("worked")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "worked", run.stderr
