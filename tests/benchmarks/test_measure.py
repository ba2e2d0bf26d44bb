"""The stopwatch: what counts as time and memory, and how ratios are formed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import measure
from benchmarks.measure import Taken, Work, compare, keep, run_once

ALLOCATE = "tests.benchmarks.test_measure:allocate"


def allocate(megabytes: int, counted: float | None = None) -> float | None:
    """Hold that much memory for a moment."""
    import time

    held = bytearray(megabytes * 2**20)
    for place in range(0, len(held), 4096):
        held[place] = 1
    time.sleep(0.3)
    return counted


def test_counts_the_seconds_a_work_names_and_its_peak() -> None:
    small = run_once(Work("small", ALLOCATE, {"megabytes": 1, "counted": 2.5}))
    large = run_once(Work("large", ALLOCATE, {"megabytes": 301}))
    assert small.seconds == 2.5
    assert large.seconds >= 0.3
    assert large.peak_mb - small.peak_mb == pytest.approx(300, abs=60)


def test_a_work_that_fails_is_an_error_in_its_own_words() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)bad: .*unexpected keyword argument 'size'"):
        run_once(Work("bad", ALLOCATE, {"size": 1}))


def test_ratios_are_of_the_same_round(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The machine was three times slower in the second round: the ratio does not move.
    taken = iter([Taken(1, 10), Taken(2, 20), Taken(3, 12), Taken(6, 18), Taken(1, 11), Taken(2.5, 19)])
    monkeypatch.setattr(measure, "run_once", lambda work: next(taken))
    table = compare("two", [Work("a", "", {}), Work("b", "", {})], repeats=3)
    assert table["ratio"].tolist() == [1, 2]
    assert table["ratio_high"].tolist() == [1, 2.5]
    assert table["seconds"].tolist() == [1, 2.5]
    assert table["peak_mb"].tolist() == [12, 20]
    keep(table, "two", tmp_path)
    assert pd.read_csv(tmp_path / "bench_two.csv")["ratio"].tolist() == [1, 2]
