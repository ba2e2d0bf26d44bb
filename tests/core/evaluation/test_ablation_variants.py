"""Edges, refinement and masking, worked out on volumes that can be read."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.ablation_variants import (
    PARTS,
    block_parts,
    edge_suppressed,
    masked,
    refined,
)
from core.evaluation.ablation_variants import REPLACED as SHARE

SHAPE = (16, 20, 24)


def test_residual_is_halved_where_the_gradient_is_the_median() -> None:
    ramp = np.broadcast_to(0.01 * np.arange(16)[:, None, None], SHAPE).astype(np.float32).copy()
    mask = np.ones(SHAPE, bool)
    plain = edge_suppressed(np.ones(SHAPE, np.float32), ramp, mask)
    assert np.allclose(plain, 0.5)
    ramp[8:] += 0.4  # across this edge the central difference is 0.01 + 0.2
    found = edge_suppressed(np.ones(SHAPE, np.float32), ramp, mask)
    assert found[7, 5, 5] == pytest.approx(1 / (1 + 21))
    assert found[3, 5, 5] == pytest.approx(0.5)


def test_rim_of_the_brain_is_no_edge() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[4:12, 4:16, 4:20] = True
    rng = np.random.default_rng(0)
    x_hat = np.where(mask, 0.5 + rng.normal(0, 0.01, SHAPE), 0).astype(np.float32)
    found = edge_suppressed(np.ones(SHAPE, np.float32), x_hat, mask)
    assert found[4, 10, 10] > 0.2  # against the background it would be 1 / (1 + 25)
    assert found[0, 0, 0] == 0


def test_refinement_shows_the_network_less_of_the_lesion() -> None:
    mask = np.ones(SHAPE, bool)
    x = np.full(SHAPE, 0.4, np.float32)
    x[6:9, 8:11, 10:13] = 0.8  # 27 of 7680 voxels

    def half(seen: np.ndarray) -> np.ndarray:
        """Keeps half of what differs from 0.4: the lesion leaks into its own expectation."""
        return (0.4 + 0.5 * (seen - 0.4)).astype(np.float32)

    once = half(x)
    assert once[7, 9, 11] == pytest.approx(0.6)
    # Three more halvings: 0.4 · ½ · ½ · ½ · ½.
    assert refined(half, x, mask, once, 2.0)[7, 9, 11] == pytest.approx(0.4 + 0.4 / 16)
    assert SHARE * x.size > 27


def test_blocks_share_the_grid_out_and_do_not_touch_by_a_face() -> None:
    parts = block_parts(SHAPE, 4.0)  # blocks of 4 voxels
    assert np.array_equal(np.sum(parts, axis=0), np.ones(SHAPE))
    assert len(parts) == PARTS
    for part in parts:
        for axis, count in enumerate(SHAPE):
            blocks = part.take(range(0, count, 4), axis=axis)
            assert not (
                blocks.take(range(1, count // 4), axis) & blocks.take(range(count // 4 - 1), axis)
            ).any()


def test_masked_reconstruction_sees_nothing_of_what_it_expects() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[2:14, 2:18, 2:22] = True
    x = np.where(mask, np.random.default_rng(1).random(SHAPE), 0).astype(np.float32)
    fill = np.full(SHAPE, 0.3, np.float32)
    found = masked(lambda seen: seen, x, mask, fill, 4.0)  # a network that copies
    assert np.allclose(found[mask], 0.3)
    assert np.array_equal(found[~mask], x[~mask])
