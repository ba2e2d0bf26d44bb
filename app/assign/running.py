"""Batches that were made: how far each reader is, calling off, and the plan as CSV."""

from __future__ import annotations

import json
from functools import partial

import pandas as pd
import streamlit as st

from app.feedback.assignments import Batch, assigned_rows, batches, close_batch
from app.feedback.blinding import Scan
from app.feedback.export_text import inert
from app.feedback.owed import unfinished_by
from app.feedback.store import SavedReader, Store, StoreError

SAID = "assign_said"
HIDDEN = "You have scans of this batch still to read: its plan would tell you of them."
ORDERED: dict[str, str] = {
    "random": "random order",
    "score": "by score",
    "given": "as listed",
}


def running(store: Store, coordinator: SavedReader) -> None:
    """Draw every batch, those that run first.

    Raises
    ------
    StoreError
        Where the store can't be read.
    """
    found = batches(store)
    if (said := st.session_state.pop(SAID, None)) is not None:
        st.error(said, icon=":material/error:")
    if not found:
        st.caption("No batch yet. Make one, and its readers find it in their Worklist.")
        return
    owed = unfinished_by(store, coordinator.id)
    with st.container(key="beside_batches"):
        for batch in [one for one in found if one.closed_utc is None]:
            _batch(store, batch, coordinator, owed)
    over = [one for one in found if one.closed_utc is not None]
    if over:
        with st.expander(f"Called off ({len(over)})"):
            for batch in over:
                _batch(store, batch, coordinator, owed)


def summary(batch: Batch) -> str:
    """How a batch was made, in one line; one that a script made may tell less."""
    given, each = batch.settings, batch.readers_per_case
    parts = [f"{each} reader{'' if each == 1 else 's'} a case", ORDERED[batch.ordering], f"seed {batch.seed}"]
    if (cases := given.get("cases")) is not None:
        parts.insert(0, f"{len(cases)} case{'' if len(cases) == 1 else 's'}")
    if batch.repeat_fraction > 0:
        parts.append(f"{batch.repeat_fraction:.0%} again")
    if given.get("planted"):
        parts.append(f"{len(given['planted'])} planted")
    return " · ".join([*parts, f"made by {batch.created_by}, {batch.created_utc[:10]}"])


def blinded(batch: Batch, reader: SavedReader, owed: frozenset[Scan]) -> bool:
    """Whether the plan of a batch, with scores and known answers, would tell ``reader`` of scans to read.

    ``owed``: scans that the reader has begun or been given, by this or another batch, and not finished.
    """
    mine = [one for one in batch.progress if one.reader_id == reader.id]
    if batch.closed_utc is None and any(one.done < one.assigned for one in mine):
        return True
    given = [*batch.settings.get("cases", ()), *batch.settings.get("planted", ())]
    return any((case_id, input_hash) in owed for case_id, input_hash, *_ in given)


def table(store: Store, batch: Batch, reader: SavedReader) -> str:
    """The plan and what is done of it, as CSV; text that a spreadsheet would run gets an apostrophe.

    Asked at the click: the page may be from before ``reader`` was given scans of the batch.
    """
    if blinded(batch, reader, unfinished_by(store, reader.id)):
        return HIDDEN + "\n"
    frame = pd.DataFrame(assigned_rows(store, batch.id))
    return str(frame.map(inert).to_csv(index=False))


def _batch(store: Store, batch: Batch, coordinator: SavedReader, owed: frozenset[Scan]) -> None:
    with st.container(border=True):
        title, log, off = st.columns([0.64, 0.18, 0.18], vertical_alignment="center")
        done = sum(one.done for one in batch.progress)
        every = sum(one.assigned for one in batch.progress)
        title.text(batch.name)
        hidden = blinded(batch, coordinator, owed)
        log.download_button(
            "Plan as CSV",
            partial(table, store, batch, coordinator),
            f"assignments_{batch.id[:8]}.csv",
            "text/csv",
            key=f"assign_csv_{batch.id}",
            icon=":material/download:",
            on_click="ignore",
            disabled=hidden,
            help=HIDDEN if hidden else None,
            width="stretch",
        )
        if batch.closed_utc is None:
            with off.popover("Call off …", width="stretch"):
                st.caption("Its scans are free again; what was read is kept. This can't be undone.")
                st.button(
                    "Call this batch off",
                    key=f"assign_off_{batch.id}",
                    on_click=_call_off,
                    args=(store, batch.id, coordinator.id),
                )
        else:
            off.caption(f"called off {batch.closed_utc[:10]}")
        st.caption(summary(batch) if not hidden else f"made {batch.created_utc[:10]}")
        st.progress(done / max(1, every), f"{done} of {every} readings done")
        st.dataframe(
            pd.DataFrame(
                {
                    "Reader": [one.name for one in batch.progress],
                    "Scans": [one.assigned for one in batch.progress],
                    "Done": [one.done for one in batch.progress],
                    "Skipped": [one.skipped for one in batch.progress],
                    "Progress": [100 * one.done / max(1, one.assigned) for one in batch.progress],
                }
            ),
            hide_index=True,
            key=f"assign_table_{batch.id}",
            column_config={
                "Progress": st.column_config.ProgressColumn(min_value=0.0, max_value=100.0, format="%.0f %%")
            },
        )
        if not hidden:
            with st.expander("Settings that fix it"):
                st.code(json.dumps(batch.settings, indent=1, ensure_ascii=False), language="json", height=300)


def _call_off(store: Store, id: str, by: int) -> None:
    try:
        close_batch(store, id, by)
    except StoreError as error:
        st.session_state[SAID] = f"Not called off: {error}"
