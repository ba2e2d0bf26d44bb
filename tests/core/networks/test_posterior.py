"""A VAE's spread: what two samples give by hand, and nothing where the posterior has no width."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.networks.autoencoder import VariationalAutoencoder
from core.networks.posterior import sampled
from core.networks.zoo import Model, ModelError, ModelInfo, NetworkConfig, build, reconstruct

CONFIG = NetworkConfig("small", "vae", 8, 4, 6, base_channels=4, max_channels=8, latent_channels=1)
X = np.random.default_rng(4).random((8, 8, 8), dtype=np.float32)


def model(config: NetworkConfig = CONFIG, log_variance: float = 0.0) -> Model:
    torch.manual_seed(1)
    network = build(config).eval()
    if isinstance(network, VariationalAutoencoder):
        last = network.log_variance[1]
        assert isinstance(last, torch.nn.Linear)
        torch.nn.init.constant_(last.bias, log_variance)
    info = ModelInfo(config.name, Path("none"), config, {}, "", "", {}, True, "", "")
    return Model(info, network, None, torch.device("cpu"))


def test_two_samples_by_hand() -> None:
    made = model()
    mean, sd = sampled(made, X, 2, np.random.default_rng(7))
    network = made.network
    assert isinstance(network, VariationalAutoencoder)
    noise = torch.from_numpy(np.random.default_rng(7).standard_normal((2, 6), dtype=np.float32))
    with torch.inference_mode():
        middle, log_variance = network.encode(torch.from_numpy(X)[None, None])
        one, other = network.decode(middle + torch.exp(log_variance / 2) * noise)[:, 0].numpy()
    assert sd.max() > 1e-4
    assert np.allclose(mean, (one + other) / 2, atol=1e-6)
    assert np.allclose(sd, np.abs(one - other) / np.sqrt(2), atol=1e-6)


def test_no_width_gives_the_mean_and_no_spread() -> None:
    made = model(log_variance=-40.0)
    mean, sd = sampled(made, X, 3, np.random.default_rng(0))
    assert np.allclose(mean, reconstruct(made, X), atol=1e-5)
    assert sd.max() < 1e-6


def test_seed_decides() -> None:
    made = model()
    first, again, other = (sampled(made, X, 4, np.random.default_rng(seed))[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_can_not_be_sampled_is_refused() -> None:
    plain = NetworkConfig("plain", "ae", 8, 4, 0, base_channels=4, max_channels=8, logvar_rank=0)
    with pytest.raises(ModelError, match="plain is of kind 'ae', expected 'vae'"):
        sampled(model(plain), X, 4, np.random.default_rng(0))
    with pytest.raises(ModelError, match=r"1 samples of x of shape \(8, 8, 8\)"):
        sampled(model(), X, 1, np.random.default_rng(0))
