"""Products of constant weights against PyTorch's own."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from napari_sam2.models.sam2 import kernels
from napari_sam2.models.sam2.kernels import Linear, attend, attend_each, attend_padded, feed_forward, in_one
from napari_sam2.models.sam2.precision import half_of


@pytest.fixture(params=[True, False], ids=["onednn", "plain"])
def _with_and_without_onednn(request, monkeypatch):
    works = kernels._onednn_works(torch.float32) and request.param
    monkeypatch.setattr(kernels, "_onednn_works", lambda dtype: works and dtype == torch.float32)


@pytest.fixture(autouse=True)
def _repeatable():
    torch.manual_seed(0)


@pytest.mark.usefixtures("_with_and_without_onednn")
@pytest.mark.parametrize("activation", ["none", "gelu", "relu"])
def test_a_linear_layer_answers_like_torch(activation):
    x, weight, bias = torch.randn(2, 5, 24), torch.randn(40, 24), torch.randn(40)
    expected = {"none": lambda t: t, "gelu": F.gelu, "relu": F.relu}[activation](F.linear(x, weight, bias))
    with torch.inference_mode():
        assert torch.allclose(Linear(weight, bias)(x, activation), expected, atol=1e-5)


@pytest.mark.usefixtures("_with_and_without_onednn")
def test_attention_answers_like_torch_when_queries_come_in_several_blocks():
    query, key, value = torch.randn(600, 32), torch.randn(130, 32), torch.randn(130, 8)
    expected = F.scaled_dot_product_attention(query[None], key[None], value[None], scale=0.3)[0]
    with torch.inference_mode():
        assert torch.allclose(attend(query, key, value, 0.3), expected, atol=1e-5)


def test_items_with_different_numbers_of_keys_are_answered_as_one_by_one():
    query = torch.randn(3, 12, 16)
    keys = [torch.randn(n, 16) for n in (40, 7, 23)]
    values = [torch.randn(n, 8) for n in (40, 7, 23)]
    one_by_one = torch.stack([attend(q, k, v, 0.5) for q, k, v in zip(query, keys, values, strict=True)])
    assert torch.allclose(attend_each(query, zip(keys, values, strict=True), 0.5), one_by_one, atol=1e-6)
    assert torch.allclose(attend_padded(query, keys, values, 0.5), one_by_one, atol=1e-5)


def test_a_feed_forward_block_in_pieces_equals_the_whole():
    first, second = Linear(torch.randn(64, 16), torch.randn(64)), Linear(torch.randn(16, 64), torch.randn(16))
    x = torch.randn(2, 1500, 16)
    assert torch.allclose(feed_forward(x, first, second, "gelu"), second(first(x, "gelu")), atol=1e-4)


def test_two_layers_in_one_equal_one_after_the_other():
    first, second = torch.nn.Linear(16, 32), torch.nn.Linear(32, 8)
    joined = in_one(first.weight, first.bias, second.weight, second.bias)
    x = torch.randn(9, 16)
    assert torch.allclose(F.linear(x, *joined), second(first(x)), atol=1e-6)


def test_packed_modules_answer_as_before_and_keep_their_parameters():
    network = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 8))
    x, names = torch.randn(4, 16), list(network.state_dict())
    expected = network(x)
    kernels.pack_linear_modules(network)
    with torch.inference_mode():
        assert torch.allclose(network(x), expected, atol=1e-6)
    assert list(network.state_dict()) == names


@pytest.fixture
def _bfloat16():
    if not kernels._onednn_works(torch.bfloat16):
        pytest.skip("this processor has no bfloat16 products (AVX-512, AVX-NE-CONVERT or Arm BF16)")


@pytest.mark.usefixtures("_bfloat16")
def test_bfloat16_products_are_narrow_and_stay_close():
    x, weight, bias = torch.randn(50, 64), torch.randn(32, 64) / 8, torch.randn(32)
    with torch.inference_mode():
        assert Linear(weight, bias, torch.bfloat16).narrow(x).dtype == torch.bfloat16
        assert torch.allclose(Linear(weight, bias, torch.bfloat16)(x), F.linear(x, weight, bias), atol=0.05)


@pytest.mark.usefixtures("_with_and_without_onednn")
def test_bfloat16_asked_of_a_processor_without_it_is_answered_in_float32():
    x, weight, bias = torch.randn(50, 64), torch.randn(32, 64) / 8, torch.randn(32)
    with torch.inference_mode():
        answer = Linear(weight, bias, torch.bfloat16)(x)
        scores = attend(x, x, x, 0.1, torch.bfloat16)
    assert answer.dtype == scores.dtype == torch.float32
    assert torch.allclose(answer, F.linear(x, weight, bias), atol=1e-5)
    assert torch.allclose(scores, F.scaled_dot_product_attention(x[None], x[None], x[None], scale=0.1)[0], atol=1e-5)


def test_bfloat16_is_chosen_only_where_the_processor_multiplies_in_it():
    assert (half_of(torch.device("cpu")) == torch.bfloat16) <= kernels._onednn_works(torch.bfloat16)
