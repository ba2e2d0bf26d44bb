"""The protocol of a read: the scan alone first, then, once that is locked, with the model's flags.

Whatever would show a reader what a model made of a scan asks ``revealed`` first.
"""

from __future__ import annotations

from app import state
from app.feedback.reads import SavedRead, current_reads
from app.feedback.rows import Phase
from app.feedback.serving import current_pass
from app.feedback.store import SavedReader
from core.config import settings
from core.io.derivatives import CaseRecord


def pass_of(reader: SavedReader, record: CaseRecord) -> int:
    """Which of the reader's readings of the scan is under way, from 1: a scan can be assigned again.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    return current_pass(
        state.feedback(),
        reader_id=reader.id,
        case_id=record.case_id,
        input_hash=record.input_hash,
        there=lambda: {(case.record.case_id, case.record.input_hash) for case in state.cases()},
    )


def reads(reader: SavedReader, record: CaseRecord) -> tuple[SavedRead | None, SavedRead | None]:
    """The reader's first and second read of the scan, in the reading under way.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    return current_reads(
        state.feedback(),
        reader_id=reader.id,
        case_id=record.case_id,
        input_hash=record.input_hash,
        pass_number=pass_of(reader, record),
    )


def phase_of(first: SavedRead | None) -> Phase:
    """``first`` until a first read is locked; where groups read with the flags at once, always ``second``."""
    return "first" if first is None and settings().unaided_read else "second"


def revealed(reader: SavedReader | None, record: CaseRecord) -> bool:
    """Whether a reader may see what models made of the scan: by any model, since they see the same brain.

    Nobody known may not, unless the unaided read is off.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    if not settings().unaided_read:
        return True
    return reader is not None and reads(reader, record)[0] is not None
