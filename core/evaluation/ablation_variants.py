"""What else can be done with one network: edges, refinement, masking, samples of its latent nodes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.ndimage import distance_transform_edt

from core.anomaly.intensity import log_intensity, log_residual
from core.anomaly.residual import Array, Mask, smooth_inside
from core.evaluation.ablation_networks import SECONDS, Network, Reconstruct, over, residual_of
from core.evaluation.ablation_trials import Advance, Bench, Maps, Row, Trial, each, left_out, smoothed

ROUNDS = 3  # of refinement
REPLACED = 0.05  # of the brain's voxels, each round
REPLACED_SIGMA_MM = 2.0  # of the residual that chooses them
BLOCK_MM = 16.0  # hidden at a time: wider than most lesions
PARTS = 4  # a quarter of the blocks is hidden in each pass
SAMPLES = 16  # of a VAE's posterior
SAMPLE_SHARE = 0.7  # of the time of a pass: the decoder's


def edge_suppressed(values: Array, x_hat: Array, mask: Mask) -> Array:
    """``values`` / (1 + g / s): g the size of x̂'s own gradient, s its median in the brain.

    Where the expected scan has an edge, a shift of a voxel leaves a residual that is no lesion. The gradient
    is that of x̂ continued beyond the mask by its nearest voxel, so that the mask's rim is no edge.
    """
    nearest = distance_transform_edt(~mask, return_distances=False, return_indices=True)
    size = np.sqrt(np.sum(np.square(np.gradient(x_hat[tuple(nearest)])), axis=0))
    scale = max(float(np.median(size[mask])), 1e-6)
    return np.where(mask, values / (1 + size / scale), 0).astype(np.float32)


def refined(reconstruct: Reconstruct, x: Array, mask: Mask, x_hat: Array, voxel_mm: float) -> Array:
    """x̂ after three rounds in which the network sees x̂ in place of the 5 % of voxels that differ most.

    The size of a difference is that of the smoothed log residual, so that dark counts as bright does. A
    lesion can then no longer leak into its own expectation through the network's input.
    """
    for _ in range(ROUNDS):
        odd = np.abs(smooth_inside(log_residual(x, x_hat, mask), mask, REPLACED_SIGMA_MM / voxel_mm))
        replaced = mask & (odd >= np.quantile(odd[mask], 1 - REPLACED))
        x_hat = reconstruct(np.where(replaced, x_hat, x).astype(np.float32))
    return x_hat


def block_parts(shape: tuple[int, ...], voxel_mm: float) -> list[Mask]:
    """Four masks that share the grid out in blocks of 16 mm; within one, no two blocks share a face."""
    side = max(1, round(BLOCK_MM / voxel_mm))
    i, j, k = np.ogrid[tuple(slice(n) for n in shape)]
    part = (i // side) % 2 + 2 * ((j // side + k // side) % 2)
    return [np.broadcast_to(part == index, shape) for index in range(PARTS)]


def masked(reconstruct: Reconstruct, x: Array, mask: Mask, fill: Array, voxel_mm: float) -> Array:
    """x̂ of which each voxel was expected while its block was hidden behind ``fill`` (X, Y, Z)."""
    x_hat = x.astype(np.float32, copy=True)
    for part in block_parts(x.shape, voxel_mm):
        hidden = part & mask
        x_hat[hidden] = reconstruct(np.where(hidden, fill, x).astype(np.float32))[hidden]
    return x_hat


def normals_mean(bench: Bench) -> Array:
    """Mean (X, Y, Z) of the training normals, each over its median; 1 where none has brain."""
    count = np.sum(bench.training_masks, axis=0, dtype=np.float32)
    total = np.zeros_like(count)
    for cube in bench.training:
        total += np.where(cube.mask, cube.x / np.float32(np.median(cube.x[cube.mask])), 0)
    return np.divide(total, count, out=np.ones_like(total), where=count > 0)


def variants(bench: Bench, network: Network, outputs: Maps, advance: Advance) -> dict[tuple[str, str], Maps]:
    """Residuals (not smoothed) by idea and wording: edges suppressed, refined, masked."""
    cases, mm, mean = bench.cases, bench.voxel_mm, normals_mean(bench)
    restores = network.kind == "restorer"

    def three(pair: tuple[Trial, Array]) -> tuple[Array, Array, Array]:
        one, x_hat = pair
        x, mask = one.cube.x, one.cube.mask
        # A restorer's residual is one of logarithms, and so are its edges.
        expected = log_intensity(x_hat, mask) if restores else x_hat
        fill = np.clip(mean * np.float32(np.median(x[mask])), 1e-3, 1).astype(np.float32)
        return (
            edge_suppressed(residual_of(network, one, x_hat), expected, mask),
            residual_of(network, one, refined(network.reconstruct, x, mask, x_hat, mm)),
            residual_of(network, one, masked(network.reconstruct, x, mask, fill, mm)),
        )

    found = []
    for one in each(three, zip(cases, outputs, strict=True), bench.jobs):
        advance(f"{network.label}, refined and masked", (ROUNDS + PARTS) * SECONDS)
        found.append(one)
    edges, better, hidden = (list(maps) for maps in zip(*found, strict=True))
    return {
        ("edge suppression", "edges suppressed"): edges,
        ("refined", f"refined {ROUNDS} times"): better,
        ("masked", f"masked in blocks of {BLOCK_MM:g} mm"): hidden,
    }


def variant_rows(bench: Bench, network: Network, found: dict[tuple[str, str], Maps]) -> Iterator[Row]:
    """``variants`` as they are (a restorer's, smoothed; an autoencoder's) and as normative z."""
    for (idea, wording), maps in found.items():
        if network.kind == "restorer":
            name = f"{network.label}, log residual, {wording}"
            yield idea, f"{name}, σ 2 mm", smoothed(bench, maps, 2.0)
        else:
            name = f"{network.label}, residual, {wording}"
            yield idea, name, maps
        yield idea, f"{name}, normative z, σ 2 mm", left_out(bench, maps, 2.0)


def sample_rows(bench: Bench, network: Network, seed: int, advance: Advance) -> Iterator[Row]:
    """Residual of the samples' mean, the same over their SD, and the SD itself; normative z of each."""
    sample = network.samples
    if sample is None:
        return

    def drawn(numbered: tuple[int, Trial]) -> tuple[Array, Array]:
        return sample(numbered[1].cube.x, SAMPLES, np.random.default_rng([seed, numbered[0]]))

    rests, ratios, spreads = [], [], []
    made = each(drawn, enumerate(bench.cases), bench.jobs)
    for one, (mean, sd) in zip(bench.cases, made, strict=True):
        advance(f"{network.label}, {SAMPLES} latent samples", SAMPLES * SAMPLE_SHARE * SECONDS)
        rests.append(one.cube.x - mean)
        ratios.append(over(rests[-1], sd, one.cube.mask))
        spreads.append(np.where(one.cube.mask, sd, 0).astype(np.float32))
    idea, name = "latent samples", f"{network.label}, {SAMPLES} samples"
    yield idea, f"{name}, residual of their mean", rests
    yield idea, f"{name}, residual of their mean, normative z, σ 2 mm", left_out(bench, rests, 2.0)
    yield idea, f"{name}, residual over their SD", ratios
    yield idea, f"{name}, residual over their SD, normative z, σ 2 mm", left_out(bench, ratios, 2.0)
    yield idea, f"{name}, their SD, normative z, σ 2 mm", left_out(bench, spreads, 2.0)
