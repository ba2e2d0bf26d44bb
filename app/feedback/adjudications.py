"""Final decisions where readers disagree: append-only, each with its reason, readers' names left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.feedback.blinding import Answers, Scan, answers_visible
from app.feedback.database import Store, StoreError, transaction
from app.feedback.models import Adjudication
from app.feedback.reads import Classification, SavedRead
from app.feedback.rows import SavedVerdict, VerdictValue
from app.feedback.writing import check_id, columns, lock_reader, next_seq, now_utc, same

Subject = Literal["region", "class"]
CLASSES: tuple[str, ...] = get_args(Classification)
VERDICTS: tuple[str, ...] = get_args(VerdictValue)
Key = tuple[str, str, str, str, str, str, str]  # scan, subject, and of a region its analysis, map and id


@dataclass(frozen=True)
class Vote:
    """What one reader said; ``label`` instead of a name, shuffled from scan to scan."""

    label: str
    value: str
    finding_type: str
    confidence: int | None
    note: str


@dataclass(frozen=True)
class Dispute:
    """A region or a scan's class on which the readers of a closed scan differ; ``region`` {} for a class."""

    subject: Subject
    case_id: str
    input_hash: str
    model: str
    case_key: str
    map: str
    region_id: str
    region: dict[str, Any]
    votes: tuple[Vote, ...]

    @property
    def key(self) -> Key:
        return (
            self.case_id,
            self.input_hash,
            self.subject,
            self.model if self.subject == "region" else "",
            self.case_key if self.subject == "region" else "",
            self.map if self.subject == "region" else "",
            self.region_id,
        )


@dataclass(frozen=True)
class SavedDecision:
    id: str
    seq: int
    reader_id: int
    case_id: str
    input_hash: str
    subject: Subject
    model: str
    case_key: str
    map: str
    region_id: str
    region: dict[str, Any] | None
    decision: str
    finding_type: str
    reason: str
    session_id: str
    created_utc: str
    supersedes: str | None
    retracted: bool

    @property
    def key(self) -> Key:
        return (
            self.case_id,
            self.input_hash,
            self.subject,
            self.model,
            self.case_key,
            self.map,
            self.region_id,
        )

    @property
    def saved_at(self) -> str:
        """Local time of day, as in "saved 14:03:21"."""
        return datetime.fromisoformat(self.created_utc).astimezone().strftime("%H:%M:%S")


def labels(case_id: str, input_hash: str, readers: Iterable[int]) -> dict[int, str]:
    """ "Reader 1", "Reader 2" …, in an order that the scan's hash shuffles: the same only within the scan."""

    def shuffled(reader: int) -> str:
        return hashlib.sha256(f"{case_id}|{input_hash}|{reader}".encode()).hexdigest()

    return {reader: f"Reader {at}" for at, reader in enumerate(sorted(set(readers), key=shuffled), 1)}


def final_reads(reads: Iterable[SavedRead]) -> dict[tuple[int, str, str, int], SavedRead]:
    """What each sitting came to: its second read, or a first that found the image inadequate."""
    final: dict[tuple[int, str, str, int], SavedRead] = {}
    for row in reads:
        at = (row.reader_id, row.case_id, row.input_hash, row.pass_number)
        if row.phase == "second" or (row.classification == "inadequate" and at not in final):
            final[at] = row
    return final


def disputes(answers: Answers) -> list[Dispute]:
    """Where readers of the visible closed scans differ in their first pass: classes first, by scan."""
    voters: dict[Scan, set[int]] = {}
    classes: dict[Scan, list[SavedRead]] = {}
    for (reader, case_id, input_hash, number), read in final_reads(answers.reads).items():
        if number == 1 and (case_id, input_hash) in answers.scans:
            voters.setdefault((case_id, input_hash), set()).add(reader)
            classes.setdefault((case_id, input_hash), []).append(read)
    regions: dict[tuple[str, str, str, str, str, str], list[SavedVerdict]] = {}
    for row in answers.verdicts:
        if row.pass_number == 1 and (row.case_id, row.input_hash) in answers.scans:
            place = (row.case_id, row.input_hash, row.model, row.case_key, row.map, row.region_id)
            regions.setdefault(place, []).append(row)
    found = []
    for scan, reads in classes.items():
        if len({read.classification for read in reads}) > 1:
            named = labels(*scan, voters[scan])
            votes = [
                Vote(named[one.reader_id], one.classification, "", one.confidence, one.note) for one in reads
            ]
            found.append(
                Dispute(
                    "class", *scan, reads[0].model, reads[0].case_key, reads[0].map, "", {}, _in_order(votes)
                )
            )
    for place, rows in regions.items():
        if len({row.verdict for row in rows}) > 1:
            named = labels(place[0], place[1], voters[place[0], place[1]])
            votes = [
                Vote(named[row.reader_id], row.verdict, row.finding_type, row.confidence, row.note)
                for row in rows
            ]
            found.append(Dispute("region", *place, rows[0].region, _in_order(votes)))
    return sorted(found, key=lambda one: (one.case_id, one.input_hash, one.subject, *one.key))


