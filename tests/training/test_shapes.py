import numpy as np

from napari_sam2.training.shapes import make_slab


def test_same_seed_gives_the_same_slab():
    one, two = (make_slab(np.random.default_rng(5), 48, 6) for _ in range(2))
    assert np.array_equal(one.voxels, two.voxels)
    assert [o.corner for o in one.objects] == [o.corner for o in two.objects]


def test_other_seeds_give_other_slabs():
    one, two = (make_slab(np.random.default_rng(seed), 48, 6) for seed in (5, 6))
    assert not np.array_equal(one.voxels, two.voxels)


def test_objects_lie_inside_their_own_regions():
    slab = make_slab(np.random.default_rng(7), 64, 8)
    for item in slab.objects:
        box = tuple(slice(c, c + n) for c, n in zip(item.corner, item.shape, strict=True))
        assert np.isin(slab.voxels[box][item.mask()], item.regions).all()
