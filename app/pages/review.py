"""Review: one case before the reader."""

from __future__ import annotations

import streamlit as st

from app import state
from app.cases import Case, plain, read_cases
from app.feedback.store import SavedReader, StoreError
from app.identity import require_reader
from app.review import panel, preparation, reading, said
from app.review.header import header, offer_run, open_picked, turn
from app.review.reading import Open
from app.review.scene import material, mount_viewer
from app.review.table import other_map, shown_regions
from app.routes import AssetMissing, served
from app.viewer.component import Spot
from core.config import settings
from core.io.derivatives import CasePaths, DerivativesError, read_regions

# Density: the page is a workplace, not an article.
STYLE = """<style>
.stAppHeader {height: 2.5rem; min-height: 2.5rem; background: transparent;}
.stMainBlockContainer {padding: 2.6rem 1.25rem 1rem; max-width: none;}
.stMainBlockContainer [data-testid="stVerticalBlock"] {gap: .5rem;}
.st-key-review_previous kbd, .st-key-review_next kbd {display: none;}
</style>"""


def draws_here() -> bool:
    """Whether the server must draw the slices: no volume routes, or a browser without WebGL2."""
    return not served() or bool(st.session_state.get("reading_unsupported"))


@st.fragment
def read(case: Case, reader: SavedReader) -> None:
    """Viewer, region panel and tabs; what happens in here reruns nothing else."""
    if (by := st.session_state.pop(said.TURN, 0)) != 0:
        turn(case, by)
        st.rerun()
    record = case.record
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    weak = bool(st.session_state.get(reading.WEAK, False))
    try:
        stuff = material(paths, record)
        everything = read_regions(paths.regions(record.model))
    except (DerivativesError, ValueError, TypeError) as error:
        st.error(f"This case can't be shown. {plain(error, paths.folder)}", icon=":material/error:")
        return
    name = reading.map_name() if reading.map_name() in stuff.maps else stuff.maps[0]
    regions = shown_regions(everything, name, weak)
    hashes: dict[str, str] = {kind: volume.hash for kind, volume in stuff.volumes.items()}
    now = st.session_state["reading"] = Open(record, name, reader, regions, hashes)
    for line in stuff.lacking:
        st.warning(line, icon=":material/warning:")
    left, right = st.columns([0.66, 0.34], gap="small")
    drawn_here = draws_here()
    with left:
        if served():
            try:
                points = [Spot((one.x_mm, one.y_mm, one.z_mm), one.radius_mm) for one in said.missed(now)]
                mount_viewer(now, stuff, weak, points)
            except (AssetMissing, StoreError) as error:
                st.error(str(error))
                drawn_here = True
        else:
            st.info(
                "Slices are drawn by the server, since this process serves no volumes. For the interactive "
                "viewer start `python -m streamlit run app/server.py`.",
                icon=":material/info:",
            )
        if drawn_here:
            panel.drawn_slices(now, paths, weak)
    with right:
        elsewhere = other_map(everything, name, stuff.maps)
        panel.regions_panel(now, weak, reading.verified(now, drawn_here), drawn_here, elsewhere)
    panel.below(now, paths)


def not_here(whole: list[Case]) -> None:
    """A link to an analysis that is gone or was done anew: the reader, nobody else, opens another one."""
    st.warning(
        "The analysis in this address is not here: it was removed or done anew. Pick a case to open.",
        icon=":material/warning:",
    )
    if st.button("Open the worklist", key="review_worklist", type="primary"):
        st.switch_page("pages/worklist.py")
    scans = list(dict.fromkeys(case.record.case_id for case in whole))
    st.selectbox(
        "Case", scans, None, key="review_pick", on_change=open_picked, placeholder="Choose…", width=420
    )


def page() -> None:
    st.set_page_config(layout="wide", initial_sidebar_state="collapsed")
    st.html(STYLE)
    whole, broken = read_cases(settings().derivatives_dir)
    if broken:
        many = "1 analysis" if len(broken) == 1 else f"{len(broken)} analyses"
        st.caption(f"{many} can't be read; see the Worklist.")
    if not whole:
        st.info(
            "No analysed scan yet. Upload one, or make the demo cohort with `make demo` "
            "(in a container `python -m core demo --analyze vae_8x8_512`)."
        )
        st.page_link("pages/upload.py", label="Upload a scan", icon=":material/upload_file:")
        return
    case = state.selected_case()
    if case is None and state.asked_address() != "":
        not_here(whole)
        return
    if case is None:
        case = whole[0]
        state.select_case(case)
    # Kept by hand while a name is asked for: Streamlit forgets widgets that are not drawn.
    if reading.WEAK in st.session_state:
        st.session_state[reading.WEAK] = st.session_state[reading.WEAK]
    reader = require_reader()
    header(case, whole, draws_here())
    offer_run(case)
    record = case.record
    preparation.mask_banner(record, CasePaths(settings().derivatives_dir, record.subject, record.session))
    read(case, reader)
    st.caption("A flag marks what a model did not expect, no diagnosis.")


page()
