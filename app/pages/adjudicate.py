"""Adjudicate: only what readers of closed scans disagree on, blinded to names until a scan is decided."""

from __future__ import annotations

import streamlit as st

from app import state
from app.agreement import deciding, look, said
from app.agreement.deciding import LIST, SHOWN, Desk, desk
from app.agreement.decision import decision
from app.agreement.drafts import address
from app.agreement.pictures import case_of, sheet
from app.cases import Case
from app.feedback.adjudications import Dispute
from app.feedback.store import StoreError
from app.feedback.vocabulary import terms
from app.identity import is_coordinator, require_reader
from app.review.table import BAND_LABELS
from app.routes import AssetMissing
from app.words import scan_count
from core.io.derivatives import DerivativesError

# Density: the page is a workplace, not an article. All that it takes to decide is in sight without scrolling
# from 1280 × 800 on: what was said scrolls in the room that the form leaves.
STYLE = """<style>
.stMainBlockContainer {padding: 2.4rem 1.25rem .5rem; max-width: none;}
.stMainBlockContainer [data-testid="stVerticalBlock"] {gap: .5rem;}
.stMainBlockContainer h1 {font-size: 1.5rem; padding: 0 .5rem 0 0;}
.stMainBlockContainer h3 {font-size: 1.15rem; padding: 0 0 1rem;}
.stMainBlockContainer button kbd {opacity: 1;}
.stMain [data-testid="stCaptionContainer"] p {max-width: none;}
.st-key-adjudicate_bar button {min-height: 2rem;}
.st-key-adjudicate_side {flex: none; height: max(calc(100vh - 8.9rem), 33rem);}
.st-key-adjudicate_side > * {flex: none;}
.st-key-adjudicate_side > :has(> .st-key-adjudicate_said) {flex: 1 1 0; min-height: 0; overflow-y: auto;}
</style>"""


def heading(dispute: Dispute) -> str:
    """The question in one line."""
    if dispute.subject == "class":
        return f"{dispute.case_id}: which class is the scan?"
    region = dispute.region
    direction = "brighter" if region["sign"] > 0 else "darker"
    return (
        f"{dispute.case_id}: is this flag a finding? {direction} {BAND_LABELS[region['band']]}, "
        f"{region['side']}, {region['volume_mm3']:,.0f} mm³"
    )


def draw_scan(dispute: Dispute, at: Desk) -> None:
    """The scan to scroll through, or slices of it where the browser can't show the viewer."""
    case = case_of(dispute)
    if case is None:
        st.warning(
            "This analysis is not on disk any more, or was done anew: there is no picture of what the "
            "readers saw. The decision can still be kept.",
            icon=":material/warning:",
        )
        return
    try:
        if not look.can_look():
            draw_sheet(case, dispute)
            return
        marked = look.spots(dispute, at.answers)
        place = look.marked(dispute) if marked and dispute.subject == "class" else None
        lacking = look.look(case, dispute, marked, place)
    except (AssetMissing, DerivativesError, ValueError, TypeError) as error:
        st.warning(f"No picture: {error}", icon=":material/warning:")
        return
    for line in lacking:
        st.warning(line, icon=":material/warning:")
    said, go = st.columns([0.74, 0.26], vertical_alignment="center")
    shown = [
        "The ring is around the flag in question." if dispute.subject == "region" else "",
        "Spheres with a number are readers' marks." if marked else "",
        "For looking only: no reading begins here, and nothing is kept but your decision.",
    ]
    said.caption(" ".join(line for line in shown if line))
    if dispute.subject == "region" or marked:
        go.button(
            "Back to the flag" if dispute.subject == "region" else "Back to the mark",
            key="adjudicate_back_to",
            icon=":material/my_location:",
            width="stretch",
            on_click=look.back,
        )


def draw_sheet(case: Case, dispute: Dispute) -> None:
    """Three planes drawn by the server."""
    st.image(
        sheet(case, dispute), width="stretch", alt=f"{dispute.case_id}: axial, coronal and sagittal plane"
    )
    marks = [
        "Slices drawn by the server: this browser or this process can't show the viewer",
        "radiological: image right is patient left",
        f"{dispute.model}, {dispute.map} z" if dispute.subject == "region" else "middle slices, no flags",
        *(["SYNTHETIC"] if case.record.synthetic else []),
    ]
    st.caption(" · ".join(marks))


# No fragment: a server that was started anew would not know it, nor hear the form, and one that is asked for
# after the page has turned to the form for a name ends the tab ("Cannot set a node at a delta path").
def form(dispute: Dispute | None, at: Desk) -> None:
    """Decision, finding, reason, save; of no question, what the browser waits to hear of the last."""
    decision(deciding.form_data(dispute, at), deciding.on_typed, deciding.on_saved)


