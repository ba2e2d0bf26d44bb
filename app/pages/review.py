"""Review: one case before the reader."""

from __future__ import annotations

import streamlit as st

from app import state
from app.assign import mine
from app.cases import Case, find_case, plain, read_cases
from app.feedback.reads import add_event, events_of
from app.feedback.store import SavedReader, StoreError, new_id
from app.identity import is_coordinator, require_reader
from app.review import answers, marks, panel, preparation, protocol, reading, tabs, terms, whole
from app.review.drawn import drawn_slices
from app.review.header import header, leave, offer_run, open_picked, turn
from app.review.progress import order_of
from app.review.reading import Open
from app.review.scene import material, mount_viewer
from app.review.table import other_map, shown_regions
from app.routes import AssetMissing, served
from app.viewer.component import Spot
from core.config import settings
from core.io.derivatives import CasePaths, DerivativesError, Region, read_regions

# Density: the page is a workplace, not an article.
STYLE = """<style>
.stMainBlockContainer {padding: 2.6rem 1.25rem 1rem; max-width: none;}
.stMainBlockContainer [data-testid="stVerticalBlock"] {gap: .5rem;}
.st-key-reading_panel, .st-key-reading_panel [data-testid="stVerticalBlock"] {gap: .35rem;}
.st-key-reading_panel button {min-height: 1.9rem;}
.st-key-reading_panel [class*="st-key-row_"] {flex-wrap: wrap; row-gap: .2rem;}
.st-key-reading_panel [class*="st-key-row_"] button {padding: 0 .5rem;}
.st-key-reading_panel [data-baseweb="select"] > div {min-height: 1.9rem;}
.st-key-reading_panel [data-baseweb="select"] div {padding-top: 0; padding-bottom: 0;}
.st-key-region_row {position: absolute;}
/* As many rows as the window has room for beside the rest of the panel, four at least; all, full screen. */
[class*="st-key-region_table"]:not(:has([aria-label="Close fullscreen"])) {
  &, [data-testid*="Frame"] {max-height: max(150px, calc(100vh - 860px)) !important;}
}
.st-key-reading_panel p {font-size: .875rem;}
.st-key-reading_panel [data-testid="stCaptionContainer"] p {font-size: .8rem; line-height: 1.3;}
</style>"""


def draws_here() -> bool:
    """Whether the server must draw the slices: no volume routes, or a browser without WebGL2."""
    return not served() or bool(st.session_state.get("reading_unsupported"))


def moved(case: Case, reader: SavedReader) -> bool:
    """Whether another case is to be opened: the next after a save, or those that keys turned to."""
    if (after := st.session_state.pop(whole.NEXT, None)) is not None:
        found = find_case(settings().derivatives_dir, after)
        if found is not None:
            leave(found)
            return True
    if (by := st.session_state.pop(answers.TURN, 0)) != 0:
        turn(case, reader, by)
        return True
    return False


@st.fragment
def read(case: Case, reader: SavedReader, blind: bool) -> None:
    """Viewer, panel and tabs; what happens in here reruns nothing else, but the end of the unaided read."""
    record = case.record
    try:
        first, second = protocol.reads(reader, record)
    except StoreError as error:
        st.error(f"The feedback store can't be read: {error}", icon=":material/error:")
        return
    phase = protocol.phase_of(first)
    if moved(case, reader) or (phase == "first") != blind:
        st.rerun()
    state.show_address(case)  # a run of this fragment alone comes with the browser's address, which may lag
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    weak = bool(st.session_state.get(reading.WEAK, False))
    everything: list[Region] = []
    try:
        stuff = material(paths, record, blind)
        if not blind:
            everything = read_regions(paths.regions(record.model))
    except (DerivativesError, ValueError, TypeError) as error:
        st.error(f"This case can't be shown. {plain(error, paths.folder)}", icon=":material/error:")
        return
    name = reading.map_name(() if blind else stuff.maps)
    regions = shown_regions(everything, name, weak)
    hashes: dict[str, str] = {kind: volume.hash for kind, volume in stuff.volumes.items()}
    now = st.session_state["reading"] = Open(
        record, name, reader, regions, hashes, phase, first, second, protocol.pass_of(reader, record)
    )
    for line in stuff.lacking:
        st.warning(line, icon=":material/warning:")
    left, right = st.columns([0.66, 0.34], gap="small")
    drawn_here = draws_here()
    with left:
        if served():
            try:
                points = [
                    Spot((one.x_mm, one.y_mm, one.z_mm), one.radius_mm) for one in marks.marks(now).values()
                ]
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
            drawn_slices(now, paths, weak)
    with right, st.container(key="reading_panel"):
        elsewhere = "" if blind else other_map(everything, name, stuff.maps)
        panel.panel(now, weak, reading.verified(now, drawn_here), drawn_here, elsewhere)
    tabs.below(now, paths)


