"""A decision under way: what a coordinator has chosen and typed of one disagreement, kept by question."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from app.feedback.adjudications import Dispute, SavedDecision
from app.feedback.drafts import drop_draft, find_draft, keep_draft
from app.feedback.store import Store

DECISION = "@decision"  # where an answer's draft has its region
LENGTH = 64  # of an address


@dataclass(frozen=True)
class DecisionDraft:
    """Nothing of it is decided yet."""

    decision: str = ""
    finding_type: str = ""
    reason: str = ""


def address(dispute: Dispute) -> str:
    """Names a disagreement without naming a subject, as an analysis' address names an analysis."""
    return hashlib.sha256(json.dumps(dispute.key).encode()).hexdigest()


def place(reader_id: int, dispute: Dispute) -> str:
    """Whose draft of what: never shared between readers, nor between questions."""
    return f"{reader_id}.{address(dispute)}"


def question_of(told: str, reader_id: int) -> str | None:
    """The address in a ``place`` that a browser told; None where it is another reader's, or none."""
    owner, _, question = told.partition(".")
    return question if owner == str(reader_id) and len(question) == LENGTH else None


def draft_of(told: Mapping[str, Any]) -> DecisionDraft:
    """What a browser told of a decision.

    Raises
    ------
    ValueError
        Where a part is missing or no text.
    """
    parts = {name: told.get(name) for name in asdict(DecisionDraft())}
    for name, value in parts.items():
        if not isinstance(value, str):
            raise ValueError(f"{name} is {value!r}; expected a text")
    return DecisionDraft(**parts)  # type: ignore[arg-type]  # each is a text


def keep(store: Store, reader_id: int, question: str, draft: DecisionDraft) -> None:
    """Remember a draft; an empty one is forgotten.

    Raises
    ------
    StoreError
        Where the database refuses.
    """
    if draft == DecisionDraft():
        forget(store, reader_id, question)
        return
    keep_draft(
        store, reader_id=reader_id, analysis=question, region_id=DECISION, note=json.dumps(asdict(draft))
    )


def forget(store: Store, reader_id: int, question: str) -> None:
    """Nothing is under way any more."""
    drop_draft(store, reader_id=reader_id, analysis=question, region_id=DECISION)


def under_way(store: Store, reader_id: int, question: str) -> DecisionDraft | None:
    """The reader's own draft; None where nothing was chosen or typed."""
    found = find_draft(store, reader_id=reader_id, analysis=question, region_id=DECISION)
    return None if found is None else DecisionDraft(**json.loads(found.note))


def said(row: SavedDecision) -> DecisionDraft:
    """What a decision says."""
    return DecisionDraft(row.decision, row.finding_type, row.reason)
