"""Maps joined: across scales, and of views that fail in different places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from core.anomaly.fusion import POWERS, power_mean
from core.anomaly.residual import Array
from core.evaluation.ablation_trials import Bench, Maps, Row, scaled, smoothed

SCALES_MM = (1.0, 2.0, 4.0, 6.0)  # σ
COARSE_MM = 5.0  # σ of the map for large, diffuse lesions
WORDS = dict(zip(POWERS, ("geometric", "arithmetic", "quadratic"), strict=True))


def largest(maps: Sequence[Array]) -> Array:
    """Of several signed maps (X, Y, Z), voxel by voxel the one farthest from 0."""
    stack = np.stack(maps)
    return np.asarray(np.take_along_axis(stack, np.abs(stack).argmax(axis=0)[None], axis=0)[0], np.float32)


def across_scales(bench: Bench, values: Maps) -> list[Array]:
    """``values`` smoothed by each σ, each over its 99.5th percentile in normals; the largest of them."""
    levels = [scaled(bench, smoothed(bench, values, sigma)) for sigma in SCALES_MM]
    return [largest(one) for one in zip(*levels, strict=True)]


def means(views: Sequence[Maps], power: float) -> list[Array]:
    """Power mean of sets of scaled maps."""
    return [power_mean(maps, power) for maps in zip(*views, strict=True)]


def scale_rows(bench: Bench, views: Mapping[str, Maps], restorer: str | None) -> Iterator[Row]:
    """Small and large lesions both. ``views``: maps by name, not smoothed; "non-local" and "log intensity"
    among them, and the ``restorer``'s.
    """
    idea, first = "scales", restorer if restorer is not None else "log intensity"
    listed = ", ".join(f"{sigma:g}" for sigma in SCALES_MM)
    widest: dict[str, Maps] = {}
    for name, maps in views.items():
        found = across_scales(bench, maps)
        yield idea, f"{name}, largest of σ {listed} mm", found
        if name in (first, "non-local"):
            widest[name] = scaled(bench, found)
    name = f"{first} × non-local, each the largest of its scales, quadratic mean"
    yield idea, name, means((widest[first], widest["non-local"]), 2.0)
    one, other = (scaled(bench, smoothed(bench, views[name], 2.0)) for name in (first, "non-local"))
    fine = scaled(bench, means((one, other), 2.0))
    coarse = scaled(bench, smoothed(bench, views["log intensity"], COARSE_MM))
    name = f"{first} × non-local (σ 2 mm) with log intensity z at σ {COARSE_MM:g} mm"
    yield idea, f"{name}, largest", [largest(pair) for pair in zip(fine, coarse, strict=True)]
    for power in (1.0, 2.0):
        yield idea, f"{name}, {WORDS[power]} mean", means((fine, coarse), power)


def joined_rows(
    bench: Bench,
    views: Mapping[str, Maps],
    restorers: Sequence[str],
    variants: Mapping[str, Maps],
    wide: Maps,
) -> Iterator[Row]:
    """Pairs of views at σ 2 mm, each over its 99.5th percentile in normals.

    ``views``: as in ``scale_rows``; ``variants``: of the first restorer, by name; ``wide``: non-local on the
    coarser grid.
    """
    idea = "joined"

    def ready(maps: Maps) -> list[Array]:
        return scaled(bench, smoothed(bench, maps, 2.0))

    sharp = ready(views["non-local"])
    others = {name: maps for name, maps in views.items() if name != "non-local"}
    for name, maps in (others | {f"non-local at {2 * bench.voxel_mm:g} mm": wide}).items():
        other = ready(maps)
        for power in POWERS:
            yield idea, f"{name} × non-local, {WORDS[power]} mean", means((other, sharp), power)
    for name, maps in variants.items():
        other = ready(maps)
        for power in (1.0, 2.0):
            yield idea, f"{name} × non-local, {WORDS[power]} mean", means((other, sharp), power)
    for first in restorers[:1]:
        restored = ready(views[first])
        for name in (name for name in views if name.startswith("log intensity")):
            other = ready(views[name])
            for power in POWERS:
                yield idea, f"{first} × {name}, {WORDS[power]} mean", means((restored, other), power)
            three = [(a + b + c) / np.float32(3) for a, b, c in zip(restored, sharp, other, strict=True)]
            yield idea, f"{first} + non-local + {name}, mean", three
