"""Worklist, upper part: what is assigned to the reader, by number, in their order.

Neither names, ages nor classes of scans stand here: a scan that is served again would be known by them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.assign.mine import Mine, case_of, status
from app.cases import Case
from app.review.progress import Standing, Status


def assigned(own: Mine, where: Standing, cases: Sequence[Case]) -> Case | None:
    """Draw the list with its progress; the case to open, where one was asked for."""
    if own.gone:
        many = "1 assigned scan is" if own.gone == 1 else f"{own.gone} assigned scans are"
        st.warning(f"{many} not on disk any more; tell your coordinator.", icon=":material/warning:")
    if not own.items:
        if own.given:
            st.success("All your assigned cases are read.", icon=":material/check:")
        return None
    stands = [status(one, where) for one in own.items]
    counts = Counter(stands)
    after = own.due
    head, go = st.columns([0.76, 0.24], vertical_alignment="bottom")
    head.subheader("Assigned to me", anchor=False)
    if go.button(
        "Next case",
        type="primary",
        key="assigned_next",
        disabled=after is None,
        width="stretch",
        shortcut="Shift+N",
        help="Where you left off: the next case of your list",
    ):
        assert after is not None
        return case_of(after, cases)
    text = f"{counts['done']} of {len(own.items)} read"
    text += f", {counts['skipped']} skipped" if counts["skipped"] else ""
    st.progress(counts["done"] / len(own.items), text)
    with st.expander("My list", expanded=counts["skipped"] > 0):
        picked = _picked(own, where, stands)
        if picked is None:
            return None
        if own.items[picked] is after or stands[picked] == "skipped":
            return case_of(own.items[picked], cases)
        st.info(
            "Cases are read in this order. To look at one that is done, go back with Shift+P in Review.",
            icon=":material/info:",
        )
    return None


def _picked(own: Mine, where: Standing, stands: Sequence[Status]) -> int | None:
    """The list by number; the row that was clicked."""
    reasons = [
        where.events[(*one.scan, one.pass_number)].detail if stand == "skipped" else ""
        for one, stand in zip(own.items, stands, strict=True)
    ]
    frame = pd.DataFrame({"No.": range(1, len(stands) + 1), "Status": stands, "Skipped because": reasons})
    if not any(reasons):
        frame = frame.drop(columns="Skipped because")
    event = st.dataframe(
        frame,
        key="assigned_table",
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        hide_index=True,
        height=min(38 + 36 * len(stands), 330),
        row_height=36,
        width=640,
        column_config={
            "No.": st.column_config.NumberColumn(width=50),
            "Status": st.column_config.TextColumn(width=140),
        },
    )
    rows = [*event["selection"]["rows"], *(cell[0] for cell in event["selection"]["cells"])]
    return rows[0] if rows and rows[0] < len(stands) else None
