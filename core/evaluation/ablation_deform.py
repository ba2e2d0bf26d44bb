"""Deformable registration before the normative maps, and back: what it gains and what it hides.

A lesion that moves tissue, or that the metric takes for tissue, can register itself away. Nothing is done
against that: the row measures it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.anomaly.intensity import LOG_RANGE
from core.anomaly.normative import fit_once
from core.anomaly.residual import Array, Mask, normative_z
from core.evaluation.ablation_trials import Advance, Bench, Maps, Row, against, smoothed, spread_over
from core.preprocess.deform import deform, warp, warp_inside

NORMALS = 40  # registered, evenly spaced over the training normals; two seconds each at 64³
SECONDS = 2.0


def visible(log: Array, mask: Mask) -> Array:
    """Log intensity as registration needs it: positive in the brain, 0 outside."""
    return np.where(mask, log - np.float32(LOG_RANGE[0] - 0.1), 0).astype(np.float32)


def deformed_maps(bench: Bench, advance: Advance) -> list[Array]:
    """Normative z of the log intensity on the normals' mean, sent back to each trial; not smoothed.

    Training normals and trials are deformed to the training normals' mean; mean and SD are fitted there.
    """
    masks, affine = bench.training_masks, bench.held_out[0].affine
    count = np.sum(masks, axis=0, dtype=np.float32)
    inside = count >= len(masks) / 2
    template = visible(np.sum(bench.training_logs, axis=0) / np.maximum(count, 1), inside)
    logs, known = [], []
    for index in spread_over(len(masks), NORMALS):
        advance("deformable registration of the normals", SECONDS)
        log, mask = bench.training_logs[index], masks[index]
        found = deform(template, inside, visible(log, mask), affine)
        there, covered = warp_inside(log, mask, found.pull)
        logs.append(there)
        known.append(covered)
    model = fit_once(logs, known, bench.voxel_mm, 0.0)
    maps = []
    for log, one in zip(bench.logs, bench.cases, strict=True):
        advance("deformable registration of the trials", SECONDS)
        found = deform(template, inside, visible(log, one.cube.mask), affine)
        there, covered = warp_inside(log, one.cube.mask, found.pull)
        z = warp(normative_z(there, model, covered), found.push)
        maps.append(np.where(one.cube.mask, z, 0).astype(np.float32))
    return maps


def deformed_rows(bench: Bench, deformed: Maps) -> Iterator[Row]:
    """The map at two scales, and the same normals without deformation beside it."""
    some = spread_over(len(bench.training), NORMALS)
    masks = [bench.training[i].mask for i in some]
    plain = fit_once([bench.training_logs[i] for i in some], masks, bench.voxel_mm, 0.0)
    idea, name = (
        "deformable registration",
        f"log intensity, {{}} normative z of {len(some)} normals, σ {{:g}} mm",
    )
    for sigma in (2.0, 3.0):
        yield idea, name.format("no SyN,", sigma), against(bench, bench.logs, plain, sigma)
        yield idea, name.format("SyN to the mean,", sigma), smoothed(bench, deformed, sigma)
