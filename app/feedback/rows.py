"""What goes into the feedback store and what comes out: frozen rows, and which of them are in force.

Rows of one reader on one region form a chain (each supersedes the one before). A retracted row takes back
the newest standing row, so undoing twice goes back two steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from core.io.derivatives import MapName, Region

VerdictValue = Literal["agree", "disagree", "unsure"]
Phase = Literal["first", "second"]
ReaderSource = Literal["typed", "oidc", "header"]


@dataclass(frozen=True)
class SavedReader:
    id: int
    name: str
    source: ReaderSource


@dataclass(frozen=True)
class VerdictInput:
    """One answer as given. ``id`` is made when the form is shown (``new_id``)."""

    id: str
    reader_id: int
    case_id: str
    model: str
    model_hash: str
    input_hash: str
    case_key: str
    region: Region
    verdict: VerdictValue
    note: str = ""
    session_id: str = ""
    finding_type: str = ""  # name of a term of the vocabulary
    confidence: int | None = None  # 1 to 5
    pass_number: int = 1  # the reader's nth reading of the scan


@dataclass(frozen=True)
class SavedVerdict:
    id: str
    seq: int
    reader_id: int
    case_id: str
    model: str
    model_hash: str
    input_hash: str
    case_key: str
    map: str
    region_id: str
    region: dict[str, Any]
    verdict: VerdictValue
    finding_type: str
    confidence: int | None
    pass_number: int
    note: str
    session_id: str
    created_utc: str
    supersedes: str | None
    retracted: bool

    @property
    def saved_at(self) -> str:
        """Local time of day, as in "saved 14:03:21"."""
        return clock(self.created_utc)


@dataclass(frozen=True)
class MissedInput:
    """A missed finding: a sphere at (x, y, z) mm in the scan's RAS+ world, ``radius_mm`` up to 100."""

    id: str
    reader_id: int
    case_id: str
    model: str
    model_hash: str
    input_hash: str
    case_key: str
    map: MapName
    x_mm: float
    y_mm: float
    z_mm: float
    radius_mm: float
    note: str = ""
    session_id: str = ""
    phase: Phase = "second"  # "first": marked before the flags were shown
    finding_type: str = ""
    confidence: int | None = None
    pass_number: int = 1


@dataclass(frozen=True)
class Missed:
    id: str
    seq: int
    reader_id: int
    case_id: str
    model: str
    model_hash: str
    input_hash: str
    case_key: str
    map: str
    x_mm: float
    y_mm: float
    z_mm: float
    radius_mm: float
    phase: Phase
    finding_type: str
    confidence: int | None
    pass_number: int
    note: str
    session_id: str
    created_utc: str
    supersedes: str | None
    retracted: bool

    @property
    def saved_at(self) -> str:
        """Local time of day, as in "saved 14:03:21"."""
        return clock(self.created_utc)


@dataclass(frozen=True)
class CaseProgress:
    """One reader's standing answers on one case."""

    judged: dict[tuple[str, str], frozenset[str]]  # (case_key, map) -> ids of regions with a standing verdict
    verdicts: dict[str, int]  # agree, disagree, unsure -> regions
    missed: int
    last_utc: str


def clock(utc: str) -> str:
    """Local time of day of an ISO 8601 time, as in "14:03:21"."""
    return datetime.fromisoformat(utc).astimezone().strftime("%H:%M:%S")


def standing_verdicts(rows: Iterable[SavedVerdict]) -> list[SavedVerdict]:
    """Rows in force, given all rows of a reader in order: a retracting row uncovers what it covered."""
    stacks: dict[tuple[str, str, str, str, str, int], list[SavedVerdict]] = {}
    for row in rows:
        stack = stacks.setdefault(
            (row.case_id, row.model, row.case_key, row.map, row.region_id, row.pass_number), []
        )
        if row.retracted:
            stack.pop()
        else:
            stack.append(row)
    return [stack[-1] for stack in stacks.values() if stack]


def standing_missed(rows: Iterable[Missed]) -> list[Missed]:
    every = list(rows)
    superseded = {row.supersedes for row in every}
    return [row for row in every if row.id not in superseded and not row.retracted]
