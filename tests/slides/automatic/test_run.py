from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import shapely

from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.errors import UserInputError
from napari_sam2.models import load_model
from napari_sam2.slides.answers.crop_engine import CropEngine
from napari_sam2.slides.automatic.merge import Piece, merge_pieces, new_ones
from napari_sam2.slides.automatic.run import AutomaticRequest, joined_objects, plan_of, run_tiles
from napari_sam2.slides.automatic.standing_out import standing_out
from napari_sam2.slides.automatic.tiles import make_plan
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource
from napari_sam2.slides.image.tissue import find_tissue
from napari_sam2.slides.objects import SlideObject
from tests.slides.conftest import ComponentModel, disc, stained


def run(slide, model, size, journal, region=None, tissue=None, **options):
    engine = CropEngine(slide, model)
    region = shapely.box(0, 0, slide.shape[1], slide.shape[0]) if region is None else region
    plan = make_plan(slide.shape, model, region, size, tissue)
    finished = run_tiles(engine, plan, journal, **options)
    return finished, list(joined_objects(engine, plan, journal)), plan


def iou(a, b):
    return a.intersection(b).area / a.union(b).area


@pytest.mark.parametrize(
    ("n_tiles", "centre", "radii"),
    [(2, (264, 352), (30, 50)), (3, (264, 264), (15, 110)), (4, (352, 352), (50, 40))],
)
def test_an_object_across_tiles_is_one_polygon_equal_to_the_untiled_result(tmp_path, n_tiles, centre, radii):
    rows, cols = np.ogrid[:540, :540]
    blob = ((rows - centre[0]) / radii[0]) ** 2 + ((cols - centre[1]) / radii[1]) ** 2 <= 1
    blob &= ~disc((540, 540), *centre, 8)
    pixels = stained((540, 540))
    pixels[blob] = (150, 70, 160)
    slide = Slide(ArraySource(pixels), "blob")
    tissue = find_tissue(slide)
    tiled = run(slide, ComponentModel(256), 20.0, tmp_path / "tiled.jsonl", tissue=tissue)
    whole = run(slide, ComponentModel(1024), 20.0, tmp_path / "whole.jsonl", tissue=tissue)
    counts = [sum(_holds(tile, blob, plan) for tile in plan.tiles()) for _, _, plan in (tiled, whole)]
    assert counts == [n_tiles, 1]
    assert len(tiled[1]) == len(whole[1]) == 1
    found, expected = tiled[1][0].geometry, whole[1][0].geometry
    assert iou(found, expected) >= 0.98
    assert found.geom_type == "Polygon"
    assert len(found.interiors) == 1
    assert found.area == pytest.approx(blob.sum(), rel=0.02)


def _holds(tile, blob, plan):
    row0, col0, row1, col1 = (edge * plan.scale for edge in tile.core)
    return bool(blob[row0:row1, col0:col1].any())


def test_many_objects_are_found_once_each(tmp_path):
    rng = np.random.default_rng(3)
    discs = [(r + rng.integers(-2, 3), c + rng.integers(-2, 3)) for r in range(12, 660, 21) for c in range(12, 660, 21)]
    pixels = np.full((672, 672, 3), 240, dtype=np.uint8)
    rows, cols = np.ogrid[-6:7, -6:7]
    small = rows**2 + cols**2 <= 36
    for r, c in discs:
        pixels[r - 6 : r + 7, c - 6 : c + 7][small] = (150, 70, 160)
    slide = Slide(ArraySource(pixels), "nuclei")
    _, objects, plan = run(slide, ComponentModel(128), 13.0, tmp_path / "j.jsonl", tissue=find_tissue(slide))
    assert sum(1 for _ in plan.tiles()) > 60
    assert len(objects) == len(discs)
    tree = shapely.STRtree([o.geometry.centroid for o in objects])
    nearest, away = tree.query_nearest(shapely.points([(c + 0.5, r + 0.5) for r, c in discs]), return_distance=True)
    assert len(set(nearest[1].tolist())) == len(discs)
    assert away.max() < 1


