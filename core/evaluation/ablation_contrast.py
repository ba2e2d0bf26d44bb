"""What the scan shows near 1 mm, where the cube is coarser: local contrast alone, and beside joined maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from core.anomaly.contrast import contrast_map, fine_factor
from core.anomaly.fusion import fit_tail, rarer
from core.anomaly.library import coarse, grid_factor
from core.anomaly.normative import fit_once
from core.anomaly.residual import Array, Mask
from core.anomaly.views import contrast_z
from core.evaluation.ablation_joined import WORDS, means
from core.evaluation.ablation_trials import Advance, Bench, Maps, Row, scaled, smoothed
from core.evaluation.baselines import Cube

IDEA = "the scan's own resolution"
SECONDS = 0.8  # a scan at 64³, read and filtered


def _normative(bench: Bench, contrast: Callable[[Cube], Array]) -> list[Array]:
    """Normative z of what ``contrast`` finds in each trial, by the training normals."""
    factor = grid_factor(bench.voxel_mm)

    def small(cube: Cube) -> Mask:
        return coarse(cube.x, cube.mask, factor)[1]

    model = fit_once(
        [contrast(cube) for cube in bench.training],
        [small(cube) for cube in bench.training],
        bench.voxel_mm * factor,
        0.0,
    )
    return [
        contrast_z(contrast(cube), small(cube), model, cube.mask, bench.voxel_mm)
        for cube in (one.cube for one in bench.cases)
    ]


def contrast_maps(bench: Bench, advance: Advance) -> list[Array] | None:
    """Normative z of local contrast by the training normals; None where the scans are not at hand."""
    if any(cube.fine is None for cube in (*bench.training, *bench.held_out)):
        return None

    def read(cube: Cube) -> Array:
        advance("local contrast", SECONDS)
        contrast = cube.contrast
        assert contrast is not None  # asked above
        return contrast

    return _normative(bench, read)


def coarse_maps(bench: Bench) -> list[Array]:
    """The same filter on the cube itself, without the finer scan: what the resolution is worth."""
    mm, factor = bench.voxel_mm, grid_factor(bench.voxel_mm)
    return _normative(bench, lambda cube: contrast_map(cube.x, cube.mask, mm, factor))


def beside(bench: Bench, joined: Maps, contrast: Maps) -> list[Array]:
    """At each voxel the rarer of two maps in the held-out normals, the trial's own left out."""

    def tails(maps: Maps, without: int) -> list[Array]:
        return [
            z[one.cube.mask]
            for z, one in zip(maps, bench.cases, strict=True)
            if one.labels is None and one.normal != without
        ]

    pairs = [
        (fit_tail(tails(joined, index)), fit_tail(tails(contrast, index)))
        for index in range(len(bench.held_out))
    ]
    return [rarer(a, b, pairs[one.normal]) for a, b, one in zip(joined, contrast, bench.cases, strict=True)]


def contrast_rows(
    bench: Bench, contrast: Maps, views: Mapping[str, Maps], firsts: Sequence[str]
) -> Iterator[Row]:
    """``contrast``: of ``contrast_maps``. It is put beside those of ``views`` that ``firsts`` names, each
    joined with "non-local" by the quadratic mean.
    """
    factor = fine_factor(bench.voxel_mm)
    fine_mm = bench.voxel_mm / factor
    yield IDEA, f"local contrast at {fine_mm:g} mm, normative z", contrast
    if factor > 1:
        yield IDEA, f"local contrast at {bench.voxel_mm:g} mm, normative z", coarse_maps(bench)
    sharp = scaled(bench, smoothed(bench, views["non-local"], 2.0))
    for first in firsts:
        joined = means((scaled(bench, smoothed(bench, views[first], 2.0)), sharp), 2.0)
        name = f"{first} × non-local, quadratic mean, or local contrast at {fine_mm:g} mm where rarer"
        yield IDEA, name, beside(bench, joined, contrast)


def deformed_contrast_rows(
    bench: Bench, contrast: Maps, views: Mapping[str, Maps], restorer: str
) -> Iterator[Row]:
    """Log intensity after SyN alone, with the restorer's residual, and with that and patches of normals; each
    beside local contrast. ``views``: "non-local", "log intensity after SyN" and the ``restorer``'s.
    """
    fine_mm = bench.voxel_mm / fine_factor(bench.voxel_mm)
    other = "log intensity after SyN"
    names = (restorer, "non-local", other)
    restored, sharp, deformed = (scaled(bench, smoothed(bench, views[name], 2.0)) for name in names)
    end = f"or local contrast at {fine_mm:g} mm where rarer"
    yield IDEA, f"{other}, {end}", beside(bench, deformed, contrast)
    for power in (1.0, 2.0):
        two, three = (means(one, power) for one in ((restored, deformed), (restored, sharp, deformed)))
        name = f"{other}, {WORDS[power]} mean, {end}"
        yield IDEA, f"{restorer} × {name}", beside(bench, two, contrast)
        yield IDEA, f"{restorer} × non-local × {name}", beside(bench, three, contrast)
    signed = [(a + b + c) / np.float32(3) for a, b, c in zip(restored, sharp, deformed, strict=True)]
    yield IDEA, f"{restorer} + non-local + {other}, mean, {end}", beside(bench, signed, contrast)
