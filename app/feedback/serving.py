"""A reader's own list: the scans of the batches that run, in order, and which reading of each is due.

A scan that is served again looks like a new one: pass 2 begins when its place in the list has come, and not
before. What a scan is served for (case, repeat, planted) is never read here.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from app.feedback.blinding import Scan
from app.feedback.database import Store, transaction
from app.feedback.models import Assignment, AssignmentBatch
from app.feedback.reads import SavedRead, events_of, reads_of

INADEQUATE = "inadequate"


@dataclass(frozen=True)
class Served:
    """One scan in a reader's list, without what it is served for.

    ``done``: read to the end, in this pass. ``skipped``: put aside last. ``begun``: opened once or more.
    """

    batch_id: str
    position: int
    case_id: str
    input_hash: str
    pass_number: int
    model: str
    done: bool
    skipped: bool
    begun: bool

    @property
    def scan(self) -> Scan:
        return self.case_id, self.input_hash


def over(reads: tuple[SavedRead | None, SavedRead | None]) -> bool:
    """Whether first and second read end a pass: a second is there, or the image was found inadequate."""
    first, second = reads
    return second is not None or (first is not None and first.classification == INADEQUATE)


def serving(store: Store, reader_id: int) -> list[Served]:
    """The reader's list: every scan of the batches that run, in order, each pass once."""
    reads = reads_of(store, reader_id)
    last = {(one.case_id, one.input_hash, one.pass_number): one.kind for one in events_of(store, reader_id)}
    query = (
        select(Assignment, AssignmentBatch.settings)
        .join(AssignmentBatch, Assignment.batch_id == AssignmentBatch.id)
        .where(Assignment.reader_id == reader_id, AssignmentBatch.closed_utc.is_(None))
        .order_by(AssignmentBatch.created_utc, AssignmentBatch.id, Assignment.position)
    )
    found: dict[tuple[str, str, int], Served] = {}
    with transaction(store, write=False) as session:
        for row, given in session.execute(query):
            one = (row.case_id, row.input_hash, row.pass_number)
            done = over(reads.get(one, (None, None)))
            served = Served(
                batch_id=row.batch_id,
                position=row.position,
                case_id=row.case_id,
                input_hash=row.input_hash,
                pass_number=row.pass_number,
                model=str(given.get("model", "")),
                done=done,
                skipped=not done and last.get(one) == "skipped",
                begun=one in last or one in reads,
            )
            found.setdefault(one, served)
    return list(found.values())


def due(items: Sequence[Served]) -> Served | None:
    """The scan whose turn it is: the first neither done nor skipped; no later pass before the earlier."""
    owed = {(one.scan, one.pass_number) for one in items if not one.done}
    for one in items:
        earlier = any((one.scan, number) in owed for number in range(1, one.pass_number))
        if not (one.done or one.skipped or earlier):
            return one
    return None


def reached(items: Sequence[Served]) -> list[Served]:
    """The part of the list that the reader has come to."""
    now = due(items)
    return [one for one in items if one.done or one.begun or one is now]


def current_passes(store: Store, reader_id: int, there: Container[Scan] | None = None) -> dict[Scan, int]:
    """Of each scan that the reader has read or been given, which reading of it is the current one.

    That is the last one reached in the list; of a scan that no batch gives, the last one finished.
    ``there``: scans that can be shown; others hold nothing up.
    """
    found: dict[Scan, int] = {}
    for (case_id, input_hash, number), reads in reads_of(store, reader_id).items():
        if over(reads):
            found[case_id, input_hash] = max(number, found.get((case_id, input_hash), 1))
    items = [one for one in serving(store, reader_id) if there is None or one.scan in there]
    for one in reached(items):
        found[one.scan] = max(one.pass_number, found.get(one.scan, 1))
    for one in items:
        found.setdefault(one.scan, min(other.pass_number for other in items if other.scan == one.scan))
    return found


def current_pass(
    store: Store,
    *,
    reader_id: int,
    case_id: str,
    input_hash: str,
    there: Callable[[], Container[Scan]] | None = None,
) -> int:
    """Which reading of a scan the reader is at, from 1; see ``current_passes``.

    ``there`` is asked only where the scan is served again.
    """
    scan = (case_id, input_hash)
    again = any(one.scan == scan and one.pass_number > 1 for one in serving(store, reader_id))
    return current_passes(store, reader_id, there() if again and there is not None else None).get(scan, 1)
