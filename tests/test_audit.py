"""What ``make audit`` makes of an answer: only when everything was asked about and is clean does it succeed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "audit.py"


@pytest.fixture(scope="module")
def judged():
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.judged


CLEAN = {"name": "numpy", "version": "2.0", "vulns": []}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI"}
HOLED = {"name": "pillow", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.0"]}]}
OWN = {"name": "napari-sam2", "skip_reason": "distribution marked as editable"}


@pytest.mark.parametrize(
    ("packages", "code", "words"),
    [
        ([CLEAN, OWN], 0, "1 packages checked, 0 known vulnerabilities, 0 not checked"),
        ([CLEAN, SKIPPED], 1, "NOT CHECKED torch: Dependency not found on PyPI"),
        ([CLEAN, HOLED], 1, "VULNERABLE pillow 1.0: PYSEC-1 2.0"),
        ([OWN], 1, "0 packages checked"),
        ([], 1, "0 packages checked"),
    ],
)
def test_an_audit_succeeds_only_when_everything_was_asked_about(judged, packages, code, words):
    lines, found = judged(json.dumps({"dependencies": packages}))
    assert found == code
    assert words in "\n".join(lines)


@pytest.mark.parametrize("text", ["", "no network", "[]", "{}"])
def test_no_answer_is_a_failure(judged, text):
    lines, code = judged(text)
    assert code == 1
    assert "nothing was checked" in lines[0]
