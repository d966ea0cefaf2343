"""The checkpoints that a user can name, with what a person should know before downloading one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["BUILT_IN", "ZOO", "Entry"]


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


_SAM1: Final = "The first SAM, {}: an image model, whose masks are carried from slice to slice as prompts."

ZOO: Final = {
    entry.name: entry
    for entry in (
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
        ),
        Entry(
            "facebook/EdgeTAM",
            "Apache-2.0",
            56,
            13.9,
            "EdgeTAM: SAM 2 with a small image encoder and short memories, for the whole slice on a CPU.",
            "edgetam.pt",
        ),
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
    )
}
"""Sizes and parameter counts as published in the SAM 2 repository's README (2024-12), others' as counted."""

BUILT_IN: Final = ("bundled", "classical")
"""Models that come with the package."""
