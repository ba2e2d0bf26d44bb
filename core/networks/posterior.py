"""A VAE's own uncertainty: the spread of its reconstructions over samples of the posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.networks.config import ModelError, NetworkConfig

if TYPE_CHECKING:
    from core.networks.zoo import Model

Array = NDArray[np.float32]


def sampled(
    model: Model, x: NDArray[np.floating[Any]], count: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Mean and SD (n − 1), (N, N, N) each, of x̂ over ``count`` samples of the posterior of x (N, N, N).

    Kingma & Welling 2014, section 2.4. Float32 on one thread, as ``reconstruct``; the noise is drawn by
    ``rng``, so that a device does not change it.

    Raises
    ------
    ModelError
        For a network that is not variational or has several channels, fewer than two samples, or another
        shape than the network's.
    """
    import torch

    from core.networks.autoencoder import VariationalAutoencoder

    config, network = model.info.config, model.network
    if not isinstance(config, NetworkConfig) or not isinstance(network, VariationalAutoencoder):
        raise ModelError(f"model {model.info.name} is of kind {config.kind!r}, expected 'vae'")
    if config.in_channels != 1 or x.shape != (config.cube,) * 3 or count < 2:
        raise ModelError(
            f"{count} samples of x of shape {x.shape} from {config.in_channels} channels; "
            f"expected 2 or more, {(config.cube,) * 3} and 1 for model {model.info.name}"
        )
    noise = torch.from_numpy(rng.standard_normal((count, config.latent), dtype=np.float32)).to(model.device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            seen = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))[None, None].to(model.device)
            mean, log_variance = network.encode(seen)
            nodes = mean + torch.exp(0.5 * log_variance) * noise
            drawn = torch.cat([network.decode(one[None])[:, 0] for one in nodes])
            middle, spread = drawn.mean(dim=0), drawn.std(dim=0)
            return middle.float().cpu().numpy(), spread.float().cpu().numpy()
    finally:
        torch.set_num_threads(threads)