def order_note(case: Case, reader: SavedReader) -> str:
    """Why the scan was opened now, for the log: place in the reader's list, or order of the worklist."""
    own = mine.mine(state.feedback(), reader, state.cases())
    number = protocol.pass_of(reader, case.record)
    for at, one in enumerate(own.items, 1):
        if (one.scan, one.pass_number) == (mine.scan_of(case), number):
            return f"assigned, {at} of {len(own.items)}"
    return f"order: {order_of(state.feedback(), reader)}"


def held_back(case: Case, reader: SavedReader, own: mine.Mine) -> bool:
    """Say where to go, where the scan comes later in the reader's list or is not theirs to read."""
    scan = mine.scan_of(case)
    if is_coordinator(reader):
        return False
    if own.later(scan):
        st.info("This scan comes later in your list, which is read in its order.", icon=":material/info:")
    elif not settings().free_reading and scan not in own.given:
        st.info(
            "This scan is not assigned to you, and others are not read here. Yours stand in the Worklist.",
            icon=":material/info:",
        )
    else:
        return False
    st.page_link("pages/worklist.py", label="Worklist", icon=":material/list:")
    return True


def start(found: list[Case], own: mine.Mine) -> Case:
    """What opens where nothing was asked for: what is due in the reader's list, else the first other."""
    if own.due is not None:
        return mine.case_of(own.due, found)
    return (mine.free(found, own) or found)[0]


def opened(case: Case, reader: SavedReader) -> None:
    """Note, once a session, that the reader opened the scan, and in which order of the worklist.

    Raises
    ------
    StoreError
        Where the database refuses.
    """
    seen: set[str] = st.session_state.setdefault("review_opened", set())
    pass_number = protocol.pass_of(reader, case.record)
    place = f"{reader.id} {case.record.case_id} {case.record.input_hash} {pass_number}"
    if place in seen:
        return
    store = state.feedback()
    before = any(
        (one.case_id, one.input_hash, one.pass_number)
        == (case.record.case_id, case.record.input_hash, pass_number)
        for one in events_of(store, reader.id)
    )
    add_event(
        store,
        id=new_id(),
        reader_id=reader.id,
        case_id=case.record.case_id,
        input_hash=case.record.input_hash,
        kind="resumed" if before else "opened",
        detail=order_note(case, reader),
        session_id=state.session_id(),
        pass_number=pass_number,
    )
    seen.add(place)


def not_here(found: list[Case]) -> None:
    """A link to an analysis that is gone or was done anew: the reader, nobody else, opens another one."""
    st.warning(
        "The analysis in this address is not here: it was removed or done anew. Pick a case to open.",
        icon=":material/warning:",
    )
    if st.button("Open the worklist", key="review_worklist", type="primary"):
        st.switch_page("pages/worklist.py")
    scans = list(dict.fromkeys(case.record.case_id for case in found))
    st.selectbox(
        "Case", scans, None, key="review_pick", on_change=open_picked, placeholder="Choose…", width=420
    )


def page() -> None:
    st.set_page_config(layout="wide", initial_sidebar_state="collapsed")
    st.html(STYLE)
    found, broken = read_cases(settings().derivatives_dir)
    if broken:
        many = "1 analysis" if len(broken) == 1 else f"{len(broken)} analyses"
        st.caption(f"{many} can't be read; see the Worklist.")
    if not found:
        st.info(
            "No analysed scan yet. Upload one, or make the demo cohort with `make demo` "
            "(in a container `python -m core demo --analyze vae_8x8_512`)."
        )
        st.page_link("pages/upload.py", label="Upload a scan", icon=":material/upload_file:")
        return
    case = state.selected_case()
    if case is None and state.asked_address() != "":
        not_here(found)
        return
    reader = require_reader()
    reading.seat(reader)
    try:
        own = mine.mine(state.feedback(), reader, found)
        if case is None:
            case = start(found, own)
            state.select_case(case)
            state.show_address(case)
        record = case.record
        if held_back(case, reader, own):
            return
        blind = not protocol.revealed(reader, record)
        opened(case, reader)
        header(case, found, reader, blind)
    except StoreError as error:
        st.error(f"The feedback store can't be read: {error}", icon=":material/error:")
        return
    if not blind:
        offer_run(case)
    preparation.mask_banner(record, CasePaths(settings().derivatives_dir, record.subject, record.session))
    read(case, reader, blind)
    notice, edit = st.columns([0.8, 0.2], vertical_alignment="center")
    notice.caption("A flag marks what a model did not expect, no diagnosis.")
    if is_coordinator(reader):
        edit.button("Edit finding terms", key="review_terms", type="tertiary", on_click=terms.ask)
    terms.dialog()


page()
