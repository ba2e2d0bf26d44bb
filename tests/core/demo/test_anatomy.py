from dataclasses import replace

import numpy as np
import pytest

from core.demo.anatomy import Shape, build, node_count, rotation, smooth_noise, upsample
from core.demo.template import TISSUE_ML

GRID = (52, 62, 54)


def affine(turn=None):
    """2 mm grid about the origin, turned about its middle."""
    out = np.eye(4)
    out[:3, :3] = (np.eye(3) if turn is None else turn) * 2
    out[:3, 3] = -out[:3, :3] @ ((np.array(GRID) - 1) / 2)
    return out


PLAIN = Shape(scale=(0.6, 0.6, 0.6), deformation=0.0, fluid=(0.0, 0.0))


@pytest.fixture(scope="module")
def plain():
    return build(PLAIN, GRID, affine())


def test_rotation_turns_about_x_then_y_then_z():
    assert rotation((0, 0, 90)) @ [1, 0, 0] == pytest.approx([0, 1, 0])
    # y -> z (about x), stays z -> x (about y), x -> y (about z).
    assert rotation((90, 90, 90)) @ [0, 1, 0] == pytest.approx([0, 1, 0])
    assert rotation((90, 90, 0)) @ [0, 1, 0] == pytest.approx([1, 0, 0])


def test_upsample_reproduces_a_linear_function():
    shape, every = (16, 24, 32), 4
    counts = tuple(node_count(n, every) for n in shape)
    assert counts == (7, 9, 11)
    nodes = np.indices(counts) * every - every
    coarse = (2 * nodes[0] - nodes[1] + 0.5 * nodes[2]).astype(np.float32)
    i, j, k = np.indices(shape)
    assert upsample(coarse, shape, every) == pytest.approx(2 * i - j + 0.5 * k, abs=1e-4)


def test_smooth_noise_has_unit_spread_and_is_smooth():
    noise = smooth_noise(np.random.default_rng(0), (16, 24, 32), 2.0)
    assert noise.std() == pytest.approx(1, abs=1e-5)
    assert np.diff(noise, axis=1).std() < 0.4


def test_fractions_sum_to_one_inside_and_sizes_follow_the_scale(plain):
    inside = plain.outside < -1.5
    total = plain.grey + plain.white + plain.fluid
    assert total[inside] == pytest.approx(1, abs=1e-5)
    ml = (plain.grey + plain.white)[plain.brain].sum() * 8 / 1000
    # Sharpening moves borders a little; size is 0.6 cubed of the template's.
    assert ml == pytest.approx(TISSUE_ML * 0.6**3, rel=0.08)
    larger = build(replace(PLAIN, scale=(0.63, 0.63, 0.63)), GRID, affine())
    ratio = larger.brain.sum() / plain.brain.sum()
    assert ratio == pytest.approx((0.63 / 0.6) ** 3, rel=0.01)


def test_template_head_is_symmetric(plain):
    grey = plain.volume(plain.grey)
    assert grey == pytest.approx(grey[::-1], abs=0.02)


def test_same_place_in_the_world_whatever_the_grid(plain):
    turn = rotation((90, 0, 90))
    other = build(PLAIN, GRID, affine(turn))
    a, b = plain.volume(plain.white), other.volume(other.white)
    ijk = np.array([(14, 30, 30), (40, 24, 33), (20, 40, 28), (30, 18, 24)])
    world = (affine()[:3, :3] @ ijk.T) + affine()[:3, 3:]
    back = np.linalg.inv(affine(turn))
    there = back[:3, :3] @ world + back[:3, 3:]
    near = np.floor(there).astype(int)
    for place, corner, offset in zip(ijk, near.T, (there - near).T, strict=True):
        box = b[tuple(slice(c, c + 2) for c in corner)]
        weight = np.ones((2, 2, 2))
        for axis, f in enumerate(offset):
            weight *= np.array([1 - f, f]).reshape([2 if n == axis else 1 for n in range(3)])
        assert (box * weight).sum() == pytest.approx(a[tuple(place)], abs=0.25)


def test_two_heads_never_share_their_folds(plain):
    one, two, again = (build(replace(PLAIN, deformation=1.0, seed=s), GRID, affine()) for s in (1, 2, 1))
    maps = [t.volume(np.where((t.deep < 0.1) & (t.cerebellum < 0.1), t.grey, 0)) for t in (one, two, again)]
    assert np.array_equal(maps[0], maps[2])
    both = (one.volume(one.brain.astype(np.float32)) * two.volume(two.brain.astype(np.float32))) > 0
    r = np.corrcoef(maps[0][both], maps[1][both])[0, 1]
    assert r < 0.5
    # Deep anatomy stays in place all the same: its middle, on the right, moves by millimetres.
    middles = [2 * np.argwhere(t.volume(t.deep)[26:] > 0.5).mean(0) for t in (one, two)]
    assert np.linalg.norm(middles[0] - middles[1]) < 6


def test_deformation_is_a_map_without_tears():
    head = build(replace(PLAIN, deformation=1.0, seed=5), GRID, affine())
    jacobian = np.stack([np.stack(np.gradient(head.volume(p), 2.0)) for p in head.points]) * 0.6
    determinant = np.linalg.det(jacobian.transpose(2, 3, 4, 0, 1))
    inside = head.volume((head.outside < -5).astype(np.float32)) > 0
    assert (determinant[inside] > 0).mean() > 0.999
    assert np.median(determinant[inside]) == pytest.approx(1, abs=0.15)


def test_a_larger_left_ventricle_is_on_the_left(plain):
    head = build(replace(PLAIN, ventricle=(3.0, 0.0)), GRID, affine())
    before, after = plain.volume(plain.ventricle), head.volume(head.ventricle)
    left, right = after[:26].sum() / before[:26].sum(), after[26:].sum() / before[26:].sum()
    assert left > 2
    assert right == pytest.approx(1, abs=0.15)
    # Tissue makes way, the head keeps its size.
    assert np.array_equal(head.brain, plain.brain)


def test_fluid_over_the_convexity_leaves_mask_and_base_alone(plain):
    head = build(replace(PLAIN, fluid=(0.0, 3.0)), GRID, affine())
    assert np.array_equal(head.brain, plain.brain)
    gain = head.volume(head.fluid) - plain.volume(plain.fluid)
    # World x > 0, y from -20 to 20, above z = 20 mm: the right convexity; its mirror; the right base.
    assert gain[30:, 21:41, 37:].sum() > 20 * abs(gain[:22, 21:41, 37:].sum())
    assert abs(gain[30:, :, :14].mean()) < 0.1 * gain[30:, 21:41, 37:].mean()
