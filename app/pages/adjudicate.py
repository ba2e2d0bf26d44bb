"""Adjudicate: only what readers of closed scans disagree on, blinded to names until a scan is decided."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import state
from app.agreement import deciding, look
from app.agreement.deciding import CHOICE, KEYS, SAID, SAY, SHOWN, Desk, desk, reason_key, type_key, values
from app.agreement.pictures import case_of, sheet
from app.cases import Case
from app.feedback.adjudications import Dispute, named
from app.feedback.remarks import said_of_scan
from app.feedback.store import StoreError
from app.feedback.vocabulary import terms
from app.identity import is_coordinator, require_reader
from app.review.table import BAND_LABELS
from app.routes import AssetMissing
from core.io.derivatives import DerivativesError

# Density: the page is a workplace, not an article.
PER_ROW = 3  # buttons
STYLE = """<style>
.stMainBlockContainer {padding: 2.6rem 1.5rem 1rem; max-width: 1900px;}
.stMainBlockContainer [data-testid="stVerticalBlock"] {gap: .6rem;}
.stMainBlockContainer h1 {padding: 0 0 1rem;}
.stMainBlockContainer button kbd {opacity: 1;}
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
        place = marked_row(dispute, at) if marked and dispute.subject == "class" else None
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


def votes(dispute: Dispute, at: Desk) -> None:
    """What the readers said; their names once every question of the scan is decided."""
    decided = at.decided.get(dispute.key)
    names = named(dispute, at.answers) if at.settled(dispute) else {}
    labels = {term.name: term.label for term in terms(state.feedback(), retired=True)}
    said = pd.DataFrame(
        {
            "Reader": [
                f"{vote.label}: {names[vote.label]}" if vote.label in names else vote.label
                for vote in dispute.votes
            ],
            "Said": [vote.value for vote in dispute.votes],
            "Finding": [labels.get(vote.finding_type, vote.finding_type) for vote in dispute.votes],
            "Sure (1–5)": [vote.confidence for vote in dispute.votes],
            # Notes of a class stand with the marks, see ``remarks``.
            "Note": [vote.note if dispute.subject == "region" else "" for vote in dispute.votes],
        }
    )
    filled = [name for name in said.columns if said[name].replace("", None).notna().any()]
    st.dataframe(said[filled], hide_index=True, placeholder="–")
    if not names:
        st.caption(
            "Names are shown once all questions of this scan are decided. "
            "Numbers are shuffled from scan to scan."
        )
    if decided is not None:
        st.success(f"Decided {decided.saved_at}: **{decided.decision}**.", icon=":material/gavel:")
        st.text(f"Reason: {decided.reason}")


def remarks(dispute: Dispute, at: Desk) -> None:
    """Of a class: readers' notes on the whole scan and their marks, by number."""
    if dispute.subject != "class":
        return
    labels = {term.name: term.label for term in terms(state.feedback(), retired=True)}
    given = said_of_scan(dispute, at.answers)
    if not given:
        st.caption("No notes on the scan, and no marks.")
        return
    shown = pd.DataFrame(
        {
            "Reader": [one.label for one in given],
            "What": ["scan" if one.place is None else "mark" for one in given],
            "Finding": [labels.get(one.finding_type, one.finding_type) for one in given],
            "Note": [one.note for one in given],
            "Sure (1–5)": [one.confidence for one in given],
            "Read": [one.phase for one in given],
            "x, y, z (mm)": ["" if one.place is None else place_words(one.place) for one in given],
            "Radius (mm)": [one.radius_mm for one in given],
        }
    )
    filled = [name for name in shown.columns if shown[name].replace("", None).notna().any()]
    st.markdown("**Notes on the scan, and marks**")
    st.dataframe(
        shown[filled],
        key=remarks_key(dispute),
        on_select="rerun",
        selection_mode="single-cell",
        hide_index=True,
        placeholder="–",
    )
    if any(one.place is not None for one in given):
        st.caption(
            "A click on a mark moves the viewer there. "
            "Positions: x to the patient's right, y to the front, z up, in the scan's millimetres."
        )


def place_words(place: tuple[float, float, float]) -> str:
    """A position in whole mm."""
    return ", ".join(str(round(value)) for value in place).replace("-", "−")


def remarks_key(dispute: Dispute) -> str:
    """Widget key of the table of notes and marks: each question has its own."""
    return f"adjudicate_remarks_{look.question(dispute)}"


def marked_row(dispute: Dispute, at: Desk) -> int:
    """Which of the scan's marks was clicked in the table of ``remarks``; else the first."""
    chosen = (st.session_state.get(remarks_key(dispute)) or {}).get("selection", {}).get("cells", [])
    given = said_of_scan(dispute, at.answers)
    if not chosen or not chosen[0][0] < len(given) or given[chosen[0][0]].place is None:
        return 0
    return sum(one.place is not None for one in given[: chosen[0][0]])


