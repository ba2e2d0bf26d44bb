"""What several readers said of the same items: the table that measures of agreement take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.evaluation.statistics import EvaluationError

MISSING = -1


@dataclass(frozen=True, eq=False)
class Ratings:
    """``codes`` (items, readers): index into ``categories``, ``MISSING`` where a reader gave none.

    ``scans`` (items,): which scan each item belongs to, any integers. The categories are those that readers
    could choose, in order where that means something, whether or not somebody chose them.
    """

    codes: NDArray[np.int64]
    scans: NDArray[np.int64]
    categories: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.codes.ndim != 2 or self.scans.shape != self.codes.shape[:1]:
            raise EvaluationError(
                f"ratings of shape {self.codes.shape} with {self.scans.shape} scans; expected (items, "
                "readers) and (items,)"
            )
        if len(self.categories) < 2:
            raise EvaluationError(f"categories {self.categories}; expected two or more")
        if self.codes.size and not (self.codes.min() >= MISSING and self.codes.max() < len(self.categories)):
            raise EvaluationError(
                f"codes from {self.codes.min()} to {self.codes.max()}; expected {MISSING} (none) to "
                f"{len(self.categories) - 1}"
            )

    @property
    def pairable(self) -> NDArray[np.bool_]:
        """(items,) True where two readers or more gave a rating."""
        return (self.codes != MISSING).sum(axis=1) >= 2


def confusion(ratings: Ratings, first: int = 0, second: int = 1) -> NDArray[np.int64]:
    """How often reader ``first`` (rows) and ``second`` (columns) chose each pair of categories, (K, K)."""
    count = len(ratings.categories)
    a, b = ratings.codes[:, first], ratings.codes[:, second]
    known = (a != MISSING) & (b != MISSING)
    return np.bincount(a[known] * count + b[known], minlength=count * count).reshape(count, count)
