"""Scans that readers still owe an unaided read, or are reading: a lesson would spoil it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import select

from app.feedback.blinding import Course, Scan, Sitting, course
from app.feedback.database import Store, transaction
from app.feedback.drafts import reads_under_way, scan_key
from app.feedback.lesson_rows import SavedLesson
from app.feedback.models import Learner, Lesson, Reader


@dataclass(frozen=True)
class Owing:
    """Who has still to finish a scan: ``asked`` by an assignment that runs, ``begun`` of their own accord."""

    asked: frozenset[int]
    begun: frozenset[int]


def owed_scans(store: Store, among: Iterable[Scan] = ()) -> frozenset[Scan]:
    """Scans of running assignments that not all their readers have finished, and reads under way.

    ``among``: where to look for reads of which nothing is saved yet; drafts don't name their scan.
    """
    now = course(store)
    left = (now.asked | now.begun) - now.finished.keys()
    return frozenset({one[1:3] for one in left | _drafted(store, among, now)})


def owing(store: Store, scans: Collection[Scan]) -> dict[Scan, Owing]:
    """Readers who have still to finish each of ``scans``; scans that nobody owes are absent."""
    now = course(store, {case_id for case_id, _ in scans})
    asked = now.asked - now.finished.keys()
    begun = (now.begun - now.finished.keys()) | _drafted(store, scans, now)
    found = {}
    for scan in scans:
        to_read = frozenset(one[0] for one in asked if one[1:3] == scan)
        others = frozenset(one[0] for one in begun if one[1:3] == scan) - to_read
        if to_read or others:
            found[scan] = Owing(to_read, others)
    return found


def unfinished_by(store: Store, reader_id: int) -> frozenset[Scan]:
    """Scans that a reader has begun or been given, and not finished, in any pass."""
    now = course(store)
    left = (now.begun | now.asked) - now.finished.keys()
    return frozenset(one[1:3] for one in left if one[0] == reader_id)


def finished_by(store: Store, reader_id: int) -> frozenset[Scan]:
    """Scans that a reader has finished, and has not to read again: their answer spoils nothing for them."""
    now = course(store)
    left = (now.begun | now.asked) - now.finished.keys()
    finished = {one[1:3] for one in now.finished if one[0] == reader_id}
    return frozenset(finished - {one[1:3] for one in left if one[0] == reader_id})


def taught(store: Store) -> frozenset[Scan]:
    """Scans that a lesson has shown to its class."""
    with transaction(store, write=False) as session:
        rows = session.execute(select(Lesson.cases, Lesson.case_index)).all()
    return frozenset(
        (case["case_id"], case["input_hash"]) for cases, index in rows for case in cases[: index + 1]
    )


def held_back(store: Store, lesson: SavedLesson) -> dict[int, str]:
    """Scans of a lesson, by number, that may not be shown to its class now, each with why.

    Anybody who owes a scan may be in the class under another name, so one reader is enough. Of a scan that
    the teacher chose although it was owed, only the teacher counts, and learners who joined under the name
    of a reader to whom it is assigned.
    """
    places = {(case.case_id, case.input_hash): index for index, case in enumerate(lesson.cases)}
    found = owing(store, places.keys())
    known = {scan for scan in found if lesson.cases[places[scan]].owed}
    if known:
        here = _present(store, lesson)
        for scan in known:
            found[scan] = Owing(found[scan].asked & here, frozenset())
    return {places[scan]: _words(places[scan], who) for scan, who in found.items() if who.asked or who.begun}


def _present(store: Store, lesson: SavedLesson) -> frozenset[int]:
    """The teacher, and readers whose name a learner of the lesson gave."""
    with transaction(store, write=False) as session:
        joined = session.scalars(select(Learner.name).where(Learner.lesson_id == lesson.id)).all()
        names = session.execute(select(Reader.id, Reader.name)).all()
    here = {name.casefold() for name in joined}
    return frozenset({id for id, name in names if name.casefold() in here} | {lesson.teacher_id})


def _words(index: int, who: Owing) -> str:
    count = len(who.asked | who.begun)
    many = "1 reader has" if count == 1 else f"{count} readers have"
    how = "It is assigned to them" if who.asked else "They have begun it"
    return (
        f"Scan {index + 1} is held back: {many} still to finish reading it, and the lesson would spoil that. "
        f"{how}. Wait until it is finished, call the batch off, or leave the scan out."
    )


def _drafted(store: Store, among: Iterable[Scan], now: Course) -> set[Sitting]:
    # Later passes are assigned ones, which are owed until they are finished.
    first_pass = {scan_key(*scan, 1): scan for scan in among}
    return {
        (who, *first_pass[key], 1)
        for who, key in reads_under_way(store, first_pass)
        if (who, *first_pass[key], 1) not in now.finished
    }
