"""What a coordinator chooses from: scans by model, split, state and score; and how long readings take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from app.cases import Case
from app.facts import Facts
from app.feedback.blinding import Course, Scan
from app.feedback.planning import PlanCase, Planned

# How far a scan is, by all its readers.
STATES = {
    "new": "Read by nobody",
    "begun": "Begun",
    "assigned": "Assigned",
    "closed": "Finished by its readers",
}
SCORES = {"mse": "MSE", "normative_top": "Normative z"}
# Finished readings of a reader from which their own pace counts.
LEAST_READINGS = 5


@dataclass(frozen=True)
class Wanted:
    """Filters; an empty one lets everything pass. ``span`` bounds ``score``, both ends included."""

    model: str
    splits: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    score: str = ""
    span: tuple[float, float] | None = None

    def words(self) -> dict[str, object]:
        """For the batch's log."""
        return {
            "model": self.model,
            "split": list(self.splits),
            "state": list(self.states),
            "score": self.score,
            "score_range": None if self.span is None else list(self.span),
        }


def scan_of(case: Case) -> Scan:
    return case.record.case_id, case.record.input_hash


def state_of(scan: Scan, course: Course) -> str:
    """One of ``STATES``."""
    if scan in course.closed:
        return "closed"
    if any(one[1:3] == scan for one in course.asked):
        return "assigned"
    return "begun" if any(one[1:3] == scan for one in course.begun) else "new"


def states(cases: Iterable[Case], course: Course) -> dict[Scan, str]:
    """``state_of`` of each scan."""
    return {scan_of(case): state_of(scan_of(case), course) for case in cases}


def candidates(
    cases: Sequence[Case], wanted: Wanted, facts: Mapping[str, Facts], found: Mapping[Scan, str]
) -> list[Case]:
    """The cases that the filters leave, by case id. ``found``: state of each scan."""
    left = []
    for case in sorted(cases, key=lambda one: one.record.case_id):
        value = case.record.scores.get(wanted.score)
        if (
            case.record.model == wanted.model
            and (not wanted.splits or facts.get(case.record.subject, Facts()).split in wanted.splits)
            and (not wanted.states or found[scan_of(case)] in wanted.states)
            and (wanted.span is None or (value is not None and wanted.span[0] <= value <= wanted.span[1]))
        ):
            left.append(case)
    return left


def plan_case(case: Case, score: str) -> PlanCase:
    """A case as a plan takes it; ``score`` names what orders by score, "" for nothing."""
    value = case.record.scores.get(score)
    return PlanCase(case.record.case_id, case.record.input_hash, None if value is None else float(value))


def pace(course: Course, reader_id: int | None) -> float | None:
    """Median active seconds of a finished reading: the reader's own from five on, else everybody's.

    None where nothing has been timed.
    """
    timed = {one: seconds for one, seconds in course.finished.items() if seconds > 0}
    own = [seconds for one, seconds in timed.items() if one[0] == reader_id]
    every = list(timed.values())
    chosen = own if len(own) >= LEAST_READINGS else every
    return median(chosen) if chosen else None


@dataclass(frozen=True)
class Load:
    """What one reader would get. ``read``: read already. ``hours``: for the rest, None where unknown."""

    name: str
    cases: int
    repeats: int
    planted: int
    read: int
    hours: float | None

    @property
    def total(self) -> int:
        return self.cases + self.repeats + self.planted


def loads(
    rows: Iterable[Planned], names: Sequence[str], ids: Mapping[str, int], course: Course
) -> list[Load]:
    """Loads by reader, in the order of ``names``; ``ids`` of those known already."""
    found = []
    every = list(rows)
    for at, name in enumerate(names):
        mine = [row for row in every if row.reader == at]
        reader = ids.get(name)
        read = sum(
            reader is not None and (reader, row.case_id, row.input_hash, row.pass_number) in course.finished
            for row in mine
        )
        seconds = pace(course, reader)
        found.append(
            Load(
                name,
                sum(row.kind == "case" for row in mine),
                sum(row.kind == "repeat" for row in mine),
                sum(row.kind == "planted" for row in mine),
                read,
                None if seconds is None else (len(mine) - read) * seconds / 3600,
            )
        )
    return found
