"""Agreement: which flags readers accept, how far readers agree, what the flags changed."""

from __future__ import annotations

import streamlit as st

from app import state
from app.agreement import tables
from app.agreement.feedback import offer_feedback
from app.agreement.load import Counted, archive, counted
from app.agreement.sections import HOW, SECTIONS
from app.feedback.store import SavedReader, StoreError
from app.identity import is_coordinator, require_reader
from app.report.offer import offer_answers
from app.words import scan_count


def standing(found: Counted) -> None:
    """What is counted, and what is held back."""
    closed = "1 scan is" if found.closed == 1 else f"{found.closed} scans are"
    readers = "1 reader" if len(found.readers) == 1 else f"{len(found.readers)} readers"
    st.caption(
        f"{found.readings} finished readings of {found.scans} scans by {readers}; {closed} "
        f"closed. Intervals: 95 %, scans resampled, {tables.DRAWS} draws, seed {tables.SEED}."
    )
    if found.late:
        later = "1 later answer is" if found.late == 1 else f"{found.late} later answers are"
        st.caption(
            "Of each reader and scan the answers count that were given before others' were first shown to "
            f"them; {later} left out."
        )
    if found.waiting:
        scans = scan_count(found.waiting)
        st.caption(f"You have {scans} to finish. What others say of them is hidden from you until then.")


def draw() -> None:
    """The page."""
    st.title("Agreement", anchor=False)
    reader = require_reader()
    coordinator = is_coordinator(reader)
    try:
        found = counted(reader, coordinator)
    except StoreError as error:
        st.error(str(error), icon=":material/error:")
        return
    synthetic = {case.record.case_id for case in state.cases() if case.record.synthetic}
    if synthetic:
        where = "among those read" if synthetic & found.inputs.keys() else "in the worklist"
        st.warning(
            f"Synthetic scans are {where}: no figure of theirs is clinical.", icon=":material/warning:"
        )
    if found.readings == 0:
        st.info(
            "Nothing to count yet. A reading counts once its second read is saved; others' readings once "
            "everybody who is to read the scan has finished.",
            icon=":material/info:",
        )
        st.page_link("pages/worklist.py", label="Open the worklist", icon=":material/list:")
        offer_answers(reader)
        return
    standing(found)
    names = list(SECTIONS)
    section = st.segmented_control(
        "Section", names, default=names[0], key="agree_section", label_visibility="collapsed"
    )
    with st.container(key="beside_agreement"):
        with st.container(width=1180):  # longer lines are harder to follow from a label to its figures
            SECTIONS[section or names[0]](found)
        with st.container():
            take_away(reader, coordinator)
    with st.expander("How to read this"):
        st.markdown(HOW)


def take_away(reader: SavedReader, coordinator: bool) -> None:
    """Tables, feedback and answers as files."""
    st.download_button(
        "Download all tables",
        archive(counted(reader, coordinator, hide=st.session_state.get("export_hide") is True)),
        "fontanelle_agreement.zip",
        "application/zip",
        key="agree_all",
        icon=":material/download:",
        help="With names as the box “Replace readers' names” below has them" if coordinator else None,
    )
    if coordinator:
        offer_feedback()
    offer_answers(reader)


draw()
