"""The way back to the Worklist, once nothing is left that the reader would turn to by themselves."""

from __future__ import annotations

import streamlit as st

from app import state
from app.assign import mine
from app.feedback.reads import events_of
from app.review.classes import INADEQUATE
from app.review.reading import Open
from app.review.whole import next_case

WORKLIST = "pages/worklist.py"


def finished(now: Open) -> str:
    """What is over, in words, with the open scan; empty while there is something to go on with.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    ended = now.second is not None or (now.first is not None and now.first.classification == INADEQUATE)
    skipped = not ended and _skipped(now)
    if not (ended or skipped) or next_case(now) is not None:
        return ""
    own = mine.mine(state.feedback(), now.reader, state.cases())
    if any(one.skipped for one in own.items):
        return "All read but what you skipped."
    if (now.record.case_id, now.record.input_hash) in own.given:
        return "All your assigned cases are read."
    return "All read but what you skipped." if skipped else "All read."


def _skipped(now: Open) -> bool:
    scan = (now.record.case_id, now.record.input_hash, now.pass_number)
    mine_here = [
        one
        for one in events_of(state.feedback(), now.reader.id)
        if (one.case_id, one.input_hash, one.pass_number) == scan
    ]
    return bool(mine_here) and max(mine_here, key=lambda one: one.seq).kind == "skipped"


def way_back(now: Open) -> None:
    """Say that nothing is left, and lead back; nothing while there is.

    Raises
    ------
    StoreError
    """
    if (words := finished(now)) == "":
        return
    with st.container(key="reading_over", border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{words}**")
        if st.button("Back to Worklist", key="review_over", type="primary", icon=":material/list:"):
            st.switch_page(WORKLIST)