def bar(at: Desk, listed: list[Dispute], place: int) -> None:
    """Previous, next, undo, and how far it is."""
    for label, shortcut, by, key in (
        ("Previous", "P", -1, "adjudicate_previous"),
        ("Next", "N", 1, "adjudicate_next"),
    ):
        to = place + by
        st.button(
            label,
            key=key,
            shortcut=shortcut,
            disabled=not 0 <= to < len(listed),
            on_click=deciding.turn,
            args=(address(listed[to]) if 0 <= to < len(listed) else "",),
        )
    st.button(
        "Undo mine",
        key="adjudicate_undo",
        shortcut="U",
        disabled=not any(row.reader_id == at.reader.id for row in at.decided.values()),
        on_click=deciding.undo,
    )
    done = sum(one.key in at.decided for one in at.disputes)
    far = [f"{place + 1} of {len(listed)} listed"] if listed else []
    far.append(f"{done} of {len(at.disputes)} decided")
    st.progress(done / len(at.disputes), " · ".join(far), width=220)
    if waiting := len(at.answers.waiting):
        st.page_link(
            "pages/worklist.py",
            label=f"{scan_count(waiting)} hidden until you finish {'it' if waiting == 1 else 'them'}",
            icon=":material/visibility_off:",
            help="What was said of a scan that you have begun or been given to read is hidden from you, and "
            "so is whatever there may be to decide on it. Finish it in the Worklist.",
        )


def nothing(at: Desk) -> None:
    """What to do where nobody disagrees."""
    if at.answers.waiting:
        many = scan_count(len(at.answers.waiting))
        st.info(f"You have {many} to finish; what others said of them is hidden from you until then.")
    st.info(
        "There is no disagreement to decide. Scans come here once everybody who is to read them has saved "
        "the second read and two readers differ on a flag or on the class.",
        icon=":material/info:",
    )
    st.page_link("pages/worklist.py", label="Open the worklist", icon=":material/list:")


def all_decided() -> None:
    """Where to look at what was decided."""
    st.info("All disagreements are decided. They stand under “decided”, with readers' names.")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Show what was decided",
            key="adjudicate_show_decided",
            type="primary",
            on_click=deciding.show_decided,
        )
        st.page_link("pages/agreement.py", label="Open Agreement", icon=":material/handshake:")


def draw() -> None:
    """The page."""
    st.set_page_config(layout="wide", initial_sidebar_state="collapsed")
    st.html(STYLE)
    above = st.container(horizontal=True, vertical_alignment="center", key="adjudicate_bar")
    above.title("Adjudicate", anchor=False, width="content")
    reader = require_reader()
    if not is_coordinator(reader):
        st.info(
            "Only coordinators decide where readers disagree. They are named in FONTANELLE_COORDINATORS.",
            icon=":material/lock:",
        )
        return
    try:
        at = desk(reader)
        if not at.disputes:
            nothing(at)
            return
        if LIST not in st.session_state:
            st.session_state[LIST] = deciding.first_list(at)
        with above:
            shown = st.segmented_control("Show", SHOWN, key=LIST, label_visibility="collapsed")
            listed = at.listed(shown or SHOWN[0])
            place = deciding.open_one(listed)
            bar(at, listed, place)
        if not listed:
            text, failed, _ = deciding.last_said()
            if text:
                st.markdown(f":red[{text}]" if failed else f"**{text}**")
            if shown == "decided":
                st.info("Nothing is decided yet.")
            else:
                all_decided()
            form(None, at)
            return
        draw_one(listed[place], at)
    except StoreError as error:
        st.error(str(error), icon=":material/error:")


def draw_one(dispute: Dispute, at: Desk) -> None:
    """One disagreement: the scan at the left, what was said and the form at the right."""
    deciding.opened(dispute)
    top = st.container()
    left, right = st.columns([0.66, 0.34], gap="small")
    with right, st.container(key="adjudicate_side"):
        given, noted = st.container(key="adjudicate_votes"), st.container(key="adjudicate_said")
        with st.container(key="adjudicate_decide"):
            form(dispute, at)  # first, so that a key that comes at once means the question that is read
        top.subheader(heading(dispute), anchor=False)
        labels = {term.name: term.label for term in terms(state.feedback(), retired=True)}
        with given:
            said.votes(dispute, at, labels)
            said.standing(dispute, at, labels)
        with noted:
            said.remarks(dispute, at, labels, moves=look.can_look())
    with left:
        draw_scan(dispute, at)


draw()
