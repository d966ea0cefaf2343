"""A session with a model elsewhere comes out as one with the model here: to the byte, with its journal."""

from __future__ import annotations

import gc
from functools import cache

import numpy as np
import pytest

from napari_sam2.core.prompts import Box, Point
from napari_sam2.core.volume import Volume
from napari_sam2.engine.fit_plan import FitPlan
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.models.small.model import load_bundled
from napari_sam2.record.journal import Journal
from napari_sam2.record.replay import replay
from napari_sam2.server.holdings import Limits
from napari_sam2.session.session import Session
from napari_sam2.session.triplanar import accept_consensus, check_object
from tests.phantoms import ball, box_on
from tests.remote.serving import remote, served
from tests.tiny_sam2 import tiny_model

PLAN = FitPlan(steps=2)
LPS = np.diag([-1.5, -1.0, 2.0, 1.0])
VOLUME, INSIDE = ball(shape=(20, 18, 12), centre=(10, 9, 6), radii=(6, 5, 4), affine=LPS)
FORGETS_AT = (2, 6, 15, 33, 60)
"""Requests before which a server loses what it holds; further and further apart, so that a run can come to its end."""

MODELS = {"bundled": load_bundled, "classical": ClassicalModel, "sam2": tiny_model}


@pytest.fixture(scope="module")
def models():
    return {name: make() for name, make in MODELS.items()}


@pytest.fixture(scope="module")
def server(models):
    with served(models) as running:
        yield running


@pytest.fixture(scope="module")
def label_map_here(models):
    """What `worked` gives with the model in this process, once for each."""
    return cache(lambda name: worked(Session(VOLUME, models[name], fit=PLAN)).label_map())


def worked(session):
    """What a person does: a box, a run, corrections of every kind, another window, a box in 3-D, a check of planes."""
    session.add_prompt(1, box_on(INSIDE, 2, 6))
    list(session.propagate())
    session.add_prompt(1, Point((10, 9, 8)))
    list(session.spread(1, 8))
    session.add_prompt(1, box_on(INSIDE, 2, 4))
    list(session.spread(1, 4))
    session.add_prompt(2, Box(((6, 6, 5), (11, 10, 5))))
    session.add_prompt(2, Point((7, 7, 5), positive=False))
    session.add_prompt(2, box_on(INSIDE, 0, 10))
    list(session.propagate([2], slices=range(3, 9)))
    session.accept_slice(1, 7)
    accept_consensus(session, check_object(session, 1))
    session.window = type(session.window)(80.0, 200.0, "level/width")
    list(session.propagate([1]))
    session.undo()
    return session


@pytest.mark.parametrize("name", MODELS)
def test_everything_a_person_does_gives_the_same_label_map_and_replays(models, server, name, label_map_here, tmp_path):
    with remote(server, name) as elsewhere:
        session = Session(VOLUME, elsewhere, fit=PLAN)
        journal = Journal(session, tmp_path / "a.sam2session")
        answered = worked(session).label_map()
        journal.close()
    assert answered.any()
    assert np.array_equal(answered, label_map_here(name))
    assert replay(VOLUME, models[name], tmp_path / "a.sam2session").identical


@pytest.mark.parametrize("name", MODELS)
def test_ten_objects_at_once_come_out_the_same(models, server, name):
    def ten(model):
        session = Session(VOLUME, model, fit=None)
        for number in range(10):
            low = (4 + number % 3, 4 + number // 3, 4 + number % 4)
            session.add_prompt(number + 1, Box((low, (low[0] + 7, low[1] + 5, low[2]))))
        list(session.propagate(slices=range(3, 9)))
        return [
            (i, o.results[i].mask, o.results[i].scores) for o in session.objects.values() for i in sorted(o.results)
        ]

    with remote(server, name) as elsewhere:
        answered = ten(elsewhere)
    for (i, mask, scores), (j, mask_here, scores_here) in zip(answered, ten(models[name]), strict=True):
        assert i == j
        assert mask.same_as(mask_here)
        assert repr(scores) == repr(scores_here)


@pytest.mark.parametrize(
    "voxels", [np.random.default_rng(1).integers(0, 255, (12, 14, 6, 3), np.uint8), None], ids=["colour", "big-endian"]
)
def test_colours_and_other_byte_orders_come_out_the_same(models, server, voxels):
    volume = Volume(VOLUME.voxels.astype(">i2") if voxels is None else voxels, np.eye(4), oriented=False)

    def asked(model):
        session = Session(volume, model, fit=None, axis=2)
        session.add_prompt(1, Box(((2, 3, 3), (9, 9, 3))))
        list(session.propagate())
        return session.label_map()

    with remote(server, "bundled") as elsewhere:
        assert np.array_equal(asked(elsewhere), asked(models["bundled"]))


class Forgetful:
    """Makes a server lose something before every request."""

    def __init__(self, server, what):
        self._holdings, self._what = server.holdings, what

    def __enter__(self):
        self._engine, holdings, what = self._holdings.engine, self._holdings, self._what
        asked = {"times": 0}

        def engine(token, engine_id):
            asked["times"] += 1
            if asked["times"] in FORGETS_AT:
                for lease in list(holdings._leases.values()):
                    if what == "everything":
                        holdings.end_lease(lease)
                    elif what == "anchors":
                        lease.anchors.clear()
                    for held in lease.engines.values():
                        if what == "fits":
                            held.fits.clear()
                        held.engine.features.clear()
            return Forgetful.held(self, token, engine_id)

        holdings.engine = engine
        return self

    def held(self, token, engine_id):
        return self._engine(token, engine_id)

    def __exit__(self, *_):
        self._holdings.engine = self._engine


@pytest.mark.parametrize(("name", "what"), [("bundled", "everything"), ("bundled", "fits"), ("sam2", "anchors")])
def test_a_server_that_forgets_is_told_again_and_gives_the_same(server, name, what, label_map_here):
    with remote(server, name) as elsewhere, Forgetful(server, what):
        answered = worked(Session(VOLUME, elsewhere, fit=PLAN)).label_map()
    assert np.array_equal(answered, label_map_here(name))


def test_a_scan_is_freed_with_its_client_and_answers_nobody_needs_with_the_heartbeat(models):
    with served(models, Limits(1 << 30)) as server:
        with remote(server, "bundled") as elsewhere:
            session = Session(VOLUME, elsewhere)
            session.add_prompt(1, box_on(INSIDE, 2, 6))
            (lease,) = server.holdings._leases.values()
            assert len(lease.anchors) == 1
            assert server.holdings.load()["volumes"] == 1
            del session
            gc.collect()
            elsewhere.lease.beat()
            assert not lease.anchors
        assert server.holdings.load() == {**server.holdings.load(), "clients": 0, "volumes": 0, "volume_bytes": 0}
