"""What a person has set in napari's Preferences for this plugin."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_sam2.plugin.control.models import ModelChoice

__all__ = ["Preferences", "read_preferences", "remember_names", "remember_project"]

PLUGIN = "napari-sam2"


@dataclass(frozen=True, slots=True)
class Preferences:
    """The plugin's page in Preferences; the defaults are those of the manifest.

    Attributes
    ----------
    model : ModelChoice
        The model to begin with.
    preview : bool
        Whether the hover preview is on when a panel opens.
    overlap : str
        The overlap rule of a new segmentation.
    ct_window : str
        The window in which a CT is opened.
    names : Path, optional
        A list of names of one's own.
    autosave : Path, optional
        Where journals are kept; None for the user's state folder.
    feature_gib : float
        Memory for the features of one plane of a scan, in GiB.
    features : Path, optional
        Where features are kept on disk for the next time; None keeps none.
    project : Path, optional
        The finished scans that names are found by; None until some were chosen.
    """

    model: ModelChoice = field(default_factory=ModelChoice)
    preview: bool = False
    overlap: str = "smallest"
    ct_window: str = "CT-soft"
    names: Path | None = None
    autosave: Path | None = None
    feature_gib: float = 1.0
    features: Path | None = None
    project: Path | None = None


def read_preferences() -> Preferences:
    """The preferences as they are set now.

    The defaults where napari does not know the plugin.
    """
    settings = _settings()
    if settings is None:
        return Preferences()
    return Preferences(
        model=ModelChoice(
            settings.model.name,
            settings.model.device,
            settings.model.quality,
            settings.model.server.strip(),
            settings.model.token_file.strip(),
        ),
        preview=settings.annotation.preview,
        overlap=settings.annotation.overlap,
        ct_window=settings.annotation.ct_window,
        names=_path(settings.annotation.names),
        autosave=_path(settings.storage.autosave),
        feature_gib=settings.storage.feature_gib,
        features=_path(settings.storage.features),
        project=_path(settings.annotation.project),
    )


def remember_names(path: Path | None) -> None:
    """Offer this list of names in the next session too.

    None means the bundled one alone.
    """
    settings = _settings()
    if settings is not None:
        settings.annotation.names = "" if path is None else str(path)


def remember_project(path: Path) -> None:
    """Find names by these finished scans in the next session too."""
    settings = _settings()
    if settings is not None:
        settings.annotation.project = str(path)


def _settings() -> Any:
    from napari.settings import get_plugin_settings

    try:
        return get_plugin_settings(PLUGIN)
    except KeyError:
        # A library that embeds the panel need not have registered the plugin.
        return None


def _path(written: str) -> Path | None:
    return Path(written).expanduser() if written.strip() else None
