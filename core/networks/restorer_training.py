"""Training of the restoration network: corrupt normals, learn to take it back; resumes like the eight."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import cc3d
import numpy as np
import torch
from numpy.typing import NDArray

from core.anomaly.intensity import LOG_RANGE
from core.anomaly.normative import fit_once
from core.networks.checkpoints import checkpoint, fingerprint, resume
from core.networks.config import RestorerConfig
from core.networks.corruption import Array, Mask, coarse_noise, corrupt
from core.networks.restorer import Restorer, brain_mask, brain_median, build_restorer, log_intensity
from core.networks.restorer_settings import RestorerTrainSettings
from core.networks.train_settings import EpochRow, TrainingError, learning_rate_factor
from core.networks.training import (
    Progress,
    TrainResult,
    autocast,
    check_data,
    check_loss,
    optimizer_of,
    out_of_time,
    prepared_device,
    result_of,
)

Volumes = NDArray[np.floating[Any]]
VALIDATION_ROUNDS = 1  # corruptions of each validation normal, the same in every epoch
CONTRAST, BIAS, NOISE = 0.1, 0.08, 0.04  # SD of the log of a gain; largest SD of a bias field and of noise
TYPICAL_SIZE = 100.0  # voxels of a region that weighs 1
VARY_SHIFT = 1  # voxels, at most, along each axis


def log_and_mask(x: NDArray[np.floating[Any]]) -> tuple[Array, Mask, float]:
    """Log intensity of one volume (N, N, N), its brain mask and the brain's median."""
    mask = brain_mask(x)
    batch = torch.from_numpy(np.asarray(x, np.float32))[None, None]
    inside = torch.from_numpy(mask)[None, None]
    return log_intensity(batch, inside)[0, 0].numpy(), mask, float(brain_median(batch, inside))


def varied(log: Array, mask: Mask, rng: np.random.Generator) -> tuple[Array, Mask]:
    """The scan as another scanner and another registration may have given it: still normal."""
    shape = log.shape
    field = rng.uniform(0, BIAS) * coarse_noise(shape, (3, 3, 3), rng)
    noise = rng.uniform(0, NOISE) * rng.standard_normal(shape, np.float32)
    log = np.clip(log * math.exp(rng.normal(0, CONTRAST)) + field + noise, *LOG_RANGE)
    shift = [int(step) for step in rng.integers(-VARY_SHIFT, VARY_SHIFT + 1, 3)]
    log, mask = np.roll(log, shift, (0, 1, 2)), np.roll(mask, shift, (0, 1, 2))
    return np.where(mask, log, 0).astype(np.float32), mask


def importance(changed: Mask, balance: str) -> Array:
    """How much each corrupted voxel's error weighs, 0 elsewhere: 1, or by "size" more in a small region.

    By the root of TYPICAL_SIZE over the region's voxels, a third to three times: else a large region, of
    thousands of voxels, drowns punctate ones.
    """
    if balance == "none":
        return changed.astype(np.float32)
    regions = cc3d.connected_components(changed, connectivity=26)
    sizes = np.maximum(np.bincount(regions.ravel()), 1)
    weights = np.clip(np.sqrt(TYPICAL_SIZE / sizes), 1 / 3, 3).astype(np.float32)
    weights[0] = 0
    return weights[regions]


def fit_maps(network: Restorer, data: Volumes) -> NDArray[np.float32]:
    """Write mean and SD of the normals' log intensity into the network; how many of them have brain."""
    logs, masks = [], []
    for x in data:
        log, mask, _ = log_and_mask(x)
        logs.append(log.astype(np.float16))
        masks.append(mask)
    fitted = fit_once(logs, masks, voxel_mm=1.0, smooth_z_mm=0.0)  # type: ignore[arg-type]
    network.mean.copy_(torch.from_numpy(fitted.mean))
    network.sd.copy_(torch.from_numpy(fitted.sd))
    return np.sum(masks, axis=0, dtype=np.float32)


