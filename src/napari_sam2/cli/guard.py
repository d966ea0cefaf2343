"""One guard before every command.

What a command writes is nothing that it reads.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import UserInputError
from napari_sam2.io.guard import files_named_in, refuse_inputs_as_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["OUTPUTS", "guard_commands", "leaves", "paths_among"]


def _label_map(values: Mapping[str, Any]) -> list[Path]:
    from napari_sam2.jobs.segment import files_of_label_map

    return files_of_label_map(values["output"], keep_session=values.get("keep_session", False))


def _exported(values: Mapping[str, Any]) -> list[Path]:
    from napari_sam2.io.export import files_of_export

    return files_of_export(values["output"], consecutive=values["consecutive"])


def _objects(values: Mapping[str, Any]) -> list[Path]:
    from napari_sam2.jobs.slide import files_of_objects

    return files_of_objects(values["output"])


def _film(values: Mapping[str, Any]) -> list[Path]:
    from napari_sam2.io.film import files_of_film

    return files_of_film(values["output"])


def _replayed(values: Mapping[str, Any]) -> list[Path]:
    """Of a scan or of a slide: what the session is of is known when it is read."""
    return [*_label_map(values), *_objects(values)]


def _derivative(values: Mapping[str, Any]) -> list[Path]:
    from napari_sam2.io.bids import files_of_derivative

    name, root = values["reference"].name, values["root"]
    return files_of_derivative(name, root, subject=values["subject"], description=values["description"])


OUTPUTS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[Path]]]] = {
    "demo output": lambda values: [values["output"]],
    "segment output": _label_map,
    "find output": lambda values: [values["output"]],
    "segment feature_folder": lambda values: [values["feature_folder"]],
    "replay output": _replayed,
    "measure csv": lambda values: [values["csv"]],
    "evaluate as_json": lambda values: [values["as_json"]],
    "export output": _exported,
    "bids root": _derivative,
    "slide output": _objects,
    "film output": _film,
    "train output": lambda values: [values["output"]],
    "tune output": lambda values: [values["output"]],
    "cohort run output": lambda values: [values["output"]],
}
"""What a parameter of a command makes it write. Every other path that a command is given is an input."""


FOLDERS: Final = frozenset({
    "segment feature_folder", "bids root", "train output", "tune output", "cohort run output",
})  # fmt: skip
"""Of these, what makes a folder; the others make files."""


def guard_commands(group: Any) -> Any:
    """Put the guard before each command of a click group.

    Groups in it are included; returns the group.
    """
    for name, command in leaves(group):
        command.callback = _guarded(name, command.callback)
    return group


def leaves(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Commands of a click group with their names, such as ``"models fetch"``."""
    for own, command in group.commands.items():
        full = f"{name} {own}".strip()
        if hasattr(command, "commands"):
            yield from leaves(command, full)
        else:
            yield full, command


def _guarded(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def guarded(**values: Any) -> Any:
        outputs = [key for key in values if f"{name} {key}" in OUTPUTS and values[key] is not None]
        for key in outputs:
            if not values[key].name and f"{name} {key}" not in FOLDERS:
                raise UserInputError(f"Cannot write {values[key]}: that is a folder; give a file name.")
        if outputs:
            inputs = paths_among(value for key, value in values.items() if key not in outputs)
            refuse_inputs_as_outputs(inputs, [path for key in outputs for path in OUTPUTS[f"{name} {key}"](values)])
        return run(**values)

    return guarded


def paths_among(values: Iterable[Any]) -> list[Path]:
    """Every path that arguments hold.

    The inputs of a command, once its outputs are left out.
    """
    return [path for value in values for path in _paths(value)]


def _paths(value: Any) -> Iterator[Path]:
    """Paths in an argument's value; text counts where it names what exists, see `files_named_in`."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from _paths(part)
    elif isinstance(value, Path):
        yield value
    elif isinstance(value, str):
        yield from files_named_in(value)
