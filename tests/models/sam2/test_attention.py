"""Our memory attention against that of transformers, on the same weights."""

import pytest
import torch

from napari_sam2.models.sam2.attention import MemoryAttention, MemoryTokens, supports
from tests.tiny_sam2 import tiny_network

GRID = 8
N = GRID * GRID


def random_memory(n_grids, n_pointers):
    return MemoryTokens(
        [torch.randn(N, 64) for _ in range(n_grids)],
        [torch.randn(N, 64) for _ in range(n_grids)],
        torch.randn(n_pointers, 64),
        torch.randn(n_pointers, 64),
    )


def expected_top(network, top, position, memory):
    """What transformers computes for one object."""
    tokens = network.memory_attention(
        current_vision_features=top.flatten(2).permute(2, 0, 1),
        current_vision_position_embeddings=position,
        memory=memory.values()[:, None],
        memory_posision_embeddings=(memory.keys() - memory.values())[:, None],
        num_object_pointer_tokens=len(memory.pointers),
    )
    return tokens.view(1, N, -1).transpose(1, 2).reshape(top.shape)


@pytest.mark.parametrize(("n_grids", "n_pointers"), [(1, 4), (3, 0), (7, 64)])
def test_conditioned_features_equal_those_of_transformers(n_grids, n_pointers):
    network = tiny_network()
    top, position = torch.randn(1, 256, GRID, GRID), torch.randn(N, 1, 256)
    memory = random_memory(n_grids, n_pointers)
    with torch.inference_mode():
        expected = expected_top(network, top, position, memory)
        found = MemoryAttention(network.memory_attention, position)(top, [memory])
    assert (expected - top).abs().mean() > 0.1
    assert torch.allclose(found, expected, atol=1e-4)


def test_objects_with_different_memories_are_answered_as_one_by_one():
    network = tiny_network()
    top, position = torch.randn(3, 256, GRID, GRID), torch.randn(N, 1, 256)
    memories = [random_memory(1, 4), random_memory(5, 16), random_memory(2, 0)]
    with torch.inference_mode():
        attention = MemoryAttention(network.memory_attention, position)
        together = attention(top, memories)
        alone = torch.cat([attention(top[i : i + 1], [memories[i]]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_module_with_another_activation_is_not_supported():
    module = tiny_network().memory_attention
    assert supports(module)
    module.layers[0].activation = torch.nn.GELU()
    assert not supports(module)
