"""Compare: one scan as all models that analysed it see it."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import identity, state
from app.cases import Case, plain, read_cases
from app.compare import missing, numbers, regions, view
from app.compare.analyses import Analyses, gather
from app.feedback.store import StoreError
from app.review.protocol import revealed
from app.routes import served
from core.anomaly.residual import AnomalyError
from core.config import settings
from core.io.derivatives import DerivativesError

STYLE = """<style>
.stMainBlockContainer {padding: 2.6rem 1.25rem 1rem; max-width: none;}
.stMainBlockContainer [data-testid="stVerticalBlock"] {gap: .5rem;}
.stMainBlockContainer h1 {font-size: 1.5rem; padding: 0 .5rem 0 0;}
[class*="st-key-compare_above"] {padding: .3rem 0;}
</style>"""
SCAN = "compare_scan"
PICKER = 380  # pixels: the longest name of the demo and how many models have it
NUMBERS = 1500  # pixels: a wider table can't be followed from a model to its numbers


def _choose_scan() -> None:
    found = [case for case in state.cases() if case.record.case_id == st.session_state[SCAN]]
    if found:
        state.select_case(found[0])


def pick_scan(whole: list[Case], line: DeltaGenerator) -> Case:
    """The open scan, or the first; its picker in ``line``, the page's first."""
    case = state.selected_case()
    if case is None:
        case = whole[0]
        state.select_case(case)
    counts: dict[str, int] = {}
    for one in whole:
        counts[one.record.case_id] = counts.get(one.record.case_id, 0) + 1
    st.session_state[SCAN] = case.record.case_id
    line.selectbox(
        "Scan",
        list(counts),
        key=SCAN,
        on_change=_choose_scan,
        format_func=lambda name: f"{name} · {counts[name]} model{'' if counts[name] == 1 else 's'}",
        label_visibility="collapsed",
        width=PICKER,
    )
    age = case.record.age_weeks
    synthetic = " · synthetic scan" if case.record.synthetic else ""
    line.caption(("age not known" if age is None else f"{age:.1f} weeks") + synthetic, width="content")
    return case


def held_back(case: Case) -> bool:
    """Say why and where to go, where the reader must read the scan unaided first."""
    try:
        if revealed(identity.current_reader(), case.record):
            return False
    except StoreError as error:
        st.error(str(error), icon=":material/error:")
        return True
    st.info(
        "This scan waits for your first read. Compare shows what the models flag, so it opens once you have "
        "read the scan without them and locked that read in Review.",
        icon=":material/visibility_off:",
    )
    st.page_link("pages/review.py", label="Read it in Review", icon=":material/visibility:")
    return True


@st.fragment
def together(analyses: Analyses) -> None:
    """Viewer, regions and numbers; what happens in here reruns nothing else."""
    name = view.map_name(analyses)
    try:
        chosen = regions.find_region(analyses, name)
        left, right = st.columns([0.7, 0.3], gap="small")
        with left:
            if served():
                model, region = (None, None) if chosen is None else chosen
                view.mount(analyses, name, region, model or "")
            else:
                st.info(
                    "This process serves no volumes, which the viewer needs: start "
                    "`python -m streamlit run app/server.py`. Regions and numbers are here all the same.",
                    icon=":material/info:",
                )
                st.session_state[view.OPEN] = analyses
        with right:
            regions.panel(analyses, name, chosen)
        with st.container(width=NUMBERS):
            numbers.show(analyses, name)
    except (DerivativesError, AnomalyError) as error:
        st.error(
            f"This scan can't be compared. {plain(error, analyses.paths.folder)}", icon=":material/error:"
        )


def page() -> None:
    st.set_page_config(layout="wide", initial_sidebar_state="collapsed")
    st.html(STYLE)
    line = st.container(horizontal=True, vertical_alignment="center", key="compare_line")
    line.title("Compare", anchor=False, width="content")
    whole, _ = read_cases(settings().derivatives_dir)
    if not whole:
        st.info(
            "No analysed scan yet. Upload one, or make the demo cohort with `make demo`; then analyse it "
            "with two models or more, for example `python -m core analyze data/demo --model vae_16x16_512`.",
            icon=":material/info:",
        )
        st.page_link("pages/upload.py", label="Upload a scan", icon=":material/upload_file:")
        return
    case = pick_scan(whole, line)
    if held_back(case):
        return
    analyses = gather(settings().derivatives_dir, case.record.case_id, whole)
    for model, why in analyses.left_out.items():
        st.warning(f"{model} is left out. {why}", icon=":material/warning:")
    if not analyses.maps:
        st.info(
            "To compare, a scan needs results of two models or more with the same kind of map. "
            f"This one has {len(analyses.records)}.",
            icon=":material/info:",
        )
        missing.offer(analyses)
        return
    missing.offer(analyses)
    together(analyses)
    st.caption(
        "A flag marks what a model did not expect, no diagnosis. Models that agree can be wrong together."
    )


page()