def named(dispute: Dispute, answers: Answers) -> dict[str, str]:
    """Who "Reader 1" and the others of a scan are: for whoever has decided all its questions."""
    shown = numbers(dispute.case_id, dispute.input_hash, answers)
    return {label: answers.names[reader] for reader, label in shown.items()}


def numbers(case_id: str, input_hash: str, answers: Answers) -> dict[int, str]:
    """ids of the scan's readers, of first passes, with "Reader 1" and so on."""
    scan = (case_id, input_hash)
    return labels(*scan, {one[0] for one in final_reads(answers.reads) if one[1:] == (*scan, 1)})


def _in_order(votes: list[Vote]) -> tuple[Vote, ...]:
    return tuple(sorted(votes, key=lambda vote: int(vote.label.split()[-1])))


def decisions(store: Store, answers: Answers) -> dict[Key, SavedDecision]:
    """Standing decisions on the scans that the viewer of ``answers`` may know of."""
    with transaction(store, write=False) as session:
        rows = _all(session)
    return {
        key: row for key, row in _standing(rows).items() if (row.case_id, row.input_hash) in answers.scans
    }


def decide(
    store: Store,
    dispute: Dispute,
    *,
    id: str,
    reader_id: int,
    decision: str,
    reason: str,
    finding_type: str = "",
    session_id: str = "",
) -> SavedDecision:
    """Append a coordinator's final decision; it supersedes the one before. Twice the same id: one row.

    Raises
    ------
    StoreError
        Where the scan is not closed, or still to be read by ``reader_id``; there is no reason; the decision
        is no verdict or class; the id was used for other content; or the database refuses.
    """
    check_id(id)
    reason = reason.strip()
    if reason == "":
        raise StoreError("Give the reason first: a decision without one can't be kept.")
    allowed = VERDICTS if dispute.subject == "region" else CLASSES
    if decision not in allowed:
        raise StoreError(f"The decision is {decision!r}; expected {', '.join(allowed)}.")
    scan = (dispute.case_id, dispute.input_hash)
    if scan not in answers_visible(store, reader_id, coordinator=True, cases=[dispute.case_id]).scans:
        raise StoreError("This scan is not closed, or you have still to read it; nothing was decided.")
    content = {
        "id": id,
        "reader_id": reader_id,
        **dict(zip(KEY, dispute.key, strict=True)),
        "region": dispute.region or None,
        "decision": decision,
        "finding_type": finding_type,
        "reason": reason,
        "session_id": session_id,
        "retracted": False,
    }
    with transaction(store, write=True) as session:
        before = session.get(Adjudication, id)
        if before is not None:
            return _saved(same(before, content))
        return _append(session, content, dispute.key)


def undo_decision(store: Store, *, id: str, reader_id: int, session_id: str = "") -> SavedDecision | None:
    """Take back the reader's newest decision that stands, by a new row; None where none does.

    The decision before it on the same question, if there is one, stands again.
    """
    check_id(id)
    with transaction(store, write=True) as session:
        before = session.get(Adjudication, id)
        if before is not None:
            if not before.retracted or before.reader_id != reader_id:
                raise StoreError("This form's key was used for another answer; reload the page.")
            return _saved(before)
        mine = [row for row in _standing(_all(session)).values() if row.reader_id == reader_id]
        if not mine:
            return None
        last = max(mine, key=lambda row: row.seq)
        content = {**asdict(last), "id": id, "session_id": session_id, "retracted": True}
        return _append(session, content, last.key)


KEY = ("case_id", "input_hash", "subject", "model", "case_key", "map", "region_id")


def _append(session: Session, content: dict[str, Any], key: Key) -> SavedDecision:
    lock_reader(session, content["reader_id"])
    chain = [row for row in _all(session) if row.key == key]
    given = {
        **content,
        "seq": next_seq(session, Adjudication, content["reader_id"]),
        "created_utc": now_utc(),
        "supersedes": chain[-1].id if chain else None,
    }
    row = Adjudication(**given)
    session.add(row)
    session.flush()
    return _saved(row)


def _all(session: Session) -> list[SavedDecision]:
    """Every row, each after the one that it supersedes."""
    rows = [_saved(row) for row in session.scalars(select(Adjudication))]
    heirs = {row.supersedes: row for row in rows if row.supersedes is not None}
    ordered = []
    for head in sorted((row for row in rows if row.supersedes is None), key=lambda row: row.created_utc):
        link: SavedDecision | None = head
        while link is not None:
            ordered.append(link)
            link = heirs.get(link.id)
    return ordered


def _standing(rows: Iterable[SavedDecision]) -> dict[Key, SavedDecision]:
    stacks: dict[Key, list[SavedDecision]] = {}
    for row in rows:
        stack = stacks.setdefault(row.key, [])
        if row.retracted:
            stack.pop()
        else:
            stack.append(row)
    return {key: stack[-1] for key, stack in stacks.items() if stack}


def _saved(row: Adjudication) -> SavedDecision:
    return SavedDecision(**columns(row))
