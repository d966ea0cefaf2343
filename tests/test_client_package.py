"""The package for machines without networks is this one, without torch and transformers."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def project(path):
    return tomllib.loads(path.read_text(encoding="utf-8"))["project"]


def test_the_client_needs_what_the_program_needs_but_for_networks():
    whole, client = project(ROOT / "pyproject.toml"), project(ROOT / "client" / "pyproject.toml")
    dropped = set(whole["dependencies"]) - set(client["dependencies"])
    assert {name.split(">")[0] for name in dropped} == {"torch", "transformers"}
    assert set(client["dependencies"]) <= set(whole["dependencies"])
    for extra, needed in client["optional-dependencies"].items():
        assert needed == whole["optional-dependencies"][extra]
    assert client["entry-points"] == whole["entry-points"]
    assert client["requires-python"] == whole["requires-python"]
