"""Making a batch: cases, planted ones, readers, order, repeats; a preview of the loads; and it is made."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import identity, state
from app.assign import choices
from app.assign.candidates import Load, loads, plan_case, scan_of
from app.assign.choices import MADE
from app.feedback.assignments import BatchInput, make_batch
from app.feedback.blinding import course
from app.feedback.owed import taught
from app.feedback.planning import PlanError, Planned, plan
from app.feedback.store import SavedReader, Store, StoreError, list_readers, new_id, reader_for

FORM = "assign_form"  # id of the batch being composed: the same form gives one batch


def composer(store: Store, coordinator: SavedReader) -> bool:
    """Draw the form; whether a batch was made.

    Raises
    ------
    StoreError
        Where the store can't be read.
    """
    everything = state.cases()
    if not everything:
        st.info(
            "There is no analysed scan to assign yet. Make the synthetic demo cohort with `make demo`, "
            "import a folder from the Worklist, or upload a scan.",
            icon=":material/info:",
        )
        st.page_link("pages/upload.py", label="Upload a scan", icon=":material/upload_file:")
        return False
    now = course(store)
    name = st.text_input(
        "Name of the batch", key=choices.fresh("name"), max_chars=200, placeholder="e.g. Pilot", width=420
    )
    st.subheader("Cases", anchor=False)
    wanted, left = choices.filtered(everything, now)
    place = st.container()  # drawn after the planted ones, which are none of the cases
    planted = choices.planted([case for case in everything if case.record.model == wanted.model])
    with place:
        chosen = choices.chosen([case for case in left if case not in planted])
    known = choices.known(planted)
    st.subheader("Readers", anchor=False)
    readers, k = choices.readers(store)
    st.subheader("Order and repeats", anchor=False)
    ordering, score, seed, fraction, gap = choices.ordering(wanted, left)
    cases = tuple(plan_case(case, score) for case in chosen)
    extra = tuple(plan_case(case, "") for case in planted)
    st.subheader("Preview", anchor=False)
    if not chosen or not readers:
        st.caption("Choose cases and readers to see what each reader gets.")
        return False
    ids = {one.name: one.id for one in list_readers(store, identity.source())}
    try:
        rows = plan(cases, len(readers), k, ordering, fraction, extra, seed, gap)
    except PlanError as error:
        st.warning(str(error), icon=":material/warning:")
        return False
    _preview(loads(rows, readers, ids, now))
    spoilt = len({scan_of(case) for case in (*chosen, *planted)} & taught(store))
    if spoilt:
        many = "1 of these scans was" if spoilt == 1 else f"{spoilt} of these scans were"
        st.caption(f"{many} shown in a lesson: leave out whoever was there.")
    if coordinator.name in readers:
        st.caption("You are among the readers, and you know what you chose: best leave yourself out.")
    go, count = st.columns([0.2, 0.8], vertical_alignment="center")
    count.markdown(f"#### {_total(rows, len(chosen), len(readers), k, len(planted))}")
    if not go.button("Make the batch", key="assign_make", type="primary"):
        return False
    try:
        who = tuple(reader_for(store, reader, identity.source()).id for reader in readers)
        make_batch(
            store,
            BatchInput(
                id=st.session_state.setdefault(FORM, new_id()),
                name=name,
                created_by=coordinator.id,
                cases=cases,
                readers=who,
                readers_per_case=k,
                ordering=ordering,
                seed=seed,
                repeat_fraction=fraction,
                gap=gap,
                planted=extra,
                known=known,
                model=wanted.model,
                score=score,
                chosen=wanted.words(),
            ),
        )
    except StoreError as error:
        st.error(str(error), icon=":material/error:")
        return False
    del st.session_state[FORM]
    st.session_state[MADE] = (*st.session_state.get(MADE, ()), name)
    return True


def _total(rows: Sequence[Planned], cases: int, readers: int, k: int, planted: int) -> str:
    """What the button makes, in one line."""
    again = sum(one.kind == "repeat" for one in rows)
    parts = [_many(cases, "case"), _many(readers, "reader"), f"{k} for each case"]
    parts += [f"{planted} planted"] if planted else []
    parts += [f"{again} read again"] if again else []
    return f"{_many(len(rows), 'reading')}: {', '.join(parts)}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _preview(found: list[Load]) -> None:
    frame = pd.DataFrame(
        {
            "Reader": [one.name for one in found],
            "Cases": [one.cases for one in found],
            "Again": [one.repeats for one in found],
            "Planted": [one.planted for one in found],
            "In all": [one.total for one in found],
            "Read already": [one.read for one in found],
            "Hours": [one.hours for one in found],
        }
    )
    st.dataframe(
        frame,
        hide_index=True,
        key="assign_preview",
        placeholder="–",
        column_config={
            "Hours": st.column_config.NumberColumn(
                format="%.1f",
                help="For what is not read yet, at the median of active seconds of finished readings: the "
                "reader's own from five on, else everybody's",
            ),
            "Read already": st.column_config.NumberColumn(help="Read before: counts as done"),
        },
    )
    if all(one.hours is None for one in found):
        st.caption("No reading has been finished yet, so how long this takes is not known.")
    if any(one.read for one in found):
        st.caption("What a reader has read before counts as done; nobody is asked to read it anew.")
