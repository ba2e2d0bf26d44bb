"""Logarithm over the brain's median."""

from __future__ import annotations

import numpy as np
import pytest

from core.anomaly.intensity import log_intensity, log_residual
from core.anomaly.residual import AnomalyError


def test_log_over_the_median_clipped_and_free_of_scale() -> None:
    x = np.array([[[1.0, 2.0, 4.0, 20.0, 0.0]]], np.float32)
    mask = np.array([[[1, 1, 1, 1, 1]]], np.uint8)
    expected = [np.log(0.5), 0.0, np.log(2), 0.9, -1.2]
    np.testing.assert_allclose(log_intensity(x, mask).ravel(), expected, atol=1e-6)
    np.testing.assert_allclose(log_intensity(300 * x, mask), log_intensity(x, mask), atol=1e-5)


def test_residual_counts_dark_as_bright_and_uses_one_median() -> None:
    x = np.array([[[1.0, 2.0, 4.0]]], np.float32)
    x_hat = np.array([[[2.0, 2.0, 2.0]]], np.float32)
    mask = np.ones(x.shape, bool)
    np.testing.assert_allclose(log_residual(x, x_hat, mask).ravel(), [-np.log(2), 0, np.log(2)], atol=1e-6)
    # A reconstruction that is dimmer everywhere is told as such, not divided by its own median.
    np.testing.assert_allclose(log_residual(x, x / 1.5, mask).ravel(), [np.log(1.5)] * 3, atol=1e-6)
    with pytest.raises(AnomalyError, match="expected the same"):
        log_residual(x, x_hat[..., :2], mask)
    with pytest.raises(AnomalyError, match="median intensity is 0"):
        log_intensity(0 * x, mask)
