"""SAM 3 in the registry of models."""

from __future__ import annotations

from typing import Final

from napari_sam2.models.family import Entry, Family

__all__ = ["FAMILY"]

FAMILY: Final = Family(
    name="sam3",
    title="SAM 3",
    colours=True,
    model_types=("sam3_tracker_video", "sam3_video"),
    entries=(
        Entry(
            "facebook/sam3",
            "LicenseRef-SAM",
            3440,
            465.8,
            "The tracker of SAM 3, whose detector stays unused on the disk; wants a GPU.",
            input_size=1008,
            terms="Not for military, nuclear, espionage or weapons' purposes; copies keep the licence, and "
            "publications name SAM 3. The owner grants access to those who ask on the hub.",
            gated=True,
        ),
    ),
    load="sam3.loading:load_sam3",
)
