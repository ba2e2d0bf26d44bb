"""The paper's two networks, x to x̂: residual autoencoder and variational autoencoder."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from core.networks.config import NetworkConfig
from core.networks.resnet import Norm, ResBlock3d, down, up

# Small first noise: exp(-4 / 2) = 0.14, so that the decoder learns anatomy before it learns to be robust.
FIRST_LOG_VARIANCE = -4.0


def through(layers: nn.Sequential, x: torch.Tensor, checkpointing: bool) -> torch.Tensor:
    """``layers`` in order; with ``checkpointing`` residual blocks keep their input only, not what is inside.

    Chen et al. 2016, Training deep nets with sublinear memory cost, arXiv 1604.06174.
    """
    for layer in layers:
        if checkpointing and isinstance(layer, ResBlock3d) and torch.is_grad_enabled():
            x = checkpoint(layer, x, use_reentrant=False)
        else:
            x = layer(x)
    return x


class Encoder(nn.Module):
    """(batch, in_channels, N, N, N) to (batch, latent_channels, k, k, k)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.channels
        layers: list[nn.Module] = [nn.Conv3d(config.in_channels, channels[0], 3, padding=1)]
        for fine, coarse in pairwise(channels):
            layers += [ResBlock3d(fine, config.norm_groups) for _ in range(config.blocks)]
            layers.append(down(fine, coarse))
        layers += [ResBlock3d(channels[-1], config.norm_groups) for _ in range(config.blocks)]
        layers += [Norm(config.norm_groups, channels[-1]), nn.SiLU()]
        layers.append(nn.Conv3d(channels[-1], config.latent_channels, 1))
        self.layers = nn.Sequential(*layers)
        self.checkpointing = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return through(self.layers, x, self.checkpointing)


class Decoder(nn.Module):
    """(batch, latent_channels, k, k, k) to (batch, in_channels, N, N, N) in (0, 1)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.channels[::-1]
        layers: list[nn.Module] = [nn.Conv3d(config.latent_channels, channels[0], 3, padding=1)]
        layers += [ResBlock3d(channels[0], config.norm_groups) for _ in range(config.blocks)]
        for coarse, fine in pairwise(channels):
            layers.append(up(coarse, fine))
            layers += [ResBlock3d(fine, config.norm_groups) for _ in range(config.blocks)]
        layers += [Norm(config.norm_groups, channels[-1]), nn.SiLU()]
        layers.append(nn.Conv3d(channels[-1], config.in_channels, 3, padding=1))
        self.layers = nn.Sequential(*layers)
        self.checkpointing = False

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        # Float32 from here: bfloat16 has steps of 0.004 near 1, as large as the residuals looked for.
        return torch.sigmoid(through(self.layers, code, self.checkpointing).float())


class Autoencoder(nn.Module):
    """std_k×k. Input and output: (batch, in_channels, N, N, N)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x))


class VariationalAutoencoder(nn.Module):
    """vae_k×k_n. Input and output: (batch, in_channels, N, N, N); n latent nodes.

    In training a sample of the posterior is decoded; in evaluation its mean, so two passes are identical.
    Kingma & Welling 2014, Auto-encoding variational Bayes, ICLR, section 2.4.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        side = config.bottleneck
        features = config.latent_channels * side**3
        self.grid = (config.latent_channels, side, side, side)
        self.encoder = Encoder(config)
        self.mean = nn.Linear(features, config.latent)
        # Low rank: 16³ features × 1024 nodes would be another 8 MB, and uncertainty needs less than the mean.
        self.log_variance = nn.Sequential(
            nn.Linear(features, config.logvar_rank, bias=False), nn.Linear(config.logvar_rank, config.latent)
        )
        self.dense = nn.Linear(config.latent, features)
        self.decoder = Decoder(config)
        last = self.log_variance[1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, FIRST_LOG_VARIANCE)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-variance of the posterior, (batch, n) each, float32."""
        features = self.encoder(x).flatten(1)  # (batch, latent_channels · k³)
        return self.mean(features).float(), self.log_variance(features).float()

    def decode(self, nodes: torch.Tensor) -> torch.Tensor:
        """(batch, n) to (batch, in_channels, N, N, N)."""
        return self.decoder(self.dense(nodes).unflatten(1, self.grid))

    def posterior(
        self, x: torch.Tensor, noise: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x̂, mean and log-variance; x̂ from a sample in training, from the mean in evaluation.

        ``noise`` (batch, n), standard normal, makes the sample; drawn here where none is given.
        """
        mean, log_variance = self.encode(x)
        nodes = mean
        if self.training:
            drawn = torch.randn_like(mean) if noise is None else noise
            nodes = mean + torch.exp(0.5 * log_variance) * drawn
        return self.decode(nodes), mean, log_variance

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.posterior(x)[0]


Network = Autoencoder | VariationalAutoencoder


def build_network(config: NetworkConfig) -> Network:
    """The network that a configuration describes, with fresh weights from torch's global generator."""
    network: Network = Autoencoder(config) if config.kind == "ae" else VariationalAutoencoder(config)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
