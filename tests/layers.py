"""The layers of the program, from the ground up: the one table behind the import test and docs/architecture.md.

A file may import its own layer and those below it. Where a layer lists several packages, each may import those
before it. ``python -m tests.layers`` prints the table for the docs.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FACADE", "GUI", "LAYERS", "NETWORKS", "SCAN_FILES", "Layer", "table"]

GUI = frozenset({"napari", "qtpy", "superqt", "magicgui", "PyQt6", "PySide6", "vispy"})
NETWORKS = frozenset({"torch", "transformers", "safetensors"})
SCAN_FILES = frozenset({"nibabel", "SimpleITK", "pydicom", "highdicom", "nrrd"})

_NAMES = {GUI: "napari, Qt", NETWORKS: "torch", SCAN_FILES: "file formats"}


@dataclass(frozen=True)
class Layer:
    """One row: packages (or modules) of the same height, what they are, and which libraries they never import."""

    packages: tuple[str, ...]
    what: str
    never: tuple[frozenset[str], ...] = (GUI,)
    beside: bool = False
    """At the height of the row before it: neither imports the other."""


FACADE = ("__init__", "prompts", "window", "triplanar")
"""Names for scripts, at the top; nothing inside imports them."""

LAYERS = (
    Layer(("errors", "hashing", "tables", "_version", "sample_data"), "ground", (GUI, NETWORKS, SCAN_FILES)),
    Layer(("core",), "values: volume, prompts, window, labels, slice masks, history", (GUI, NETWORKS, SCAN_FILES)),
    Layer(("terms",), "names of structures, codes, colours", (GUI, NETWORKS, SCAN_FILES)),
    Layer(("measures",), "figures about masks", (GUI, NETWORKS, SCAN_FILES)),
    Layer(("io",), "scans, label maps and their sidecars: one module per format", (GUI, NETWORKS)),
    Layer(("models", "engine"), "networks; slices, views, memories, propagation", (GUI, SCAN_FILES), beside=True),
    Layer(("registration", "channels"), "where scans lie in each other; further channels of a scan", (GUI, NETWORKS)),
    Layer(("remote",), "client of a server: wire, upload, an engine elsewhere", (GUI, NETWORKS, SCAN_FILES)),
    Layer(("server",), "models for other machines: turns, holdings, HTTP", (GUI, SCAN_FILES)),
    Layer(("session",), "one volume: objects, prompts, masks, review"),
    Layer(("slides",), "one picture of any size: crops, outlines, its file formats"),
    Layer(("record",), "journal, replay, results saved with provenance"),
    Layer(("finding",), "names as prompts: candidates and who proposes them"),
    Layer(("jobs", "evaluation", "training"), "whole runs without a window; scores; training"),
    Layer(("tuning",), "a model tuned on finished scans, and judged"),
    Layer(("cohort",), "many scans: plan, workers, state, report"),
    Layer(("cli",), "command line", ()),
    Layer(("plugin",), "napari plugin", (), beside=True),
)


def table() -> str:
    """The layers as a Markdown table, the top first."""
    rows = ["| layer | what it holds | never imports |", "|---|---|---|"]
    for layer in reversed(LAYERS):
        packages = ", ".join(f"`{name}`" for name in layer.packages)
        never = ", ".join(_NAMES[group] for group in layer.never)
        other = _neighbour(layer)
        if other:
            never = ", ".join(part for part in (never, ", ".join(f"`{name}`" for name in other.packages)) if part)
        rows.append(f"| {packages} | {layer.what} | {never} |")
    return "\n".join(rows)


def _neighbour(layer: Layer) -> Layer | None:
    place = LAYERS.index(layer)
    if layer.beside:
        return LAYERS[place - 1]
    after = LAYERS[place + 1 : place + 2]
    return after[0] if after and after[0].beside else None


if __name__ == "__main__":
    print(table())
