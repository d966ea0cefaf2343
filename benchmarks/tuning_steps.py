"""Seconds of one step of a tuning of SAM 2.1 tiny's architecture, on one core.

    python benchmarks/tuning_steps.py

Random weights at 512 pixels, on the sample CT of the package: a prompted slice alone, on kept features, and with slices
that it is carried to, where memory attention learns too. Seconds are the process's own.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import Sam2VideoConfig, Sam2VideoModel

from napari_sam2.models import load_model
from napari_sam2.sample_data import sample
from napari_sam2.tuning import clips, sam2
from napari_sam2.tuning.cases import find_cases

REPEATS = 5


def main() -> None:
    """Measure steps of one, two and three slices."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "tiny"
        # The defaults are SAM 2.1 tiny's sizes.
        Sam2VideoModel(Sam2VideoConfig()).save_pretrained(checkpoint)
        clips.MOST_VIEWS = 10
        image, labels, _ = sample("ct_abdomen")
        manifest = Path(folder) / "manifest.csv"
        manifest.write_text(f"case,image,labels,name\na,{image},{labels},1=spleen\n")
        learner = sam2.Sam2Learner(
            load_model(checkpoint, "cpu"), checkpoint, find_cases([manifest]), Path(folder) / "run", 10, 10, 0
        )
        for carried in (0, 1, 2):
            sam2.REACH = carried
            seconds = [_step(learner) for _ in range(REPEATS)]
            print(f"one prompted and {carried} carried slices: {statistics.median(seconds):.2f} s a step")


def _step(learner: sam2.Sam2Learner) -> float:
    started = time.process_time()
    answers = learner._carried(0, 1, np.zeros(4))
    loss = torch.stack([sam2._loss(decoded.logits, score, truth) for decoded, score, truth in answers]).mean()
    torch.autograd.backward(loss)
    return time.process_time() - started


if __name__ == "__main__":
    main()