def test_tiling_does_not_change_what_is_found(tmp_path, monkeypatch):
    discs = [(r, c, 30) for r in range(60, 400, 110) for c in range(60, 400, 110)]
    slide = Slide(ArraySource(stained((450, 450), *discs)), "discs")
    tissue, results = find_tissue(slide), []
    for i, core in enumerate((160, 2000)):
        monkeypatch.setattr("napari_sam2.slides.automatic.tiles.ZOOM_CORE", core)
        results.append(run(slide, load_model("classical"), 60.0, tmp_path / f"{i}.jsonl", tissue=tissue)[1])
    tiled, whole = results
    assert len(tiled) == len(whole) == len(discs)
    tree = shapely.STRtree([o.geometry for o in whole])
    for obj in tiled:
        other = whole[tree.nearest(obj.geometry)].geometry
        assert iou(obj.geometry, other) > 0.9


def test_a_cancelled_run_goes_on_and_ends_with_the_same_objects(tmp_path):
    discs = [(r, c, 10) for r in range(30, 500, 60) for c in range(30, 500, 60)]
    slide = Slide(ArraySource(stained((520, 520), *discs)), "discs")
    finished, expected, _ = run(slide, ComponentModel(256), 20.0, tmp_path / "a.jsonl")
    assert finished
    model, seen = ComponentModel(256), []
    journal = tmp_path / "b.jsonl"
    finished, part, _ = run(
        slide, model, 20.0, journal, should_stop=lambda: len(seen) > 4, on_progress=lambda done, _: seen.append(done)
    )
    assert not finished
    assert 0 < len(part) < len(expected)
    with journal.open("a") as file:
        file.write('{"tile": [0, 9], "pieces": [{"a')  # killed while writing
    decoded = model.n_decoded
    finished, objects, _ = run(slide, model, 20.0, journal)
    assert finished
    fresh = ComponentModel(256)
    run(slide, fresh, 20.0, tmp_path / "c.jsonl")
    assert model.n_decoded == fresh.n_decoded > decoded
    assert [o.geometry.wkb for o in objects] == [o.geometry.wkb for o in expected]


def test_a_journal_of_another_run_is_refused(tmp_path):
    slide = Slide(ArraySource(stained((300, 300), (100, 100, 20))), "discs")
    run(slide, ComponentModel(256), 20.0, tmp_path / "a.jsonl")
    with pytest.raises(UserInputError, match=r"a\.jsonl belongs to a run on another"):
        run(slide, ComponentModel(256), 55.0, tmp_path / "a.jsonl")


def test_points_lie_in_the_region_and_on_tissue_only(tmp_path):
    slide = Slide(ArraySource(stained((600, 600), (150, 150, 60), (450, 450, 60))), "discs")
    tissue = find_tissue(slide)
    region = shapely.Polygon([(0, 0), (600, 0), (0, 600)])
    plan = make_plan(slide.shape, ComponentModel(256), region, 40.0, tissue)
    points = np.concatenate([plan.points(tile) for tile in plan.tiles()]) * plan.scale
    assert len(points) > 4
    assert (points.sum(axis=1) < 601).all()
    assert (np.hypot(*(points - 150).T) < 70).all()
    _, objects, _ = run(slide, ComponentModel(256), 120.0, tmp_path / "j.jsonl", region=region, tissue=tissue)
    assert [o.geometry.contains(shapely.Point(150, 150)) for o in objects] == [True]


def test_every_point_of_the_grid_belongs_to_exactly_one_tile():
    plan = make_plan((5000, 7000), ComponentModel(256), shapely.box(0, 0, 7000, 5000), 37.0)
    points = np.concatenate([plan.points(tile) for tile in plan.tiles()])
    assert len(np.unique(points, axis=0)) == len(points)
    assert len(points) == pytest.approx(5000 * 7000 / (plan.spacing * plan.scale) ** 2, rel=0.02)


