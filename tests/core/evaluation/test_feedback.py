"""Choosing an operating point by readers' feedback: counted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.anomaly.operating import Point
from core.evaluation.feedback import Feedback, Flag, candidates, choose, judged_bands, outcome, parts
from core.evaluation.statistics import EvaluationError

FLAG = Flag("region", "r", "accepted", 1, 0, 0, False, "", "3-4", 1, 200.0, 3.5, 3.2, 0.0, 0.0, 0.0, 0.0, 25)


def flag(decision: str, band: str, volume: float) -> Flag:
    return replace(FLAG, decision=decision, band=band, volume_mm3=volume)


def scan(number: int, *flags: Flag, session: str = "01", map: str = "volume") -> Feedback:
    return Feedback(f"sub-{number:02d}_ses-{session}", map, "m", "h", 100.0, True, flags)


def cohort(count: int = 12) -> list[Feedback]:
    """Each scan: a large and a small strong finding, a large weak false alarm, two small weak ones."""
    return [
        scan(
            number,
            flag("accepted", "4+", 500.0),
            flag("accepted", "4+", 150.0),
            flag("rejected", "3-4", 400.0),
            flag("rejected", "3-4", 120.0),
            flag("rejected", "3-4", 110.0),
        )
        for number in range(count)
    ]


def test_the_point_keeps_most_accepted_flags_at_the_rate() -> None:
    found = choose(cohort(), "volume", 0.0, seed=1)
    assert found.point == Point("4+", 100.0, 100.0)
    assert (found.chosen_on.accepted, found.chosen_on.accepted_of, found.chosen_on.rejected) == (12, 12, 0)
    assert (found.reported_on.scans, found.reported_on.accepted, found.reported_on.rejected) == (6, 12, 0)
    assert found.reported_on.share.value == 1.0
    assert set(found.subjects[0]).isdisjoint(found.subjects[1])
    assert len({*found.subjects[0], *found.subjects[1]}) == 12


def test_the_rate_decides_between_floors() -> None:
    # All of one band: 150 mm³ keeps both findings with the 400 mm³ false alarm, 500 mm³ keeps one with none.
    scans = [replace(one, flags=tuple(replace(f, band="3-4") for f in one.flags)) for one in cohort()]
    assert choose(scans, "volume", 0.0, seed=1).point == Point("3-4", 500.0, 100.0)
    assert choose(scans, "volume", 1.0, seed=1).point == Point("3-4", 150.0, 100.0)
    loose = choose(scans, "volume", 3.0, seed=1)
    assert loose.point == Point("3-4", 150.0, 100.0)  # as many findings as at 100, and fewer false alarms
    assert loose.chosen_on.false_alarms.value == 1.0


def test_a_band_whose_flags_were_not_judged_is_not_offered() -> None:
    weak = [replace(one, flags=(*one.flags, flag("unjudged", "2-3", 300.0))) for one in cohort()]
    assert judged_bands(weak) == ["3-4", "4+"]
    assert judged_bands(cohort()) == ["2-3", "3-4", "4+"]
    assert "unjudged: 2-3" in choose(weak, "volume", 1.0, seed=1).warnings[0]
    assert {point.band for point in candidates(weak, 100.0)} == {"3-4", "4+"}


def test_rejected_flags_on_the_other_half_are_told_of() -> None:
    scans = cohort(4)
    first, second = parts([one.subject for one in scans], seed=1)
    worse = [
        replace(one, flags=(*one.flags, *[flag("rejected", "4+", 200.0)] * 3))
        if one.subject in second
        else one
        for one in scans
    ]
    found = choose(worse, "volume", 1.0, seed=1)
    assert found.reported_on.false_alarms.value == 3.0
    assert "3.00 flags a scan are rejected, more than the 1 asked for" in found.warnings[-1]
    assert len(first) == len(second) == 2


def test_sessions_of_a_subject_stay_together() -> None:
    scans = [
        *cohort(8),
        *[replace(one, case_id=one.case_id.replace("ses-01", "ses-02")) for one in cohort(8)],
    ]
    found = choose(scans, "volume", 1.0, seed=5)
    assert (found.chosen_on.scans, found.reported_on.scans) == (8, 8)
    assert not set(found.subjects[0]) & set(found.subjects[1])
    again = choose(scans, "volume", 1.0, seed=5)
    assert (again.point, again.subjects) == (found.point, found.subjects)
    assert parts([f"s{n}" for n in range(9)], 1) != parts([f"s{n}" for n in range(9)], 2)


def test_a_scan_without_flags_counts_in_the_rate() -> None:
    found = outcome([scan(0, flag("rejected", "4+", 200.0)), scan(1)], Point("4+", 100.0, 100.0), seed=1)
    assert (found.scans, found.rejected, found.false_alarms.value) == (2, 1, 0.5)


def test_what_gives_no_point_says_why() -> None:
    with pytest.raises(EvaluationError, match="on 3 scans of 3 subjects in the volume map; expected 2"):
        choose(cohort(3), "volume", 1.0, seed=1)
    none = [scan(n, flag("rejected", "4+", 200.0)) for n in range(6)]
    with pytest.raises(EvaluationError, match="no flag of the volume map was accepted in the 3 scans"):
        choose(none, "volume", 1.0, seed=1)
    noisy = [scan(n, flag("accepted", "4+", 200.0), *[flag("rejected", "4+", 300.0)] * 2) for n in range(6)]
    with pytest.raises(
        EvaluationError, match="no threshold of the volume map keeps an accepted flag at 1 rej"
    ):
        choose(noisy, "volume", 1.0, seed=1)
    mixed = [*cohort(6), replace(cohort(7)[6], floor_mm3=50.0)]
    with pytest.raises(EvaluationError, match=r"of 1 models and floors \[50.0, 100.0\] mm³"):
        choose(mixed, "volume", 1.0, seed=1)
