"""Deformable registration before the normative maps, and back: what it gains and what it hides.

A lesion that moves tissue, or that the metric takes for tissue, can register itself away: the rows measure
it. What it moved is left in the deformation, whose own Jacobian is tried as evidence.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.anomaly.deformed import deformations, visible
from core.anomaly.fusion import power_mean
from core.anomaly.library import spread_over
from core.anomaly.normative import fit_once
from core.anomaly.residual import Array, normative_z
from core.evaluation.ablation_trials import (
    Advance,
    Bench,
    Maps,
    Row,
    against,
    scaled,
    smoothed,
)
from core.preprocess.deform import log_jacobian, warp, warp_inside

NORMALS = 40  # registered, evenly spaced over the training normals; two seconds each at 64³
SECONDS = 2.0


def deformed_maps(bench: Bench, advance: Advance) -> tuple[list[Array], list[Array]]:
    """Normative z of log intensity and of log Jacobian on the normals' mean, sent back; not smoothed.

    Training normals and trials are deformed to the training normals' mean; mean and SD are fitted there.
    """
    masks, affine = bench.training_masks, bench.held_out[0].affine
    count = np.sum(masks, axis=0, dtype=np.float32)
    inside = np.asarray(count >= len(masks) / 2)
    template = visible(np.sum(bench.training_logs, axis=0) / np.maximum(count, 1), inside)
    logs, jacobians, known = [], [], []
    some = [(bench.training_logs[index], masks[index]) for index in spread_over(range(len(masks)), NORMALS)]
    scans = [visible(log, mask) for log, mask in some]
    made = deformations(template, inside, scans, affine, bench.jobs)
    for (log, mask), found in zip(some, made, strict=True):
        advance("deformable registration of the normals", SECONDS)
        there, covered = warp_inside(log, mask, found.pull)
        logs.append(there)
        jacobians.append(log_jacobian(found.pull))
        known.append(covered)
    of_log, of_size = (fit_once(values, known, bench.voxel_mm, 0.0) for values in (logs, jacobians))
    by_log: list[Array] = []
    by_size: list[Array] = []
    scans = [visible(log, one.cube.mask) for log, one in zip(bench.logs, bench.cases, strict=True)]
    made = deformations(template, inside, scans, affine, bench.jobs)
    for log, one, found in zip(bench.logs, bench.cases, made, strict=True):
        advance("deformable registration of the trials", SECONDS)
        there, covered = warp_inside(log, one.cube.mask, found.pull)
        for values, model, maps in (
            (there, of_log, by_log),
            (log_jacobian(found.pull), of_size, by_size),
        ):
            z = warp(normative_z(values, model, covered), found.push)
            maps.append(np.where(one.cube.mask, z, 0).astype(np.float32))
    return by_log, by_size


def deformed_rows(bench: Bench, deformed: Maps, sizes: Maps) -> Iterator[Row]:
    """The maps at two scales, and the same normals without deformation beside them."""
    some = spread_over(range(len(bench.training)), NORMALS)
    masks = [bench.training[i].mask for i in some]
    plain = fit_once([bench.training_logs[i] for i in some], masks, bench.voxel_mm, 0.0)
    idea, normals = "deformable registration", f"normative z of {len(some)} normals"
    for sigma in (2.0, 3.0):
        end = f"{normals}, σ {sigma:g} mm"
        yield idea, f"log intensity, no SyN, {end}", against(bench, bench.logs, plain, sigma)
        yield idea, f"log intensity, SyN to the mean, {end}", smoothed(bench, deformed, sigma)
        yield idea, f"log Jacobian of SyN to the mean, {end}", smoothed(bench, sizes, sigma)
    first, second = (scaled(bench, smoothed(bench, maps, 2.0)) for maps in (deformed, sizes))
    both = [power_mean(pair, 2.0) for pair in zip(first, second, strict=True)]
    yield idea, "log intensity after SyN × log Jacobian, quadratic mean", both
