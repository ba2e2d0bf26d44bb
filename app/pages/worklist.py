"""Worklist: which scans there are, where this reader stands with each, and the way into Review."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import identity, state
from app.cases import FIRST_MODEL, BrokenCase, Case, case_status, read_cases
from app.feedback.store import CaseProgress, StoreError, case_progress
from core.config import settings
from core.networks.zoo import NAMES

UNREAD = ("new", "in progress")
ORDERS = {
    "Case": None,
    "MSE, highest first": "mse",
    "Normative z, highest first": "normative_top",
}
REVIEW = "pages/review.py"


def row(case: Case, progress: CaseProgress | None) -> dict[str, Any]:
    """One line of the table; radiology scores stay out of it."""
    record, flagged = case.record, case.flagged("volume")
    judged = frozenset() if progress is None else progress.judged.get((record.key, "volume"), frozenset())
    return {
        "Case": record.case_id,
        "Status": case_status(case, progress),
        "Read": f"{len(flagged & judged)} of {len(flagged)}",
        "Age": record.age_weeks,
        "Data": "synthetic" if record.synthetic else "",
        "MSE": record.scores.get("mse"),
        "MSE pct.": record.scores.get("mse_percentile"),
        "Normative z": record.scores.get("normative_top"),
        "Norm. pct.": record.scores.get("normative_top_percentile"),
    }


def broken_row(broken: BrokenCase) -> dict[str, Any]:
    """A line for an analysis that can't be shown."""
    return {"Case": broken.name, "Status": "can't be read", "Note": broken.reason}


def ordered(cases: list[Case], order: str) -> list[Case]:
    """``cases`` by id, or by a score from high to low, those without it last."""
    score = ORDERS[order]
    by_id = sorted(cases, key=lambda case: case.record.case_id)
    if score is None:
        return by_id
    return sorted(by_id, key=lambda case: case.record.scores.get(score, float("-inf")), reverse=True)


def model_names(cases: list[Case]) -> list[str]:
    """Models with results: the first choice, the paper's others in their order, then the rest."""
    have = {case.record.model for case in cases}
    known = [name for name in (FIRST_MODEL, *NAMES) if name in have]
    return list(dict.fromkeys([*known, *sorted(have)]))


def open_case(case: Case) -> None:
    """Go to Review with ``case``."""
    state.select_case(case)
    st.switch_page(REVIEW)


def nothing_yet() -> None:
    """What to do where there is no analysis."""
    st.info(
        "There is no analysed scan yet. Make the synthetic demo cohort with `make demo` (or its test cases "
        "alone with `make app`; in a container: `python -m core demo --analyze vae_8x8_512`), or upload a "
        "scan of your own.",
        icon=":material/info:",
    )
    st.page_link("pages/upload.py", label="Upload a scan", icon=":material/upload_file:")


def draw() -> None:
    """The page."""
    st.title("Worklist", anchor=False)
    whole, broken = read_cases(settings().derivatives_dir)
    try:
        store = state.feedback()
        reader = identity.current_reader()
        progress = {} if reader is None else case_progress(store, reader.id)
        if reader is None:
            with st.container(border=True):
                identity.ask(store)
    except StoreError as error:
        st.error(str(error), icon=":material/error:")
        progress = {}
    if not whole and not broken:
        nothing_yet()
        return
    if broken:
        many = "1 analysis" if len(broken) == 1 else f"{len(broken)} analyses"
        st.warning(f"{many} on disk can't be read; see the end of the table.", icon=":material/warning:")

    search, model, status, order, go = st.columns([0.2, 0.22, 0.24, 0.18, 0.16], vertical_alignment="bottom")
    words = search.text_input("Search", key="work_search", placeholder="Case id").strip().lower()
    name = model.selectbox("Model", model_names(whole), key="work_model")
    wanted = status.multiselect(
        "Status", ["new", "in progress", "done", "nothing flagged"], key="work_status"
    )
    sorting = order.selectbox("Order", list(ORDERS), key="work_order")
    mine = [case for case in whole if case.record.model == name]
    shown = [
        case
        for case in ordered(mine, sorting)
        if words in case.record.case_id.lower()
        and (not wanted or case_status(case, progress.get(case.record.case_id)) in wanted)
    ]
    unread = [case for case in shown if case_status(case, progress.get(case.record.case_id)) in UNREAD]
    if go.button("Next unread", type="primary", key="work_next", disabled=not unread, width="stretch"):
        open_case(unread[0])

    rows = [row(case, progress.get(case.record.case_id)) for case in shown]
    rows += [broken_row(one) for one in broken if words in one.name.lower()]
    if not rows:
        st.info("No case matches the search and filters.")
        return
    done = sum(case_status(case, progress.get(case.record.case_id)) == "done" for case in mine)
    st.caption(f"{len(shown)} of {len(mine)} cases shown, {done} done. Click a row to open it.")
    event = st.dataframe(
        pd.DataFrame(rows),
        key="work_table",
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        hide_index=True,
        height=min(38 + 36 * len(rows), 720),
        row_height=36,
        placeholder="–",
        column_config=COLUMNS,
    )
    picked = [*event["selection"]["rows"], *(cell[0] for cell in event["selection"]["cells"])]
    if picked and picked[0] < len(shown):
        open_case(shown[picked[0]])


COLUMNS = {
    "Read": st.column_config.TextColumn(
        help="Regions of 3 SD and more in the volume map that you have judged"
    ),
    "Age": st.column_config.NumberColumn(format="%.1f", help="Postmenstrual age at scan, weeks"),
    "MSE": st.column_config.NumberColumn(format="%.4f", help="Mean squared error of the reconstruction"),
    "MSE pct.": st.column_config.NumberColumn(format="%.0f", help="Percentile among validation normals"),
    "Normative z": st.column_config.NumberColumn(
        format="%.2f", help="Normative map: mean |z| of the most extreme 0.1 % of brain voxels"
    ),
    "Norm. pct.": st.column_config.NumberColumn(format="%.0f", help="Percentile among validation normals"),
}

draw()
