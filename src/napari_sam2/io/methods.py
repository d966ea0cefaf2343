"""A paragraph for the methods section of a paper.

It is made from the sidecar of a label map.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam2.errors import ImageFileError
from napari_sam2.io.payload import existing_file
from napari_sam2.io.sidecar import sidecar_paths

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["methods_paragraph"]


def methods_paragraph(labels_path: str | os.PathLike[str]) -> str:
    """Describe how a label map was made.

    Parameters
    ----------
    labels_path : path-like
        The label map; the ``.json`` beside it is read.

    Returns
    -------
    str
        Sentences without line breaks. Only what the sidecar states is said.

    Raises
    ------
    ImageFileError
        If there is no sidecar of this program.
    """
    path = existing_file(sidecar_paths(Path(labels_path))[0])
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        text = " ".join(_sentences(facts))
        return text[0].upper() + text[1:]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ImageFileError(f"{path.name} is not a sidecar of napari-sam2, so nothing can be said of it.") from error


def _sentences(facts: dict[str, Any]) -> list[str]:
    program = facts["GeneratedBy"][0]
    names = [label["Name"] for label in facts["Outputs"][0]["Labels"].values()]
    sentences = [
        f"{_list(names) or 'Structures'} {'was' if len(names) == 1 else 'were'} segmented semi-automatically with "
        f"{program['Name']} {program['Version']}{_model(facts['Model'])}."
    ]
    prompts = _prompts(facts["Prompts"])
    plane = facts["Preprocessing"].get("Plane")
    if prompts:
        sentences.append(f"The prompts were {prompts}{f' on {plane} slices' if plane else ''}.")
    window = facts["Preprocessing"].get("Window")
    if window:
        sentences.append(
            f"Intensities from {window['Low']:g} to {window['High']:g} ({window['Name']}) were mapped linearly to the "
            "model's input, with one mapping for the whole volume."
        )
    sentences += _channel_sentences(facts)
    direction = facts["Propagation"].get("direction")
    if direction and direction != "none":
        ways = "both directions" if direction == "both" else f"{direction} direction"
        sentences.append(f"Masks were propagated from the prompted slices through the volume in {ways}.")
    sentences += [f"{what} ({name})." for name, what in facts.get("FurtherNetworks", {}).items()]
    sentences.append(
        "The result was then edited by hand." if facts["EditedByHand"] else "The result was not edited by hand."
    )
    environment = facts["Environment"]
    versions = [f"{name} {environment[key]}" for key, name in _NAMED.items() if key in environment]
    sentences.append(f"Software: {', '.join(versions)}.")
    return sentences


_PLACED = {
    "same grid": "on the same grid",
    "resampled": "resampled linearly on its grid",
    "registered": "registered rigidly to it by mutual information and resampled linearly",
}


def _channel_sentences(facts: dict[str, Any]) -> list[str]:
    """Which further channels there were, and what the model saw of them."""
    reference, *further = facts.get("Channels", [None])
    if not further:
        return []
    named = [f"{one['Name']} (SHA-256 {one['sha256'][:12]}, {_PLACED[one['Placed']]})" for one in further]
    seen = sorted({image["Image"] for image in facts["ImageOfObject"].values()})
    return [
        f"{reference['Name']} was the reference; further channels were {_list(named)}, each mapped on its own.",
        f"The model saw {_list(seen)}.",
    ]


_NAMED = {"python": "Python", "torch": "PyTorch", "transformers": "transformers", "numpy": "NumPy"}


def _model(card: dict[str, str]) -> str:
    if not card.get("name"):
        return ""
    details = [f"revision {card['revision']}"] if card.get("revision") else []
    if card.get("sha256"):
        details.append(f"SHA-256 {card['sha256'][:12]}")
    if card.get("quality"):
        details.append(f"quality {card['quality']}, {card['input_size']} pixels, {card['precision']}")
    return f" and the model {card['name']}" + (f" ({', '.join(details)})" if details else "")


def _prompts(prompts: Sequence[dict[str, Any]]) -> str:
    counts: Counter[str] = Counter()
    for prompt in prompts:
        kind = prompt["Kind"]
        if kind == "point":
            kind = "including click" if prompt["Positive"] else "excluding click"
        counts[kind] += 1
    plurals = {"box": "boxes"}
    return _list([f"{n} {kind if n == 1 else plurals.get(kind, kind + 's')}" for kind, n in counts.items()])


def _list(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else "".join(parts)
