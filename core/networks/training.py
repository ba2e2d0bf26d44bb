"""Training of one network: a plain loop that resumes, after a kill, to the same losses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from core.networks.autoencoder import Network, VariationalAutoencoder, build_network
from core.networks.checkpoints import best_row, checkpoint, fingerprint, resume
from core.networks.config import AnyConfig, NetworkConfig
from core.networks.distributed import ALONE, Processes
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
    """A batch (batch, C, N, N, N), its first space axis left to right, with changes that keep it normal."""
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
    """(batch, C, N, N, N) float32 of (n, N, N, N), C = 1, or (n, C, N, N, N)."""
    volumes = torch.from_numpy(np.stack([np.asarray(data[int(i)], dtype=np.float32) for i in indices]))
    return (volumes if volumes.ndim == 5 else volumes.unsqueeze(1)).to(device)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def drawn(
    data: NDArray[np.floating[Any]],
    indices: NDArray[np.integer[Any]],
    settings: TrainSettings,
    epoch: int,
    latent: int,
    device: torch.device,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Volumes of an epoch (batch, C, N, N, N), augmented, and noise (batch, ``latent``) for their samples.

    Each volume has a generator of its own, so how volumes are grouped, and by how many processes, is free.
    """
    volumes, noise = [], []
    for index in indices:
        rng = np.random.default_rng([settings.seed, epoch, int(index)])
        volumes.append(augmented(batch_of(data, np.array([index]), device), settings.augment, rng))
        noise.append(torch.from_numpy(rng.standard_normal(latent, dtype=np.float32)))
    return torch.cat(volumes), torch.stack(noise).to(device)


def losses(
    network: Network, x: torch.Tensor, kl_weight: float, precision: str, noise: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Loss, MSE and KL of a batch, scalars; the last two without gradient."""
    with autocast(precision, x.device):
        if isinstance(network, VariationalAutoencoder):
            reconstruction, mean, log_variance = network.posterior(x, noise)
            kl = kl_divergence(mean, log_variance)
        else:
            reconstruction, kl = network(x), x.new_zeros(())
    mse = reconstruction_error(reconstruction, x)
    loss = elbo_loss(mse, kl, x[0].numel(), kl_weight)
    return loss, mse.detach(), kl.detach()


def validation_mse(
    network: Network,
    data: NDArray[np.floating[Any]],
    device: torch.device,
    precision: str,
    processes: Processes = ALONE,
) -> float:
    """Mean MSE of volumes (n, N, N, N) or (n, C, N, N, N), over all channels; a VAE at its mean."""
    network.eval()
    with torch.inference_mode():
        errors = [
            float(losses(network, batch_of(data, np.array([index]), device), 0.0, precision)[1])
            for index in range(processes.rank, len(data), processes.size)
        ]
    network.train()
    return processes.total([sum(errors)], device)[0] / len(data)


def check_data(config: AnyConfig, data: NDArray[np.floating[Any]], name: str) -> None:
    count = config.in_channels if isinstance(config, NetworkConfig) else 1
    expected = ((count,) if count > 1 else ()) + (config.cube,) * 3
    if len(data) == 0 or tuple(data.shape[1:]) != expected:
        raise TrainingError(
            f"{name} has shape {tuple(data.shape)}, expected (n, {', '.join(str(side) for side in expected)})"
            " with n of 1 or more"
        )


def prepared_device(settings: TrainSettings | RestorerTrainSettings) -> torch.device:
    """The device to train on, torch's threads and seed set."""
    device = choose_device(settings.device)
    if settings.threads > 0:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    return device


def optimizer_of(
    network: nn.Module, settings: TrainSettings | RestorerTrainSettings, device: torch.device
) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=device.type != "mps",
    )


def check_loss(name: str, loss: float, epoch: int) -> None:
    """Refuse a loss that is no number. ``epoch``: from 0."""
    if not math.isfinite(loss):
        raise TrainingError(f"{name}: loss is no number in epoch {epoch + 1}; lower learning_rate")


def out_of_time(settings: TrainSettings | RestorerTrainSettings, rows: list[EpochRow]) -> bool:
    return 0 < settings.max_minutes * 60 <= sum(row.seconds for row in rows)


