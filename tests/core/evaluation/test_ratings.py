"""Ratings of readers: what is refused, what can be paired, how often each pair of categories was chosen."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.ratings import MISSING, Ratings, confusion
from core.evaluation.statistics import EvaluationError


def test_what_is_no_rating_is_refused() -> None:
    with pytest.raises(EvaluationError, match="codes from 0 to 2"):
        Ratings(np.array([[0, 2]]), np.array([0]), ("a", "b"))
    with pytest.raises(EvaluationError, match="two or more"):
        Ratings(np.array([[0, 0]]), np.array([0]), ("a",))
    with pytest.raises(EvaluationError, match=r"shape \(2,\) with \(2,\) scans"):
        Ratings(np.array([0, 1]), np.array([0, 1]), ("a", "b"))


def test_confusion_counts_what_both_gave() -> None:
    codes = np.array([[0, 1, 2], [0, 1, MISSING], [2, MISSING, 1], [MISSING, MISSING, 0]])
    ratings = Ratings(codes, np.arange(4), ("a", "b", "c"))
    assert confusion(ratings).tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert confusion(ratings, 0, 2).tolist() == [[0, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert ratings.pairable.tolist() == [True, True, True, False]
