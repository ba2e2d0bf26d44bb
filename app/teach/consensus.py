"""What clinical readers found on a scan, once that can sway none of them (``app.feedback.blinding``)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import dist

from app.feedback.blinding import Answers, answers_closed
from app.feedback.database import Store
from app.feedback.lesson_rows import LessonCase

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Found:
    """A place that ``by`` of the scan's readers call a finding; RAS+ mm."""

    mm: Point
    by: int
    types: tuple[str, ...] = ()  # names in the vocabulary, that of most readers first
    side: str = ""  # of the flag there; empty where readers marked it themselves
    volume_mm3: float | None = None  # of the largest flag that they agree with
    radius_mm: float | None = None  # of the largest mark of their own


@dataclass(frozen=True)
class _Said:
    """One reader's finding at one place."""

    reader: int
    mm: Point
    type: str
    side: str = ""
    volume_mm3: float | None = None
    radius_mm: float | None = None


@dataclass(frozen=True)
class Consensus:
    """Findings of ``readers`` readers, those of most readers first, and how many chose which class."""

    readers: int
    findings: tuple[Found, ...]
    classes: tuple[tuple[str, int], ...]


def consensus(store: Store, case: LessonCase, within_mm: float) -> Consensus | None:
    """The readers' view of ``case``; None while the scan is not closed.

    Findings are regions that a reader agrees with and marks of the reader's own; those of several readers
    within ``within_mm`` of one another count as one. Names are never told.
    """
    return pooled(answers_closed(store), case, within_mm)


def pooled(answers: Answers, case: LessonCase, within_mm: float) -> Consensus | None:
    """``consensus`` of answers at hand."""
    scan = (case.case_id, case.input_hash)
    if scan not in answers.scans:
        return None
    reads = [row for row in answers.reads if (row.case_id, row.input_hash) == scan]
    last = {
        row.reader_id: row.classification for row in sorted(reads, key=lambda r: (r.pass_number, r.phase))
    }
    said = [
        _Said(row.reader_id, (row.x_mm, row.y_mm, row.z_mm), row.finding_type, radius_mm=row.radius_mm)
        for row in answers.marks
        if (row.case_id, row.input_hash) == scan
    ]
    said += [
        _Said(
            row.reader_id,
            (row.region["peak_x_mm"], row.region["peak_y_mm"], row.region["peak_z_mm"]),
            row.finding_type,
            row.region["side"],
            row.region["volume_mm3"],
        )
        for row in answers.verdicts
        if (row.case_id, row.input_hash) == scan and row.verdict == "agree"
    ]
    places: list[list[_Said]] = []
    for one in said:
        near = next((place for place in places if dist(place[0].mm, one.mm) <= within_mm), None)
        if near is None:
            places.append([one])
        else:
            near.append(one)
    findings = sorted((_found(place) for place in places), key=lambda one: -one.by)
    return Consensus(len(last), tuple(findings), tuple(Counter(last.values()).most_common()))


def _found(place: list[_Said]) -> Found:
    """What readers say of one place, as one finding."""
    types = Counter(name for name, _ in {(one.type, one.reader) for one in place if one.type})
    return Found(
        place[0].mm,
        len({one.reader for one in place}),
        tuple(sorted(types, key=lambda name: (-types[name], name))),
        next((one.side for one in place if one.side), ""),
        max((one.volume_mm3 for one in place if one.volume_mm3 is not None), default=None),
        max((one.radius_mm for one in place if one.radius_mm is not None), default=None),
    )
