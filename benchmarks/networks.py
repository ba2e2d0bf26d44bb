"""Training step and inference: vae_8x8_512 against MONAI's VarAutoEncoder of like parameters."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.measure import Work, compare, keep, options

CUBE = 64
STEPS = 12
WARM = 3


def monai_network() -> Any:
    """MONAI 1.6 VarAutoEncoder, 512 nodes, full resolution then three halvings to 8³, as ours.

    Two channels at the bottleneck as ours too: the dense layers hold most of the parameters.
    """
    from monai.networks.nets import VarAutoEncoder

    return VarAutoEncoder(
        spatial_dims=3,
        in_shape=(1, CUBE, CUBE, CUBE),
        out_channels=1,
        latent_size=512,
        channels=(8, 16, 32, 2),
        strides=(1, 2, 2, 2),
        num_res_units=2,
    )


def our_network() -> Any:
    from core.networks.autoencoder import build_network
    from core.networks.config import network_config

    return build_network(network_config("vae_8x8_512", CUBE))


def sizes() -> dict[str, tuple[int, float]]:
    """Trainable numbers of both, and billions of floating-point operations of one forward pass."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    found = {}
    for name, network in (("ours", our_network()), ("monai", monai_network())):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(torch.zeros(1, 1, CUBE, CUBE, CUBE))
        count = sum(one.numel() for one in network.parameters())
        found[name] = (count, counter.get_total_flops() / 1e9)
    return found


def step(whose: str, precision: str) -> float:
    """Seconds of one training step, batch 1: the mean after warming up."""
    import torch

    from core.networks.losses import elbo_loss, kl_divergence, reconstruction_error

    torch.manual_seed(0)
    network = our_network() if whose == "ours" else monai_network()
    network.train()
    x = torch.rand(1, 1, CUBE, CUBE, CUBE)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    start = 0.0
    for index in range(WARM + STEPS):
        if index == WARM:
            start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            if whose == "ours":
                rebuilt, mean, log_variance = network.posterior(x)
            else:
                rebuilt, mean, log_variance, _ = network(x)
        loss = elbo_loss(
            reconstruction_error(rebuilt.float(), x),
            kl_divergence(mean.float(), log_variance.float()),
            x.numel(),
            0.005,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - start) / STEPS


def inference(whose: str) -> float:
    """Seconds of one reconstruction in float32: the mean after warming up."""
    import torch

    torch.manual_seed(0)
    network = (our_network() if whose == "ours" else monai_network()).eval()
    x = torch.rand(1, 1, CUBE, CUBE, CUBE)
    start = 0.0
    with torch.inference_mode():
        for index in range(WARM + STEPS):
            if index == WARM:
                start = time.perf_counter()
            network(x)
    return (time.perf_counter() - start) / STEPS


def main() -> None:
    import pandas as pd

    chosen = options(__doc__ or "", rounds=3)
    known = sizes()
    tables = []
    for precision in ("float32", "bfloat16"):
        works = [
            Work(label, "benchmarks.networks:step", {"whose": whose, "precision": precision})
            for whose, label in (("ours", "vae_8x8_512"), ("monai", "MONAI VarAutoEncoder"))
        ]
        tables.append(compare(f"training step at {CUBE}³, {precision}", works, chosen.rounds))
    works = [
        Work(label, "benchmarks.networks:inference", {"whose": whose})
        for whose, label in (("ours", "vae_8x8_512"), ("monai", "MONAI VarAutoEncoder"))
    ]
    tables.append(compare(f"inference at {CUBE}³, float32", works, chosen.rounds))
    table = pd.concat(tables, ignore_index=True)
    whose = ["ours" if what == "vae_8x8_512" else "monai" for what in table["what"]]
    table["parameters"] = [known[one][0] for one in whose]
    table["forward_gflop"] = [known[one][1] for one in whose]
    print(table[["what", "parameters", "forward_gflop"]].drop_duplicates().to_string(index=False))
    keep(table, "networks", chosen.tables)


if __name__ == "__main__":
    main()
