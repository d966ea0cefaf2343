"""EdgeTAM in the registry of models."""

from __future__ import annotations

from typing import Final

from napari_sam2.models.family import Entry, Family

__all__ = ["FAMILY"]

FAMILY: Final = Family(
    name="edgetam",
    title="EdgeTAM",
    colours=True,
    model_types=("edgetam_video",),
    entries=(
        Entry(
            "facebook/EdgeTAM",
            "Apache-2.0",
            56,
            13.9,
            "EdgeTAM: SAM 2 with a small image encoder and short memories, for the whole slice on a CPU.",
            "edgetam.pt",
        ),
    ),
    load="edgetam.loading:load_edgetam",
    mark="spatial_perceiver.",
    official="edgetam.official",
    official_names=("EdgeTAM",),
)