def restoration_loss(
    network: Restorer,
    data: Volumes,
    index: int,
    count: NDArray[np.float32],
    voxel_mm: float,
    settings: RestorerTrainSettings,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and MSE in [0, 1] of one normal, corrupted: scalars, the MSE without gradient.

    The loss is the mean error of log intensity in the brain, corrupted voxels weighing more by
    ``corrupted_weight`` times their ``importance``. The normative z that the network sees is by the other
    normals' mean: it must not learn that a scan lies nearer to a mean of which it is a part.
    """
    device = network.mean.device
    own, own_mask, median = log_and_mask(data[index])
    other = (index + int(rng.integers(1, max(2, len(data))))) % len(data)
    donor, donor_mask, _ = log_and_mask(data[other])
    clean, mask = varied(own, own_mask, rng) if settings.augment == "vary" else (own, own_mask)
    spoiled, changed = corrupt(clean, mask, donor, donor_mask, voxel_mm, settings.corruption(), rng)

    def on_device(values: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values))[None, None].to(device)

    known = network.sd > 0
    others = on_device(np.maximum(count - own_mask, 1).astype(np.float32))
    moved = network.mean - (on_device(own) - network.mean) / others
    mean = torch.where(on_device(own_mask) & known, moved, network.mean)
    counts_more = importance(changed, settings.balance)
    log, target, inside, there = (on_device(one) for one in (spoiled, clean, mask, counts_more))
    flip = settings.augment in ("flip", "vary") and rng.random() < 0.5
    with autocast(settings.precision, device):
        restored = log + network.change(log, network.standardised(log, mean), inside, flip)
    error = restored - target
    error = error.abs() if settings.loss == "l1" else error**2
    weight = inside * (1 + settings.corrupted_weight * there)
    loss = (weight * error).sum() / inside.sum()
    mse = torch.mean((median * (restored.detach().exp() - target.exp())) ** 2)
    return loss, mse


def validation_mse(
    network: Restorer, data: Volumes, voxel_mm: float, settings: RestorerTrainSettings
) -> float:
    """Mean of (x − x̂)² over normals x that were corrupted before the network saw them."""
    network.eval()
    device = network.mean.device
    errors = []
    rng = np.random.default_rng([settings.seed, len(data)])
    with torch.inference_mode(), autocast(settings.precision, device):
        for _ in range(VALIDATION_ROUNDS):
            for index, x in enumerate(data):
                log, mask, median = log_and_mask(x)
                donor, donor_mask, _ = log_and_mask(data[index - 1])
                spoiled, _ = corrupt(log, mask, donor, donor_mask, voxel_mm, settings.corruption(), rng)
                seen = np.clip(x.astype(np.float32) + median * (np.exp(spoiled) - np.exp(log)), 0, 1)
                batch = torch.from_numpy(seen)[None, None].to(device)
                restored = network(batch, torch.from_numpy(mask)[None, None].to(device), mirror=False)
                errors.append(float(np.mean((restored[0, 0].cpu().numpy() - x) ** 2)))
    network.train()
    return float(np.mean(errors))


def train_restorer(
    config: RestorerConfig,
    settings: RestorerTrainSettings,
    train_x: Volumes,
    val_x: Volumes,
    voxel_mm: float,
    out_dir: Path,
    progress: Progress | None = None,
) -> TrainResult:
    """Train on normal volumes, or go on where an earlier call in ``out_dir`` was killed.

    As ``training.train``: the same data, files and promise. ``voxel_mm``: spacing of the cube. In the rows,
    ``train_mse`` and ``val_mse`` are errors of scans restored from corruption; ``kl`` is 0.

    Raises
    ------
    TrainingError
        For data of the wrong shape, a loss that is no number, or an ``out_dir`` of other settings or data.
    """
    check_data(config, train_x, "train_x")
    check_data(config, val_x, "val_x")
    if len(train_x) < 2:
        raise TrainingError("train_x has 1 volume, expected 2 or more: the normative z needs an SD")
    device = prepared_device(settings)
    network = build_restorer(config)
    count = fit_maps(network, train_x)
    network = network.to(device)
    optimizer = optimizer_of(network, settings, device)
    mark = fingerprint(config, settings, train_x, val_x)
    rows = resume(out_dir, mark, network, optimizer)
    steps_an_epoch = math.ceil(len(train_x) / settings.batch_size)
    steps = settings.epochs * steps_an_epoch
    cycle = steps // settings.cycles

    for epoch in range(len(rows), settings.epochs):
        start = time.perf_counter()
        rng = np.random.default_rng([settings.seed, epoch])
        sums = np.zeros(2)  # loss, MSE
        network.train()
        batches = np.array_split(rng.permutation(len(train_x)), steps_an_epoch)
        for number, indices in enumerate(batches):
            step = epoch * steps_an_epoch + number
            for group in optimizer.param_groups:
                factor = learning_rate_factor(settings.schedule, step % cycle, cycle)
                group["lr"] = settings.learning_rate * factor
            optimizer.zero_grad()
            # One scan at a time: each has a box of its own size, and instance norm mixes none of them.
            for index in indices:
                loss, mse = restoration_loss(network, train_x, int(index), count, voxel_mm, settings, rng)
                (loss / len(indices)).backward()
                sums += [loss.item(), mse.item()]
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            # On grids of a few voxels a CPU's bfloat16 convolutions now and then give a gradient of NaN.
            if torch.isfinite(norm):
                optimizer.step()
            check_loss(config.name, float(sums[0]), epoch)
            if progress is not None:
                progress(step + 1, steps, rows[-1] if rows else None)
        loss_mean, mse_mean = (float(total) / len(train_x) for total in sums)
        val_mse = validation_mse(network, val_x, voxel_mm, settings)
        rows.append(EpochRow(epoch + 1, loss_mean, mse_mean, val_mse, 0.0, time.perf_counter() - start))
        checkpoint(out_dir, mark, network, optimizer, rows)
        if out_of_time(settings, rows):
            break

    return result_of(network, settings, rows, steps_an_epoch, out_dir)
