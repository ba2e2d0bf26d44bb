"""What a coordinator chooses from, and how long readings take."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.assign.candidates import Wanted, candidates, loads, pace, plan_case, states
from app.cases import Case, read_cases
from app.facts import Facts
from app.feedback.blinding import Course
from app.feedback.planning import plan
from tests.casefactory import BLOCKS, write_case

FACTS = {"sub-a": Facts("test"), "sub-b": Facts("train"), "sub-c": Facts("test")}
NOBODY = Course({}, frozenset(), frozenset(), frozenset())


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    """a has 2 blocks (mse 0.02), b 1 (0.01), c none (0.0); a by another model too."""
    for letter, blocks in zip("abc", (BLOCKS, BLOCKS[:1], ()), strict=True):
        write_case(tmp_path, f"sub-{letter}", blocks=blocks)
    write_case(tmp_path, "sub-a", model="std_8x8")
    return read_cases(tmp_path)[0]


def left(cases: list[Case], wanted: Wanted, course: Course = NOBODY) -> str:
    found = candidates(cases, wanted, FACTS, states(cases, course))
    return "".join(case.record.subject[-1] for case in found)


def scan(cases: list[Case], letter: str) -> tuple[str, str]:
    return next(
        (case.record.case_id, case.record.input_hash)
        for case in cases
        if case.record.subject == f"sub-{letter}"
    )


def test_each_filter_leaves_what_it_names(cases: list[Case]) -> None:
    assert left(cases, Wanted("vae_8x8_512")) == "abc"
    assert left(cases, Wanted("std_8x8")) == "a"
    assert left(cases, Wanted("vae_8x8_512", splits=("test",))) == "ac"
    assert left(cases, Wanted("vae_8x8_512", score="mse", span=(0.01, 0.02))) == "ab"
    assert left(cases, Wanted("vae_8x8_512", score="mse", span=(0.0, 0.01))) == "bc"
    assert left(cases, Wanted("vae_8x8_512", score="no such", span=(0.0, 1.0))) == ""


def test_a_scan_is_in_one_state(cases: list[Case]) -> None:
    a, b, c = (scan(cases, letter) for letter in "abc")
    course = Course(
        {(1, *a, 1): 10.0},
        frozenset({(1, *a, 1), (1, *b, 1)}),
        frozenset({(1, *a, 1), (2, *b, 1)}),
        frozenset({a}),
    )
    assert states(cases, course) == {a: "closed", b: "assigned", c: "new"}
    assert left(cases, Wanted("vae_8x8_512", states=("new", "closed")), course) == "ac"
    begun = Course({}, frozenset({(1, *c, 1)}), frozenset(), frozenset())
    assert left(cases, Wanted("vae_8x8_512", states=("begun",)), begun) == "c"


def test_pace_is_the_reader_s_own_once_there_is_enough_of_it() -> None:
    def timed(reader: int, *seconds: float) -> dict[tuple[int, str, str, int], float]:
        return {(reader, f"s{at}", "h", 1): one for at, one in enumerate(seconds)}

    few = Course(timed(1, 10, 20, 30, 40) | timed(2, 100), frozenset(), frozenset(), frozenset())
    assert pace(few, 1) == 30  # of 10 20 30 40 100: four of one's own are too few
    enough = Course(timed(1, 10, 20, 30, 40, 50) | timed(2, 100, 0), frozenset(), frozenset(), frozenset())
    assert pace(enough, 1) == 30
    assert pace(enough, 2) == 35  # of 10 20 30 40 50 100; the reading without a time counts for nothing
    assert pace(enough, None) == 35
    assert pace(NOBODY, 1) is None


def test_loads_count_what_is_left_to_read(cases: list[Case]) -> None:
    mine = [plan_case(case, "mse") for case in cases if case.record.model == "vae_8x8_512"]
    assert [case.score for case in mine] == [0.02, 0.01, 0.0]
    assert plan_case(cases[0], "").score is None
    rows = plan(mine[:2], 2, 2, "given", 0.5, mine[2:], seed=1, gap=1)
    a = scan(cases, "a")
    course = Course({(7, *a, 1): 90.0}, frozenset(), frozenset(), frozenset())
    ada, new = loads(rows, ["Ada", "Somebody new"], {"Ada": 7}, course)
    assert (ada.cases, ada.repeats, ada.planted, ada.total, ada.read) == (2, 1, 1, 4, 1)
    assert ada.hours == pytest.approx(3 * 90 / 3600)
    assert new.read == 0
    assert new.hours == pytest.approx(4 * 90 / 3600)
    assert loads(rows, ["Ada", "Ben"], {}, NOBODY)[0].hours is None
