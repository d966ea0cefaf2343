"""Carried objects with their truth, made once and kept in a file.

A box on the middle slice is answered and carried by the product itself, with the fit, for some of the objects with
their slices told: what is wrong with these masks is what a person would find. Objects are cut out of pools, or lie in
whole scans.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.engine.consolidation_evidence import Run
from napari_sam2.evaluation.challenge import extent_of, middle_box
from napari_sam2.evaluation.datasets import cases_of, find_scans
from napari_sam2.io.atomic import atomic_write
from napari_sam2.session.object_scene import ObjectScene
from napari_sam2.session.session import Session
from napari_sam2.training.corrections.practice import Practice, practise_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.engine.correction_evidence import Voxel
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.training.pool import PoolVolume

__all__ = ["Example", "draw_examples", "in_whole_scans", "read_examples", "write_examples"]

TOLD_OF_SCANS: Final = 3
"""Of so many objects in whole scans, the slices of one are told."""

LEAST_VOXELS: Final = 200
"""Of an object in a whole scan."""

MARGIN: Final = 60
"""Voxels around an object that are kept of a whole scan."""

TOLD: Final = 0.4
"""Share of objects whose slices are told."""

MOST_SLICES: Final = 150
"""Of a cut-out that is carried through."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A carried object.

    Attributes
    ----------
    name : str
        Of the scan.
    voxels : (slices, rows, columns) float32 array
        Grey values in [0, 1].
    truth, carried : bool array
        The object, and what the run left.
    trust : (slices,) float32 array
        The model's own estimate of its mask; NaN where the run did not come by.
    boxed : int
        The slice of the box.
    told : range, optional
        The object's slices, where they were told.
    spacing : tuple of float
        In widths of a pixel, slices first.
    clicks : tuple of (voxel, bool)
        What was clicked, and whether it belongs to the object.
    """

    name: str
    voxels: NDArray[np.float32]
    truth: NDArray[np.bool_]
    carried: NDArray[np.bool_]
    trust: NDArray[np.float32]
    boxed: int
    told: range | None
    spacing: tuple[float, float, float]
    clicks: tuple[tuple[Voxel, bool], ...] = ()

    def practice(self) -> Practice:
        """As a scene, with the carried mask."""
        practice = Practice(self.voxels, self.truth, self.carried, self.spacing)
        practice.object = self.carried
        return practice

    def run(self) -> Run:
        """What a session would know of the run."""
        spans = []
        for axis in range(3):
            filled = np.flatnonzero(self.carried.any(axis=tuple(a for a in range(3) if a != axis)))
            spans.append(slice(int(filled[0]), int(filled[-1]) + 1))
        trust = {i: float(value) for i, value in enumerate(self.trust) if np.isfinite(value)}
        return Run((spans[0], spans[1], spans[2]), (self.boxed,), trust, self.told, self.clicks)


def draw_examples(
    rng: np.random.Generator,
    pools: Mapping[str, Sequence[PoolVolume]],
    shares: Mapping[str, float],
    model: AnyModel,
    count: int,
    cells: tuple[int, int],
) -> Iterator[Example]:
    """Draw objects, box each on its middle slice and carry it.

    Parameters
    ----------
    rng : numpy.random.Generator
    pools, shares
        As for `napari_sam2.training.corrections.practice.draw_practice`.
    model : SegmentationModel
        Carries.
    count : int
        How many.
    cells : tuple of int
        Cells along an object's longest side, from and to.
    """
    names = sorted(pools)
    chances = np.array([shares[name] for name in names])
    made = 0
    while made < count:
        pool = pools[names[int(rng.choice(len(names), p=chances / chances.sum()))]]
        volume = pool[int(rng.integers(len(pool)))]
        practice = practise_on(rng, volume, volume.objects[int(rng.integers(len(volume.objects)))], cells)
        if practice is None or len(practice.truth) > MOST_SLICES:
            continue
        yield carried(volume.name, practice, model, told=bool(rng.random() < TOLD))
        made += 1


def in_whole_scans(table: Path, root: Path, model: AnyModel) -> Iterator[Example]:
    """Objects in whole scans.

    Each is boxed and carried in the whole scan, and cut out afterwards.

    Parameters
    ----------
    table, root : Path
        As for `napari_sam2.evaluation.datasets.find_scans`.
    model : SegmentationModel
        Carries.
    """
    for number, case in enumerate(case for scan in find_scans(table, root) for case in cases_of(scan)):
        if case.truth.sum() < LEAST_VOXELS:
            continue
        session = Session(case.volume, model, window=case.window, look_over=False)
        box = middle_box(case.truth, case.axis)
        told = extent_of(case.truth, case.axis) if number % TOLD_OF_SCANS == 0 else None
        session.add_prompt(1, box)
        for _ in session.propagate([1], slices=told):
            pass
        scene, plane = ObjectScene(session.state, session.state.store.objects[1]), case.volume.plane(case.axis)
        everywhere = (slice(0, scene.shape[0]), slice(0, scene.shape[1]), slice(0, scene.shape[2]))
        truth = np.stack([plane.take(case.truth, index) for index in range(plane.n_slices)])
        whole = Example(
            f"{case.name} {case.label}",
            scene.image(everywhere),
            truth,
            scene.mask(everywhere),
            _trust(session, len(truth)),
            box.slice_index(case.axis),
            told,
            scene.spacing,
        )
        yield _cut_out(whole)


def _trust(session: Session, count: int) -> NDArray[np.float32]:
    trust = np.full(count, np.nan, np.float32)
    for index, result in session.objects[1].results.items():
        trust[index] = result.scores.predicted_iou
    return trust


def _cut_out(example: Example) -> Example:
    """All slices, and within them the object and its mask with a margin."""
    both = example.truth | example.carried
    filled = both.any(axis=(0, 2)), both.any(axis=(0, 1))
    rows, columns = (np.flatnonzero(along) for along in filled)
    window = (
        slice(None),
        slice(max(0, int(rows[0]) - MARGIN), int(rows[-1]) + 1 + MARGIN),
        slice(max(0, int(columns[0]) - MARGIN), int(columns[-1]) + 1 + MARGIN),
    )
    parts = (example.voxels[window], example.truth[window], example.carried[window])
    return replace(example, voxels=parts[0], truth=parts[1], carried=parts[2])


def carried(name: str, practice: Practice, model: AnyModel, *, told: bool) -> Example:
    """A box on the middle slice, carried."""
    volume = Volume(practice.voxels, np.diag([*practice.spacing, 1.0]))
    session = Session(volume, model, window=Window(0.0, 1.0, "practice"), axis=0, look_over=False)
    box, extent = middle_box(practice.truth, 0), extent_of(practice.truth, 0) if told else None
    session.add_prompt(1, box)
    for _ in session.propagate([1], slices=extent):
        pass
    return Example(
        name,
        practice.voxels,
        practice.truth,
        np.asarray(session.label_map() == 1),
        _trust(session, len(practice.truth)),
        box.slice_index(0),
        extent,
        practice.spacing,
    )


def write_examples(path: Path, examples: Sequence[Example]) -> None:
    """Write examples, as plain arrays and one JSON text."""
    arrays: dict[str, NDArray[np.generic]] = {}
    headers = []
    for index, example in enumerate(examples):
        arrays[f"v{index}"] = np.round(np.clip(example.voxels, 0, 1) * 65535).astype(np.uint16)
        arrays[f"t{index}"], arrays[f"c{index}"] = np.packbits(example.truth), np.packbits(example.carried)
        arrays[f"s{index}"] = example.trust
        told = None if example.told is None else [example.told.start, example.told.stop]
        headers.append({"name": example.name, "boxed": example.boxed, "told": told, "spacing": example.spacing})
    arrays["headers"] = np.frombuffer(json.dumps(headers).encode(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, overwrite=True) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_examples(path: Path) -> list[Example]:
    """Read what `write_examples` wrote."""
    examples = []
    with np.load(path, allow_pickle=False) as stored:
        for index, header in enumerate(json.loads(stored["headers"].tobytes())):
            voxels = stored[f"v{index}"].astype(np.float32) / np.float32(65535)
            truth, run = (
                np.unpackbits(stored[f"{key}{index}"], count=voxels.size).astype(bool).reshape(voxels.shape)
                for key in "tc"
            )
            told = None if header["told"] is None else range(*header["told"])
            across, down, along = header["spacing"]
            examples.append(
                Example(
                    header["name"], voxels, truth, run, stored[f"s{index}"], header["boxed"], told,
                    (across, down, along),
                )
            )  # fmt: skip
    return examples
