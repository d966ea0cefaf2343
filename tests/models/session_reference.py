"""Propagation by transformers' own session classes, on the same weights as the engine."""

from __future__ import annotations

import numpy as np
import torch

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.engine.engine import Engine
from napari_sam2.engine.propagate import propagate

N_SLICES = 6


def moving_discs(size, n_slices=N_SLICES):
    """A bright and a darker disc that move from slice to slice, with noise; (size, size, n_slices) in [0, 1]."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:size, :size] / size
    slices = []
    for z in range(n_slices):
        bright = np.hypot(rows - 0.4 - 0.02 * z, cols - 0.35) < 0.15
        dark = np.hypot(rows - 0.6, cols - 0.65 + 0.03 * z) < 0.12
        slices.append(np.clip(0.8 * bright + 0.4 * dark + rng.normal(0, 0.1, rows.shape), 0, 1))
    return np.stack(slices, axis=2).astype(np.float32)


def click(x, y):
    """The same click for transformers and for us."""
    return ([[x, y]], [1]), SlicePrompts(np.array([[y, x]]), np.array([True]))


def box(x0, y0, x1, y1):
    """The same box: centres of the corner pixels there, outer edges here."""
    edges = np.array([y0 - 0.5, x0 - 0.5, y1 + 0.5, x1 + 0.5])
    return ([[x0, y0], [x1, y1]], [2, 3]), SlicePrompts(np.zeros((0, 2)), np.zeros(0, bool), box=edges)


def session_logits(network, session_class, voxels, statistics, prompted, *, reverse=False):
    """Low-resolution logits and object scores of every slice that a session reaches, by slice index.

    `statistics` are mean and std of the channels; `prompted` holds (points, labels) by slice index, points (x, y)
    in pixels, labels 1 and 0 for clicks, 2 and 3 for the corners of a box. The first one is where it starts.
    """
    frames = torch.from_numpy(np.moveaxis(voxels, 2, 0).copy())[:, None].expand(-1, 3, -1, -1)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in statistics)
    height, width, _ = voxels.shape
    session = session_class((frames - mean) / std, height, width, dtype=torch.float32)
    number = session.obj_id_to_idx(1)
    with torch.inference_mode():
        for index, (points, labels) in prompted.items():
            given = {"point_coords": torch.tensor([[points]]).float(), "point_labels": torch.tensor([[labels]]).int()}
            session.add_point_inputs(number, index, given)
            session.obj_with_new_inputs = [1]
            network(session, frame_idx=index)
        list(network.propagate_in_video_iterator(session, start_frame_idx=next(iter(prompted)), reverse=reverse))
    stored = session.output_dict_per_obj[number]
    found = stored["cond_frame_outputs"] | stored["non_cond_frame_outputs"]
    return {
        i: (output["pred_masks"].squeeze().numpy(), output["object_score_logits"].item()) for i, output in found.items()
    }


class _Recorder:
    """Passes everything on to the model, and keeps the answers to propagated slices."""

    def __init__(self, model):
        self._model = model
        self.tracked = []

    def __getattr__(self, name):
        return getattr(self._model, name)

    def decode(self, requests):
        answers = self._model.decode(requests)
        self.tracked += [a for r, a in zip(requests, answers, strict=True) if r.prompts is None]
        return answers


def engine_logits(model, voxels, prompted, *, reverse=False, slices=None):
    """The same from the engine, for the first prompted slice and those that follow; prompts are `SlicePrompts`."""
    recorder = _Recorder(model)
    engine = Engine(Volume(voxels, np.eye(4), oriented=False), recorder, Window(0, 1, "unit"), axis=2)
    anchors = [engine.predict(index, prompts) for index, prompts in prompted.items()]
    direction = "backward" if reverse else "forward"
    results = propagate(engine, {1: anchors}, direction=direction, slices=slices)
    reached = [anchors[0].index, *(result.index for result in results)]
    step = -1 if reverse else 1
    assert reached == list(range(reached[0], reached[0] + step * len(reached), step))
    answers = [anchors[0].decoded, *recorder.tracked]
    return {i: (a.logits.numpy(), a.object_score) for i, a in zip(reached, answers, strict=True)}


def assert_equal(found, expected, tolerance=1e-3):
    """Logits and scores agree on every slice that the session reached, and are not all alike."""
    assert np.std([logits for logits, _ in expected.values()]) > 100 * tolerance
    for index, (logits, score) in expected.items():
        assert np.abs(found[index][0] - logits).max() < tolerance, index
        assert abs(found[index][1] - score) < tolerance, index
