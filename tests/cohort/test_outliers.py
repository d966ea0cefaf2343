from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from napari_sam2.cohort.outliers import find_outliers, modified_z


def status(volume, *, name="liver", object_id=1, spacing=1.0, window=(-160, 240), rule="CT-soft", **more):
    obj = {"id": object_id, "name": name, "voxels": int(volume * 1000), "volume_ml": volume, "components": 1,
           "touches_border": False, **more}  # fmt: skip
    return {"objects": [obj], "image": {"spacing_mm": [1.0, 1.0, spacing], "window": list(window), "window_name": rule}}


def cohort(n=12, **changes):
    rng = np.random.default_rng(0)
    cases = {f"c{i}": ("", status(float(v))) for i, v in enumerate(rng.normal(1500, 100, n))}
    return cases | {case: ("", status(**values)) for case, values in changes.items()}


def kinds(flags, case):
    return [flag.kind for flag in flags.get(case, [])]


def test_the_z_score_is_that_of_an_independent_computation():
    values = np.random.default_rng(1).normal(5, 2, 31)
    ours = modified_z({str(i): float(v) for i, v in enumerate(values)})
    theirs = (values - np.median(values)) / median_abs_deviation(values, scale=0.6745)
    assert list(ours.values()) == pytest.approx(theirs.tolist())


def test_a_volume_off_by_a_factor_is_flagged_and_the_others_are_not():
    flags = find_outliers(cohort(odd={"volume": 400.0}))
    assert list(flags) == ["odd"]
    assert kinds(flags, "odd") == ["volume"]
    assert "400 mL" in flags["odd"][0].sentence


def test_groups_are_compared_within_themselves():
    cases = {f"a{i}": ("adults", status(1500.0 + i)) for i in range(8)}
    cases |= {f"c{i}": ("children", status(400.0 + i)) for i in range(8)}
    assert find_outliers(cases) == {}


def test_few_cases_have_no_usual_value():
    assert find_outliers(cohort(3, odd={"volume": 1.0})) == {}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"volume": 1500.0, "components": 3}, "pieces"),
        ({"volume": 1500.0, "touches_border": True}, "border"),
        ({"volume": 0.0}, "empty"),
        ({"volume": 1500.0, "spacing": 5.0}, "spacing"),
        ({"volume": 1500.0, "window": (-160, 400)}, "window"),
        ({"volume": 1500.0, "window": (-120, 370), "rule": "percentile"}, "window"),
    ],
)
def test_each_kind_of_oddity_is_told(change, kind):
    flags = find_outliers(cohort(odd=change))
    assert {case: kinds(flags, case) for case in flags} == {"odd": [kind]}


def test_left_is_compared_with_right():
    cases = {}
    for i in range(10):
        left = status(150.0 + i, name="left kidney")
        right = status(155.0 - i if i else 30.0, name="right kidney", object_id=2)
        cases[f"c{i}"] = ("", {"image": left["image"], "objects": left["objects"] + right["objects"]})
    assert "sides" in kinds(find_outliers(cases), "c0")
    assert all("sides" not in kinds(find_outliers(cases), f"c{i}") for i in range(1, 10))
