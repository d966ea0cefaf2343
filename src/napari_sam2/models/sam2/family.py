"""SAM 2 in the registry of models."""

from __future__ import annotations

from typing import Final

from napari_sam2.models.family import Entry, Family

__all__ = ["FAMILY"]

FAMILY: Final = Family(
    name="sam2",
    title="SAM 2",
    colours=True,
    model_types=("sam2_video",),
    entries=(
        Entry("facebook/sam2.1-hiera-tiny", "Apache-2.0", 156, 38.9, "SAM 2.1, the fastest; the choice on a laptop."),
        Entry("facebook/sam2.1-hiera-small", "Apache-2.0", 184, 46.0, "SAM 2.1, slightly more exact than tiny."),
        Entry("facebook/sam2.1-hiera-base-plus", "Apache-2.0", 324, 80.8, "SAM 2.1, the balance on a small GPU."),
        Entry("facebook/sam2.1-hiera-large", "Apache-2.0", 898, 224.4, "SAM 2.1, the most exact; wants a GPU."),
        Entry("facebook/sam2-hiera-tiny", "Apache-2.0", 156, 38.9, "SAM 2 of July 2024, tiny.", "sam2_hiera_tiny.pt"),
        Entry(
            "facebook/sam2-hiera-small", "Apache-2.0", 184, 46.0, "SAM 2 of July 2024, small.", "sam2_hiera_small.pt"
        ),
        Entry(
            "facebook/sam2-hiera-base-plus",
            "Apache-2.0",
            324,
            80.8,
            "SAM 2 of July 2024, base-plus.",
            "sam2_hiera_base_plus.pt",
        ),
        Entry(
            "facebook/sam2-hiera-large", "Apache-2.0", 898, 224.4, "SAM 2 of July 2024, large.", "sam2_hiera_large.pt"
        ),
        Entry(
            "wanglab/MedSAM2",
            "CC-BY-SA-4.0",
            156,
            38.9,
            "SAM 2.1 tiny, fine-tuned on CT, MRI, PET and ultrasound.",
            "MedSAM2_latest.pt",
            512,
            "Name the authors; what you derive from the weights must carry the same licence.",
            file_mark="medsam2",
        ),
    ),
    load="sam2.loading:load_sam2",
    mark="sam_prompt_encoder.",
    official="sam2.official",
    official_names=("SAM 2", "MedSAM2"),
)