def test_tissue_is_what_has_colour_and_a_field_full_of_tissue_is_all_tissue():
    sparse = find_tissue(Slide(ArraySource(stained((400, 400), (200, 200, 90))), "sparse"))
    truth = disc((400, 400), 200, 200, 90)
    assert (sparse.mask & truth).sum() > 0.99 * truth.sum()
    assert (sparse.mask & ~truth).sum() < 0.1 * truth.sum()
    full = np.full((300, 300, 3), (200, 140, 180), dtype=np.uint8)
    full[::7, ::5] = (120, 60, 150)
    assert find_tissue(Slide(ArraySource(full), "full")).mask.mean() > 0.95


def test_pieces_are_merged_in_flat_memory(monkeypatch):
    import napari_sam2.slides.automatic.merge as merge

    plan = make_plan((20000, 400), ComponentModel(256), shapely.box(0, 0, 400, 20000), 20.0)
    alive = []
    kept = merge._Group.__init__

    def counted(self):
        kept(self)
        alive.append(self)

    monkeypatch.setattr(merge._Group, "__init__", counted)
    most = 0

    def tiles():
        for tile in plan.tiles():
            row, col = tile.core[:2]
            yield tile, [Piece(SliceMask(row, col, np.ones((5, 5), dtype=bool)), 0.9, False)]

    emitted = 0
    for _ in merge_pieces(tiles(), plan.scale):
        emitted += 1
        most = max(most, len(alive) - emitted)
    rows = {tile.row for tile in plan.tiles()}
    assert emitted == sum(1 for _ in plan.tiles())
    assert most <= 3 * emitted / len(rows) + 1


def test_a_region_off_the_slide_and_an_impossible_size_are_refused():
    with pytest.raises(UserInputError, match="does not lie on the slide"):
        make_plan((100, 100), ComponentModel(), shapely.box(200, 200, 300, 300), 20)
    with pytest.raises(UserInputError, match="object size"):
        make_plan((100, 100), ComponentModel(), shapely.box(0, 0, 50, 50), 0)


def test_the_journal_is_plain_json_lines(tmp_path):
    slide = Slide(ArraySource(stained((300, 300), (100, 100, 20))), "discs")
    run(slide, ComponentModel(256), 20.0, tmp_path / "a.jsonl")
    header, *tiles = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert header["slide"][0] == "discs"
    assert [entry["tile"] for entry in tiles][:2] == [[0, 0], [0, 1]]


def test_a_mask_that_hangs_on_its_threshold_is_texture_and_not_an_object(tmp_path):
    class Hesitant(ComponentModel):
        def _decode(self, request):
            answer = super()._decode(request)
            return type(answer)(answer.logits * 0.05, answer.object_score, answer.predicted_iou)

    slide = Slide(ArraySource(stained((300, 300), (100, 100, 12))), "disc")
    assert len(run(slide, ComponentModel(256), 20.0, tmp_path / "a.jsonl")[1]) == 1
    assert run(slide, Hesitant(256), 20.0, tmp_path / "b.jsonl")[1] == []


def test_what_is_known_of_a_tile_is_let_go_after_it(tmp_path):
    slide = Slide(ArraySource(stained((500, 500), (100, 100, 12))), "disc")
    engine = CropEngine(slide, ComponentModel(256))
    plan = make_plan(slide.shape, engine.model, shapely.box(0, 0, 500, 500), 20.0)
    run_tiles(engine, plan, tmp_path / "j.jsonl")
    assert engine._engines == {}


def test_what_is_outlined_already_is_not_new_and_what_lies_inside_a_gland_is():
    gland, nucleus = SlideObject(shapely.box(0, 0, 500, 500)), SlideObject(shapely.box(40, 40, 60, 60))
    again, other, inside = (SlideObject(shapely.box(c, c, c + 20, c + 20)) for c in (42, 55, 200))
    assert new_ones([again, other, inside], [gland, nucleus]) == [other, inside]
    assert new_ones([again], []) == [again]
    assert new_ones([], [gland]) == []
    assert new_ones([again], [nucleus.on_plane((3, 0))]) == [again]


