"""One coordinator before the disagreements: which is open, what is chosen, what was decided.

Callbacks write to the database first and touch the session afterwards.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import streamlit as st

from app import identity, state
from app.agreement import drafts
from app.agreement.decision import heard
from app.agreement.drafts import address
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
from app.feedback.vocabulary import terms
from app.review.classes import DIGITS
from app.routes import health_url, served

AT = "adjudicate_at"  # address of the open disagreement
QUESTION = "question"  # the same, in the page's own address
ADDRESS_SHOWN = 16
LIST = "adjudicate_shown"
SAID = "adjudicate_said"
KEPT = "adjudicate_kept"  # by place, the id of the draft that the database holds
ANSWERED = "adjudicate_answered"  # by a decision's id, whether it was kept
REMEMBERED = 20
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


def spoken(decision: str) -> str:
    """A decision in words."""
    return SAY.get(decision, decision)


def asked() -> str:
    """Beginning of the address of the open disagreement: the session's, else the page's; else empty."""
    return str(st.session_state.get(AT) or st.query_params.get(QUESTION, ""))[:ADDRESS_SHOWN]


def open_one(listed: list[Dispute]) -> int:
    """Place of the open disagreement in the list; the first where it is not in it."""
    wanted = asked()
    return next((at for at, one in enumerate(listed) if wanted and address(one).startswith(wanted)), 0)


def opened(dispute: Dispute) -> None:
    """It is on the page: a reload must open it again."""
    st.session_state[AT] = address(dispute)
    if st.query_params.get(QUESTION) != address(dispute)[:ADDRESS_SHOWN]:
        st.query_params[QUESTION] = address(dispute)[:ADDRESS_SHOWN]


def form_data(dispute: Dispute | None, at: Desk) -> dict[str, Any]:
    """What the form is sent of a disagreement, or of none, as decision.js reads it."""
    store = state.feedback()
    standing = None if dispute is None else at.decided.get(dispute.key)
    draft = None if dispute is None else drafts.under_way(store, at.reader.id, address(dispute))
    value = draft or (drafts.DecisionDraft() if standing is None else drafts.said(standing))
    offered = [
        [term.name, term.label]
        for term in terms(store, retired=True)
        if not term.retired or term.name == value.finding_type
    ]
    text, failed, count = last_said()
    return {
        "place": f"{at.reader.id}." if dispute is None else drafts.place(at.reader.id, dispute),
        "values": []
        if dispute is None
        else [[one, spoken(one), KEYS[one].lower()] for one in values(dispute)],
        "terms": offered if dispute is not None and dispute.subject == "region" else None,
        "value": asdict(value),
        "draft": draft is not None,
        "kept": st.session_state.get(KEPT, {}),
        "answered": st.session_state.get(ANSWERED, {}),
        "said": {"text": text, "failed": failed, "count": count},
        "session": state.session_id(),
        "health": health_url() if served() else "",
    }


def first_list(at: Desk) -> str:
    """The list that a page loaded anew begins with: the one that has the disagreement which was open."""
    wanted = asked()
    decided = wanted and any(address(one).startswith(wanted) for one in at.listed("decided"))
    return "decided" if decided else SHOWN[0]


def turn(to: str) -> None:
    """Open another one, by its address."""
    st.session_state[AT] = to


def show_decided() -> None:
    """List what is decided: the one that was decided last is open."""
    st.session_state[LIST] = "decided"


def following(at: Desk, dispute: Dispute) -> Dispute | None:
    """The next one that is still to be decided, from the first again after the last."""
    others = [one for one in at.listed("to decide") if one.key != dispute.key]
    later = [one for one in others if at.disputes.index(one) > at.disputes.index(dispute)]
    return next(iter([*later, *others]), None)


def say(text: str, failed: bool = False) -> None:
    """Tell the coordinator, at the form."""
    st.session_state[SAID] = (text, failed, last_said()[2] + 1)


def last_said() -> tuple[str, bool, int]:
    """What was told last, whether it is a refusal, and how many were told before."""
    found: tuple[str, bool, int] = st.session_state.get(SAID, ("", False, 0))
    return found


def _remember(what: str, name: str, value: Any) -> None:
    every = {one: held for one, held in st.session_state.get(what, {}).items() if one != name}
    st.session_state[what] = dict(list((every | {name: value}).items())[-REMEMBERED:])


def _coordinator() -> SavedReader | None:
    reader = identity.current_reader()
    return reader if identity.is_coordinator(reader) else None


def on_typed() -> None:
    """Keep what is being chosen and typed, each under its own question. What fails is told again."""
    reader, said = _coordinator(), heard("typed")
    for place, told in said.get("drafts", {}).items():
        question = None if reader is None else drafts.question_of(place, reader.id)
        if reader is None or question is None:
            continue
        try:
            if not _over(place, said["told"]):
                drafts.keep(state.feedback(), reader.id, question, drafts.draft_of(told))
        except (StoreError, ValueError) as error:
            say(f"Draft not kept: {error}", failed=True)
            continue
        _remember(KEPT, place, told.get("id"))


def _over(place: str, told: int) -> bool:
    """Whether a draft told at that time was decided since: both words can come in one run."""
    saved = heard("saved")
    kept = st.session_state.get(ANSWERED, {}).get(saved.get("id"), False)
    return bool(kept and saved["place"] == place and saved["told"] >= told)


def on_saved() -> None:
    """Keep a decision, once, and open the next one."""
    told = heard("saved")
    if "id" not in told or told["id"] in st.session_state.get(ANSWERED, {}):
        return
    try:
        kept = _decided(told)
    except (StoreError, ValueError) as error:
        say(f"Not saved: {error}", failed=True)
        kept = False
    _remember(ANSWERED, told["id"], kept)


def _decided(told: dict[str, Any]) -> bool:
    reader, given = _coordinator(), drafts.draft_of(told)
    if reader is None:
        say("Not saved: only coordinators decide.", failed=True)
        return False
    at, store = desk(reader), state.feedback()
    question = drafts.question_of(str(told.get("place")), reader.id)
    dispute = next((one for one in at.disputes if address(one) == question), None)
    if dispute is None:
        say("Not saved: readers do not differ here any more, or it is not yours to decide.", failed=True)
        return False
    if given.decision == "":
        say("Not saved: choose a decision first.", failed=True)
        return False
    before = at.decided.get(dispute.key)
    if before is not None and before.id != told["id"] and drafts.said(before) == given:
        drafts.forget(store, reader.id, address(dispute))
        say("Nothing has changed: this decision stands already.")
        return True
    saved = decide(
        store,
        dispute,
        id=str(told["id"]),
        reader_id=reader.id,
        decision=given.decision,
        reason=given.reason,
        finding_type=given.finding_type,
        session_id=state.session_id(),
    )
    then = following(at, dispute)
    if asked() == address(dispute)[:ADDRESS_SHOWN] and st.session_state.get(LIST) != "decided":
        turn(address(dispute if then is None else then))
    said = f"Saved {saved.saved_at}: {spoken(saved.decision)}, {saved.case_id}."
    try:
        drafts.forget(store, reader.id, address(dispute))
        say(said)
    except StoreError as error:
        say(f"{said} Its draft is still there: {error}", failed=True)
    return True


def undo() -> None:
    """Take back this coordinator's newest decision, and open it again with what it said."""
    reader = _coordinator()
    if reader is None:
        return
    store = state.feedback()
    try:
        row = undo_decision(store, id=new_id(), reader_id=reader.id, session_id=state.session_id())
        if row is None:
            say("There is no decision of yours to undo.", failed=True)
            return
        at = desk(reader)
        stands = row.key in at.decided  # the decision before it
        question = next((address(one) for one in at.disputes if one.key == row.key), None)
        if question is not None:
            if not stands and drafts.under_way(store, reader.id, question) is None:
                drafts.keep(store, reader.id, question, drafts.said(row))
            turn(question)
    except StoreError as error:
        say(f"Not undone: {error}", failed=True)
        return
    if st.session_state.get(LIST) != "all":
        st.session_state[LIST] = "decided" if stands else SHOWN[0]
    say(f"Taken back: {spoken(row.decision)}, {row.case_id}.")
