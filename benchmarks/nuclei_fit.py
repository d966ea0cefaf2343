"""Fit what the nuclei proposer thinks a candidate is worth.

    python benchmarks/nuclei_fit.py FOLDER [FOLDER ...] -o src/napari_sam2/slides/nuclei/worth.json

Each folder holds fields, one folder each, with `image.png` and `labels.png` (16 bits, one number per nucleus). The
expected IoU of a candidate is fitted to its true one by a network of one hidden layer. Takes some minutes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from nuclei import examples_in
from nuclei_fields import fields_in, median_diameter, overlaps

from napari_sam2.slides.automatic.run import size_like
from napari_sam2.slides.nuclei.regions import candidates_of
from napari_sam2.slides.nuclei.signal import look_of
from napari_sam2.slides.nuclei.worth import features_of

HIDDEN = 16
STEPS = 6000
DOUBT = 0.25
"""Standard deviation of the logarithm of the size that a person says, about the true one."""

TELLINGS = 3


def examples_of(field, chance):
    """Features and true IoU of every candidate, for several sizes that a person might say."""
    true, like = median_diameter(field.labels), size_like(examples_in(field.labels))
    for telling in range(TELLINGS):
        # The size of three nuclei, and some that are farther off.
        diameter = true * np.exp(chance.normal(0, DOUBT)) if telling else like
        look = look_of([field.rgb], field.is_dark, diameter)
        candidates = candidates_of(field.rgb, look, diameter)
        truth = np.zeros(len(candidates.labels))
        for picture, drawing in enumerate(candidates.drawings):
            here = candidates.pictures == picture
            truth[here] = overlaps(drawing.picture, field.labels).max(axis=1)[candidates.labels[here] - 1]
        yield features_of(candidates), truth


def fit(features, truth, weights):
    torch.manual_seed(0)
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    inputs = torch.tensor(np.clip((features - mean) / deviation, -4, 4), dtype=torch.float32)
    truth, weights = (torch.tensor(values, dtype=torch.float32) for values in (truth, weights / weights.mean()))
    net = torch.nn.Sequential(torch.nn.Linear(inputs.shape[1], HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 1))
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-2, total_steps=STEPS)
    for _ in range(STEPS):
        batch = torch.randint(0, len(inputs), (4096,))
        loss = (weights[batch] * (torch.sigmoid(net(inputs[batch])[:, 0]) - truth[batch]) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    first, last = net[0], net[2]
    values = {
        "mean": mean, "deviation": deviation, "hidden": first.weight.detach().numpy(),
        "hidden_offset": first.bias.detach().numpy(), "output": last.weight.detach().numpy()[0],
        "output_offset": last.bias.detach().numpy()[0],
    }  # fmt: skip
    return {name: np.round(np.asarray(value, dtype=float), 5).tolist() for name, value in values.items()}, float(loss)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    chance = np.random.default_rng(0)
    rows, truths, weights, names = [], [], [], []
    for field in (field for folder in options.folders for field in fields_in(folder)):
        names.append(field.name)
        for features, truth in examples_of(field, chance):
            rows.append(features)
            truths.append(truth)
            # Every field counts the same, however many candidates it has.
            weights.append(np.full(len(truth), 1 / max(len(truth), 1)))
    values, loss = fit(np.concatenate(rows), np.concatenate(truths), np.concatenate(weights))
    options.output.write_text(json.dumps({"fields": sorted(names), "weights": values}) + "\n", encoding="utf-8")
    print(f"{len(names)} fields, {sum(map(len, rows))} candidates, squared error {loss:.4f}")


if __name__ == "__main__":
    main()
