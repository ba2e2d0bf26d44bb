"""Training of one network: a plain loop that resumes, after a kill, to the same losses."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from core.io.atomic import atomic
from core.networks.autoencoder import Network, VariationalAutoencoder, build_network
from core.networks.config import AnyConfig, NetworkConfig
from core.networks.losses import elbo_loss, kl_divergence, reconstruction_error
from core.networks.restorer_settings import RestorerTrainSettings
from core.networks.train_settings import SHIFT, EpochRow, TrainingError, TrainSettings, learning_rate_factor
from core.networks.zoo import choose_device


@dataclass(frozen=True)
class TrainResult:
    network: nn.Module  # in evaluation mode, on the CPU, float32
    rows: tuple[EpochRow, ...]
    best_epoch: int
    kept_epoch: int
    steps: int
    seconds: float
    stopped: str  # "epochs" or "max_minutes"


# Called after each step with steps done, steps in all, and the last whole epoch if there is one.
Progress = Callable[[int, int, EpochRow | None], None]


def augmented(x: torch.Tensor, augment: str, rng: np.random.Generator) -> torch.Tensor:
    """A batch (batch, 1, N, N, N), its first space axis left to right, with changes that keep it normal."""
    if augment == "none":
        return x
    if rng.random() < 0.5:
        x = x.flip(2)
    if augment == "flip_shift":
        x = x.roll([int(shift) for shift in rng.integers(-SHIFT, SHIFT + 1, 3)], (2, 3, 4))
    return x


def batch_of(
    data: NDArray[np.floating[Any]], indices: NDArray[np.integer[Any]], device: torch.device
) -> torch.Tensor:
    """(batch, 1, N, N, N) float32 of (n, N, N, N)."""
    volumes = np.stack([np.asarray(data[int(index)], dtype=np.float32) for index in indices])
    return torch.from_numpy(volumes).unsqueeze(1).to(device)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def losses(
    network: Network, x: torch.Tensor, kl_weight: float, precision: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Loss, MSE and KL of a batch, scalars; the last two without gradient."""
    with autocast(precision, x.device):
        if isinstance(network, VariationalAutoencoder):
            reconstruction, mean, log_variance = network.posterior(x)
            kl = kl_divergence(mean, log_variance)
        else:
            reconstruction, kl = network(x), x.new_zeros(())
    mse = reconstruction_error(reconstruction, x)
    loss = elbo_loss(mse, kl, x[0].numel(), kl_weight)
    return loss, mse.detach(), kl.detach()


def validation_mse(
    network: Network, data: NDArray[np.floating[Any]], device: torch.device, precision: str
) -> float:
    """Mean MSE of volumes (n, N, N, N), a VAE at its mean."""
    network.eval()
    with torch.inference_mode():
        errors = [
            float(losses(network, batch_of(data, np.array([index]), device), 0.0, precision)[1])
            for index in range(len(data))
        ]
    network.train()
    return float(np.mean(errors))


def check_data(config: AnyConfig, data: NDArray[np.floating[Any]], name: str) -> None:
    if len(data) == 0 or tuple(data.shape[1:]) != (config.cube,) * 3:
        raise TrainingError(
            f"{name} has shape {tuple(data.shape)}, expected (n, {config.cube}, {config.cube}, {config.cube})"
            " with n of 1 or more"
        )


