"""The short vocabulary of findings: terms are added, renamed, ordered and retired, never removed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.feedback.database import Store, StoreError, transaction
from app.feedback.models import FindingType
from app.feedback.writing import now_utc

LABEL_CHARACTERS = 100


@dataclass(frozen=True)
class Term:
    """``name`` stands in the answers and never changes; ``label`` is what readers see."""

    name: str
    label: str
    position: int
    retired: bool


def terms(store: Store, *, retired: bool = False) -> list[Term]:
    """Terms in their order; the retired ones too where ``retired``."""
    query = select(FindingType).order_by(FindingType.position, FindingType.name)
    with transaction(store, write=False) as session:
        found = [Term(row.name, row.label, row.position, row.retired) for row in session.scalars(query)]
    return [term for term in found if retired or not term.retired]


def add_term(store: Store, label: str) -> Term:
    """Add a term at the end.

    Raises
    ------
    StoreError
        Where the label is empty, too long, or that of another term.
    """
    with transaction(store, write=True) as session:
        label = _checked(session, label, None)
        stem = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")[:50] or "term"
        names = set(session.scalars(select(FindingType.name)))
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}_{number}", number + 1
        last = session.scalar(select(func.max(FindingType.position))) or 0
        session.add(
            FindingType(name=name, label=label, position=last + 1, retired=False, created_utc=now_utc())
        )
        return Term(name, label, last + 1, False)


def rename_term(store: Store, name: str, label: str) -> None:
    """Change what readers see; the answers given keep their meaning, so only the wording may change.

    Raises
    ------
    StoreError
        As ``add_term``, or where there is no such term.
    """
    with transaction(store, write=True) as session:
        _term(session, name).label = _checked(session, label, name)


def retire_term(store: Store, name: str, retired: bool) -> None:
    """Offer a term no more, or again.

    Raises
    ------
    StoreError
        Where there is no such term.
    """
    with transaction(store, write=True) as session:
        _term(session, name).retired = retired


def move_term(store: Store, name: str, by: int) -> None:
    """Move a term ``by`` places down the list, or up where negative.

    Raises
    ------
    StoreError
        Where there is no such term.
    """
    with transaction(store, write=True) as session:
        term = _term(session, name)
        rows = list(session.scalars(select(FindingType).order_by(FindingType.position, FindingType.name)))
        at = rows.index(term)
        rows.insert(min(max(at + by, 0), len(rows) - 1), rows.pop(at))
        for position, row in enumerate(rows, 1):
            row.position = position


def _term(session: Session, name: str) -> FindingType:
    found = session.get(FindingType, name)
    if found is None:
        raise StoreError("This term is not in the vocabulary; reload the page.")
    return found


def _checked(session: Session, label: str, name: str | None) -> str:
    label = " ".join(label.split())
    if not 1 <= len(label) <= LABEL_CHARACTERS:
        raise StoreError(f"A term has 1 to {LABEL_CHARACTERS} characters.")
    for row in session.scalars(select(FindingType)):
        if row.name != name and row.label.casefold() == label.casefold():
            raise StoreError(f"“{row.label}” is in the vocabulary already{' (retired)' * row.retired}.")
    return label