def form(dispute: Dispute, following: Dispute | None) -> None:
    """Decision, finding, reason, save."""
    chosen = st.session_state.get(CHOICE)
    given = values(dispute)
    for start in range(0, len(given), PER_ROW):
        for column, value in zip(st.columns(PER_ROW), given[start : start + PER_ROW], strict=False):
            column.button(
                SAY.get(value, value),
                key=f"adjudicate_{value}",
                shortcut=KEYS[value],
                type="primary" if value == chosen else "secondary",
                on_click=deciding.choose,
                args=(value,),
                width="stretch",
            )
    with st.form(f"form_{reason_key(dispute)}", border=False):
        if dispute.subject == "region":
            offered = {term.name: term.label for term in terms(state.feedback())}
            st.selectbox(
                "Finding",
                list(offered),
                None,
                key=type_key(dispute),
                format_func=lambda name: offered[name],
                placeholder="Optional",
            )
        st.text_area(
            "Reason (required)",
            key=reason_key(dispute),
            height=96,
            placeholder="What decided it? Ctrl+Enter saves.",
        )
        st.form_submit_button(
            "Save decision",
            key="adjudicate_save",
            type="primary",
            on_click=deciding.save,
            args=(dispute, None if following is None else following.key),
        )


def bar(at: Desk, listed: list[Dispute], place: int) -> None:
    """Previous, next, undo, and how far it is."""
    back, forward, take_back, far = st.columns([0.13, 0.11, 0.16, 0.6], vertical_alignment="center")
    for column, label, shortcut, by, key in (
        (back, "Previous", "P", -1, "adjudicate_previous"),
        (forward, "Next", "N", 1, "adjudicate_next"),
    ):
        to = place + by
        column.button(
            label,
            key=key,
            shortcut=shortcut,
            disabled=not 0 <= to < len(listed),
            on_click=deciding.turn,
            args=(listed[min(max(to, 0), len(listed) - 1)].key,),
            width="stretch",
        )
    take_back.button(
        "Undo mine",
        key="adjudicate_undo",
        shortcut="U",
        disabled=not any(row.reader_id == at.reader.id for row in at.decided.values()),
        on_click=deciding.undo,
        width="stretch",
    )
    done = sum(one.key in at.decided for one in at.disputes)
    far.progress(
        done / len(at.disputes), f"{place + 1} of {len(listed)} listed · {done} of {len(at.disputes)} decided"
    )


def nothing(at: Desk) -> None:
    """What to do where nobody disagrees."""
    if at.answers.waiting:
        many = "1 scan" if len(at.answers.waiting) == 1 else f"{len(at.answers.waiting)} scans"
        st.info(f"You have {many} to finish; what others said of them is hidden from you until then.")
    st.info(
        "There is no disagreement to decide. Scans come here once everybody who is to read them has saved "
        "the second read and two readers differ on a flag or on the class.",
        icon=":material/info:",
    )
    st.page_link("pages/worklist.py", label="Open the worklist", icon=":material/list:")


def draw() -> None:
    """The page."""
    st.set_page_config(layout="wide", initial_sidebar_state="collapsed")
    st.html(STYLE)
    title, show, message = st.columns([0.2, 0.25, 0.55], vertical_alignment="center")
    title.title("Adjudicate", anchor=False)
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
        shown = show.segmented_control(
            "Show", SHOWN, default=SHOWN[0], key="adjudicate_shown", label_visibility="collapsed"
        )
        listed = at.listed(shown or SHOWN[0])
        said = st.session_state.pop(SAID, None)
        if said is not None:
            # In its own place: what was drawn below must not move.
            message.markdown(f":red[{said[0]}]" if said[1] else f"**{said[0]}**")
        if not listed:
            st.info("All disagreements are decided." if shown != "decided" else "Nothing is decided yet.")
            bar(at, at.disputes, 0)
            return
        place = deciding.open_one(listed)
        dispute = listed[place]
        bar(at, listed, place)
        st.subheader(heading(dispute), anchor=False)
        left, right = st.columns([0.64, 0.36], gap="small")
        with left:
            draw_scan(dispute, at)
        with right:
            votes(dispute, at)
            remarks(dispute, at)
            others = [one for one in at.listed("to decide") if one.key != dispute.key]
            later = [one for one in others if at.disputes.index(one) > at.disputes.index(dispute)]
            following = [*later, *others]
            form(dispute, following[0] if following else None)
    except StoreError as error:
        st.error(str(error), icon=":material/error:")


draw()
