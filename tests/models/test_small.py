import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_sam2.errors import ModelError
from napari_sam2.models.base import (
    Decoded,
    DecodeRequest,
    MemoryRef,
    RememberRequest,
    SegmentationModel,
    ViewPrompts,
    ViewShift,
)
from napari_sam2.models.small.channels import (
    ALL_CHANNELS,
    ANCHOR_CHANNELS,
    CHANNELS,
    Channel,
    PromptBatch,
    RememberedBatch,
    build_channels,
    resample,
)
from napari_sam2.models.small.histograms import near_ratio
from napari_sam2.models.small.model import load_small
from napari_sam2.models.small.net import NetConfig, SmallNet
from napari_sam2.models.small.weights import read_weights, write_weights

SIZE = 32
CONFIG = NetConfig(widths=(8, 16, 16, 24), heads=2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    write_weights(path, SmallNet(CONFIG).state_dict(), CONFIG, SIZE, "tiny")
    return path


@pytest.fixture(scope="module")
def model(weights):
    return load_small(weights)


def no_points():
    return torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool)


def nothing(count=1):
    empty = torch.zeros(count, SIZE, SIZE)
    return RememberedBatch(empty, empty, torch.tensor([[1.0, 0, 0]]).repeat(count, 1), torch.zeros(count))


def prompts(**given):
    empty = {
        "boxes": torch.zeros(1, 4),
        "has_box": torch.zeros(1),
        "points": torch.zeros(1, 1, 2),
        "labels": torch.full((1, 1), -1),
        "prior": torch.zeros(1, SIZE, SIZE),
        "has_prior": torch.zeros(1),
    }
    return PromptBatch(**{**empty, **given})


