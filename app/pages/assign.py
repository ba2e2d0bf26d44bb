"""Assign: who reads which scans, in which order; for coordinators."""

from __future__ import annotations

import streamlit as st

from app import identity, state
from app.assign.form import composer
from app.assign.running import running
from app.feedback.store import StoreError

MADE_NOW = "assign_made_now"
TAB = "assign_tab"  # the open one, known here: what the browser alone knows is lost where the page changes
BATCHES, NEW = "Batches", "New batch"


def page() -> None:
    st.title("Assign", anchor=False)
    reader = identity.require_reader()
    if not identity.is_coordinator(reader):
        st.info(
            "Scans are assigned by coordinators; whoever runs this server names them. "
            "What is assigned to you stands in the Worklist.",
            icon=":material/info:",
        )
        st.page_link("pages/worklist.py", label="Worklist", icon=":material/list:")
        return
    word = st.container()  # always there: what comes and goes above the tabs moves them, and they begin anew
    if st.session_state.pop(MADE_NOW, False):
        word.success("Made. Its readers find it in their Worklist now.", icon=":material/check:")
        st.session_state[TAB] = BATCHES
    made, new = st.tabs([BATCHES, NEW], key=TAB, on_change="rerun")
    try:
        with new:
            if composer(state.feedback(), reader):
                st.session_state[MADE_NOW] = True
                st.rerun()
        with made:
            running(state.feedback(), reader)
    except StoreError as error:
        st.error(str(error), icon=":material/error:")


page()
