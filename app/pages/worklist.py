"""Worklist: which scans there are, where this reader stands with each, and the way into Review.

Of a scan that the reader has yet to read unaided, nothing that a model made of it is shown, nor sorts it, nor
its split and site, which can tell that it is normal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from app import identity, state
from app.assign import mine as own_list
from app.assign.section import assigned
from app.cases import DEFAULT_HELP, BrokenCase, Case, model_label, models_of, read_cases
from app.facts import Facts
from app.feedback.store import SavedReader, StoreError
from app.import_panel import import_panel
from app.origins import HIDDEN, facts_told
from app.review.classes import label
from app.review.progress import (
    BY_SCORE,
    NOBODY,
    OPEN,
    ORDERS,
    STATUSES,
    Order,
    Standing,
    allowed_orders,
    keep_order,
    one_a_scan,
    order_of,
    ordered,
    standing,
)
from core.config import settings
from core.io.derivatives import MapName

REVIEW = "pages/review.py"
AGE = "PMA, weeks"


def row(case: Case, where: Standing, known: Facts) -> dict[str, Any]:
    """One line of the table; radiology scores stay out of it, model's figures until the scan was read."""
    record = case.record
    first, second = where.reads.get(where.scan(case), (None, None))
    mine = second or first
    line: dict[str, Any] = {
        "Case": record.case_id,
        "Label": known.label,
        "Status": where.status(case),
        "My class": "" if mine is None else label(mine.classification),
        AGE: record.age_weeks,
        "Split": known.split,
        "Site": known.site,
        "Data": "synthetic" if record.synthetic else "",
        "Skipped because": where.reason(case),
    }
    if not where.revealed(case):
        return line
    name: MapName = "fused" if "fused" in record.bands else "volume"  # as Review opens
    flagged, progress = case.flagged(name), where.progress.get(record.case_id)
    judged = frozenset() if progress is None else progress.judged.get((record.key, name), frozenset())
    return line | {
        "Read": f"{len(flagged & judged)} of {len(flagged)}",
        "MSE": record.scores.get("mse"),
        "MSE pct.": record.scores.get("mse_percentile"),
        "Normative z": record.scores.get("normative_top"),
        "Norm. pct.": record.scores.get("normative_top_percentile"),
    }


def broken_row(broken: BrokenCase) -> dict[str, Any]:
    """A line for an analysis that can't be shown."""
    return {"Case": broken.name, "Status": "can't be read", "Note": broken.reason}


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


def choose_order(cases: list[Case], reader: SavedReader | None, where: Standing) -> Order:
    """The reader's order, kept for the next visit; by score only where nothing is left to read unaided."""
    allowed = allowed_orders(cases, where)
    kept = order_of(state.feedback(), reader)
    chosen: Order = kept if kept in allowed else "listed"
    key = f"work_order_{0 if reader is None else reader.id}_{len(allowed)}"
    picked = st.selectbox(
        "Order",
        allowed,
        allowed.index(chosen),
        key=key,
        format_func=lambda order: ORDERS[order],
        help="By score once you have read each scan unaided. The order is kept with each scan opened.",
    )
    if reader is not None and picked != kept:
        keep_order(state.feedback(), reader, picked)
    return picked


def next_case(cases: list[Case], where: Standing) -> Case | None:
    """The case opened last where it is to be read still, else the first of ``cases`` that is."""
    left = [case for case in cases if where.status(case) in OPEN]
    last = max(
        (one for one in where.events.values() if one.kind != "skipped"), key=lambda one: one.seq, default=None
    )
    if last is not None:
        for case in left:
            if (case.record.case_id, case.record.input_hash) == (last.case_id, last.input_hash):
                return case
    return left[0] if left else None


def filtered(cases: list[Case], where: Standing, known: Mapping[str, Facts]) -> list[Case]:
    """Cases that the filters leave, by status, age, split and site. ``known``: by case id."""
    status = st.session_state.get("work_status") or []
    ages = [case.record.age_weeks for case in cases if case.record.age_weeks is not None]
    left = [case for case in cases if not status or where.status(case) in status]
    with st.popover("More filters"):
        if ages and min(ages) < max(ages):
            low, high = float(min(ages)), float(max(ages))
            span = st.slider(AGE, low, high, (low, high), 0.1, key="work_age")
            if span != (low, high):
                left = [
                    case
                    for case in left
                    if case.record.age_weeks is not None and span[0] <= case.record.age_weeks <= span[1]
                ]
        for name in ("split", "site"):
            values = sorted({getattr(known.get(case.record.case_id, Facts()), name) for case in cases} - {""})
            if values:
                chosen = st.multiselect(name.capitalize(), values, key=f"work_{name}", placeholder="Any")
                if chosen:
                    left = [
                        case
                        for case in left
                        if getattr(known.get(case.record.case_id, Facts()), name) in chosen
                    ]
        if not all(where.revealed(case) for case in cases):
            st.caption(HIDDEN)
        elif not ages and not any(one.split or one.site for one in known.values()):
            st.caption("Age, split and site are not known of these scans.")
    return left


