"""Checkpoints of a training: what a killed run goes on from, and what must be the same for that."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from core.io.atomic import atomic
from core.networks.config import AnyConfig, network_config_to_dict
from core.networks.restorer_settings import RestorerTrainSettings
from core.networks.train_settings import EpochRow, TrainingError, TrainSettings


def best_row(rows: list[EpochRow]) -> EpochRow:
    """The epoch of least validation MSE, the first of equals."""
    return min(rows, key=lambda row: row.val_mse)


def data_hash(data: NDArray[np.floating[Any]]) -> str:
    """SHA-256 of volumes (n, …) with their shape and type."""
    digest = hashlib.sha256(f"{data.shape} {data.dtype}".encode())
    for volume in data:
        digest.update(np.ascontiguousarray(volume).data)
    return digest.hexdigest()


def fingerprint(
    config: AnyConfig,
    settings: TrainSettings | RestorerTrainSettings,
    train_x: NDArray[np.floating[Any]],
    val_x: NDArray[np.floating[Any]],
    processes: int = 1,
) -> str:
    """What must be the same for a run to go on; where and how long it may run are not part of it."""
    free = ("device", "threads", "max_minutes", "keep", "checkpointing")
    kept = {name: value for name, value in asdict(settings).items() if name not in free}
    data = {"train": data_hash(train_x), "validation": data_hash(val_x), "processes": processes}
    network = network_config_to_dict(config)
    return json.dumps({"network": network, "settings": kept, "data": data}, sort_keys=True)


def differences(found: str, expected: str) -> str:
    """Values in which two fingerprints differ, in words."""
    both = [
        {
            f"{group} {name}": value
            for group, values in json.loads(mark).items()
            for name, value in values.items()
        }
        for mark in (found, expected)
    ]
    names = sorted(name for name in both[0].keys() | both[1].keys() if both[0].get(name) != both[1].get(name))
    return ", ".join(f"{name} {both[0].get(name)} (expected {both[1].get(name)})" for name in names)


def checkpoint(
    out_dir: Path, mark: str, network: nn.Module, optimizer: torch.optim.Optimizer, rows: list[EpochRow]
) -> None:
    """Write best.safetensors if this epoch is the best, last.pt and log.csv, each whole or not at all."""
    if best_row(rows) is rows[-1]:
        weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
        with atomic(out_dir / "best.safetensors") as temporary:
            save_file(weights, temporary)
    state = {
        "fingerprint": mark,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rows": [asdict(row) for row in rows],
    }
    with atomic(out_dir / "last.pt") as temporary:
        torch.save(state, temporary)
    with atomic(out_dir / "log.csv") as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(EpochRow)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def resume(out_dir: Path, mark: str, network: nn.Module, optimizer: torch.optim.Optimizer) -> list[EpochRow]:
    """Load last.pt, if there is one, into network and optimiser; the epochs done so far."""
    path = out_dir / "last.pt"
    if not path.exists():
        return []
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["fingerprint"] != mark:
        raise TrainingError(
            f"{path} belongs to other settings or data: {differences(state['fingerprint'], mark)}; "
            "remove the folder or choose another"
        )
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return [EpochRow(**row) for row in state["rows"]]
