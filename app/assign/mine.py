"""The reader's own list beside what is on disk: what comes next, what may be turned to, what is free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.cases import Case
from app.feedback.blinding import Scan
from app.feedback.drafts import scan_key
from app.feedback.serving import Served, due, reached, serving
from app.feedback.store import SavedReader, Store
from app.review.progress import Standing, Status


@dataclass(frozen=True)
class Mine:
    """``items``: of batches in which something is left to read, in order. ``given``: scans of all batches."""

    items: tuple[Served, ...]
    given: frozenset[Scan]
    gone: int  # scans of the list that are on disk no more

    @property
    def scans(self) -> frozenset[Scan]:
        """Scans that the list holds; the free list leaves them out."""
        return frozenset(one.scan for one in self.items)

    @property
    def due(self) -> Served | None:
        return due(self.items)

    def later(self, scan: Scan) -> bool:
        """Whether the list holds the scan and the reader has not come to it."""
        return scan in self.scans and all(one.scan != scan for one in reached(self.items))

    @property
    def turnable(self) -> list[Served]:
        """What previous and next go through: what was reached, each scan once, as its last reading."""
        last = {one.scan: one.pass_number for one in reached(self.items)}
        return [one for one in reached(self.items) if last[one.scan] == one.pass_number]


NOTHING = Mine((), frozenset(), 0)


def scan_of(case: Case) -> Scan:
    return case.record.case_id, case.record.input_hash


def mine(store: Store, reader: SavedReader | None, cases: Sequence[Case]) -> Mine:
    """The list of a reader.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    if reader is None:
        return NOTHING
    every = serving(store, reader.id)
    there = {scan_of(case) for case in cases}
    shown = [one for one in every if one.scan in there]
    running = {one.batch_id for one in shown if not one.done}
    listed = tuple(one for one in shown if one.batch_id in running)
    return Mine(listed, frozenset(one.scan for one in every), len(every) - len(shown))


def case_of(item: Served, cases: Sequence[Case]) -> Case:
    """The analysis to open: by the batch's model, else by another that there is."""
    found = [case for case in cases if scan_of(case) == item.scan]
    return next((case for case in found if case.record.model == item.model), found[0])


def free(cases: Sequence[Case], own: Mine) -> list[Case]:
    """Cases that the reader's list does not hold."""
    return [case for case in cases if scan_of(case) not in own.scans]


def status(item: Served, where: Standing) -> Status:
    """Where the reader stands with a scan of the list."""
    if item.done:
        return "done"
    if item.skipped:
        return "skipped"
    one = (*item.scan, item.pass_number)
    if where.reads.get(one, (None, None))[0] is not None:
        return "first read done"
    return "in progress" if item.begun or scan_key(*one) in where.drafted else "new"