def halves():
    """Dark on the left, bright on the right."""
    image = torch.full((1, SIZE, SIZE), 0.2)
    image[..., SIZE // 2 :] = 0.8
    return image


def test_channels_without_prompts_say_nothing_but_the_image():
    channels = build_channels(halves(), prompts(), nothing(), nothing())
    assert channels.shape == (1, CHANNELS, SIZE, SIZE)
    rest = [c for c in range(CHANNELS) if c not in (Channel.IMAGE, Channel.EQUALISED)]
    assert channels[:, rest].abs().max() == 0


def test_a_box_on_the_bright_half_makes_bright_pixels_likely():
    box = torch.tensor([[18.0, 6.0, 30.0, 26.0]])
    ratio = build_channels(halves(), prompts(boxes=box, has_box=torch.ones(1)), nothing(), nothing())
    ratio = ratio[0, Channel.PROMPT_RATIO]
    assert ratio[:, 20:].min() > 0.2
    assert ratio[:, :12].max() < -0.5


def test_a_remembered_mask_makes_its_tissue_likely_at_another_brightness_scale():
    mask = torch.zeros(1, SIZE, SIZE)
    mask[:, 4:28, 4:12] = 1
    memory = RememberedBatch(halves(), mask, torch.tensor([[1.0, 0, 0]]), torch.ones(1))
    ratio = build_channels(halves(), prompts(), memory, nothing())[0, Channel.ANCHOR_RATIO]
    assert ratio[:, :12].min() > 0.2
    assert ratio[:, 20:].max() < -0.5


def test_a_constant_view_carries_no_likelihood():
    box = torch.tensor([[8.0, 8.0, 24.0, 24.0]])
    blank = torch.full((1, SIZE, SIZE), 0.5)
    channels = build_channels(blank, prompts(boxes=box, has_box=torch.ones(1)), nothing(), nothing())
    assert channels[0, Channel.PROMPT_RATIO].abs().max() < 1e-4
    assert channels[0, Channel.EQUALISED].abs().max() < 1e-4


def test_a_click_is_drawn_where_it_was_made():
    channels = build_channels(
        halves(),
        prompts(points=torch.tensor([[[20.0, 5.0]]]), labels=torch.tensor([[1]])),
        nothing(),
        nothing(),
    )
    spot = channels[0, Channel.POSITIVE]
    assert divmod(int(spot.argmax()), SIZE) == (5, 20)
    assert channels[0, Channel.NEGATIVE].abs().max() == 0


def test_a_box_around_pixels_covers_just_them():
    box = torch.tensor([[7.5, 9.5, 15.5, 12.5]])
    drawn = build_channels(halves(), prompts(boxes=box, has_box=torch.ones(1)), nothing(), nothing())
    inside = drawn[0, Channel.BOX] > 0.5
    assert inside.sum() == 8 * 3
    assert inside[10:13, 8:16].all()


def test_resampling_moves_by_whole_pixels_exactly():
    values = torch.rand(1, SIZE, SIZE)
    moved = resample(values, torch.tensor([[1.0, 2.0, 3.0]]))
    assert torch.allclose(moved[0, :20, :20], values[0, 3:23, 2:22], atol=1e-5)


def test_the_model_keeps_the_protocol(model):
    assert isinstance(model, SegmentationModel)
    features = model.encode(torch.rand(2, 1, SIZE, SIZE))
    box = ViewPrompts(*no_points(), box=torch.tensor([8.0, 8.0, 20.0, 20.0]))
    first, second = model.decode([DecodeRequest(f, box) for f in features])
    assert first.logits.shape == (SIZE, SIZE)
    assert 0 <= first.predicted_iou <= 1
    memory = model.remember([RememberRequest(features[0], first, True)])[0]
    follow = DecodeRequest(features[1], memories=(MemoryRef(memory, -1, True, ViewShift(1.1, 0.5, -1.0)),))
    assert model.decode([follow])[0].logits.isfinite().all()
    click = ViewPrompts(torch.tensor([[12.0, 12.0]]), torch.tensor([True]))
    assert model.decode([DecodeRequest(features[1], click, previous=second)])[0].logits.isfinite().all()


def test_an_answer_does_not_depend_on_its_batch(model):
    features = model.encode(torch.rand(3, 1, SIZE, SIZE))
    box = ViewPrompts(*no_points(), box=torch.tensor([8.0, 8.0, 20.0, 20.0]))
    together = model.decode([DecodeRequest(f, box) for f in features])
    alone = [model.decode([DecodeRequest(f, box)])[0] for f in features]
    for one, two in zip(together, alone, strict=True):
        assert torch.allclose(one.logits, two.logits, atol=1e-4)


def test_colour_is_read_as_its_luma(model):
    grey = torch.rand(1, 1, SIZE, SIZE)
    assert torch.allclose(model.encode(grey.expand(1, 3, SIZE, SIZE))[0][0], model.encode(grey)[0][0], atol=1e-6)


def test_a_given_mask_is_the_answer(model):
    features = model.encode(torch.rand(1, 1, SIZE, SIZE))
    mask = torch.zeros(SIZE, SIZE)
    mask[5:20, 7:15] = 1
    answer = model.decode([DecodeRequest(features[0], ViewPrompts(*no_points(), mask=mask))])[0]
    assert torch.equal(answer.logits > 0, mask > 0.5)


def test_a_slice_answered_by_somebody_else_can_be_remembered(model):
    features = model.encode(torch.rand(1, 1, SIZE, SIZE))
    given = Decoded(torch.full((SIZE, SIZE), -10.0), 10.0, 1.0)
    memory = model.remember([RememberRequest(features[0], given, True)])[0]
    assert model.decode([DecodeRequest(features[0], memories=(MemoryRef(memory, 1, True),))])[0].logits.isfinite().all()


def test_views_of_another_size_are_refused(model):
    with pytest.raises(ModelError, match="shape"):
        model.encode(torch.rand(1, 1, SIZE + 2, SIZE))


def altered(weights, tmp_path, change):
    from safetensors import safe_open

    tensors = load_file(weights)
    change(tensors)
    with safe_open(weights, framework="pt") as stored:
        metadata = stored.metadata()
    path = tmp_path / "altered.safetensors"
    save_file(tensors, path, metadata=metadata)
    return path


def test_missing_and_unexpected_tensors_are_refused(weights, tmp_path):
    with pytest.raises(ModelError, match=r"missing mask\.bias"):
        read_weights(altered(weights, tmp_path, lambda t: t.pop("mask.bias")))
    with pytest.raises(ModelError, match="unexpected extra"):
        read_weights(altered(weights, tmp_path, lambda t: t.update(extra=torch.zeros(1))))
    with pytest.raises(ModelError, match="shape"):
        read_weights(altered(weights, tmp_path, lambda t: t.update({"mask.bias": torch.zeros(5)})))


def test_damaged_and_wrong_files_are_refused(weights, tmp_path):
    cut_short = tmp_path / "short.safetensors"
    cut_short.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged"):
        read_weights(cut_short)
    with pytest.raises(ModelError, match="SHA-256"):
        read_weights(weights, "0" * 64)
    with pytest.raises(ModelError, match="not there"):
        read_weights(tmp_path / "none.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(ModelError, match="no format"):
        read_weights(other)


def test_half_precision_changes_an_answer_little(weights):
    torch.manual_seed(0)
    exact = SmallNet(CONFIG).eval()
    rounded = read_weights(weights).net
    x = torch.from_numpy(np.random.default_rng(0).random((1, CHANNELS, SIZE, SIZE), np.float32))
    with torch.inference_mode():
        assert torch.allclose(exact(x, []).logits, rounded(x, []).logits, atol=0.02)


DEEP = NetConfig(widths=(8, 16, 16, 24), heads=2, channels=ALL_CHANNELS, deeper=(1, 1), attend=1, late=True)


def described(path, **changes):
    """The same tensors with other metadata; None leaves a key out."""
    tensors = load_file(path)
    metadata = {
        "format": "napari-sam2-small-2",
        "name": "deep",
        "input_size": str(SIZE),
        "config": json.dumps(DEEP.to_dict()),
        "mirrored": "prompted",
    }
    metadata = {key: value for key, value in {**metadata, **changes}.items() if value is not None}
    other = path.with_name("other.safetensors")
    save_file(tensors, other, metadata=metadata)
    return other


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("deep") / "deep.safetensors"
    write_weights(path, SmallNet(DEEP).state_dict(), DEEP, SIZE, "deep", mirrored="prompted")
    return path


def test_a_deeper_network_loads_from_what_its_file_says(deep):
    found = read_weights(described(deep))
    assert (found.net.config, found.mirrored) == (DEEP, "prompted")


@pytest.mark.parametrize(
    "changes",
    [
        {"input_size": "40"},
        {"input_size": "100000"},
        {"mirrored": "sometimes"},
        {"colour": "blue"},
        {"config": json.dumps({**DEEP.to_dict(), "layers": 3})},
        {"config": json.dumps({**DEEP.to_dict(), "widths": [8, 16, 16, 2400]})},
        {"config": json.dumps({**DEEP.to_dict(), "deeper": [1, 99]})},
        {"config": json.dumps({**DEEP.to_dict(), "channels": 14})},
        {"config": json.dumps({**DEEP.to_dict(), "late": "no"})},
        {"config": json.dumps({**DEEP.to_dict(), "heads": 0})},
        {"config": "{}"},
        {"config": "[]"},
    ],
)
def test_a_file_that_describes_something_else_is_refused(deep, changes):
    with pytest.raises(ModelError):
        read_weights(described(deep, **changes))


def test_files_of_the_first_model_say_less_and_are_mirrored_always(deep, weights):
    tensors = load_file(weights)
    first = weights.with_name("first.safetensors")
    config = json.dumps({"widths": CONFIG.widths, "heads": CONFIG.heads})
    metadata = {"format": "napari-sam2-small-1", "name": "small-1", "input_size": str(SIZE), "config": config}
    save_file(tensors, first, metadata=metadata)
    assert read_weights(first).mirrored == "always"


def test_only_prompted_slices_are_mirrored_when_the_file_says_so(deep, monkeypatch):
    model, seen = load_small(deep), []
    monkeypatch.setattr(model, "net", CountingNet(model.net, seen))
    features = model.encode(halves()[None])[0]
    points, positive = no_points()
    box = ViewPrompts(points, positive, box=torch.tensor([8.0, 8.0, 24.0, 24.0]))
    decoded = model.decode([DecodeRequest(features, box)])[0]
    assert [shape[0] for shape in seen] == [2]
    (memory,) = model.remember([RememberRequest(features, decoded, prompted=True)])
    model.decode([DecodeRequest(features, memories=(MemoryRef(memory, -1, True, ViewShift()),))])
    assert [shape[0] for shape in seen] == [2, 1]


class CountingNet(torch.nn.Module):
    """Counts how often the network inside is asked."""

    def __init__(self, net, seen):
        super().__init__()
        self.net, self.seen, self.config = net, seen, net.config

    def forward(self, channels, memories):
        self.seen.append(channels.shape)
        return self.net(channels, memories)


def test_the_later_channels_show_the_anchor_and_local_contrast():
    mask = torch.zeros(1, SIZE, SIZE)
    mask[:, 8:16, 8:16] = 1
    anchor = RememberedBatch(halves(), mask, torch.tensor([[1.0, 4.0, 0.0]]), torch.ones(1))
    channels = build_channels(halves(), prompts(), anchor, nothing(), ALL_CHANNELS)[0]
    assert channels.shape[0] == ALL_CHANNELS
    # The remembered view lies four pixels to the right, so its mask is seen four to the left.
    assert channels[Channel.ANCHOR_MASK, 10, 5] == 1
    assert channels[Channel.ANCHOR_MASK, 10, 14] == -1
    assert channels[Channel.LOCAL, :, SIZE // 2].mean() > 0.1
    assert channels[Channel.LOCAL, :, 0].abs().max() < 0.1


def boxed_disc():
    """A disc of middle brightness on a dark ground, with as bright a field far from it, and a box around the disc."""
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    disc = (rows - 12) ** 2 + (columns - 12) ** 2 <= 25
    image = torch.full((1, SIZE, SIZE), 0.2)
    image[:, disc] = 0.6
    image[:, :, 26:] = 0.6
    return image, disc, torch.tensor([[6.5, 6.5, 17.5, 17.5]])


def test_near_statistics_part_a_boxed_object_from_what_is_right_around_it():
    image, disc, box = boxed_disc()
    near = build_channels(image, prompts(boxes=box, has_box=torch.ones(1)), nothing(), nothing(), ALL_CHANNELS)
    near = near[0, Channel.PROMPT_NEAR]
    inner = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    inner[10:15, 10:15] = True
    assert near[inner].min() > 0.5
    assert near[:, 20:24].max() < -0.5
    assert near[disc].mean() > 0.5


def test_near_statistics_of_a_remembered_mask_follow_its_shift():
    image, disc, _ = boxed_disc()
    last = RememberedBatch(image, disc[None].float(), torch.tensor([[1.0, 0, 0]]), torch.ones(1))
    near = build_channels(image, prompts(), nothing(), last, ALL_CHANNELS)[0]
    assert near[Channel.LAST_NEAR][10:15, 10:15].min() > 0.5
    assert near[Channel.PROMPT_NEAR].abs().max() == 0
    # Seen from here the mask lies on dark ground: dark is what the object is taken to be.
    moved = RememberedBatch(image, disc[None].float(), torch.tensor([[1.0, 0, -12.0]]), torch.ones(1))
    elsewhere = build_channels(image, prompts(), nothing(), moved, ALL_CHANNELS)[0, Channel.LAST_NEAR]
    assert elsewhere[10:15, 10:15].max() < 0.5


def test_near_ratio_is_what_plain_loops_give():
    rng = np.random.default_rng(3)
    image = torch.from_numpy(rng.random((1, 16, 16)).astype(np.float32))
    region = torch.zeros(1, 16, 16)
    region[:, 5:11, 4:12] = 1
    bins = np.rint(image[0].numpy() * 47).astype(int)
    inside_region, around = np.zeros((16, 16)), np.zeros((16, 16))
    inside_region[5:11, 4:12] = 1
    around[4:12, 3:13] = 1
    kernel = np.array([1, 3, 5, 6, 5, 3, 1]) / 24

    def histogram(weights):
        counts = np.bincount(bins.ravel(), weights.ravel(), 48)
        smooth = np.convolve(counts, kernel)[3:-3]
        return smooth / (smooth.sum() + 1e-6)

    weights = inside_region.copy()
    for _ in range(3):
        table = np.log((histogram(weights) + 2e-3) / (histogram(around - weights) + 2e-3)).clip(-3, 3)
        padded = np.pad(table[bins], 1, constant_values=np.nan)
        ratio = np.array([[np.nanmean(padded[y : y + 3, x : x + 3]) for x in range(16)] for y in range(16)])
        weights = inside_region / (1 + np.exp(-ratio))
    np.testing.assert_allclose(near_ratio(image, region, region)[0].numpy(), ratio / 3, atol=1e-5)


def test_near_statistics_say_nothing_without_prompt_or_contrast():
    image, _, box = boxed_disc()
    unprompted = build_channels(image, prompts(), nothing(), nothing(), ALL_CHANNELS)[0]
    assert unprompted[[Channel.PROMPT_NEAR, Channel.LAST_NEAR]].abs().max() == 0
    blank = torch.full((1, SIZE, SIZE), 0.5)
    channels = build_channels(blank, prompts(boxes=box, has_box=torch.ones(1)), nothing(), nothing(), ALL_CHANNELS)
    assert channels[0, Channel.PROMPT_NEAR].abs().max() < 1e-4


def test_a_file_with_sixteen_channels_is_still_read(tmp_path):
    config = NetConfig(widths=(8, 16, 16, 24), heads=2, channels=ANCHOR_CHANNELS)
    path = tmp_path / "sixteen.safetensors"
    write_weights(path, SmallNet(config).state_dict(), config, SIZE, "sixteen")
    assert read_weights(path).net.config.channels == ANCHOR_CHANNELS


def test_local_contrast_of_an_even_view_is_zero():
    even = torch.full((1, SIZE, SIZE), 0.4)
    assert build_channels(even, prompts(), nothing(), nothing(), ALL_CHANNELS)[:, Channel.LOCAL].abs().max() < 1e-3
