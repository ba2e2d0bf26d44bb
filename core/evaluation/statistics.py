"""Intervals and tests over subjects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import mannwhitneyu

DRAWS = 1000
LEVEL = 0.95
Indices = NDArray[np.int64]


class EvaluationError(ValueError):
    """A cohort, table or array from which a measure can't be made."""


class Estimate(NamedTuple):
    """A value with its bootstrap interval; all NaN where it is not defined."""

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Callable[..., float], sizes: Sequence[int], seed: int, draws: int = DRAWS, level: float = LEVEL
) -> Estimate:
    """Percentile bootstrap (Efron and Tibshirani 1993, section 13.3), each stratum resampled by itself.

    ``statistic`` takes one index array a stratum of ``sizes``: first 0 … n − 1 as they are, then resampled
    with replacement. Draws in which it is NaN don't count.

    Raises
    ------
    EvaluationError
        On an empty stratum.
    """
    if min(sizes, default=0) < 1:
        raise EvaluationError(f"bootstrap over groups of {list(sizes)}; expected one subject or more in each")
    rng = np.random.default_rng(seed)
    value = float(statistic(*(np.arange(n) for n in sizes)))
    drawn = np.array([statistic(*(rng.integers(0, n, n) for n in sizes)) for _ in range(draws)], np.float64)
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or drawn.size == 0:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


def mean_estimate(values: ArrayLike, seed: int, draws: int = DRAWS) -> Estimate:
    """Mean of ``values`` (n,) with its interval; NaNs are left out; none at all gives NaN."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if known.size == 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    return bootstrap(lambda index: float(known[index].mean()), [known.size], seed, draws)


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """P values adjusted for their number (Holm 1979, Scand J Stat 6:65–70), in the order given.

    Raises
    ------
    EvaluationError
        On a p outside [0, 1].
    """
    values = np.asarray(p, np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise EvaluationError(f"p values {values.tolist()}; expected a list of numbers from 0 to 1")
    order = np.argsort(values, kind="stable")
    stepped = values[order] * np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted


def mann_whitney(first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
    """Two-sided p of the Mann–Whitney test, and the chance that ``second`` exceeds ``first`` (ties half).

    Raises
    ------
    EvaluationError
        Where one side is empty.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.size == 0 or b.size == 0:
        raise EvaluationError(f"Mann–Whitney test of {a.size} against {b.size} values; expected one or more")
    found = mannwhitneyu(b, a, alternative="two-sided")
    return float(found.pvalue), float(found.statistic) / (a.size * b.size)
