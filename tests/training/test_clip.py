import numpy as np
import torch

from napari_sam2.models.small.channels import resample
from napari_sam2.training.clip import cut, shift_between, to_frame, to_view
from napari_sam2.training.sampler import ClipSampler, Shares


def smooth_clip(texture):
    clip = ClipSampler([], [texture], Shares(0.0, 0.0)).draw(np.random.default_rng(1), 2)
    rows, columns = clip.image.shape[1:]
    y, x = torch.meshgrid(torch.linspace(0, 3, rows), torch.linspace(0, 3, columns), indexing="ij")
    clip.image[:] = 0.5 + 0.2 * torch.sin(x) + 0.2 * torch.cos(y)
    return clip


def test_a_resampled_view_equals_the_view_cut_directly(texture):
    clip = smooth_clip(texture)
    size = 64
    one = torch.tensor([[0.0, 0.0, 20.0]])
    two = torch.tensor([[1.5, -1.0, 14.0]])
    first, _ = cut([clip], [0], one, size)
    second, _ = cut([clip], [0], two, size)
    seen = resample(first, shift_between(two, one, size))
    assert torch.allclose(seen[:, 8:-8, 8:-8], second[:, 8:-8, 8:-8], atol=0.02)


def test_places_and_pixels_are_inverse():
    views = torch.tensor([[3.0, -2.0, 17.0], [0.0, 5.0, 40.0]])
    places = torch.randn(2, 4, 2)
    assert torch.allclose(to_frame(to_view(places, views, 96), views, 96), places, atol=1e-4)


def test_the_first_slice_always_shows_the_object(slabs, texture):
    sampler = ClipSampler(slabs, [texture])
    rng = np.random.default_rng(4)
    assert all(sampler.draw(rng, 3, 0.5).mask[0].any() for _ in range(20))


def test_the_same_generator_gives_the_same_clip(slabs, texture):
    sampler = ClipSampler(slabs, [texture])
    one, two = (sampler.draw(np.random.default_rng(8), 3) for _ in range(2))
    assert torch.equal(one.image, two.image)
    assert torch.equal(one.mask, two.mask)
