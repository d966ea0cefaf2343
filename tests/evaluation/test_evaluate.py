import numpy as np
import pytest
import torch

from napari_sam2.core.volume import Volume
from napari_sam2.errors import GeometryError, UserInputError
from napari_sam2.evaluation.cases import blanked, largest_component, make_case
from napari_sam2.evaluation.evaluate import CaseScores, evaluate_volume
from napari_sam2.evaluation.gate import gate, table
from napari_sam2.evaluation.protocols import deepest_pixel, next_click
from napari_sam2.models.small.model import load_small
from napari_sam2.models.small.net import NetConfig, SmallNet
from napari_sam2.models.small.weights import write_weights


def ball():
    i, j, k = np.mgrid[:40, :36, :12]
    return (i - 20) ** 2 + (j - 17) ** 2 + ((k - 6) * 2) ** 2 < 64


def scan(mask):
    noise = np.random.default_rng(0).normal(0, 20, mask.shape)
    return Volume((200 + 300 * mask + noise).astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0]))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    config = NetConfig(widths=(8, 16, 16, 24), heads=2)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    write_weights(path, SmallNet(config).state_dict(), config, 32, "tiny")
    return load_small(path)


def test_the_prompted_slice_is_where_the_object_is_largest():
    case = make_case("ball", "1", scan(ball()), ball())
    assert (case.axis, case.index) == (2, 6)


def test_only_the_largest_part_counts():
    mask = ball()
    mask[0, 0, 0] = True
    assert np.array_equal(largest_component(mask), ball())


def test_a_hidden_image_is_constant_for_the_model():
    case = blanked(make_case("ball", "1", scan(ball()), ball()))
    assert np.unique(case.window.apply(case.volume.voxels)).tolist() == [0.5]


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(GeometryError, match="shape"):
        make_case("ball", "1", scan(ball()), ball()[:-1])
    with pytest.raises(UserInputError, match="no voxel"):
        make_case("ball", "1", scan(ball()), np.zeros_like(ball()))


def test_the_next_click_goes_into_the_deeper_error():
    truth = np.zeros((20, 20), bool)
    truth[4:16, 4:16] = True
    answer = np.zeros_like(truth)
    answer[4:16, 4:9] = True
    (row, column), include = next_click(answer, truth)
    assert include
    assert truth[row, column]
    assert not answer[row, column]
    assert next_click(truth, truth) is None
    assert truth[deepest_pixel(truth)]


def test_every_protocol_is_scored_with_and_without_the_image(model):
    scores = evaluate_volume(scan(ball()), ball().astype(np.uint8), {1: "ball"}, model)[0]
    wanted = {"box", "click1", "click3", "click5", "box-propagate", "mask-propagate"}
    wanted |= {"box-propagate, end told", "mask-propagate, end told"}
    assert set(scores.model) == set(scores.blank) == wanted
    assert all(0 <= value <= 1 for part in (scores.model, scores.blank, scores.baselines) for value in part.values())
    assert scores.baselines["box: otsu"] > 0.9


def perfect(name, **changes):
    model = {"box": 0.9, "click1": 0.8, "click3": 0.85, "click5": 0.9, "box-propagate": 0.85, "mask-propagate": 0.9}
    model["box-propagate, end told"] = 0.87
    classical = {
        "box: ellipse": 0.8,
        "box: otsu": 0.7,
        "click1: flood 0.1": 0.5,
        "box-propagate: copy": 0.4,
        "box-propagate: walker": 0.7,
        "box-propagate: copy, end told": 0.6,
        "box-propagate: walker, end told": 0.75,
    }
    return CaseScores(name, "x", {**model, **changes}, dict.fromkeys(model, 0.5), classical)


def test_a_good_model_passes_all_four_lines():
    assert [line.passed for line in gate([perfect("a"), perfect("b")])] == [True] * 4


@pytest.mark.parametrize(
    ("changes", "failed"),
    [({"box": 0.75}, 0), ({"click3": 0.7}, 1), ({"box-propagate": 0.79}, 2), ({"box-propagate, end told": 0.8}, 2)],
)
def test_a_weak_model_fails_its_line(changes, failed):
    lines = gate([perfect("a", **changes)])
    assert [k for k, line in enumerate(lines) if not line.passed] == [failed]


def test_volumes_count_alike_however_many_labels_they_have():
    many = [perfect("a")] * 9 + [perfect("b", box=0.5)]
    assert "box 0.700" in gate(many)[0].text


def test_the_table_names_every_volume_and_method():
    text = table([perfect("a"), perfect("b")])
    for part in ("**a**", "box: ellipse", "mean over volumes"):
        assert part in text
