"""Properties of plans, over many drawn settings, and a few worked out by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from app.feedback.planning import Ordering, PlanCase, PlanError, Planned, plan


def cases(count: int, prefix: str = "c", scored: bool = True) -> list[PlanCase]:
    """Cases whose score is not the order in which they are given."""
    return [
        PlanCase(f"{prefix}{n:02d}", f"{n:064d}", float((n * 7) % count) if scored else None)
        for n in range(count)
    ]


def drawn(rounds: int = 300) -> Iterator[tuple[dict[str, Any], list[Planned]]]:
    """Settings that fit, and their plans."""
    chance = Random(2)
    for seed in range(rounds):
        count, readers = chance.randint(1, 24), chance.randint(1, 6)
        orderings: list[Ordering] = ["random", "score", "given"]
        given: dict[str, Any] = {
            "cases": cases(count),
            "readers": readers,
            "k": chance.randint(1, readers),
            "ordering": chance.choice(orderings),
            "repeat_fraction": chance.choice([0.0, 0.1, 0.25, 0.5]),
            "planted": cases(chance.randint(0, 4), "p"),
            "seed": seed,
            "gap": chance.randint(1, 6),
        }
        least = count * given["k"] // readers  # cases that the shortest list has
        longest = least + 1 + len(given["planted"])
        if (
            given["repeat_fraction"] > 0
            and longest - given["gap"] < given["repeat_fraction"] * (least + 1) + 3
        ):
            continue  # perhaps too short for its repeats
        yield given, plan(**given)


def by_reader(rows: list[Planned], readers: int) -> list[list[Planned]]:
    return [[row for row in rows if row.reader == reader] for reader in range(readers)]


def test_enough_of_the_drawn_settings_fit() -> None:
    assert sum(1 for _ in drawn()) > 200


def test_each_case_goes_to_k_readers_and_loads_differ_by_one_at_most() -> None:
    for given, rows in drawn():
        mine = [row for row in rows if row.kind == "case"]
        assert Counter(row.case_id for row in mine) == {case.case_id: given["k"] for case in given["cases"]}
        assert len({(row.reader, row.case_id) for row in mine}) == len(mine)
        loads = [sum(row.reader == reader for row in mine) for reader in range(given["readers"])]
        assert max(loads) - min(loads) <= 1


def test_positions_count_from_one_without_a_hole() -> None:
    for given, rows in drawn():
        for line in by_reader(rows, given["readers"]):
            assert [row.position for row in line] == list(range(1, len(line) + 1))
        assert rows == sorted(rows, key=lambda row: (row.reader, row.position))


def test_a_rounded_fraction_of_the_own_cases_comes_again_after_the_gap() -> None:
    for given, rows in drawn():
        for line in by_reader(rows, given["readers"]):
            place = {row.case_id: row.position for row in line if row.kind == "case"}
            again = [row for row in line if row.kind == "repeat"]
            assert len(again) == round(given["repeat_fraction"] * len(place))
            assert len({row.case_id for row in again}) == len(again)
            for row in again:
                assert row.pass_number == 2
                assert row.position - place[row.case_id] - 1 >= given["gap"]
            assert {row.pass_number for row in line if row.kind != "repeat"} <= {1}


def test_every_reader_gets_every_planted_scan_once() -> None:
    for given, rows in drawn():
        for line in by_reader(rows, given["readers"]):
            found = [row.case_id for row in line if row.kind == "planted"]
            assert sorted(found) == [case.case_id for case in given["planted"]]


def test_orders_are_as_asked() -> None:
    for given, rows in drawn():
        place = {case.case_id: at for at, case in enumerate(given["cases"])}
        score = {case.case_id: case.score for case in given["cases"]}
        for line in by_reader(rows, given["readers"]):
            order = [row.case_id for row in line if row.kind == "case"]
            if given["ordering"] == "given":
                assert order == sorted(order, key=lambda case: place[case])
            if given["ordering"] == "score":
                assert [score[case] for case in order] == sorted(
                    (score[case] for case in order), reverse=True
                )


def test_the_same_seed_the_same_plan_and_another_another() -> None:
    for given, rows in drawn(60):
        assert plan(**given) == rows
    arguments = (cases(12), 3, 2, "random", 0.25, cases(2, "p"))
    plans = [plan(*arguments, seed=seed, gap=2) for seed in range(20)]  # type: ignore[arg-type]
    assert len({tuple(one) for one in plans}) == 20


def test_random_orders_differ_between_readers_and_favour_no_place() -> None:
    rows = plan(cases(12), 2, 2, "random", 0.0, [], seed=5)
    one, two = ([row.case_id for row in line] for line in by_reader(rows, 2))
    assert sorted(one) == sorted(two)
    assert one != two
    # 4 cases, 4 places: each place expects 1000 of 4000 plans; 5 standard deviations are 137.
    places = Counter(plan(cases(4), 1, 1, "random", 0.0, [], seed=seed)[0].case_id for seed in range(4000))
    assert all(abs(places[case.case_id] - 1000) < 137 for case in cases(4)), places


def test_planted_scans_come_at_any_place() -> None:
    places = {
        row.position
        for seed in range(200)
        for row in plan(cases(4), 1, 1, "given", 0.0, cases(1, "p"), seed=seed)
        if row.kind == "planted"
    }
    assert places == {1, 2, 3, 4, 5}


def test_pairs_of_readers_mix() -> None:
    rows = plan(cases(24), 4, 2, "given", 0.0, [], seed=1)
    pairs = {tuple(row.reader for row in rows if row.case_id == case.case_id) for case in cases(24)}
    assert len(pairs) >= 5  # of 6: who reads with whom is no fixed pattern


def test_what_has_no_score_comes_last() -> None:
    mixed = [PlanCase("a", "1"), PlanCase("b", "2", 0.5), PlanCase("c", "3", -1.0), PlanCase("d", "4", 2.0)]
    rows = plan(mixed, 1, 1, "score", 0.0, [], seed=0)
    assert [row.case_id for row in rows] == ["d", "b", "c", "a"]


def test_three_cases_and_one_again_by_hand() -> None:
    # Gap 2 of 3: only the first can come again, and only at the end.
    for seed in range(20):
        rows = plan(cases(3), 1, 1, "given", 1 / 3, [], seed=seed, gap=2)
        assert [(row.case_id, row.pass_number) for row in rows] == [
            ("c00", 1),
            ("c01", 1),
            ("c02", 1),
            ("c00", 2),
        ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cases": []}, "at least one case"),
        ({"readers": 0}, "at least one reader"),
        ({"k": 3}, "3 readers for each case; expected 1 to 2"),
        ({"k": 0}, "0 readers for each case"),
        ({"ordering": "alphabet"}, "'alphabet'; expected random, score or given"),
        ({"repeat_fraction": 1.5}, "1.5 of the cases"),
        ({"gap": 0}, "0 other scans between"),
        ({"planted": [PlanCase("c01", "x")]}, "c01 is there twice"),
        ({"cases": [PlanCase("a", "x"), PlanCase("a", "y")]}, "a is there twice"),
        (
            {"repeat_fraction": 0.5, "gap": 5},
            "too short to serve 2 again with 5 others between; at most 2 fit",
        ),
        ({"repeat_fraction": 1.0, "gap": 5}, "serve fewer again"),
    ],
)
def test_what_cannot_be_is_told(change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {
        "cases": cases(4),
        "readers": 2,
        "k": 2,
        "ordering": "given",
        "repeat_fraction": 0.0,
        "planted": [],
        "seed": 1,
        "gap": 2,
    }
    with pytest.raises(PlanError, match=words):
        plan(**(given | change))
