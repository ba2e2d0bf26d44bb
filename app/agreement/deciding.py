"""One coordinator before the disagreements: which is open, what is chosen, what was decided.

Callbacks write to the database first and touch the session afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app import identity, state
from app.feedback.adjudications import (
    CLASSES,
    VERDICTS,
    Dispute,
    Key,
    SavedDecision,
    decide,
    decisions,
    disputes,
    undo_decision,
)
from app.feedback.blinding import Answers, answers_visible, version
from app.feedback.store import SavedReader, StoreError, new_id
from app.review.classes import DIGITS

AT = "adjudicate_key"  # of the open disagreement
CHOICE = "adjudicate_choice"
FORM = "adjudicate_form"  # idempotency key
SAID = "adjudicate_said"
SHOWN = ("to decide", "decided", "all")
# As in Review: the same key never means another answer.
KEYS: dict[str, str] = {"agree": "A", "disagree": "D", "unsure": "S"} | {
    str(name): digit for name, digit in DIGITS.items()
}
SAY = {
    "agree": "Agree: yes",
    "disagree": "Disagree: no",
    "unsure": "Unsure",
    "normal": "Normal",
    "inadequate": "Inadequate",
}


@dataclass(frozen=True)
class Desk:
    """Everything to decide and decided, as this coordinator may see it."""

    reader: SavedReader
    answers: Answers
    disputes: list[Dispute]
    decided: dict[Key, SavedDecision]

    def listed(self, shown: str) -> list[Dispute]:
        if shown == "all":
            return self.disputes
        return [one for one in self.disputes if (one.key in self.decided) == (shown == "decided")]

    def settled(self, dispute: Dispute) -> bool:
        """Whether every question of its scan is decided: readers' numbers are the same in all of them."""
        scan = (dispute.case_id, dispute.input_hash)
        return all(one.key in self.decided for one in self.disputes if (one.case_id, one.input_hash) == scan)


@st.cache_resource(show_spinner="Comparing answers …", max_entries=4)
def _desk(url: str, changed: tuple[int, ...], reader: SavedReader) -> Desk:
    """``url`` and ``changed`` only key the cache; nothing in a desk is ever changed."""
    store = state.feedback()
    answers = answers_visible(store, reader.id, coordinator=True)
    return Desk(reader, answers, disputes(answers), decisions(store, answers))


def desk(reader: SavedReader) -> Desk:
    """The desk as the store stands."""
    store = state.feedback()
    return _desk(store.url, version(store), reader)


def values(dispute: Dispute) -> tuple[str, ...]:
    """What can be decided."""
    return VERDICTS if dispute.subject == "region" else CLASSES


def open_one(listed: list[Dispute]) -> int:
    """Place of the open disagreement in the list; the first where it is not in it."""
    keys = [one.key for one in listed]
    wanted = st.session_state.get(AT)
    return keys.index(wanted) if wanted in keys else 0


def turn(key: Key) -> None:
    """Open another one; nothing is chosen there yet."""
    st.session_state[AT] = key
    for name in (CHOICE, FORM):
        st.session_state.pop(name, None)


def choose(value: str) -> None:
    """Choose a decision; it is kept with its reason."""
    st.session_state[CHOICE] = value


def reason_key(dispute: Dispute) -> str:
    """Widget key of the reason: what was typed stays with its question."""
    return "adjudicate_reason_" + "_".join(dispute.key)


def type_key(dispute: Dispute) -> str:
    return "adjudicate_type_" + "_".join(dispute.key)


def save(dispute: Dispute, following: Key | None) -> None:
    """Keep the decision chosen, and open the next one."""
    reader = identity.current_reader()
    choice = st.session_state.get(CHOICE)
    if reader is None or not identity.is_coordinator(reader):
        st.session_state[SAID] = ("Not saved: only coordinators decide.", True)
        return
    if choice is None:
        st.session_state[SAID] = ("Not saved: choose a decision first.", True)
        return
    try:
        saved = decide(
            state.feedback(),
            dispute,
            id=str(st.session_state.setdefault(FORM, new_id())),
            reader_id=reader.id,
            decision=choice,
            reason=str(st.session_state.get(reason_key(dispute), "")),
            finding_type=str(st.session_state.get(type_key(dispute)) or ""),
            session_id=state.session_id(),
        )
    except StoreError as error:
        st.session_state[SAID] = (f"Not saved: {error}", True)
        return
    st.session_state[SAID] = (f"Saved {saved.saved_at}: {choice}.", False)
    if following is not None:
        turn(following)
    else:
        turn(dispute.key)


def undo() -> None:
    """Take back this coordinator's newest decision, and open it again."""
    reader = identity.current_reader()
    if reader is None or not identity.is_coordinator(reader):
        return
    try:
        row = undo_decision(state.feedback(), id=new_id(), reader_id=reader.id, session_id=state.session_id())
    except StoreError as error:
        st.session_state[SAID] = (f"Not undone: {error}", True)
        return
    if row is None:
        st.session_state[SAID] = ("There is no decision of yours to undo.", True)
        return
    turn(row.key)
    st.session_state[SAID] = (f"Taken back: {row.decision}.", False)
