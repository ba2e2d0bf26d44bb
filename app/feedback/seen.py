"""To whom others' answers to a scan were shown: whoever saw them can't read it unaided any more."""

from __future__ import annotations

from collections.abc import Container, Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.feedback.database import Store, StoreError, transaction
from app.feedback.models import AnswersSeen, Reader
from app.feedback.writing import lock_reader, new_id, now_utc

Scan = tuple[str, str]  # case id, input hash
Seen = tuple[int, str, str]  # reader, case id, input hash
Sitting = tuple[int, str, str, int]  # reader, case id, input hash, pass


def note_seen(store: Store, reader_id: int, scans: Iterable[Scan]) -> None:
    """Keep that a person was shown others' answers to ``scans``; of each the first time stands.

    Raises
    ------
    StoreError
        Where there is no such reader, or the database refuses.
    """
    new = set(scans) - seen_by(store, reader_id)
    if not new:
        return
    with transaction(store, write=True) as session:
        lock_reader(session, reader_id)
        known = _rows(session, reader_id)
        session.add_all(
            AnswersSeen(
                id=new_id(), reader_id=reader_id, case_id=case_id, input_hash=scan, created_utc=now_utc()
            )
            for case_id, scan in sorted(new - known)
        )


def seen_by(store: Store, reader_id: int) -> frozenset[Scan]:
    """Scans to which a person was shown others' answers."""
    with transaction(store, write=False) as session:
        return _rows(session, reader_id)


def first_seen(session: Session) -> dict[Seen, str]:
    """When others' answers to a scan were first shown to each reader, UTC."""
    query = select(
        AnswersSeen.reader_id, AnswersSeen.case_id, AnswersSeen.input_hash, AnswersSeen.created_utc
    )
    return {(reader, case_id, scan): at for reader, case_id, scan, at in session.execute(query)}


def _rows(session: Session, reader_id: int) -> frozenset[Scan]:
    query = select(AnswersSeen.case_id, AnswersSeen.input_hash).where(AnswersSeen.reader_id == reader_id)
    return frozenset((case_id, scan) for case_id, scan in session.execute(query))


def refuse_seen(session: Session, sittings: Iterable[Sitting], finished: Container[Sitting]) -> None:
    """Refuse to ask a person for a reading of a scan after others' answers to it were shown to them.

    ``finished``: readings that are over, which nobody is asked for again.

    Raises
    ------
    StoreError
        With readers and scans, for the coordinator to leave out.
    """
    rows = session.execute(select(AnswersSeen.reader_id, AnswersSeen.case_id, AnswersSeen.input_hash))
    seen = {(reader, case_id, scan) for reader, case_id, scan in rows}
    swayed: dict[int, list[str]] = {}
    for one in sittings:
        if one[:3] in seen and one not in finished and one[1] not in swayed.get(one[0], ()):
            swayed.setdefault(one[0], []).append(one[1])
    if not swayed:
        return
    names = {id: name for id, name in session.execute(select(Reader.id, Reader.name)) if id in swayed}
    told = "; ".join(f"{names[id]}: {_few(cases)}" for id, cases in swayed.items())
    raise StoreError(
        "These readers were shown what others said of scans that they would get, in Agreement, Adjudicate, a "
        f"report, an export or a lesson of theirs. Leave out the readers or the scans. {told}."
    )


def _few(cases: list[str], most: int = 5) -> str:
    more = len(cases) - most
    return ", ".join(sorted(cases)[:most]) + (f" and {more} more" if more > 0 else "")
