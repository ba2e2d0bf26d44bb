"""Assign: who reads which scans, in which order; for coordinators."""

from __future__ import annotations

import streamlit as st

from app import identity, state
from app.assign.form import composer
from app.assign.running import running
from app.feedback.store import StoreError

MADE_NOW = "assign_made_now"


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
    if st.session_state.pop(MADE_NOW, False):
        st.success("Made. Its readers find it in their Worklist now.", icon=":material/check:")
    made, new = st.tabs(["Batches", "New batch"])
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
