"""Losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from core.networks.losses import elbo_loss, kl_divergence, reconstruction_error


def test_reconstruction_error_is_the_mean_square_over_all_voxels() -> None:
    x = torch.zeros(1, 1, 2, 3, 4)
    y = x.clone()
    y[0, 0, 0, 0, 0], y[0, 0, 1, 2, 3] = 0.5, -1.0
    assert reconstruction_error(y, x).item() == pytest.approx((0.25 + 1) / 24)


def test_kl_of_the_prior_is_0() -> None:
    assert kl_divergence(torch.zeros(3, 5), torch.zeros(3, 5)).item() == 0


def test_kl_closed_form_sums_nodes_and_averages_the_batch() -> None:
    # Node N(1, 1): 1/2. Node N(0, 4): (4 - 1 - ln 4) / 2. Second volume at the prior: 0.
    mean = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    log_variance = torch.tensor([[0.0, math.log(4)], [0.0, 0.0]])
    by_hand = (0.5 + (3 - math.log(4)) / 2) / 2
    assert kl_divergence(mean, log_variance).item() == pytest.approx(by_hand, rel=1e-6)


def test_kl_agrees_with_torch_distributions() -> None:
    generator = torch.Generator().manual_seed(1)
    mean, log_variance = torch.randn(4, 7, generator=generator), torch.randn(4, 7, generator=generator)
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    prior = torch.distributions.Normal(torch.zeros(4, 7), torch.ones(4, 7))
    expected = torch.distributions.kl_divergence(posterior, prior).sum(1).mean()
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected)


def test_elbo_loss_is_the_scaled_negative_evidence_lower_bound() -> None:
    sigma, voxels, mse, kl = 0.05, 64**3, 0.004, 300.0
    elbo = -mse * voxels / (2 * sigma**2) - kl
    loss = elbo_loss(torch.tensor(mse), torch.tensor(kl), voxels, 2 * sigma**2)
    assert loss.item() == pytest.approx(-elbo * 2 * sigma**2 / voxels, rel=1e-6)
