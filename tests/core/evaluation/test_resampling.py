"""Shares with intervals from resampling scans."""

from __future__ import annotations

import math

from core.evaluation.resampling import clustered_share


def test_clustered_share_by_hand() -> None:
    # 3 of 4 accepted; two scans are too few for an interval.
    found = clustered_share([1, 1, 1, 0], [1, 1, 1, 1], [7, 7, 9, 9], seed=1)
    assert (found.value, found.items, found.scans) == (0.75, 4, 2)
    assert math.isnan(found.low)
    many = clustered_share([1] * 6 + [0] * 6, [1] * 12, range(12), seed=1)
    assert 0.15 < many.low < 0.5 < many.high < 0.85
    assert math.isnan(clustered_share([], [], [], seed=1).value)
