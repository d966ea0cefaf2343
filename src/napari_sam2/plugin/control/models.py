"""The model of a viewer.

Chosen by name, loaded in the background, kept by the inference thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.models.base import ModelCard
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
    server : str
        Address of a server that answers, which then chooses device and quality; empty for this computer.
    token_file : str
        The file with the server's token.
    """

    name: str = ""
    device: str = "auto"
    quality: str = "auto"
    server: str = ""
    token_file: str = ""


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
        self.offered: tuple[str, ...] = ()
        """Models of the server in use; empty while this computer answers."""
        self._model: AnyModel | None = None
        self._loaded: ModelChoice | None = None
        self._tell: Callable[[str], None] = lambda sentence: None

    @property
    def name(self) -> str:
        """The chosen model's name."""
        from napari_sam2.models import DEFAULT_MODEL

        return self.choice.name or next(iter(self.offered), DEFAULT_MODEL)

    def choose(self, choice: ModelChoice) -> None:
        """Take another model at the next `load` or `get`."""
        self.choice = choice

    def load(self, thread: InferenceThread, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        """Load in the background, and tell how it goes."""
        if self._loaded == self.choice:
            return
        say(
            f"Asking the server {self.choice.server} ..."
            if self.choice.server
            else f"Loading the model {self.name} ..."
        )
        # What a server has to say comes from its own threads.
        self._tell = lambda sentence: thread.queue.put(lambda: say(sentence))

        def failed(error: BaseException) -> None:
            say(str(error))
            warn(str(error))

        thread.request(self.get, lambda model: say(f"{self.description}."), failed, key=(id(self), "model"))

    def get(self) -> AnyModel:
        """The chosen model, loaded if need be; on the inference thread only."""
        choice = self.choice
        if self._model is None or self._loaded != choice:
            self._leave_server()
            self._model = self._from_server(choice) if choice.server else self._from_here(choice)
            self._loaded = choice
        return self._model

    def _from_here(self, choice: ModelChoice) -> AnyModel:
        from napari_sam2.models import load_model
        from napari_sam2.models.threads import use_all_cpus

        use_all_cpus()
        model = load_model(self.name, choice.device, quality=choice.quality)
        self.description = describe(model.card, str(model.device))
        return model

    def _from_server(self, choice: ModelChoice) -> AnyModel:
        from napari_sam2.remote.model import connect

        token_file = Path(choice.token_file).expanduser() if choice.token_file else None
        model = connect(choice.server, token_file, choice.name, say=self._tell)
        self.offered = model.offered
        device, _, _ = model.device.partition(",")
        self.description = f"Model {model.name} on {model.lease.connection.name} ({device})"
        return model

    def _leave_server(self) -> None:
        """Let a server that was used free what it holds; not waited for."""
        from napari_sam2.remote.model import RemoteModel

        self.offered = ()
        if isinstance(self._model, RemoteModel):
            threading.Thread(target=self._model.close, name="napari-sam2 goodbye", daemon=True).start()

    def forget(self) -> None:
        """Let go of the model."""
        self._leave_server()
        self._model = self._loaded = None


def describe(card: ModelCard, device: str) -> str:
    """A model in a few words: which one, and where it runs."""
    place = {"cpu": "the CPU", "mps": "Apple's GPU"}.get(device, f"the GPU ({device})")
    return f"Model {card.name} on {place}"


def available_models() -> list[str]:
    """Names of the models on this machine; nothing is fetched."""
    from napari_sam2.models.zoo import BUILT_IN, ZOO, folder_of, own_models

    return [*BUILT_IN, *(name for name in ZOO if folder_of(name).is_dir()), *own_models()]
