"""Networks: restorers, the paper's autoencoders, and several of these together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.anomaly.intensity import log_residual
from core.anomaly.residual import Array, Mask, volume_z
from core.evaluation.ablation_trials import Advance, Bench, Maps, Row, Trial, each, left_out, smoothed

SECONDS = 0.25  # a pass at 64³
SD_FLOOR = 0.3  # of the median SD in the brain, where a residual is divided by it
Reconstruct = Callable[[Array], Array]
# x, number of samples, generator to mean and SD of x̂ over the samples.
Sample = Callable[[Array, int, np.random.Generator], tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Network:
    """``kind`` decides what is tried with it; ``samples`` is there for a variational one."""

    label: str
    kind: Literal["ae", "vae", "restorer"]
    reconstruct: Reconstruct
    samples: Sample | None = None


def outputs_of(bench: Bench, network: Network, advance: Advance) -> list[Array]:
    """x̂ of each trial."""
    found = []
    for x_hat in each(lambda one: network.reconstruct(one.cube.x), bench.cases, bench.jobs):
        advance(network.label, SECONDS)
        found.append(x_hat)
    return found


def residual_of(network: Network, one: Trial, x_hat: Array) -> Array:
    """What a network leaves: log x − log x̂ of a restorer, x − x̂ of an autoencoder."""
    if network.kind == "restorer":
        return log_residual(one.cube.x, x_hat, one.cube.mask)
    return one.cube.x - x_hat


def residuals(bench: Bench, network: Network, outputs: Maps) -> list[Array]:
    """``residual_of`` each trial."""
    return [residual_of(network, *pair) for pair in zip(bench.cases, outputs, strict=True)]


def over(values: Array, spread: Array, mask: Mask) -> Array:
    """``values`` over ``spread``, floored at 0.3 of its median in the brain; 0 outside."""
    floor = np.float32(SD_FLOOR * np.median(spread[mask]) + 1e-6)
    return np.where(mask, values / np.maximum(spread, floor), 0).astype(np.float32)


def restorer_rows(bench: Bench, network: Network, outputs: Maps) -> Iterator[Row]:
    """Residual as the paper has it, log residual across σ, and its normative z."""
    idea, label = "restoration", network.label
    yield idea, f"{label}, residual", [one.cube.x - y for one, y in zip(bench.cases, outputs, strict=True)]
    logs = residuals(bench, network, outputs)
    for sigma in (0.0, 1.5, 2.0, 3.0):
        yield idea, f"{label}, log residual, σ {sigma:g} mm", smoothed(bench, logs, sigma)
    yield idea, f"{label}, log residual, normative z, σ 2 mm", left_out(bench, logs, 2.0)


def autoencoder_rows(bench: Bench, network: Network, outputs: Maps) -> Iterator[Row]:
    """The paper's map, and the normative z."""
    raw = residuals(bench, network, outputs)
    paper = [volume_z(r, one.cube.mask) for r, one in zip(raw, bench.cases, strict=True)]
    yield "autoencoder", f"{network.label}, residual, z in the volume", paper
    yield "autoencoder", f"{network.label}, residual, normative z, σ 2 mm", left_out(bench, raw, 2.0)


@dataclass(frozen=True, eq=False)
class Together:
    """Sums over ``count`` autoencoders of each trial's residual, its square, and its normative z (σ 0)."""

    count: int
    total: Maps
    squares: Maps
    z: Maps


def add(bench: Bench, together: Together | None, raw: Maps) -> Together:
    """Count one more autoencoder's residuals ``raw`` in."""
    z = left_out(bench, raw, 0.0)
    if together is None:
        return Together(1, raw, [np.square(r) for r in raw], z)
    return Together(
        together.count + 1,
        [a + b for a, b in zip(together.total, raw, strict=True)],
        [a + np.square(b) for a, b in zip(together.squares, raw, strict=True)],
        [a + b for a, b in zip(together.z, z, strict=True)],
    )


def mean_z(together: Together) -> list[Array]:
    """Mean of the autoencoders' normative z, not smoothed."""
    return [z / np.float32(together.count) for z in together.z]


def ensemble_rows(bench: Bench, together: Together) -> Iterator[Row]:
    """Means over the autoencoders, and where they disagree, as evidence."""
    n, idea = np.float32(together.count), "ensemble"
    who = f"{together.count} autoencoders"
    yield idea, f"mean normative z of {who}, σ 2 mm", smoothed(bench, mean_z(together), 2.0)
    mean = [total / n for total in together.total]
    yield idea, f"mean residual of {who}, normative z, σ 2 mm", left_out(bench, mean, 2.0)
    spread = [
        np.sqrt(np.maximum(square / n - np.square(m), 0) * (n / (n - 1)))
        for square, m in zip(together.squares, mean, strict=True)
    ]
    yield idea, f"SD over {who}, normative z, σ 2 mm", left_out(bench, spread, 2.0)
    ratio = [over(m, s, one.cube.mask) for m, s, one in zip(mean, spread, bench.cases, strict=True)]
    yield idea, f"mean residual over SD of {who}, normative z, σ 2 mm", left_out(bench, ratio, 2.0)
