"""Protocol segfm with predictors whose answers are known."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.errors import UserInputError
from napari_sam2.evaluation.cases import Case
from napari_sam2.evaluation.command import CommandPredictor, PredictorFailedError
from napari_sam2.evaluation.comparison import compare, read_scores, segfm_table, summary, to_json
from napari_sam2.evaluation.predictors import SessionPredictor
from napari_sam2.evaluation.segfm import SegfmScores, run_segfm
from napari_sam2.models import load_model


def scan(shape=(20, 24, 12), radius=5.0):
    grid = np.indices(shape)
    centre = np.array([9, 11, 5])[:, None, None, None]
    truth = ((grid - centre) ** 2 * np.array([1, 1, 4])[:, None, None, None]).sum(0) < radius**2
    noise = np.random.default_rng(0).normal(0, 0.02, shape)
    return Volume((0.2 + 0.6 * truth + noise).astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0])), truth


VOLUME, TRUTH = scan()
CASE = Case("ball", "ball", VOLUME, Window(0.0, 1.0, "unit"), TRUTH, 2, 5)


class Scripted:
    """Answers with given masks, one after the other, whatever is asked."""

    name = "scripted"

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def start(self, volume, window):
        self.asked.append("start")

    def box(self, box, extent):
        self.asked.append(("box", extent))

    def point(self, point):
        self.asked.append(point)

    def mask(self):
        answer = self.answers.pop(0)
        if answer is None:
            raise PredictorFailedError("no answer")
        return answer


def part(share):
    """The truth with its first share of voxels (in stored order)."""
    mask = TRUTH.copy()
    places = np.argwhere(TRUTH)
    mask[tuple(places[int(share * len(places)) :].T)] = False
    return mask


def expected_dice(share):
    size = int(TRUTH.sum())
    kept = int(share * size)
    return 2 * kept / (size + kept)


def test_every_step_is_scored_over_the_volume_and_harm_is_counted():
    shares = [0.9, 0.5, 0.6, 0.58, 0.9, 0.95, 0.9]
    predictor = Scripted(*map(part, shares))
    scores = run_segfm(CASE, predictor, clicks=5)
    assert (scores.range_dice, scores.box_dice, *scores.dice) == pytest.approx([expected_dice(s) for s in shares])
    assert predictor.asked[:4] == ["start", ("box", range(3, 8)), "start", ("box", None)]
    clicks = predictor.asked[4:]
    assert all(TRUTH[tuple(int(c) for c in click.voxel)] and click.positive for click in clicks)
    assert (scores.harmful(0.005), scores.harmful(0.02)) == (2, 1)
    assert [scores.clicks_to(goal) for goal in (0.6, 0.9, 0.99)] == [0, 3, None]
    assert scores.dsc_auc == pytest.approx(np.trapezoid([expected_dice(s) for s in shares[2:]]))


def test_surface_dice_counts_as_nothing_where_the_object_is_lost():
    scores = run_segfm(CASE, Scripted(part(0.9), part(0.05)), clicks=0)
    assert scores.box_dice > 0
    assert scores.box_nsd == 0
    assert scores.range_nsd > 0.5


def test_clicks_can_follow_the_box_that_was_told_its_range():
    scores = run_segfm(CASE, Scripted(part(0.5), part(0.9), part(0.95)), clicks=1, clicks_after="range")
    assert (scores.box_dice, scores.range_dice, scores.before_clicks) == pytest.approx(
        [expected_dice(0.5), expected_dice(0.9), expected_dice(0.9)]
    )


def test_a_predictor_without_an_answer_scores_nothing_and_the_run_goes_on():
    scores = run_segfm(CASE, Scripted(None, None, part(1.0)), clicks=2)
    assert (scores.box_dice, *scores.dice) == (0, 1, 1)
    assert scores.error == "no answer"
    assert summary([scores])["failed"] == 1


def test_the_products_own_way_finds_a_plain_ball():
    scores = run_segfm(CASE, SessionPredictor(load_model("classical")), clicks=2)
    assert min(scores.box_dice, scores.range_dice, *scores.dice) > 0.85


COPYING = """
import sys, numpy as np
case = np.load("inputs/case.npz", allow_pickle=True)
images, box = case["imgs"], case["boxes"][0]
segs = np.zeros(images.shape, np.uint8)
inside = (slice(box["z_min"], box["z_max"] + 1), slice(box["z_mid_y_min"], box["z_mid_y_max"] + 1),
          slice(box["z_mid_x_min"], box["z_mid_x_max"] + 1))
