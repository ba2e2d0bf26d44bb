"""What training minimises."""

from __future__ import annotations

import torch


def reconstruction_error(reconstruction: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Mean over all voxels of (x − x̂)²: the paper's MSE (Methods, "Analysis framework").

    Both (batch, C, N, N, N), the mean over all C channels; the result is a scalar. Of two channels it is what
    training minimises; the volume MSE that bears the paper's name is that of the T2w alone (``volume_mse``).
    """
    return torch.mean((x - reconstruction) ** 2)


def kl_divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) in nats: sum over nodes, mean over the batch.

    Both (batch, n); the result is a scalar. Kingma & Welling 2014, appendix B.
    """
    nodes = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)
    return nodes.sum(dim=1).mean()


def elbo_loss(mse: torch.Tensor, kl: torch.Tensor, voxels: int, kl_weight: float) -> torch.Tensor:
    """MSE + kl_weight · KL / voxels.

    The negative evidence lower bound of a Gaussian decoder with noise SD σ is
    Σ(x − x̂)² / 2σ² + KL + constant; times 2σ² / voxels this is MSE + 2σ² · KL / voxels. So
    ``kl_weight`` = 2σ², whatever the cube's size and the number of nodes, and 0.005 means σ = 0.05: about
    the error that the paper's VAEs reach (MSE 0.003 to 0.005). A node survives where it explains more than
    σ² summed over voxels. A plain mean of both terms would weigh a node 262144 / 512 times more and
    collapse the posterior to the mean brain.
    """
    return mse + kl_weight / voxels * kl