def draw() -> None:
    """The page."""
    st.title("Worklist", anchor=False)
    whole, broken = read_cases(settings().derivatives_dir)
    reader, where, own = None, NOBODY, own_list.NOTHING
    try:
        store = state.feedback()
        reader = identity.current_reader()
        own = own_list.mine(store, reader, whole)
        where = standing(store, reader, {own_list.scan_of(case) for case in whole})
        if reader is None:
            with st.container(border=True):
                identity.ask(store)
    except StoreError as error:
        st.error(str(error), icon=":material/error:")
    if not whole and not broken:
        nothing_yet()
        import_panel(reader)
        return
    if broken:
        many = "1 analysis" if len(broken) == 1 else f"{len(broken)} analyses"
        st.warning(f"{many} on disk can't be read; see the end of the table.", icon=":material/warning:")
    asked = assigned(own, where, whole)
    if asked is not None:
        open_case(asked)
    rest = own_list.free(whole, own)
    if not settings().free_reading and not identity.is_coordinator(reader):
        if not own.given:
            st.info("Nothing is assigned to you yet. Your coordinator does that.", icon=":material/info:")
    elif rest or broken:
        if own.items:
            st.subheader("Other cases", anchor=False)
        table(rest, broken, reader, where, own.items == ())
    import_panel(reader)


def table(
    whole: list[Case],
    broken: list[BrokenCase],
    reader: SavedReader | None,
    where: Standing,
    alone: bool = True,
) -> None:
    """Filters, progress and the list of cases that are not assigned; ``alone`` on the page or not."""
    known = facts_told(whole, where)
    search, model, status, order, go = st.columns([0.2, 0.22, 0.24, 0.18, 0.16], vertical_alignment="bottom")
    words = search.text_input("Search", key="work_search", placeholder="Case id or label").strip().lower()
    name = model.selectbox(
        "Model",
        models_of(whole),
        key="work_model",
        format_func=model_label,
        help=f"Whose flags you are shown once your first read is locked. {DEFAULT_HELP}.",
    )
    status.multiselect("Status", STATUSES, key="work_status", placeholder="Any")
    # Scans without results of that model are listed by another: none drops out of the list.
    mine = one_a_scan(whole, [str(name), *models_of(whole)])
    others = {case.address for case in mine if case.record.model != name}
    with order:
        try:
            sorting = choose_order(mine, reader, where)
        except StoreError:
            sorting = "listed"
    done = sum(where.status(case) == "done" for case in mine)
    skipped = sum(where.status(case) == "skipped" for case in mine)
    bar, more = st.columns([0.84, 0.16], vertical_alignment="center")
    text = f"{done} of {len(mine)} read" + (f", {skipped} skipped" if skipped else "")
    bar.progress(done / max(1, len(mine)), text)
    with more:
        left = ordered(filtered(mine, where, known), sorting, reader)
        if sorting in BY_SCORE:  # scores of two models are not of one scale
            left.sort(key=lambda case: case.address in others)
        shown = [
            case
            for case in left
            if words in case.record.case_id.lower()
            or words in known.get(case.record.case_id, Facts()).label.lower()
        ]
    after = next_case(shown, where)
    if go.button(
        "Next case",
        type="primary" if alone else "secondary",
        key="work_next",
        disabled=after is None,
        width="stretch",
        shortcut="n",
        help="Where you left off, else the first that is to be read",
    ):
        assert after is not None
        open_case(after)

    rows = [row(case, where, known.get(case.record.case_id, Facts())) for case in shown]
    if others:
        for line, case in zip(rows, shown, strict=True):
            line["Model"] = case.record.model
    rows += [broken_row(one) for one in broken if words in one.name.lower()]
    if not rows:
        st.info("No case matches the search and filters.")
        return
    rest = f" {len(others)} without results of {name} stand with another model's." if others else ""
    st.caption(f"{len(shown)} of {len(mine)} cases shown.{rest} Click a row to open it.")
    frame = pd.DataFrame(rows)
    if "Note" in frame:
        frame.insert(2, "Note", frame.pop("Note"))  # why a row can't be read, in sight
    # Columns in which nobody said anything say nothing.
    empty = [one for one in ("Label", "Split", "Site", "Skipped because", "My class") if one in frame]
    frame = frame.drop(columns=[one for one in empty if frame[one].fillna("").eq("").all()])
    event = st.dataframe(
        frame,
        key="work_table",
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        hide_index=True,
        height=min(38 + 36 * len(rows), 620),
        row_height=36,
        placeholder="–",
        column_config=COLUMNS,
    )
    picked = [*event["selection"]["rows"], *(cell[0] for cell in event["selection"]["cells"])]
    if picked and picked[0] < len(shown):
        open_case(shown[picked[0]])


COLUMNS = {
    "Status": st.column_config.TextColumn(width=120),  # "first read done" in full
    "My class": st.column_config.TextColumn(
        help="Class that you gave: of the second read, else of the first"
    ),
    "Read": st.column_config.TextColumn(
        help="Regions of 3 SD and more that you have judged, in the map that Review opens"
    ),
    AGE: st.column_config.NumberColumn(format="%.1f", help="Postmenstrual age at the scan, in weeks"),
    "MSE": st.column_config.NumberColumn(
        width=88, format="%.3g", help="Mean squared error of the reconstruction"
    ),
    "MSE pct.": st.column_config.NumberColumn(format="%.0f", help="Percentile among validation normals"),
    "Normative z": st.column_config.NumberColumn(
        format="%.2f", help="Normative map: mean |z| of the most extreme 0.1 % of brain voxels"
    ),
    "Norm. pct.": st.column_config.NumberColumn(format="%.0f", help="Percentile among validation normals"),
}

draw()
