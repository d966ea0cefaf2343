"""Records how transformers prepares pictures for SAM 3: ``python sam3_prepared.py``, where torchvision is installed.

Made with transformers 5.23.0, torchvision 0.28.0 and torch 2.13.0 (CPU). The tests need the recording only.
"""

from pathlib import Path

import numpy as np
from transformers import Sam3ImageProcessor

SIZES = {"smaller": (31, 40), "larger": (70, 96), "same": (48, 48)}

if __name__ == "__main__":
    rng = np.random.default_rng(0)
    theirs = Sam3ImageProcessor(size={"height": 48, "width": 48})
    recorded = {}
    for name, shape in SIZES.items():
        picture = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        recorded[f"{name}_picture"] = picture
        recorded[f"{name}_prepared"] = theirs(picture, input_data_format="channels_last")["pixel_values"][0]
    np.savez_compressed(Path(__file__).with_name("sam3_prepared.npz"), **recorded)
