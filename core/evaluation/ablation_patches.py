"""Ideas that look patches of a scan up in normals."""

from __future__ import annotations

from collections.abc import Iterator

from core.anomaly.library import build_library, coarse, fine, nonlocal_residual, spread_over
from core.anomaly.normative import fit_once
from core.anomaly.residual import Array, normative_z
from core.evaluation.ablation_trials import Advance, Bench, Maps, Row, smoothed

NORMALS = 15  # in the library
SECONDS = 1.6  # a scan at 64³


def patch_maps(bench: Bench, factor: int, advance: Advance) -> list[Array]:
    """z of the non-local residual on a grid ``factor`` times as coarse; not smoothed."""
    small = [
        coarse(bench.training_logs[i], bench.training[i].mask, factor)
        for i in spread_over(range(len(bench.training)), NORMALS)
    ]
    seconds, what = SECONDS / factor**3, f"patches at {factor * bench.voxel_mm:g} mm"
    library = build_library([log for log, _ in small], [inside for _, inside in small])
    own = []
    for index, (log, inside) in enumerate(small):
        advance(what, seconds)
        own.append(nonlocal_residual(log, inside, library, index))
    model = fit_once([r for r, _ in own], [k for _, k in own], bench.voxel_mm * factor, 0.0)
    found = []
    for log, one in zip(bench.logs, bench.cases, strict=True):  # numba shares each scan out by itself
        advance(what, seconds)
        less, inside = coarse(log, one.cube.mask, factor)
        residual, where = nonlocal_residual(less, inside, library)
        z = normative_z(residual, model, where)
        found.append(z if factor == 1 else fine(z, factor, log.shape))
    return found


def patch_rows(bench: Bench, near: Maps, wide: Maps) -> Iterator[Row]:
    """``near`` on the cube's own grid, ``wide`` on one twice as coarse."""
    idea = "patches of normals"
    for sigma in (0.0, 1.5, 2.0, 3.0):
        yield idea, f"non-local residual, z, σ {sigma:g} mm", smoothed(bench, near, sigma)
    name = f"non-local residual at {2 * bench.voxel_mm:g} mm, z, σ 2 mm"
    yield idea, name, smoothed(bench, wide, 2.0)