def train(
    config: NetworkConfig,
    settings: TrainSettings,
    train_x: NDArray[np.floating[Any]],
    val_x: NDArray[np.floating[Any]],
    out_dir: Path,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a network on normal volumes, or go on where an earlier call in ``out_dir`` was killed.

    ``train_x`` and ``val_x``: (n, N, N, N) in [0, 1], 0 outside the brain, axes RAS+. The loss is over the
    whole cube, as in the paper. ``out_dir`` receives log.csv, best.safetensors, and last.pt, from which a
    resumed run gives the same losses as one never interrupted (same machine and thread count): every epoch
    seeds its own order, augmentation and sampling.

    Raises
    ------
    TrainingError
        For data of the wrong shape, a loss that is no number, or an ``out_dir`` of other settings or data.
    """
    check_data(config, train_x, "train_x")
    check_data(config, val_x, "val_x")
    device = choose_device(settings.device)
    if settings.threads > 0:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    network = build_network(config).to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=device.type != "mps",
    )
    mark = fingerprint(config, settings, train_x, val_x)
    rows = resume(out_dir, mark, network, optimizer)
    steps_an_epoch = math.ceil(len(train_x) / settings.batch_size)
    steps = settings.epochs * steps_an_epoch
    stopped = "epochs"

    for epoch in range(len(rows), settings.epochs):
        start = time.perf_counter()
        seeds = np.random.SeedSequence([settings.seed, epoch])
        rng = np.random.default_rng(seeds)
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        kl_weight = settings.kl_weight * min(1.0, (epoch + 1) / (settings.kl_warmup_epochs + 1))
        sums = np.zeros(3)  # loss, MSE, KL
        network.train()
        batches = np.array_split(rng.permutation(len(train_x)), steps_an_epoch)
        for index, indices in enumerate(batches):
            step = epoch * steps_an_epoch + index
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * learning_rate_factor(settings.schedule, step, steps)
            x = augmented(batch_of(train_x, indices, device), settings.augment, rng)
            parts = losses(network, x, kl_weight, settings.precision)
            optimizer.zero_grad()
            parts[0].backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            sums += [part.item() * len(indices) for part in parts]
            if not np.isfinite(sums[0]):
                raise TrainingError(
                    f"{config.name}: loss is no number in epoch {epoch + 1}; lower learning_rate"
                )
            if progress is not None:
                progress(step + 1, steps, rows[-1] if rows else None)
        loss, mse, kl = (float(total) / len(train_x) for total in sums)
        val_mse = validation_mse(network, val_x, device, settings.precision)
        rows.append(EpochRow(epoch + 1, loss, mse, val_mse, kl, time.perf_counter() - start))
        checkpoint(out_dir, mark, network, optimizer, rows)
        if 0 < settings.max_minutes * 60 <= sum(row.seconds for row in rows):
            stopped = "max_minutes" if epoch + 1 < settings.epochs else "epochs"
            break

    best = best_row(rows)
    if settings.keep == "best":
        network.load_state_dict(load_file(out_dir / "best.safetensors"))
    return TrainResult(
        network=network.cpu().eval(),
        rows=tuple(rows),
        best_epoch=best.epoch,
        kept_epoch=best.epoch if settings.keep == "best" else rows[-1].epoch,
        steps=len(rows) * steps_an_epoch,
        seconds=sum(row.seconds for row in rows),
        stopped=stopped,
    )


def training_record(
    result: TrainResult,
    settings: TrainSettings | RestorerTrainSettings,
    data: str,
    n_train: int,
    n_validation: int,
) -> dict[str, Any]:
    """What ``config.json`` keeps under "training". ``data``: the data set's name."""
    kept = result.rows[result.kept_epoch - 1]
    return {
        "data": data,
        "n_train": n_train,
        "n_validation": n_validation,
        "epochs": len(result.rows),
        "kept_epoch": result.kept_epoch,
        "steps": result.steps,
        "stopped": result.stopped,
        "train_mse": kept.train_mse,
        "val_mse": kept.val_mse,
        "kl": kept.kl,
        "minutes": round(result.seconds / 60, 1),
        "date": datetime.now(UTC).date().isoformat(),
        "torch": str(torch.__version__),
        "settings": asdict(settings),
    }


def best_row(rows: list[EpochRow]) -> EpochRow:
    """The epoch of least validation MSE, the first of equals."""
    return min(rows, key=lambda row: row.val_mse)


def data_hash(data: NDArray[np.floating[Any]]) -> str:
    """SHA-256 of volumes (n, N, N, N) with their shape and type."""
    digest = hashlib.sha256(f"{data.shape} {data.dtype}".encode())
    for volume in data:
        digest.update(np.ascontiguousarray(volume).data)
    return digest.hexdigest()


def fingerprint(
    config: AnyConfig,
    settings: TrainSettings | RestorerTrainSettings,
    train_x: NDArray[np.floating[Any]],
    val_x: NDArray[np.floating[Any]],
) -> str:
    """What must be the same for a run to go on; where and how long it may run are not part of it."""
    free = ("device", "threads", "max_minutes", "keep")
    kept = {name: value for name, value in asdict(settings).items() if name not in free}
    data = {"train": data_hash(train_x), "validation": data_hash(val_x)}
    return json.dumps({"network": asdict(config), "settings": kept, "data": data}, sort_keys=True)


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
