"""What a model family says of itself; `napari_sam2.models.registry` lists the families."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Entry", "Family", "function"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint on the Hugging Face hub.

    Attributes
    ----------
    name : str
        Repository on the hub, which is also what the user types.
    license : str
        SPDX identifier of the weights' licence.
    megabytes : int
        Size of the download.
    parameters : float
        Millions of parameters.
    summary : str
        What it is good for.
    official : str
        File in the repository that is fetched and converted, where there is none in transformers' format.
    input_size : int
        Side in pixels that it was trained for.
    terms : str
        What the licence asks for or forbids, in one sentence.
    prepared : bool
        Whether its ``preprocessor_config.json`` says how intensities are prepared, and is fetched as well.
    gated : bool
        Whether the hub gives it to those only whose request its owner has granted.
    file_mark : str
        What the names of official files of this kind hold, in small letters, where that tells them apart.
    """

    name: str
    license: str
    megabytes: int
    parameters: float
    summary: str
    official: str = ""
    input_size: int = 1024
    terms: str = "Any use; keep the licence with copies."
    prepared: bool = False
    gated: bool = False
    file_mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models that are loaded by the same code.

    Functions are named as ``module:function`` in `napari_sam2.models`, so that listing families imports no network.

    Attributes
    ----------
    name : str
        As in `ModelCard.kind`.
    title : str
        What people call it.
    model_types : tuple of str
        What ``config.json`` of its checkpoints calls ``model_type``.
    entries : tuple of Entry
        Its checkpoints that a user can name.
    load : str
        Loads a checkpoint's folder: ``(folder, settings, device, card, *, quality, input_size)``.
    built_in : str
        Name of the model that comes with the package, if there is one.
    load_built_in : str
        Loads it; called with the device where `takes_device`.
    takes_device : bool
        Whether the built-in model runs on a chosen device.
    weights : str
        Files that hold the weights of `built_in`, as a pattern below `napari_sam2.models`; empty for none.
    file_suffix : str
        Ending of single weight files that are given by path.
    load_file : str
        Loads one: ``(path, device)``.
    mark : str
        How names of weights begin that only this family has, in official files.
    official : str
        Module that converts official files: ``NETWORK``, ``renamed``, ``config_of``; empty where there are none.
    official_names : tuple of str
        What the files that can be converted are called.
    preparation : str
        What ``preprocessor_config.json`` of a converted file says, by the file's name; empty for no such file.
    colours : bool
        Whether it was trained on colours, so that a person is offered three channels as its red, green and blue.
    """

    name: str
    title: str
    model_types: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    load: str = ""
    built_in: str = ""
    load_built_in: str = ""
    takes_device: bool = True
    weights: str = ""
    file_suffix: str = ""
    load_file: str = ""
    mark: str = ""
    official: str = ""
    official_names: tuple[str, ...] = ()
    preparation: str = ""
    colours: bool = False


def function(reference: str) -> Callable[..., Any]:
    """The function that ``module:function`` names, with its module imported only now."""
    module, _, name = reference.partition(":")
    called: Callable[..., Any] = getattr(import_module(f"napari_sam2.models.{module}"), name)
    return called
