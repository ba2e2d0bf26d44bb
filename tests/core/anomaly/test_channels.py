"""Residuals of T2w and T1w together: which is shown, and what both say."""

from __future__ import annotations

import numpy as np
import pytest

from core.anomaly.channels import joint, spread_name, spreads, t2w
from core.anomaly.normative import fit_normative
from core.anomaly.residual import AnomalyError, normative_z

SHAPE = (10, 12, 14)


def test_spread_is_the_root_mean_square_in_the_brain() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[2:8, 3:9, 4:10] = True
    rest = np.full((2, *SHAPE), 9.0, np.float32)  # outside: of no account
    rest[0][mask] = 0.1
    rest[1][mask] = -0.4
    rest[1][2:8, 3:9, 4:7] = 0.2
    found = spreads([rest], [mask])
    assert list(found) == ["residual_rms_T2w", "residual_rms_T1w"]
    assert found["residual_rms_T2w"] == pytest.approx([0.1])
    assert found["residual_rms_T1w"] == pytest.approx([np.sqrt((0.16 + 0.04) / 2)])
    assert spreads([rest[0]], [mask]) == {}


def test_opposed_changes_add_and_equal_ones_cancel() -> None:
    scale = {spread_name("T2w"): np.array([0.1, 0.1]), spread_name("T1w"): np.array([0.2, 0.2])}
    rest = np.zeros((2, *SHAPE), np.float32)
    rest[:, 1, 2, 3] = (0.3, -0.4)  # bright in T2w, dark in T1w: 3 + 2
    rest[:, 4, 5, 6] = (0.1, 0.2)  # brighter in both by one spread
    rest[:, 7, 8, 9] = (-0.2, 0.6)
    found = joint(rest, scale)
    assert found.shape == SHAPE
    assert [found[1, 2, 3], found[4, 5, 6], found[7, 8, 9]] == pytest.approx([5, 0, -5], abs=1e-6)
    assert np.array_equal(joint(rest[0], {}), rest[0])
    assert np.array_equal(t2w(rest), rest[0])
    assert np.array_equal(t2w(rest[1]), rest[1])


def test_its_z_is_that_of_both_at_the_correlation_of_the_normals() -> None:
    # Equal spread, ρ = 0.5 everywhere: r₂ − r₁ has SD s · √(2 − 2ρ) = s.
    rng = np.random.default_rng(0)
    mask = np.ones(SHAPE, bool)
    shared = rng.standard_normal((60, *SHAPE))
    normals = [
        np.stack([0.1 * (np.sqrt(0.5) * c + np.sqrt(0.5) * rng.standard_normal(SHAPE)) for _ in range(2)])
        for c in shared
    ]
    scale = spreads(normals, [mask] * 60)
    model, _ = fit_normative([joint(one, scale) for one in normals], [mask] * 60, 1.0, 0.0)
    assert np.median(model.sd) == pytest.approx(np.sqrt(2 - 2 * 0.5), rel=0.03)
    case = np.zeros((2, *SHAPE), np.float32)
    case[:, 5, 6, 7] = (0.2, -0.2)
    z = normative_z(joint(case, scale), model, mask)
    assert z[5, 6, 7] == pytest.approx((2 + 2) / np.sqrt(2 - 2 * 0.5), rel=0.2)


def test_what_has_no_spread_is_refused() -> None:
    rest = np.zeros((2, *SHAPE), np.float32)
    with pytest.raises(AnomalyError, match="no spread of T2w in the calibration"):
        joint(rest, {})
    with pytest.raises(AnomalyError, match="no spread of T1w"):
        joint(rest, {spread_name("T2w"): np.array([1.0]), spread_name("T1w"): np.array([0.0])})
    with pytest.raises(AnomalyError, match="residual has 3 channels; expected 2"):
        joint(np.zeros((3, *SHAPE), np.float32), {})
