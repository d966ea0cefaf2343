"""The first SAM in the registry of models."""

from __future__ import annotations

from typing import Final

from napari_sam2.models.family import Entry, Family

__all__ = ["FAMILY"]

_SAM1: Final = "The first SAM, {}: an image model, whose masks are carried from slice to slice as prompts."

FAMILY: Final = Family(
    name="sam1",
    title="SAM",
    colours=True,
    model_types=("sam",),
    entries=(
        Entry("facebook/sam-vit-base", "Apache-2.0", 375, 93.7, _SAM1.format("base"), prepared=True),
        Entry("facebook/sam-vit-large", "Apache-2.0", 1250, 312.3, _SAM1.format("large"), prepared=True),
        Entry("facebook/sam-vit-huge", "Apache-2.0", 2564, 641.1, _SAM1.format("huge"), prepared=True),
        Entry(
            "wanglab/medsam-vit-base",
            "Apache-2.0",
            375,
            93.7,
            "MedSAM: SAM of 2023, fine-tuned on CT, MRI, ultrasound, endoscopy and pathology; prompt it with boxes.",
            prepared=True,
        ),
    ),
    load="sam1.loading:load_sam1",
    mark="prompt_encoder.",
    official="sam1.official",
    official_names=("SAM", "MedSAM"),
    preparation="sam1.official:preparation_of",
)