segs[inside] = images[inside] > 128
for z, y, x in case["clicks"][0]["fg"]:
    segs[z, y, x] = 1
np.savez_compressed("outputs/case.npz", segs=segs)
"""


@pytest.fixture
def command(tmp_path):
    def made(text):
        file = tmp_path / "predict.py"
        file.write_text(text)
        return CommandPredictor(f"{sys.executable} {file}", seconds=30)

    return made


def test_a_command_answers_in_the_challenges_files(command):
    scores = run_segfm(CASE, command(COPYING), clicks=1)
    assert scores.range_dice == 1
    assert scores.box_dice == 1
    assert scores.error == ""


def test_a_click_reaches_the_command_where_it_was_made(command):
    predictor = command(COPYING.replace("images[inside] > 128", "0"))
    scores = run_segfm(CASE, predictor, clicks=2)
    assert scores.box_dice == 0
    assert predictor.mask().sum() == 2
    assert TRUTH[predictor.mask()].all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise SystemExit(3)", "code 3"),
        ("pass", "no outputs"),
        ("import numpy as np; np.savez('outputs/case.npz', segs=np.zeros((2, 2)))", "shape"),
        ("open('outputs/case.npz', 'w').write('x')", "no readable"),
    ],
)
def test_a_command_that_fails_is_named_and_scores_nothing(command, text, words):
    scores = run_segfm(CASE, command(text), clicks=1)
    assert words in scores.error
    assert scores.dice == (0.0,)


def test_a_command_that_hangs_is_ended(tmp_path):
    predictor = CommandPredictor(f'{sys.executable} -c "import time; time.sleep(60)"', seconds=1)
    assert "more than 1 s" in run_segfm(CASE, predictor, clicks=0).error


def test_a_program_that_is_not_there_is_named():
    assert "cannot be run" in run_segfm(CASE, CommandPredictor("no-such-program-here"), clicks=0).error
    with pytest.raises(UserInputError, match="give a command"):
        CommandPredictor(" ")


def scored(label, subject, box, *clicks):
    return SegfmScores("a", label, subject, 10, box, box, box, 1.0, box, box, 1.0, clicks, clicks, clicks, box)


def test_scores_survive_their_file_and_a_run_compared_with_itself_has_not_changed(tmp_path):
    scores = [scored("x", "p", 0.7, 0.8, 0.95), scored("y", "q", 0.5, 0.4, 0.6)]
    (tmp_path / "s.json").write_text(to_json(scores, {}))
    assert read_scores(tmp_path / "s.json") == scores
    lost = [replace(scores[0], dice=(0.5, float("nan")), box_dice=float("nan"))]
    text = to_json(lost, {})
    json.loads(text, parse_constant=pytest.fail)
    (tmp_path / "s.json").write_text(text)
    (again,) = read_scores(tmp_path / "s.json")
    np.testing.assert_equal([*again.dice, again.box_dice], [0.5, float("nan"), float("nan")])
    for line in compare(scores, scores).splitlines()[4:]:
        assert "+0.000 | +0.000 to +0.000 | 0 | 0" in line
    totals = summary(scores)
    assert totals["box"] == pytest.approx(0.6)
    assert totals["reach 0.9"] == 0.5
    assert totals["clicks to 0.9"] == pytest.approx((2 + 3) / 2)
    assert totals["harm > 0.02"] == pytest.approx(1 / 4)
    assert "| a | y | 10 |" in segfm_table(scores)


def test_a_difference_is_paired_and_its_interval_is_over_persons():
    before = [scored(str(n), f"p{n // 4}", 0.5) for n in range(8)]
    after = [scored(str(n), f"p{n // 4}", 0.6 if n < 4 else 0.5) for n in range(7, -1, -1)]
    line = next(line for line in compare(before, after).splitlines() if line.startswith("| box |"))
    assert "| 0.500 | 0.550 | +0.050 | +0.000 to +0.100 | 4 | 0 |" in line


def test_files_that_hold_something_else_are_refused(tmp_path):
    (tmp_path / "s.json").write_text("[]")
    with pytest.raises(UserInputError, match="no scores"):
        read_scores(tmp_path / "s.json")
    with pytest.raises(UserInputError, match="in common"):
        compare([scored("x", "p", 0.5)], [scored("y", "p", 0.5)])