class PartsModel(ComponentModel):
    """Has three masks for a click: a part of the component, the component, and all that is dark."""

    def decode_all(self, requests):
        found = []
        for request in requests:
            labels, whole = request.features[0], self._decode(request)
            part = whole.logits.clone()
            part[:, : self.input_size // 2] = -10
            every = 20.0 * (labels > 0) - 10.0
            found.append(
                [
                    replace(whole, logits=part, predicted_iou=0.7),
                    whole,
                    replace(whole, logits=every, predicted_iou=0.65),
                ]
            )
        return found


def test_all_masks_of_a_model_that_has_three_are_candidates_and_the_best_are_kept(tmp_path):
    discs = [(r, c, 10) for r in range(30, 230, 60) for c in range(30, 230, 60)]
    slide = Slide(ArraySource(stained((240, 240), *discs)), "discs")
    _, objects, _ = run(slide, PartsModel(256), 20.0, tmp_path / "j.jsonl", tissue=find_tissue(slide))
    assert len(objects) == len(discs)
    assert all(obj.score == pytest.approx(0.9) for obj in objects)


def discs_of(objects, discs):
    """How many outlines hold the middle of each disc (row, column, radius)."""
    return [sum(obj.geometry.contains(shapely.Point(col + 0.5, row + 0.5)) for obj in objects) for row, col, _ in discs]


@pytest.mark.parametrize("is_bright", [False, True])
def test_a_model_that_zooms_is_asked_about_what_stands_out(tmp_path, monkeypatch, is_bright):
    # Some of them lie on a border of tiles, one of them on that of the picture.
    discs = [(100, 90, 22), (128, 250, 26), (262, 128, 20), (380, 380, 24), (0, 330, 20), (256, 256, 22)]
    pixels = stained((460, 460), *discs)
    slide = Slide(ArraySource(255 - pixels if is_bright else pixels), "discs", is_dark=is_bright)
    monkeypatch.setattr("napari_sam2.slides.automatic.tiles.ZOOM_CORE", 128)
    engine = CropEngine(slide, load_model("classical"))
    plan = plan_of(engine, AutomaticRequest(shapely.box(0, 0, 460, 460), tissue_only=False, object_size=45.0))
    assert [look.is_dark for look in plan.standing] == [is_bright]  # not the rims around them
    assert run_tiles(engine, plan, tmp_path / "t.jsonl")
    objects = list(joined_objects(engine, plan, tmp_path / "t.jsonl"))
    assert sum(1 for _ in plan.tiles()) == 16
    assert discs_of(objects, discs) == [1] * len(discs)
    assert len(objects) == len(discs)
    outlines = [shapely.Point(col + 0.5, row + 0.5).buffer(radius + 0.5) for row, col, radius in discs]
    for obj in objects:
        true = min(outlines, key=obj.geometry.centroid.distance)
        assert iou(obj.geometry, true.intersection(shapely.box(0, 0, 460, 460))) > 0.85


def test_what_stands_out_is_seen_whole_by_the_tile_that_owns_it(tmp_path):
    slide = Slide(ArraySource(stained((300, 900), (150, 512, 30), (150, 200, 24))), "discs")
    engine = CropEngine(slide, load_model("classical"))
    plan = plan_of(engine, AutomaticRequest(shapely.box(0, 0, 900, 300), tissue_only=False, object_size=50.0))
    owned = [
        seed.middle + np.array(tile.seen[:2])
        for tile in plan.tiles()
        for seed in standing_out(slide, plan, tile)
        if seed.is_whole and tile.core[1] <= seed.middle[1] + tile.seen[1] < tile.core[3]
    ]
    assert sorted(np.round(col) for _, col in owned) == [200, 512]
