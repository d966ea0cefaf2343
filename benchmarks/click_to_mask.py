#!/usr/bin/env python
"""Click to mask with features kept, at 512 pixels: CPU milliseconds of the fastest of several, by quality."""

from __future__ import annotations

import time

import torch
from growth import random_model
from official import phantom
from ours import Ours

from napari_sam2.models.quality import QUALITIES

CLICK = {1: (0, 100.0, 90.0)}


def main() -> None:
    torch.set_num_threads(1)
    for name, quality in QUALITIES.items():
        engine = Ours(random_model(512, quality))
        engine.open(phantom(2, 256))
        engine.click(CLICK)
        milliseconds = []
        for _ in range(8):
            start = time.process_time()
            engine.click(CLICK)
            milliseconds.append(1000 * (time.process_time() - start))
        print(f"{name:9s} first click {min(milliseconds):.0f} ms")


if __name__ == "__main__":
    main()
