"""Top of Review: which case, which model, what the scan scores; running a model that has no result yet."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app import jobs, state
from app.cases import Case
from app.review import reading
from app.review.table import score_lines
from core.config import settings
from core.networks.zoo import NAMES

ASKED = "review_asked_model"  # a model picked that has no result for the open scan
JOB = "review_job"  # (job id, scan, model)


def leave(case: Case) -> None:
    """Turn to another analysis; nothing is selected there yet."""
    state.select_case(case)
    for name in ("reading_region", "reading_jump", "reading_form", "reading_said", reading.TABLE, ASKED):
        st.session_state.pop(name, None)


def open_scan(scan: str) -> None:
    """Open the scan named ``scan``, by the model at hand where it has a result."""
    current = state.selected_case()
    mine = [case for case in state.cases() if case.record.case_id == scan]
    same = [case for case in mine if current is not None and case.record.model == current.record.model]
    if mine:
        leave((same or mine)[0])


def scan_ids(cases: list[Case]) -> list[str]:
    """The scans, each once, in the order of ``cases``."""
    return list(dict.fromkeys(case.record.case_id for case in cases))


def turn(case: Case, by: int) -> None:
    """Open the scan that lies ``by`` places after ``case``; the first or last where there are fewer."""
    scans = scan_ids(state.cases())
    if case.record.case_id in scans:
        at = scans.index(case.record.case_id) + by
        open_scan(scans[min(max(at, 0), len(scans) - 1)])


def open_picked() -> None:
    """Open the scan picked where none was open."""
    open_scan(st.session_state["review_pick"])


def _choose_scan() -> None:
    open_scan(st.session_state["review_scan"])


def _choose_model() -> None:
    current, wanted = state.selected_case(), st.session_state["review_model"]
    if current is None:
        return
    found = [case for case in state.cases() if case.record.case_id == current.record.case_id]
    match = next((case for case in found if case.record.model == wanted), None)
    if match is None:
        st.session_state[ASKED] = wanted
    else:
        leave(match)


def header(case: Case, everything: list[Case], drawn_here: bool) -> None:
    """One line: previous, scan, next, model, age and scores.

    Its keys are Streamlit's only with slices drawn by the server (``drawn_here``): the viewer hears them in
    order with the verdicts.
    """
    scans = scan_ids(everything)
    have = {o.record.model for o in everything if o.record.case_id == case.record.case_id}
    at = scans.index(case.record.case_id)
    back, pick, forward, model, facts = st.columns(
        [0.045, 0.2, 0.045, 0.26, 0.45], vertical_alignment="center"
    )
    for column, icon, key, shortcut, by in (
        (back, ":material/chevron_left:", "review_previous", "Shift+P", -1),
        (forward, ":material/chevron_right:", "review_next", "Shift+N", 1),
    ):
        column.button(
            "",
            icon=icon,
            key=key,
            help=f"{'Next' if by > 0 else 'Previous'} case ({shortcut})",
            shortcut=shortcut if drawn_here else None,
            disabled=not 0 <= at + by < len(scans),
            on_click=turn,
            args=(case, by),
            width="stretch",
        )
    # The open case is the truth; the boxes follow it.
    st.session_state["review_scan"] = case.record.case_id
    st.session_state["review_model"] = st.session_state.get(ASKED, case.record.model)
    pick.selectbox("Case", scans, key="review_scan", on_change=_choose_scan, label_visibility="collapsed")
    model.selectbox(
        "Model",
        list(dict.fromkeys([*NAMES, *sorted(have)])),
        key="review_model",
        on_change=_choose_model,
        format_func=lambda name: name if name in have else f"{name} · not run",
        label_visibility="collapsed",
    )
    age = case.record.age_weeks
    facts.caption(
        " · ".join(["age not known" if age is None else f"{age:.1f} weeks", *score_lines(case.record)[:1]])
    )


def raw_scan(case: Case) -> Path | None:
    """The scan's file among the uploads or the demo cohort; None where neither holds it."""
    name = case.record.case_id
    for root in (settings().uploads_dir, settings().demo_dir):
        path = root / case.record.subject / case.record.session / "anat" / f"{name}_T2w.nii.gz"
        if path.is_file():
            return path
    return None


def offer_run(case: Case) -> None:
    """Where a model without result was picked: offer to run it, or show how far it is."""
    wanted = st.session_state.get(ASKED)
    if wanted is None:
        return
    job = st.session_state.get(JOB)
    if job is not None and job[1:] == (case.record.case_id, wanted):
        _progress(job[0], case, wanted)
        return
    raw, weights = raw_scan(case), settings().models_dir / wanted / "config.json"
    text, action = st.columns([0.75, 0.25], vertical_alignment="center")
    if raw is None or not weights.is_file():
        why = f"models/{wanted} is not installed" if raw is not None else "its original file is not here"
        hint = f"Run `python -m core analyze SCAN --model {wanted}` where the file is." if raw is None else ""
        text.warning(
            f"{wanted} has no result for this scan and can't be run: {why}. {hint}", icon=":material/info:"
        )
        return
    text.info(f"{wanted} has no result for this scan. Below is still {case.record.model}.")
    action.button(
        "Run this model", key="review_run", type="primary", on_click=_submit, args=(raw, case, wanted)
    )


def _submit(raw: Path, case: Case, wanted: str) -> None:
    try:
        job = jobs.submit(settings().jobs_dir, [raw], [wanted])
    except jobs.JobError as error:
        st.session_state["reading_said"] = (str(error), True)
        return
    st.session_state[JOB] = (job, case.record.case_id, wanted)


@st.fragment(run_every=1.0)
def _progress(job_id: str, case: Case, wanted: str) -> None:
    try:
        job = jobs.status(settings().jobs_dir, job_id)
    except jobs.JobError as error:
        st.session_state.pop(JOB, None)
        st.error(str(error))
        return
    if not job.over:
        bar, stop = st.columns([0.85, 0.15], vertical_alignment="center")
        bar.progress(job.fraction, f"{wanted}: {job.step}")
        stop.button("Cancel", key="review_cancel", on_click=jobs.cancel, args=(settings().jobs_dir, job_id))
        return
    st.session_state.pop(JOB, None)
    if job.state == "failed":
        st.error(f"{wanted}: {job.message}")
        return
    done = [o for o in state.cases() if (o.record.case_id, o.record.model) == (case.record.case_id, wanted)]
    if job.state == "done" and done:
        leave(done[0])
    st.rerun()
