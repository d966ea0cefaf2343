"""The second network for a boxed slice: where it looks, what it sees and what becomes of its answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy import ndimage

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.engine.close_box import close_box, close_square
from napari_sam2.engine.engine import Engine
from napari_sam2.engine.view import View
from napari_sam2.errors import ModelError
from napari_sam2.models.small.box_net import (
    CHANNELS,
    BoxNet,
    BoxNetConfig,
    Place,
    read_box_net,
    write_box_net,
)
from napari_sam2.models.small.box_view import box_channels, seen_closer, seen_from_afar
from napari_sam2.models.small.boxed import refined_by_box
from napari_sam2.models.small.model import BOXED, SmallModel, bundled_weights, load_bundled

SMALL = BoxNetConfig(size=32, widths=(8, 8, 8, 8))
NO_POINTS = np.zeros((0, 2)), np.zeros(0, bool)


@pytest.fixture(scope="module")
def smooth():
    pixels = ndimage.gaussian_filter(np.random.default_rng(0).random((90, 110)), 5)
    return ((pixels - pixels.min()) / np.ptp(pixels)).astype(np.float32)


@pytest.fixture(scope="module")
def scan():
    """Three bright ellipsoids of unlike sizes in noise, rows twice as far apart as columns."""
    grid = np.indices((12, 40, 80)).astype(float)
    distance = ((grid[0] - 6) / 5) ** 2 + ((grid[1] - 19) / 9) ** 2 + ((grid[2] - 41) / 15) ** 2
    voxels = (distance < 1) + 0.3 * np.random.default_rng(1).random((12, 40, 80))
    return Volume(voxels.astype(np.float32), np.diag([4.0, 2.0, 1.0, 1.0])), distance < 1


@pytest.fixture(scope="module")
def box(scan):
    """The tight box of the middle slice, row0, column0, row1, column1."""
    section = scan[0].plane(0).take(scan[1], 6)
    rows, columns = (np.flatnonzero(section.any(1 - a)) for a in (0, 1))
    return np.array([rows[0] - 0.5, columns[0] - 0.5, rows[-1] + 0.5, columns[-1] + 0.5])


@pytest.fixture(scope="module")
def denying():
    """A model whose second network finds nothing in any box."""
    net = BoxNet(BoxNetConfig())
    with torch.no_grad():
        net.fine[-1].bias.fill_(-20.0)
    return SmallModel(bundled_weights(), box_net=net.eval())


def boxes_of(*edges):
    return torch.tensor([edges], dtype=torch.float32)


def test_a_view_seen_closer_and_back_is_what_the_geometry_of_views_says():
    slope = np.add.outer(0.2 * np.arange(90), 0.3 * np.arange(110)).astype(np.float32)
    wide, close = View(10.0, 20.0, 60.0, 60.0, 96), View(18.0, 25.0, 40.0, 40.0, 96)
    shift = close.shift_to(wide)
    seen = seen_closer(wide.image(slope)[0], shift, 96, 96)
    assert torch.allclose(seen, close.image(slope)[0], atol=1e-3)
    back = seen_from_afar(close.image(slope)[0], shift, 96, around=-4.0)
    wanted = View(10.0, 20.0, 60.0, 60.0, back.shape[-1]).image(slope)[0]
    inside = (slice(22, 112), slice(15, 105))
    assert back.shape == (144, 144)
    assert torch.allclose(back[inside], wanted[inside], atol=1e-3)
    assert float(back[2, 2]) == float(back[140, 140]) == -4.0


def test_the_close_view_holds_the_box_in_its_middle_at_the_wanted_share(scan, box):
    plane = scan[0].plane(0)
    square = close_square(plane, box, 1.6, 96)
    x0, y0, x1, y1 = square.to_view(box.reshape(2, 2)).reshape(4) + 0.5
    assert max(x1 - x0, y1 - y0) / 96 == pytest.approx(1 / 1.6)
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((48, 48))
    assert square.rows * plane.spacing[0] == pytest.approx(square.cols * plane.spacing[1])


def test_slices_beside_the_box_come_in_order_and_colours_become_grey(scan, box):
    plane = scan[0].plane(0)
    slices = [np.full((*plane.shape, 3), shade, np.float32) for shade in (0.2, 0.5, 0.8)]
    slices[1][..., 2] = 1.0
    seen = close_box(slices, plane, box, close_square(plane, box, 2.2, 96), 1.6, 32)
    assert seen.stack.shape == (3, 32, 32)
    assert seen.stack[:, 16, 16].tolist() == pytest.approx([0.2, 0.5 * 0.886 + 0.114, 0.8], abs=1e-5)
    square = close_square(plane, box, 1.6, 32)
    assert seen.voxels == pytest.approx(np.sqrt(square.rows * square.cols) / 32)


def test_an_untrained_network_leaves_the_answer_as_it_was():
    stack, logits = torch.rand(2, 3, 32, 32), 3 * torch.randn(2, 32, 32)
    box = boxes_of(5.5, 6.5, 25.5, 24.5).repeat(2, 1)
    channels, before = box_channels(stack, logits, box, torch.tensor([0.5, 4.0]))
    assert channels.shape == (2, CHANNELS, 32, 32)
    assert torch.isfinite(channels).all()
    assert float(channels.abs().max()) <= 2.0
    assert torch.equal(before[1], refined_by_box(logits[1], stack[1, 1], box[1]))
    assert torch.equal(BoxNet(SMALL)(channels, before), before.clamp(-4, 4))


def test_a_mirrored_view_gives_mirrored_channels_and_an_exchanged_one_exchanged_channels(smooth):
    stack = torch.from_numpy(smooth[:64, :64].copy())[None, None].repeat(1, 3, 1, 1)
    logits = 8 * (stack[:, 1] - 0.5)
    box, mirrored = boxes_of(10.5, 20.5, 50.5, 44.5), boxes_of(63 - 50.5, 20.5, 63 - 10.5, 44.5)
    exchanged = box[:, [1, 0, 3, 2]]
    one = torch.tensor([1.0])
    channels = box_channels(stack, logits, box, one)[0]
    other = box_channels(stack.flip(-1), logits.flip(-1), mirrored, one)[0]
    assert torch.allclose(other.flip(-1), channels, atol=1e-4)
    turned = box_channels(stack.transpose(-1, -2), logits.transpose(-1, -2), exchanged, one)[0].transpose(-1, -2)
    assert torch.allclose(turned[:, [*range(9), 10, 9, 11]], channels, atol=1e-4)


def test_contrast_and_brightness_of_the_window_hardly_matter(smooth):
    stack = torch.from_numpy(smooth[:64, :64].copy())[None, None].repeat(1, 3, 1, 1)
    box, one = boxes_of(10.5, 20.5, 50.5, 44.5), torch.tensor([1.0])
    logits = torch.zeros(1, 64, 64)
    bright = box_channels(0.3 + 0.5 * stack, logits, box, one)[0]
    channels = box_channels(stack, logits, box, one)[0]
    assert torch.allclose(bright[:, :3], channels[:, :3], atol=0.03)
    near = channels[0, 1, 17:48, 7:54]
    assert float(near.std()) > 0.25
    assert abs(float(near.mean())) < 0.1


def test_places_are_counted_from_the_middle_of_the_box():
    channels = box_channels(
        torch.rand(1, 3, 64, 64), torch.zeros(1, 64, 64), boxes_of(9.5, 19.5, 51.5, 45.5), torch.ones(1)
    )
    across, down = channels[0][0, Place.ACROSS], channels[0][0, Place.DOWN]
    distance = channels[0][0, Place.DISTANCE]
    side = float(2 * torch.tanh(torch.tensor(0.5)))
    assert float(across[5, 10]) == pytest.approx(side, abs=0.03)
    assert float(across[5, 30]) == pytest.approx(0, abs=0.03)
    assert float(down[20, 5]) == pytest.approx(side, abs=0.05)
    assert float(distance[32, 30]) == pytest.approx(1, abs=0.05)
    assert float(distance[19, 30]) < 0 < float(distance[20, 30])


def test_a_box_alone_is_read_again_and_a_corrected_one_is_not(scan, box, denying):
    volume, _ = scan
    window = Window(0.0, 1.3, "test")
    engines = {
        name: Engine(volume, model, window, 0)
        for name, model in (("none", denying), ("rule", denying.at_revision(BOXED)))
    }
    alone = SlicePrompts(*NO_POINTS, box=box)
    answers = {name: engine.predict(6, alone) for name, engine in engines.items()}
    assert (answers["none"].mask.n_voxels, answers["rule"].mask.n_voxels > 200) == (0, True)
    middle = box.reshape(2, 2).mean(0, keepdims=True).round()
    clicked = SlicePrompts(middle, np.array([True]), box=box)
    masks = [engine.predict(6, clicked).mask.full(volume.plane(0).shape) for engine in engines.values()]
    assert np.array_equal(*masks)
    for prompts in (clicked, alone):
        corrected = [e.predict(6, prompts, previous=answers["rule"]).mask.n_voxels for e in engines.values()]
        assert corrected[0] == corrected[1] > 0


def test_views_like_pet_are_left_to_the_rule(scan, box, denying):
    hot, volume = ndimage.gaussian_filter(scan[1].astype(np.float32), (0.5, 2.5, 5.0)), scan[0]
    prompts = SlicePrompts(*NO_POINTS, box=box)
    for background, noise, left_alone in ((0.1, 0.03, True), (0.1, 0.4, False), (0.6, 0.002, True), (0.6, 0.06, False)):
        voxels = background + hot * (1 - background) + noise * np.random.default_rng(2).normal(0, 1, hot.shape)
        seen = Volume(voxels.astype(np.float32), volume.affine)
        engine = Engine(seen, denying, Window(0.0, 1.3, "test"), 0)
        assert (engine.predict(6, prompts).mask.n_voxels > 0) == left_alone, (background, noise)


def test_a_picture_of_one_slice_is_answered_by_the_rule(scan, box, denying):
    volume = Volume(scan[0].voxels[6:7], scan[0].affine)
    prompts = SlicePrompts(*NO_POINTS, box=box)
    engines = [Engine(volume, model, Window(0.0, 1.3, "test"), 0) for model in (denying, denying.at_revision(BOXED))]
    masks = [engine.predict(0, prompts).mask.full(engine.plane.shape) for engine in engines]
    assert masks[0].sum() > 200
    assert np.array_equal(*masks)


def test_neighbouring_slices_are_seen_also_at_the_end_of_a_volume(scan, box):
    volume, _ = scan
    seen = []

    class Looking(SmallModel):
        def read_box(self, answer, close):
            seen.append(close.stack)
            return super().read_box(answer, close)

    model = Looking(bundled_weights(), box_net=BoxNet(BoxNetConfig()).eval())
    engine = Engine(volume, model, Window(0.0, 1.3, "test"), 0)
    for index in (5, 11):
        engine.predict(index, SlicePrompts(*NO_POINTS, box=box))
    middle, last = seen
    assert not torch.equal(middle[0], middle[1])
    assert not torch.equal(middle[1], middle[2])
    assert torch.equal(last[1], last[2])
    assert not torch.equal(last[0], last[1])


def test_the_network_that_ships_finds_a_clear_object(scan, box):
    volume, truth = scan
    engine = Engine(volume, load_bundled(), Window(0.0, 1.3, "test"), 0)
    section = volume.plane(0).take(truth, 6)
    answer = engine.predict(6, SlicePrompts(*NO_POINTS, box=box)).mask.full(section.shape)
    assert 2 * (answer & section).sum() / (answer.sum() + section.sum()) > 0.95


def test_weights_are_written_and_read(tmp_path):
    net, path = BoxNet(SMALL), tmp_path / "a.safetensors"
    write_box_net(path, net.state_dict(), SMALL)
    again = read_box_net(path)
    assert again.config == SMALL
    assert not again.training
    for name, values in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], values.half().float())
    with pytest.raises(ModelError, match="expected file"):
        read_box_net(path, "0" * 64)


@pytest.mark.parametrize("fault", ["gone", "text", "foreign", "tensor", "wide"])
def test_a_file_of_another_kind_is_refused(tmp_path, fault):
    path = tmp_path / "a.safetensors"
    write_box_net(path, BoxNet(SMALL).state_dict(), SMALL)
    if fault == "gone":
        path.unlink()
    elif fault == "text":
        path.write_text("no weights")
    elif fault == "foreign":
        save_file({"a": torch.zeros(2)}, path, metadata={"format": "napari-sam2-small-2"})
    elif fault == "tensor":
        write_box_net(path, {"a": torch.zeros(2)}, SMALL)
    else:
        config = SMALL.to_json().replace("32", "1000000")
        save_file({"a": torch.zeros(2)}, path, metadata={"format": "napari-sam2-boxed-1", "config": config})
    with pytest.raises(ModelError, match=r"a\.safetensors|range"):
        read_box_net(path)
