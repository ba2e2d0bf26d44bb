"""What the eight networks take: parameters, operations, memory and seconds of a training step, by cube size.

A second table measures the switches of training at 64³: memory layout, compilation, checkpointed blocks.
"""

from __future__ import annotations

import shutil
import time

import pandas as pd

from benchmarks.measure import Work, compare, keep, machine, options, run_once
from core.networks.config import NAMES, network_config

# By cube: steps that warm up, and steps that count; at 256³ a minute or more each, so that none warms up.
STEPS = {64: (3, 8), 128: (1, 2), 256: (0, 1)}
# Blocks are checkpointed where a whole step would not fit into 24 GiB.
CHECKPOINTING = {64: "none", 128: "none", 256: "blocks"}


def sizes(name: str, cube: int) -> tuple[int, float]:
    """Trainable numbers, and billions of operations (convolutions, dense layers) of one forward pass."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from core.networks.autoencoder import build_network

    with torch.device("meta"):
        network = build_network(network_config(name, cube)).eval()
        x = torch.empty(1, 1, cube, cube, cube)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    return sum(one.numel() for one in network.parameters()), counter.get_total_flops() / 1e9


def step(
    name: str, cube: int, checkpointing: str = "none", layout: str = "channels_last", compiled: str = "none"
) -> float:
    """Mean seconds of a training step, batch 1, bfloat16, of a network with fresh weights."""
    import torch

    from core.networks.autoencoder import build_network
    from core.networks.train_settings import TrainSettings
    from core.networks.training import losses

    settings = TrainSettings()
    torch.manual_seed(settings.seed)
    network = build_network(network_config(name, cube)).train()
    network.encoder.checkpointing = network.decoder.checkpointing = checkpointing == "blocks"
    if layout == "contiguous":
        network = network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if compiled == "default":
        network.encoder.compile()
        network.decoder.compile()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    x = torch.rand(1, 1, cube, cube, cube)
    warm, counted = STEPS[cube]
    start = 0.0
    for index in range(warm + counted):
        if index == warm:
            start = time.perf_counter()
        optimizer.zero_grad()
        losses(network, x, settings.kl_weight, settings.precision)[0].backward()
        optimizer.step()
    return (time.perf_counter() - start) / counted


def scale(rounds: int) -> pd.DataFrame:
    """One row for each network and cube size."""
    lines = []
    for cube in STEPS:
        for name in NAMES:
            arguments = {"name": name, "cube": cube, "checkpointing": CHECKPOINTING[cube]}
            work = Work(f"{name} at {cube}³", "benchmarks.scale:step", arguments)
            taken = [run_once(work) for _ in range(rounds)]
            parameters, operations = sizes(name, cube)
            lines.append(
                {
                    "model": name,
                    "cube": cube,
                    "parameters": parameters,
                    "forward_gflop": operations,
                    "checkpointing": CHECKPOINTING[cube],
                    "seconds_a_step_low": min(one.seconds for one in taken),
                    "seconds_a_step_high": max(one.seconds for one in taken),
                    "peak_mb": max(one.peak_mb for one in taken),
                    "rounds": rounds,
                }
            )
            print(lines[-1], flush=True)
    return pd.DataFrame(lines)


def switches(rounds: int) -> pd.DataFrame:
    """Ratios of the switches of training to what is the default."""
    variants: dict[str, dict[str, str]] = {
        "channels last (default)": {},
        "contiguous": {"layout": "contiguous"},
        "checkpointed blocks": {"checkpointing": "blocks"},
    }
    if shutil.which("g++") is not None:
        variants["compiled"] = {"compiled": "default"}
    works = [
        Work(label, "benchmarks.scale:step", {"name": "vae_8x8_512", "cube": 64, **changes})
        for label, changes in variants.items()
    ]
    return compare("training step of vae_8x8_512 at 64³, bfloat16", works, rounds)


def main() -> None:
    chosen = options(__doc__ or "", rounds=2)
    keep(switches(chosen.rounds), "switches", chosen.tables)
    table = scale(chosen.rounds)
    print(f"\ntraining step, batch 1, bfloat16 ({machine()})")
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    keep(table, "scale", chosen.tables)


if __name__ == "__main__":
    main()
