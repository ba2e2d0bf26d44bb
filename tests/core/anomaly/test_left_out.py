"""A library's normal, changed: scored as one that the detector never saw."""

from __future__ import annotations

import numpy as np
import pytest

from core.anomaly.detector import fit_detector, views_of
from core.anomaly.left_out import left_out_detectors
from core.anomaly.residual import AnomalyError
from tests.core.anomaly.test_detector import scan


@pytest.mark.parametrize("restored", [True, False])
def test_a_normal_is_scored_as_when_it_was_left_out_at_fitting(restored: bool) -> None:
    normals = [scan(seed, restored=restored) for seed in range(5)]
    detector, views = fit_detector(normals, 2.0)
    left_out = left_out_detectors(detector, 5)
    for index in (0, 3):
        one, there = normals[index], normals[index].mask
        mine = views_of(left_out[index], one.x, there, one.x_hat, index)
        known = views_of(detector, one.x, there, one.x_hat, index)
        # A byte a voxel: small differences, where knowing oneself makes large ones and hides the extremes.
        for name in ("nonlocal_z",) if restored else ("nonlocal_z", "second"):
            blind, expected, biased = (getattr(one, name)[there] for one in (mine, views[index], known))
            assert np.abs(blind - expected).mean() < 0.25 * np.abs(biased - expected).mean()
            top, own = (np.sort(np.abs(values))[-48:].mean() for values in (blind, biased))
            assert top == pytest.approx(np.sort(np.abs(expected))[-48:].mean(), rel=0.02)
            assert own < 0.95 * top


def test_more_normals_than_the_library_has_are_refused() -> None:
    detector, _ = fit_detector([scan(seed) for seed in range(3)], 2.0)
    with pytest.raises(AnomalyError, match="4 normals to leave out of a library of 3"):
        left_out_detectors(detector, 4)
