"""Readers' own marks: findings of an unaided read, and what the flags miss afterwards."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.feedback.database import Store, StoreError, transaction
from app.feedback.models import CaseRead, MissedFinding
from app.feedback.rows import Missed, MissedInput, Phase, standing_missed
from app.feedback.writing import check_id, columns, lock_reader, next_seq, now_utc, same
from core.io.derivatives import CaseRecord, MapName


def missed_input(
    record: CaseRecord,
    *,
    id: str,
    reader_id: int,
    map: MapName,
    point_mm: tuple[float, float, float],
    radius_mm: float,
    note: str = "",
    session_id: str = "",
    phase: Phase = "second",
    finding_type: str = "",
    confidence: int | None = None,
    pass_number: int = 1,
) -> MissedInput:
    """A finding marked on the scan of the analysis ``record``; in phase second one that its map misses."""
    x, y, z = (float(value) for value in point_mm)
    return MissedInput(
        id=id,
        reader_id=reader_id,
        **provenance(record),
        map=map,
        x_mm=x,
        y_mm=y,
        z_mm=z,
        radius_mm=float(radius_mm),
        note=note,
        session_id=session_id,
        phase=phase,
        finding_type=finding_type,
        confidence=confidence,
        pass_number=pass_number,
    )


def add_missed(store: Store, given: MissedInput, *, supersedes: str | None = None) -> Missed:
    """Append a missed finding, or a correction of the reader's finding ``supersedes``.

    Raises
    ------
    StoreError
        Where the id was used for other content, ``supersedes`` is not a standing finding of this reader,
        the mark is of a first read that is locked, a value is not allowed, or the database refuses.
    """
    return _append_missed(store, asdict(given) | {"supersedes": supersedes, "retracted": False})


def retract_missed(store: Store, *, id: str, missed_id: str, reader_id: int, session_id: str = "") -> Missed:
    """Take back one of the reader's missed findings, by a new row under the key ``id``."""
    with transaction(store, write=False) as session:
        row = session.get(MissedFinding, missed_id)
        if row is None or row.reader_id != reader_id:
            raise StoreError("There is no such missed finding of this reader.")
        content = columns(row)
    content |= {"id": id, "session_id": session_id, "supersedes": missed_id, "retracted": True}
    del content["seq"], content["created_utc"]
    return _append_missed(store, content)


def list_missed(
    store: Store, *, case_id: str, input_hash: str, reader_id: int, pass_number: int = 1
) -> list[Missed]:
    """One reader's standing marks on one scan as it was when they were seen, oldest first, of both phases."""
    return standing_missed(_rows_of(store, case_id, input_hash, reader_id, pass_number))


def marks_by_root(
    store: Store, *, case_id: str, input_hash: str, reader_id: int, pass_number: int = 1
) -> dict[str, Missed]:
    """``list_missed`` by the id of the row that each mark began with, which corrections don't change."""
    rows = _rows_of(store, case_id, input_hash, reader_id, pass_number)
    roots: dict[str, str] = {}
    for row in rows:
        roots[row.id] = row.id if row.supersedes is None else roots[row.supersedes]
    standing = {roots[row.id]: row for row in standing_missed(rows)}
    return {root: standing[root] for root in dict.fromkeys(roots.values()) if root in standing}


def _rows_of(store: Store, case_id: str, input_hash: str, reader_id: int, pass_number: int) -> list[Missed]:
    query = (
        select(MissedFinding)
        .where(
            MissedFinding.case_id == case_id,
            MissedFinding.input_hash == input_hash,
            MissedFinding.reader_id == reader_id,
            MissedFinding.pass_number == pass_number,
        )
        .order_by(MissedFinding.seq)
    )
    with transaction(store, write=False) as session:
        return [Missed(**columns(row)) for row in session.scalars(query)]


def _append_missed(store: Store, content: dict[str, Any]) -> Missed:
    check_id(content["id"])
    reader_id = content["reader_id"]
    with transaction(store, write=True) as session:
        before = session.get(MissedFinding, content["id"])
        if before is not None:
            return Missed(**columns(same(before, content)))
        lock_reader(session, reader_id)
        if content["phase"] == "first":
            _refuse_locked(session, content)
        if content["supersedes"] is not None:
            old = session.get(MissedFinding, content["supersedes"])
            heirs = select(MissedFinding).where(MissedFinding.supersedes == content["supersedes"])
            if old is None or old.reader_id != reader_id or session.scalars(heirs).first() is not None:
                raise StoreError("That missed finding was changed or taken back already; reload the page.")
        row = MissedFinding(**content, seq=next_seq(session, MissedFinding, reader_id), created_utc=now_utc())
        session.add(row)
        session.flush()
        return Missed(**columns(row))


def _refuse_locked(session: Session, content: dict[str, Any]) -> None:
    """What a reader marked unaided is part of the first read: with it, it is locked."""
    locked = select(CaseRead).where(
        CaseRead.phase == "first",
        *(
            getattr(CaseRead, name) == content[name]
            for name in ("reader_id", "case_id", "input_hash", "pass_number")
        ),
    )
    if session.scalars(locked).first() is not None:
        raise StoreError("This mark belongs to the first read, which is locked; nothing was changed.")


def provenance(record: CaseRecord) -> dict[str, Any]:
    """Which analysis an answer speaks of, as columns."""
    return {
        "case_id": record.case_id,
        "model": record.model,
        "model_hash": record.model_hash,
        "input_hash": record.input_hash,
        "case_key": record.key,
    }
