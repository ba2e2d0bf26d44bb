"""Shares and sums with intervals from resampling scans: all items of a scan stay together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.evaluation.statistics import DRAWS, LEVEL

Array = NDArray[np.float64]
LEAST_SCANS = 5  # for an interval: fewer give a bootstrap of a handful of distinct resamples


@dataclass(frozen=True)
class Coefficient:
    """One coefficient with its 95 % interval; NaN where it is not defined, and ``note`` says why."""

    name: str
    value: float
    low: float
    high: float
    items: int  # rated by two readers or more
    scans: int
    note: str = ""


def ratio(numerator: Array, denominator: Array) -> Array:
    """NaN where the denominator is 0, but for rounding."""
    safe = np.abs(denominator) > 1e-12
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=safe)


def resampled(tables: Array, scans: NDArray[np.int64], seed: int, draws: int) -> Array:
    """Sums of the tables, first over all items, then over ``draws`` resamples of scans, (1 + draws, F)."""
    _, of = np.unique(scans, return_inverse=True)
    count = int(of.max()) + 1 if of.size else 0
    by_scan = np.zeros((count, tables.shape[1]))
    np.add.at(by_scan, of, tables)
    total = by_scan.sum(axis=0, keepdims=True)
    if count < LEAST_SCANS or draws == 0:
        return total
    return np.concatenate([total, _times(count, seed, draws) @ by_scan])


@lru_cache(maxsize=8)
def _times(count: int, seed: int, draws: int) -> Array:
    """How often each of ``count`` scans is in each resample, (draws, count); read-only, shared."""
    rng = np.random.default_rng(seed)
    times = rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)
    times.flags.writeable = False
    return times


def clustered_share(
    hits: ArrayLike, totals: ArrayLike, scans: ArrayLike, seed: int, draws: int = DRAWS
) -> Coefficient:
    """Σ hits / Σ totals of rows that belong to scans (n,), with the interval from resampling scans.

    A share where ``hits`` counts part of ``totals``; a rate where ``totals`` are readings. Scans without any
    (totals 0) are resampled too: in another sample they could be as many or as few.
    """
    top, bottom = np.asarray(hits, np.float64), np.asarray(totals, np.float64)
    of = np.asarray(scans, np.int64)
    nan = float("nan")
    count = int(np.unique(of[bottom > 0]).size)
    if bottom.sum() == 0:
        return Coefficient("share", nan, nan, nan, 0, count, "Nothing to count.")
    sums = resampled(np.stack([top, bottom], 1), of, seed, draws)
    values = ratio(sums[:, 0], sums[:, 1])
    number = int(bottom.sum())
    if len(values) == 1 or count < LEAST_SCANS:
        few = f"No interval: {count} scans, at least {LEAST_SCANS} are needed."
        return Coefficient("share", float(values[0]), nan, nan, number, count, few)
    low, high = np.nanquantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Coefficient("share", float(values[0]), float(low), float(high), number, count)
