"""What a person has set in napari's Preferences for this plugin."""

from __future__ import annotations

from typing import Any

from napari_sam2.plugin.models import ModelChoice

__all__ = ["model_choice", "setting"]

PLUGIN = "napari-sam2"


def setting(section: str, name: str, default: Any) -> Any:
    """A value from the plugin's page in Preferences, or `default` where napari does not know the plugin."""
    try:
        from napari.settings import get_plugin_settings

        return getattr(getattr(get_plugin_settings(PLUGIN), section), name)
    except (ImportError, AttributeError, KeyError, ValueError):
        return default


def model_choice() -> ModelChoice:
    """The model and device to begin with."""
    return ModelChoice(str(setting("model", "name", "")), str(setting("model", "device", "auto")))
