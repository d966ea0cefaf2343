"""Which names of channels go into outputs."""

import pytest

from napari_sam2.slides.formats.stains import plain_names


@pytest.mark.parametrize(
    "name", ["DAPI", "CD3 (Opal 520)", "Alexa Fluor 488", "DAPI_405nm", "Ki-67", "Cy5.5", "EGFP", "Channel 1"]
)
def test_names_of_stains_are_kept(name):
    assert plain_names([name]) == [name]


@pytest.mark.parametrize(
    "name",
    [
        "Jane Doe", "Meier DAPI", "1954-03-02", "19 540 302", "DAPI 19 540 302", "12345678", "", " ", "DAPI\nDoe",
        "DAPI\n405", "DAPI\t405", "DAPI \u0664\u0660\u0665", "CD\u0663", "\u212ai67", "DAPI\u2028405", "DAPI\u00a0405",
    ],
)  # fmt: skip
def test_anything_else_is_a_number(name):
    assert plain_names(["FITC", name]) == ["FITC", "channel 1"]
