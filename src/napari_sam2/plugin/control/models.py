"""The model of a viewer.

Chosen by name, loaded in the background, kept by the inference thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.models.base import ModelCard, SegmentationModel
    from napari_sam2.plugin.background.worker import InferenceThread

__all__ = ["ModelChoice", "ModelHolder", "available_models"]


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model, and where it runs.

    Attributes
    ----------
    name : str
        As `napari_sam2.models.load_model` takes it; empty for its default.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    quality : str
        For SAM 2, see `napari_sam2.models.load_model`.
    """

    name: str = ""
    device: str = "auto"
    quality: str = "auto"


class ModelHolder:
    """Loads the chosen model once.

    Parameters
    ----------
    choice : ModelChoice
        The model to begin with.
    """

    def __init__(self, choice: ModelChoice) -> None:
        self.choice = choice
        self.description = ""
        self._model: SegmentationModel | None = None
        self._loaded: ModelChoice | None = None

    @property
    def name(self) -> str:
        """The chosen model's name."""
        from napari_sam2.models import DEFAULT_MODEL

        return self.choice.name or DEFAULT_MODEL

    def choose(self, choice: ModelChoice) -> None:
        """Take another model at the next `load` or `get`."""
        self.choice = choice

    def load(self, thread: InferenceThread, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        """Load in the background, and tell how it goes."""
        if self._loaded == self.choice:
            return
        say(f"Loading the model {self.name} ...")

        def failed(error: BaseException) -> None:
            say(str(error))
            warn(str(error))

        thread.request(self.get, lambda model: say(f"{self.description}."), failed, key=(id(self), "model"))

    def get(self) -> SegmentationModel:
        """The chosen model, loaded if need be; on the inference thread only."""
        choice = self.choice
        if self._model is None or self._loaded != choice:
            from napari_sam2.models import load_model
            from napari_sam2.models.threads import use_all_cpus

            use_all_cpus()
            self._model = load_model(self.name, choice.device, quality=choice.quality)
            self._loaded = choice
            self.description = describe(self._model.card, str(self._model.device))
        return self._model

    def forget(self) -> None:
        """Let go of the model."""
        self._model = self._loaded = None


def describe(card: ModelCard, device: str) -> str:
    """A model in a few words: which one, and where it runs."""
    place = {"cpu": "the CPU", "mps": "Apple's GPU"}.get(device, f"the GPU ({device})")
    return f"Model {card.name} on {place}"


def available_models() -> list[str]:
    """Names of the models on this machine; nothing is fetched."""
    from napari_sam2.models.zoo import BUILT_IN, ZOO, folder_of

    return [*BUILT_IN, *(name for name in ZOO if folder_of(name).is_dir())]