def result_of(
    network: nn.Module,
    settings: TrainSettings | RestorerTrainSettings,
    rows: list[EpochRow],
    steps_an_epoch: int,
    out_dir: Path,
) -> TrainResult:
    """The network with the weights that ``keep`` names, and what its epochs were."""
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
        stopped="epochs" if len(rows) == settings.epochs else "max_minutes",
    )


def train(
    config: NetworkConfig,
    settings: TrainSettings,
    train_x: NDArray[np.floating[Any]],
    val_x: NDArray[np.floating[Any]],
    out_dir: Path,
    progress: Progress | None = None,
    processes: Processes = ALONE,
) -> TrainResult:
    """Train a network on normal volumes, or go on where an earlier call in ``out_dir`` was killed.

    ``train_x`` and ``val_x``: (n, N, N, N) in [0, 1], 0 outside the brain, axes RAS+; (n, C, N, N, N) for a
    network of C channels. The loss is over the
    whole cube, as in the paper. ``out_dir`` receives log.csv, best.safetensors, and last.pt, from which a
    resumed run gives the same losses as one never interrupted (same machine and thread count): every epoch
    seeds its own order, and every volume in it its augmentation and sampling.

    A step takes ``batch_size`` × ``accumulate`` volumes from each of ``processes``, and its gradient is the
    mean over all of them: two processes give the losses of one with the doubled batch, up to rounding. All
    processes call with the same data; only the first writes, and ``progress`` is called in the first alone.

    Raises
    ------
    TrainingError
        For data of the wrong shape, a loss that is no number, or an ``out_dir`` of other settings or data.
    """
    check_data(config, train_x, "train_x")
    check_data(config, val_x, "val_x")
    device = prepared_device(settings)
    network = build_network(config).to(device)
    network.encoder.checkpointing = network.decoder.checkpointing = settings.checkpointing == "blocks"
    if settings.compile == "default":
        network.encoder.compile()
        network.decoder.compile()
    optimizer = optimizer_of(network, settings, device)
    mark = fingerprint(config, settings, train_x, val_x, processes.size)
    rows = resume(out_dir, mark, network, optimizer)
    steps_an_epoch = math.ceil(len(train_x) / (settings.batch_size * settings.accumulate * processes.size))
    steps = settings.epochs * steps_an_epoch

    for epoch in range(len(rows), settings.epochs):
        start = time.perf_counter()
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(train_x))
        kl_weight = settings.kl_weight * min(1.0, (epoch + 1) / (settings.kl_warmup_epochs + 1))
        sums = np.zeros(3)  # loss, MSE, KL of the volumes that this process has seen
        network.train()
        for index, together in enumerate(np.array_split(order, steps_an_epoch)):
            step = epoch * steps_an_epoch + index
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * learning_rate_factor(settings.schedule, step, steps)
            optimizer.zero_grad()
            mine = together[processes.rank :: processes.size]
            for first in range(0, len(mine), settings.batch_size):
                indices = mine[first : first + settings.batch_size]
                x, noise = drawn(train_x, indices, settings, epoch, config.latent, device)
                parts = losses(network, x, kl_weight, settings.precision, noise)
                (parts[0] * (len(indices) / len(together))).backward()
                sums += [part.item() * len(indices) for part in parts]
            processes.add_gradients(network)
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            check_loss(config.name, float(sums[0]), epoch)
            if progress is not None and processes.first:
                progress(step + 1, steps, rows[-1] if rows else None)
        loss, mse, kl = (total / len(train_x) for total in processes.total(sums.tolist(), device))
        val_mse = validation_mse(network, val_x, device, settings.precision, processes)
        seconds = processes.most(time.perf_counter() - start, device)
        rows.append(EpochRow(epoch + 1, loss, mse, val_mse, kl, seconds))
        if processes.first:
            checkpoint(out_dir, mark, network, optimizer, rows)
        processes.wait()
        if out_of_time(settings, rows):
            break

    return result_of(network, settings, rows, steps_an_epoch, out_dir)


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
