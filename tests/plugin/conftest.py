"""A viewer without Qt, a thread whose answers are collected by hand, and a scan with a ball in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import napari.settings
import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam2.plugin.background.worker import InferenceThread, MainThreadQueue
from napari_sam2.plugin.control.controller import Controller
from napari_sam2.plugin.control.models import ModelChoice
from napari_sam2.plugin.reader import read
from napari_sam2.plugin.settings import Preferences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BALL_SHAPE = (40, 36, 24)
BALL_CENTRE = np.array([18.0, 20.0, 12.0])
BALL_RADIUS_MM = 8.0
BALL_AFFINE = np.array([[-1.0, 0, 0, 20], [0, 1.0, 0, -10], [0, 0, 2.0, 5], [0, 0, 0, 1]])


def ball_truth() -> np.ndarray:
    """The ball as an (i, j, k) mask."""
    at = np.stack(np.indices(BALL_SHAPE), axis=-1) - BALL_CENTRE
    return np.linalg.norm(at * (1, 1, 2), axis=-1) <= BALL_RADIUS_MM


def ball_voxels() -> np.ndarray:
    """A bright ball in noise, int16."""
    noise = np.random.default_rng(3).normal(0, 8, BALL_SHAPE)
    return (100 + 150 * ball_truth() + noise).astype(np.int16)


@pytest.fixture
def ball_file(tmp_path: Path) -> Path:
    """The ball as a NIfTI file, stored LAS with 2 mm slices."""
    path = tmp_path / "ball.nii.gz"
    image = nib.Nifti1Image(ball_voxels(), BALL_AFFINE)
    image.header.set_qform(BALL_AFFINE, 1)
    image.header.set_sform(BALL_AFFINE, 2)
    nib.save(image, path)
    return path


@pytest.fixture(autouse=True)
def sessions_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Journals go to a folder of the test."""
    monkeypatch.setenv("NAPARI_SAM2_SESSIONS", str(tmp_path / "sessions"))
    return tmp_path / "sessions"


@pytest.fixture(autouse=True)
def own_preferences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody's own Preferences are read or written."""
    napari.settings._clear_plugin_settings_cache()
    monkeypatch.setattr(napari.settings, "_CFG_PATH", str(tmp_path / "settings.yaml"))
    yield
    napari.settings._clear_plugin_settings_cache()


class Bench:
    """A controller on a viewer without Qt.

    `settle` plays the event loop: it collects answers until nothing is left to do.
    """

    def __init__(self, **set_to: Any) -> None:
        self.viewer = ViewerModel()
        self.thread = InferenceThread(MainThreadQueue())
        preferences = Preferences(**{"model": ModelChoice("classical", "cpu"), **set_to})
        self.controller = Controller(self.viewer, self.thread, lambda: preferences)
        self.warnings: list[str] = []
        self.controller.workspace.warned.connect(self.warnings.append)

    def settle(self, seconds: float = 120.0) -> None:
        """Collect answers until the thread is idle."""
        end = time.monotonic() + seconds
        while not self.thread.idle or self.thread.queue.waiting:
            assert time.monotonic() < end, "The inference thread did not finish in time."
            self.thread.queue.collect()
            time.sleep(0.001)

    def open(self, path: Path) -> Any:
        """Open a file with our reader and segment it."""
        array, arguments, _ = read(str(path))[0]
        layer = self.viewer.add_image(array, **arguments)
        self.controller.use_image(layer)
        self.settle()
        return layer

    def world(self, voxel: Any) -> tuple[float, ...]:
        """The world position of a voxel, with its slice shown."""
        annotation = self.controller.work
        assert annotation is not None
        on_view = annotation.shown.grid.slice_on_view(annotation.image, self.viewer.dims)
        assert on_view is not None
        self.controller.work.view.go_to(on_view[0], int(voxel[on_view[0]]))
        return tuple(annotation.image.data_to_world(annotation.shown.grid.to_data(voxel)[0]))

    def click(self, voxel: Any, *, positive: bool = True) -> None:
        """Click on a voxel and wait for the answer."""
        self.controller.pointer.click_at(self.world(voxel), positive=positive)
        self.settle()

    def box(self, low: Any, high: Any) -> None:
        """Draw a box and wait for the answer."""
        self.controller.pointer.box_between(self.world(low), self.world(high))
        self.settle()

    def labels(self) -> np.ndarray:
        """What the label layer shows, as (i, j, k)."""
        annotation = self.controller.work
        assert annotation is not None
        return np.asarray(annotation.shown.grid.stored(annotation.result.layer.data))


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A controller on a viewer without Qt."""
    made = Bench()
    yield made
    made.controller.close()
    made.thread.shutdown()


@pytest.fixture
def ball_bench(bench: Bench, ball_file: Path) -> Bench:
    """The same, with the ball opened."""
    bench.open(ball_file)
    return bench


@pytest.fixture
def dice() -> Callable[[np.ndarray, np.ndarray], float]:
    """Overlap of two masks."""
    return lambda a, b: 2 * float((a & b).sum()) / float(a.sum() + b.sum())


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any], ball_file: Path, qtbot: Any) -> Iterator[Any]:
    """The ball in a real window, at rest when the test is over."""
    from tests.plugin.ball_window import Window
    from tests.plugin.driving import pump, wait_for

    opened = Window(make_napari_viewer(show=True), ball_file)
    yield opened
    opened.controller.work.run.stop()
    wait_for(lambda: opened.controller.thread.idle)
    pump(0.05)
