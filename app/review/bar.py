"""The reading loop's own line in Review's panel: keys and what the last one did, undo, skip, going on."""

from __future__ import annotations

import streamlit as st

from app import state
from app.feedback.drafts import keep_preference, preference
from app.feedback.store import Missed
from app.feedback.vocabulary import Term
from app.review import answers, desk, marks, reading, said, whole
from app.review.classes import DIGITS, MEANINGS
from app.review.reading import Open
from app.review.refused import refused


def bar(now: Open, drawn_here: bool, vocabulary: list[Term], mine: dict[str, Missed]) -> None:
    """The keys and what the last one did; undo, skip and going on by mouse."""
    text, failed, count = st.session_state.get(said.SAID, ("", False, 0))
    region = reading.selected_region()
    here = [root for root, mark in mine.items() if mark.phase == now.phase]
    mark = st.session_state.get(marks.MARK)
    newest = mark in here  # set since a region was chosen
    if not newest:  # a reload has forgotten it
        mark = here[-1] if here else None
    desk.desk(
        {
            "reader": str(now.reader.id),
            "session": state.session_id(),
            "analysis": said.analysis_key(now),
            "address": said.address(now.record),
            "scan": whole.note_place(now),
            "phase": now.phase,
            "viewer": not drawn_here,
            "region": None if region is None else region.id,
            "map": "" if now.blind else now.name,
            "hash": now.hashes.get("base"),
            "classes": [[value, words[0], DIGITS[value]] for value, words in MEANINGS.items()],
            "terms": [[term.name, term.label] for term in vocabulary],
            "answered": answers.answered(),
            "mark": mark,
            "newest": newest,
            "fresh": bool(st.session_state.pop(marks.FRESH, False)),
            "said": {"text": text, "failed": failed, "count": count},
            "refused": refused(),
        },
        answers.on_answers,
    )
    back, away, on = st.columns([0.24, 0.24, 0.52], vertical_alignment="center")
    back.button("Undo (U)", key="verdict_undo", on_click=answers.undo_here, type="tertiary", width="stretch")
    away.button("Skip …", key="review_skip", on_click=_ask_why, type="tertiary", help="Shift S")
    going = preference(state.feedback(), now.reader.id, whole.ADVANCE) != "off"
    on.toggle("Next case once saved", going, key="review_advance", on_change=_keep_advance)
    if st.session_state.pop(answers.SKIPPING, False):
        _skip_dialog()


def _keep_advance() -> None:
    value = "on" if st.session_state["review_advance"] else "off"
    keep_preference(state.feedback(), reading.open_now().reader.id, whole.ADVANCE, value)


def _ask_why() -> None:
    st.session_state[answers.SKIPPING] = True


@st.dialog("Skip this case")
def _skip_dialog() -> None:
    with st.form("skip", border=False):
        st.text_input("Why?", key="review_skip_reason", placeholder="e.g. need the earlier scan")
        if st.form_submit_button("Skip", type="primary", key="review_skip_go", on_click=_skip):
            st.rerun()


def _skip() -> None:
    whole.skip(str(st.session_state["review_skip_reason"]))
