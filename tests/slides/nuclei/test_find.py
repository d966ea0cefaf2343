from __future__ import annotations

import numpy as np
import pytest
import shapely

from napari_sam2.errors import UserInputError
from napari_sam2.models import load_model
from napari_sam2.slides.answers.crop_engine import CropEngine
from napari_sam2.slides.automatic.run import PROPOSER, AutomaticRequest, joined_objects, plan_of, run_tiles, size_like
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource
from napari_sam2.slides.nuclei.regions import candidates_of
from napari_sam2.slides.nuclei.signal import contrast, look_of

DIAMETER = 22.0


def ellipses(shape, places, turned=0.6):
    """Numbered ellipses (row, column) of 26 by 18 pixels; two neighbours may touch."""
    labels = np.zeros(shape, dtype=int)
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    for number, (row, col) in enumerate(places, start=1):
        down, across = rows - row, cols - col
        long = down * np.cos(turned) + across * np.sin(turned)
        short = across * np.cos(turned) - down * np.sin(turned)
        labels[(long / 13) ** 2 + (short / 9) ** 2 <= 1] = number
    return labels


def stained(labels):
    pixels = np.full((*labels.shape, 3), (225, 170, 205), dtype=np.uint8)
    pixels[labels > 0] = (110, 70, 150)
    noise = np.random.default_rng(1).normal(0, 6, size=pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def glowing(labels):
    """Bright and dim nuclei on black: the dim ones have a fifth of the light."""
    light = np.where(labels % 2, 200, 40) * (labels > 0) + 6
    noise = np.random.default_rng(1).normal(0, 1.5, size=labels.shape)
    return np.repeat(np.clip(light + noise, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def found_on(pixels, journal, *, is_dark=False, region=None, size=DIAMETER):
    slide = Slide(ArraySource(pixels), "nuclei", is_dark=is_dark)
    engine = CropEngine(slide, load_model("classical"))
    region = shapely.box(0, 0, slide.shape[1], slide.shape[0]) if region is None else region
    plan = plan_of(engine, AutomaticRequest(region, tissue_only=False, object_size=size, nuclei=True))
    assert run_tiles(engine, plan, journal)
    return list(joined_objects(engine, plan, journal)), plan


def scattered(shape, step=44):
    chance = np.random.default_rng(7)
    return [
        (row + chance.integers(-6, 7), col + chance.integers(-6, 7))
        for row in range(30, shape[0] - 25, step)
        for col in range(30, shape[1] - 25, step)
    ]


def matched(objects, labels):
    """IoU of each true nucleus with the outline at its middle; 0 where there is none."""
    import scipy.ndimage as ndi

    from napari_sam2.slides.polygons import polygon_to_mask

    tree = shapely.STRtree([obj.geometry for obj in objects])
    for number, (row, col) in enumerate(ndi.center_of_mass(labels > 0, labels, range(1, labels.max() + 1)), start=1):
        hit = tree.query(shapely.Point(col + 0.5, row + 0.5), predicate="within")
        if len(hit) != 1:
            yield 0.0
            continue
        mask, true = polygon_to_mask(objects[hit[0]].geometry, 0, 0, labels.shape), labels == number
        yield (mask & true).sum() / (mask | true).sum()


@pytest.mark.parametrize("is_dark", [False, True])
def test_every_nucleus_is_found_once_in_both_kinds_of_light(tmp_path, is_dark):
    labels = ellipses((300, 300), scattered((300, 300)))
    objects, _ = found_on((glowing if is_dark else stained)(labels), tmp_path / "j.jsonl", is_dark=is_dark)
    assert len(objects) == labels.max()
    assert min(matched(objects, labels)) > 0.75
    assert all(obj.kind == "detection" and obj.metadata == {"model": PROPOSER} for obj in objects)


def test_nuclei_that_touch_are_parted(tmp_path):
    # Side by side along their short axes, one pixel shared.
    labels = ellipses((220, 220), [(60, 60), (60 - 10, 60 + 15), (150, 140), (150 - 10, 140 + 15)])
    objects, _ = found_on(stained(labels), tmp_path / "j.jsonl")
    assert len(objects) == 4
    assert min(matched(objects, labels)) > 0.6


def test_tiling_leaves_no_seams(tmp_path, monkeypatch):
    labels = ellipses((420, 420), scattered((420, 420)))
    pixels = stained(labels)
    whole, _ = found_on(pixels, tmp_path / "whole.jsonl")
    monkeypatch.setattr("napari_sam2.slides.nuclei.find.CORE", 100)
    tiled, plan = found_on(pixels, tmp_path / "tiled.jsonl")
    assert sum(1 for _ in plan.tiles()) == 25
    assert len(tiled) == len(whole) == labels.max()
    tree = shapely.STRtree([obj.geometry for obj in whole])
    for obj in tiled:
        other = whole[tree.nearest(obj.geometry.centroid)].geometry
        assert obj.geometry.intersection(other).area / obj.geometry.union(other).area > 0.9


def test_only_nuclei_whose_middle_lies_in_the_region_are_taken(tmp_path):
    labels = ellipses((300, 300), scattered((300, 300)))
    region = shapely.box(0, 0, 150, 300)
    objects, _ = found_on(stained(labels), tmp_path / "j.jsonl", region=region)
    middles = shapely.points([obj.geometry.centroid.coords[0] for obj in objects])
    assert 0 < len(objects) < labels.max()
    assert (shapely.distance(region, middles) < 1).all()


@pytest.mark.parametrize("is_dark", [False, True])
def test_an_empty_field_holds_nothing(tmp_path, is_dark):
    labels = np.zeros((200, 200), dtype=int)
    objects, _ = found_on((glowing if is_dark else stained)(labels), tmp_path / "j.jsonl", is_dark=is_dark)
    assert objects == []


def test_large_nuclei_are_looked_for_on_a_coarser_scale(tmp_path):
    labels = ellipses((150, 150), [(40, 40), (100, 100)]).repeat(4, axis=0).repeat(4, axis=1)
    objects, plan = found_on(stained(labels), tmp_path / "j.jsonl", size=4 * DIAMETER)
    assert plan.scale == 4
    assert min(matched(objects, labels)) > 0.75


def test_the_size_of_examples_is_that_of_discs_with_their_areas():
    discs = [shapely.Point(0, 0).buffer(radius, quad_segs=64) for radius in (5, 10, 40)]
    assert size_like(discs) == pytest.approx(20, rel=1e-3)
    with pytest.raises(UserInputError, match="outline one"):
        size_like([shapely.Polygon()])


def test_measures_of_an_ellipse_are_those_that_geometry_says():
    labels = ellipses((80, 80), [(40, 40)])
    pixels = np.full((80, 80, 3), 255, dtype=np.uint8)
    pixels[labels > 0] = 60
    look = look_of([pixels], False, DIAMETER)
    candidates = candidates_of(pixels, look, DIAMETER)
    middle = int(np.argmin(abs(candidates.column("level") - 0.5)))
    assert candidates.mask(middle)[40, 40]
    assert candidates.column("area")[middle] * np.pi / 4 * DIAMETER**2 == pytest.approx(np.pi * 13 * 9, rel=0.06)
    assert candidates.column("fit")[middle] == pytest.approx(1, abs=0.02)
    assert candidates.column("roundness")[middle] == pytest.approx(9 / 13, abs=0.03)
    assert candidates.column("at_border")[middle] == 0


def test_a_request_without_the_word_is_one_for_objects():
    request = AutomaticRequest(shapely.box(0, 0, 1, 1), True, 12.0, nuclei=True)
    written = request.as_json()
    assert AutomaticRequest.from_json(written).nuclei
    del written["nuclei"]
    assert not AutomaticRequest.from_json(written).nuclei


def test_nuclei_of_a_dark_and_of_a_pale_part_of_the_tissue_stand_out_alike():
    rows, cols = np.ogrid[:200, :300]
    ground = np.broadcast_to(np.linspace(0, 1.5, 300), (200, 300))
    nuclei = sum(((rows - 100) ** 2 + (cols - col) ** 2 <= 11**2) * 0.5 for col in (60, 150, 240))
    seen = contrast((ground + nuclei).astype(np.float32), DIAMETER)
    middles = [float(seen[100, col]) for col in (60, 150, 240)]
    assert max(middles) - min(middles) < 0.02
    assert min(middles) > 0.25
    # Of the signal itself the pale nucleus lies below the dark tissue.
    assert (ground + nuclei)[100, 60] < ground[100, 240]
    assert abs(float(seen[30, 240])) < 0.05
