"""Where a reader stands with each scan, and the order in which they read."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.cases import Case
from app.feedback.drafts import drafted_scans, keep_preference, preference, scan_key
from app.feedback.reads import Event, SavedRead, Scan, events_of, reads_of
from app.feedback.serving import current_passes
from app.feedback.store import CaseProgress, SavedReader, Store, case_progress
from app.review.classes import INADEQUATE
from core.config import settings

Status = Literal["new", "in progress", "first read done", "done", "skipped"]
STATUSES: tuple[Status, ...] = ("new", "in progress", "first read done", "done", "skipped")
# To be read still.
OPEN = ("new", "in progress", "first read done")
Order = Literal["listed", "random", "mse", "normative_top"]
ORDERS: dict[Order, str] = {
    "listed": "As listed",
    "random": "Random, my own",
    "mse": "MSE, highest first",
    "normative_top": "Normative z, highest first",
}
BY_SCORE: tuple[Order, ...] = ("mse", "normative_top")
ORDER = "order"


@dataclass(frozen=True)
class Standing:
    """Everything that the status of a reader's scans hangs on."""

    reads: Mapping[Scan, tuple[SavedRead | None, SavedRead | None]]
    progress: Mapping[str, CaseProgress]
    events: Mapping[Scan, Event]  # the last one of each scan
    drafted: frozenset[str]  # keys of scans with a read under way
    # Which reading of a scan is at hand, where it is not the first.
    passes: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def scan(self, case: Case) -> Scan:
        """A scan and the reading of it that is at hand."""
        record = case.record
        return scan_of(case, self.passes.get((record.case_id, record.input_hash), 1))

    def first(self, case: Case) -> SavedRead | None:
        """The locked first read of a scan."""
        return self.reads.get(self.scan(case), (None, None))[0]

    def revealed(self, case: Case) -> bool:
        """Whether the reader may see what models made of the scan."""
        return not settings().unaided_read or self.first(case) is not None

    def status(self, case: Case) -> Status:
        """Where the reader stands with a scan."""
        scan = self.scan(case)
        first, second = self.reads.get(scan, (None, None))
        if second is not None or (first is not None and first.classification == INADEQUATE):
            return "done"
        last = self.events.get(scan)
        if last is not None and last.kind == "skipped":
            return "skipped"
        if first is not None:
            return "first read done"
        return "in progress" if case.record.case_id in self.progress or self._drafted(case) else "new"

    def _drafted(self, case: Case) -> bool:
        return scan_key(*self.scan(case)) in self.drafted

    def reason(self, case: Case) -> str:
        """Why a scan was skipped; empty where it was not."""
        last = self.events.get(self.scan(case))
        return last.detail if last is not None and last.kind == "skipped" else ""


NOBODY = Standing({}, {}, {}, frozenset())


def scan_of(case: Case, pass_number: int = 1) -> Scan:
    return case.record.case_id, case.record.input_hash, pass_number


def standing(
    store: Store, reader: SavedReader | None, there: Container[tuple[str, str]] | None = None
) -> Standing:
    """Where one reader stands; nowhere where nobody is known. ``there``: scans on disk.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    if reader is None:
        return NOBODY
    passes = current_passes(store, reader.id, there)
    events = {(one.case_id, one.input_hash, one.pass_number): one for one in events_of(store, reader.id)}
    return Standing(
        reads_of(store, reader.id),
        case_progress(store, reader.id, passes),
        events,
        drafted_scans(store, reader.id),
        passes,
    )


def order_of(store: Store, reader: SavedReader | None) -> Order:
    """The order that a reader chose; as listed until then."""
    chosen = "" if reader is None else preference(store, reader.id, ORDER)
    return next((order for order in ORDERS if order == chosen), "listed")


def keep_order(store: Store, reader: SavedReader, order: Order) -> None:
    """Remember the order that a reader chose."""
    keep_preference(store, reader.id, ORDER, order)


def allowed_orders(cases: Iterable[Case], where: Standing) -> list[Order]:
    """Orders open to a reader: none by score before each of the scans was read unaided."""
    seen = all(where.revealed(case) for case in cases)
    return [order for order in ORDERS if seen or order not in BY_SCORE]


def open_order(store: Store, reader: SavedReader | None, cases: Sequence[Case]) -> Order:
    """The order that a reader chose, while it is open to them: one by score tells what a model says.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    chosen = order_of(store, reader)
    if chosen not in BY_SCORE:
        return chosen
    where = standing(store, reader, {scan_of(case)[:2] for case in cases})
    return chosen if chosen in allowed_orders(cases, where) else "listed"


def ordered(cases: list[Case], order: Order, reader: SavedReader | None) -> list[Case]:
    """``cases`` by id; shuffled, each reader in a way of their own that new scans don't change; or by score.

    Scans without the score come last.
    """
    by_id = sorted(cases, key=lambda case: (case.record.case_id, case.record.model))
    if order == "listed":
        return by_id
    if order == "random":
        seed = "" if reader is None else f"{reader.source}:{reader.name}"
        return sorted(
            by_id, key=lambda case: hashlib.sha256(f"{seed}\n{case.record.case_id}".encode()).hexdigest()
        )
    return sorted(by_id, key=lambda case: case.record.scores.get(order, float("-inf")), reverse=True)


def one_a_scan(cases: Sequence[Case], models: Sequence[str]) -> list[Case]:
    """Of each scan one analysis: by the first of ``models`` that has any; every scan is there."""
    rank = {model: index for index, model in enumerate(dict.fromkeys(models))}
    best: dict[str, Case] = {}
    for case in sorted(cases, key=lambda case: rank.get(case.record.model, len(rank))):
        best.setdefault(case.record.case_id, case)
    return list(best.values())


def following(cases: list[Case], current: str, where: Standing) -> Case | None:
    """The next case to read after the scan ``current``, in the order of ``cases``, round the end; or None."""
    ids = [case.record.case_id for case in cases]
    start = ids.index(current) + 1 if current in ids else 0
    around = [*cases[start:], *cases[:start]]
    return next(
        (case for case in around if case.record.case_id != current and where.status(case) in OPEN), None
    )
