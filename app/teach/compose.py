"""Composing a lesson: title, scans, order, time, what a reveal shows."""

from __future__ import annotations

import streamlit as st

from app import state
from app.cases import DEFAULT_HELP, Case, address, model_label, models_of
from app.feedback.blinding import Scan
from app.feedback.lesson_rows import SHOWN, LessonCase, LessonInput, SavedLesson
from app.feedback.lessons import create_lesson
from app.feedback.owed import finished_by, owed_scans
from app.feedback.store import SavedReader, Store, StoreError, new_id
from app.teach.snapshot import DAMAGED
from app.teach.truth import truth
from core.config import settings

FORM = "lesson_form"  # id of the lesson being composed: the same form gives one lesson
LIMITS = {"No limit": 0, "30 s": 30, "1 min": 60, "2 min": 120, "3 min": 180, "5 min": 300, "10 min": 600}
SHOWN_LABELS = {
    "truth": "Truth (lesion masks of the demo cohort)",
    "readers": "Readers' consensus (scans whose clinical reading is finished)",
    "model": "Model's bands",
}
SPOILS = (
    "A scan that is taught is no longer an unaided read for anyone who is present. Scans that a reader still "
    "has to read, or is reading, are left out."
)
KNOWN = (
    "What is known of a scan stands beside those that you have finished reading. Shown of all, it spoils "
    "your own reading of the others."
)


def answer_words(case: Case) -> str:
    """What is known of a scan, for the teacher who chooses."""
    record = case.record
    try:
        known = truth(settings().demo_dir, record.case_id, record.input_hash)
    except DAMAGED as error:
        return f"answer can't be read: {error}"
    if known is None:
        return "answer not known"
    if not known.lesions:
        return "normal"
    kinds = list(dict.fromkeys(lesion.type.lower() for lesion in known.lesions))
    return f"{len(known.lesions)} × {kinds[0]}" if len(kinds) == 1 else ", ".join(kinds)


def named(case: Case, told: bool) -> str:
    """A scan in the list; ``told``: with what is known of it."""
    return f"{case.record.case_id} · {answer_words(case)}" if told else case.record.case_id


def scan_of(case: Case) -> Scan:
    return case.record.case_id, case.record.input_hash


def offered(cases: list[Case], store: Store, model: str, also_owed: bool) -> list[Case]:
    """Scans to choose from: of one model, without those that are still to be read."""
    owed = frozenset() if also_owed else owed_scans(store, {scan_of(case) for case in cases})
    return [case for case in cases if case.record.model == model and scan_of(case) not in owed]


def composer(store: Store, teacher: SavedReader) -> SavedLesson | None:
    """Draw the form; the lesson once it is made.

    Raises
    ------
    StoreError
        Where the store can't be read.
    """
    cases = state.cases()
    if not cases:
        st.info(
            "There is no analysed scan to teach with yet. Make the synthetic demo cohort with `make demo`, "
            "or upload a scan.",
            icon=":material/info:",
        )
        st.page_link("pages/upload.py", label="Upload a scan", icon=":material/upload_file:")
        return None
    title = st.text_input("Title", key="lesson_title", max_chars=200, placeholder="e.g. Cysts and bleeds")
    model = st.selectbox(
        "Model whose flags can be revealed",
        models_of(cases),
        key="lesson_model",
        format_func=model_label,
        help=f"{DEFAULT_HELP}.",
        width=420,
    )
    st.info(SPOILS, icon=":material/visibility_off:")
    also = st.checkbox("Also offer scans that readers still have to read", key="lesson_owed")
    everything = st.checkbox("Show what is known of each scan", key="lesson_known")
    st.caption(KNOWN)
    read = finished_by(store, teacher.id)
    choice = {case.address: case for case in offered(cases, store, model, also)}
    chosen = st.multiselect(
        "Scans, in the order in which you choose them",
        list(choice),
        key="lesson_cases",
        format_func=lambda at: named(choice[at], everything or scan_of(choice[at]) in read),
        placeholder="Choose scans…",
        # "Select all matches" would stand first: Enter would take every scan that resembles what was typed.
        filter_mode="contains",
        select_all=False,
    )
    order, time, near = st.columns(3)
    random = order.segmented_control(
        "Order", ["As chosen", "Random"], default="As chosen", key="lesson_order", required=True
    )
    seed = (
        int(
            order.number_input(
                "Seed", 0, 2**31 - 1, 1, key="lesson_seed", help="The same seed, the same order"
            )
        )
        if random == "Random"
        else None
    )
    limit = time.selectbox("Time for each scan", list(LIMITS), key="lesson_limit")
    tolerance = near.number_input(
        "Tolerance, mm",
        0.5,
        50.0,
        5.0,
        0.5,
        key="lesson_tolerance",
        help="A mark this near to a lesion's edge is on it",
    )
    shows = st.pills(
        "A reveal shows",
        list(SHOWN),
        selection_mode="multi",
        default=list(SHOWN),
        key="lesson_reveal",
        format_func=lambda name: SHOWN_LABELS[name],
    )
    if not st.button("Make the lesson", key="lesson_make", type="primary"):
        return None
    try:
        made = create_lesson(
            store,
            LessonInput(
                id=st.session_state.setdefault(FORM, new_id()),
                title=title,
                teacher_id=teacher.id,
                cases=_lesson_cases(store, [choice[at] for at in chosen if at in choice]),
                seed=seed,
                seconds_per_case=LIMITS[limit],
                tolerance_mm=float(tolerance),
                reveal=tuple(name for name in SHOWN if name in shows),
            ),
        )
    except StoreError as error:
        st.error(str(error))
        return None
    del st.session_state[FORM]
    return made


def _lesson_cases(store: Store, cases: list[Case]) -> tuple[LessonCase, ...]:
    """Scans as the lesson keeps them, with whether the teacher took them though readers owe them."""
    owed = owed_scans(store, {scan_of(case) for case in cases})
    return tuple(
        LessonCase(
            case.record.case_id,
            case.record.input_hash,
            address(case.record),
            case.record.model,
            scan_of(case) in owed,
        )
        for case in cases
    )
