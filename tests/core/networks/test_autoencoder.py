"""The two networks: shape of the code, range, and what a VAE decodes."""

from __future__ import annotations

import pytest
import torch

from core.networks.autoencoder import FIRST_LOG_VARIANCE, Decoder, VariationalAutoencoder, build_network
from core.networks.config import NAMES, network_config


def volume(cube: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 1, cube, cube, cube, generator=torch.Generator().manual_seed(seed))


def vae() -> VariationalAutoencoder:
    torch.manual_seed(0)
    network = build_network(network_config("vae_8x8_256", 16))
    assert isinstance(network, VariationalAutoencoder)
    return network


@pytest.mark.parametrize("cube", [32, 64])
@pytest.mark.parametrize("name", NAMES)
def test_bottleneck_and_nodes_are_those_of_the_name(name: str, cube: int) -> None:
    network = build_network(network_config(name, cube)).eval()
    k = 16 if "16x16" in name else 8
    seen: list[torch.Size] = []
    network.encoder.register_forward_hook(lambda _module, _x, y: seen.append(y.shape))
    network.decoder.register_forward_pre_hook(lambda _module, x: seen.append(x[0].shape))
    if isinstance(network, VariationalAutoencoder):
        network.dense.register_forward_pre_hook(lambda _module, x: seen.append(x[0].shape))
    with torch.inference_mode():
        y = network(volume(cube))
    assert y.shape == (1, 1, cube, cube, cube)
    assert 0 < y.min() < y.max() < 1
    assert seen[0][2:] == (k, k, k)
    assert seen[-1] == seen[0]
    if isinstance(network, VariationalAutoencoder):
        assert seen[1] == (1, int(name.split("_")[2]))


def test_vae_evaluates_at_the_mean_and_twice_the_same() -> None:
    network, x = vae().eval(), volume(16)
    with torch.inference_mode():
        features = network.encoder(x).reshape(1, 2 * 8**3)
        mean = features @ network.mean.weight.T + network.mean.bias
        code = (mean @ network.dense.weight.T + network.dense.bias).reshape(1, 2, 8, 8, 8)
        torch.testing.assert_close(network(x), network.decoder(code))
        assert torch.equal(network(x), network(x))


def test_vae_training_decodes_mean_plus_noise_of_the_posterior() -> None:
    network, x = vae().train(), volume(16)
    with torch.no_grad():
        mean, log_variance = network.encode(x)
        torch.manual_seed(5)
        noise = torch.randn(1, 256)
        torch.manual_seed(5)
        sampled = network(x)
        torch.testing.assert_close(sampled, network.decode(mean + torch.exp(log_variance / 2) * noise))
        assert not torch.allclose(sampled, network.decode(mean), atol=1e-5)
        assert not torch.equal(sampled, network(x))


def test_vae_noise_starts_small() -> None:
    with torch.no_grad():
        log_variance = vae().encode(volume(16))[1]
    assert torch.equal(log_variance, torch.full((1, 256), FIRST_LOG_VARIANCE))


def test_output_is_float32_under_autocast() -> None:
    decoder = Decoder(network_config("std_8x8", 16))
    with torch.autocast("cpu", torch.bfloat16):
        y = decoder(torch.rand(1, 4, 8, 8, 8))
    assert y.dtype == torch.float32
