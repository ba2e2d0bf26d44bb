"""Top of Review: which case, which model, what the scan scores; running a model that has no result yet."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app import jobs, kept, state
from app.assign import mine as own_list
from app.cases import PAPER_MODEL, Case
from app.facts import label_of
from app.feedback.seen import seen_by
from app.feedback.store import SavedReader, StoreError
from app.identity import current_reader
from app.review import marks, protocol, reading, said
from app.review.progress import open_order, ordered
from app.review.table import score_lines
from core.config import settings
from core.io.derivatives import CasePaths, MapName
from core.networks.zoo import NAMES, OURS

ASKED = "review_asked_model"  # a model picked that has no result for the open scan
JOB = "review_job"  # (job id, scan, model)


def leave(case: Case) -> None:
    """Turn to another analysis; nothing is selected there yet."""
    state.select_case(case)
    said.hush()
    gone = ("reading_region", "reading_jump", "reading_form", marks.MARK, ASKED)
    reading.unmark_row()
    for name in gone:
        st.session_state.pop(name, None)


def open_scan(scan: str) -> None:
    """Open the scan named ``scan``, by the model that it was assigned for or that is at hand."""
    current = state.selected_case()
    everything = state.cases()
    mine = [case for case in everything if case.record.case_id == scan]
    try:
        own = own_list.mine(state.feedback(), current_reader(), everything)
    except StoreError as error:
        said.say(f"Not opened: {error}", failed=True)
        return
    for item in own.items:
        if item.case_id == scan:
            leave(own_list.case_of(item, everything))
            return
    same = [case for case in mine if current is not None and case.record.model == current.record.model]
    if mine:
        leave((same or mine)[0])


def scan_ids(cases: list[Case], reader: SavedReader | None, current: Case) -> list[str]:
    """What the reader can turn to from ``current``, each scan once.

    From an assigned one: what the reader has come to of their list, in its order. Else every scan that their
    list does not hold, in the order that they chose in the worklist.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    own = own_list.mine(state.feedback(), reader, cases)
    if own_list.scan_of(current) in own.scans:
        found = [one.case_id for one in own.turnable]
        return found if current.record.case_id in found else [*found, current.record.case_id]
    cases = own_list.free(cases, own)
    order = open_order(state.feedback(), reader, cases)
    return list(dict.fromkeys(case.record.case_id for case in ordered(cases, order, reader)))


def turn(case: Case, reader: SavedReader, by: int) -> None:
    """Open the scan that lies ``by`` places after ``case``; the first or last where there are fewer."""
    try:
        scans = scan_ids(state.cases(), reader, case)
    except StoreError as error:
        said.say(f"Not opened: {error}", failed=True)
        return
    if case.record.case_id in scans:
        at = scans.index(case.record.case_id) + by
        open_scan(scans[min(max(at, 0), len(scans) - 1)])


def open_picked() -> None:
    """Open the scan picked where none was open."""
    open_scan(st.session_state["review_pick"])


def _scan_key(case: Case) -> str:
    return f"review_scan_{case.address}"


def _model_key(case: Case) -> str:
    return f"review_model_{case.address}_"


def _choose_scan(key: str) -> None:
    current = state.selected_case()
    # The browser sends the boxes of the case before once more, when they are gone: no choice.
    if current is not None and key == _scan_key(current):
        open_scan(st.session_state[key])


def _choose_model(key: str) -> None:
    current, wanted = state.selected_case(), st.session_state[key]
    if current is None or not key.startswith(_model_key(current)):
        return
    found = [case for case in state.cases() if case.record.case_id == current.record.case_id]
    match = next((case for case in found if case.record.model == wanted), None)
    if match is None:
        st.session_state[ASKED] = wanted
    else:
        leave(match)


def _show(case: Case, name: MapName) -> None:
    leave(case)
    st.session_state["reading_map"] = name


def other_way(case: Case, mine: list[Case]) -> tuple[str, Case, MapName] | None:
    """One click between the fused map and the paper's overlay of the same scan: label, analysis and map.

    ``mine``: all analyses of the scan. None where it has no fused map, or no result of the paper's model.
    """
    fused = next((one for one in mine if "fused" in one.record.bands), None)
    paper = next((one for one in mine if one.record.model == PAPER_MODEL), None)
    if fused is None or paper is None:
        return None
    if case.record.model == PAPER_MODEL:
        return "Fused map", fused, "fused"
    return "As in the paper", paper, "volume"


def header(case: Case, everything: list[Case], reader: SavedReader, blind: bool) -> None:
    """One line: previous, scan, next, model, age and scores; neither model nor scores while ``blind``.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    scans = scan_ids(everything, reader, case)
    have = {o.record.model for o in everything if o.record.case_id == case.record.case_id}
    at = scans.index(case.record.case_id)
    mine = [one for one in everything if one.record.case_id == case.record.case_id]
    turned = None if blind else other_way(case, mine)
    widths = [0.045, 0.2, 0.045, 0.26, 0.45] if turned is None else [0.045, 0.2, 0.045, 0.22, 0.31, 0.18]
    back, pick, forward, model, facts, *switch = st.columns(widths, vertical_alignment="center")
    for column, icon, key, shortcut, by in (
        (back, ":material/chevron_left:", "review_previous", "Shift+P", -1),
        (forward, ":material/chevron_right:", "review_next", "Shift+N", 1),
    ):
        column.button(
            "",
            icon=icon,
            key=key,
            help=f"{'Next' if by > 0 else 'Previous'} case ({shortcut})",
            disabled=not 0 <= at + by < len(scans),
            on_click=turn,
            args=(case, reader, by),
            width="stretch",
        )
    # The open case is the truth; each has boxes of its own.
    key = _scan_key(case)
    pick.selectbox(
        "Case", scans, at, key=key, on_change=_choose_scan, args=(key,), label_visibility="collapsed"
    )
    age = "age not known" if case.record.age_weeks is None else f"{case.record.age_weeks:.1f} weeks"
    if (place := _place(case, everything, reader)) != "":
        age = f"{age} · {place}"
    if (given := label_of(case.record.subject)) != "":
        age = "`" + given.replace("`", "'") + f"` · {age}"  # text, never Markdown
    if swayed(case, reader):
        age = f"{age} · others' answers seen: this read is not independent"
    if blind:
        model.caption("First read: the model is hidden")
        facts.caption(age)
        return
    models, chosen = (
        list(dict.fromkeys([*OURS, *NAMES, *sorted(have)])),
        st.session_state.get(ASKED, case.record.model),
    )
    key = f"{_model_key(case)}{chosen}"
    model.selectbox(
        "Model",
        models,
        models.index(chosen),
        key=key,
        on_change=_choose_model,
        args=(key,),
        format_func=lambda name: name if name in have else f"{name} · not run",
        label_visibility="collapsed",
    )
    facts.caption(" · ".join([age, *score_lines(case.record)[:1]]))
    if turned is not None:
        label, to, name = turned
        switch[0].button(label, key="review_paper", on_click=_show, args=(to, name), width="stretch")


def swayed(case: Case, reader: SavedReader) -> bool:
    """Whether others' answers to the scan were shown to one who has not read it to the end."""
    first, second = protocol.reads(reader, case.record)
    if second is not None or (first is not None and first.classification == "inadequate"):
        return False
    return own_list.scan_of(case) in seen_by(state.feedback(), reader.id)


def _place(case: Case, everything: list[Case], reader: SavedReader) -> str:
    """Where in the reader's list the scan stands; empty where it is not in it."""
    own = own_list.mine(state.feedback(), reader, everything)
    at = [number for number, one in enumerate(own.items, 1) if one in own.turnable]
    found = [number for number in at if own.items[number - 1].scan == own_list.scan_of(case)]
    return f"assigned, {found[-1]} of {len(own.items)}" if found else ""


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
    try:
        held = kept.kept_models(_paths(case), [wanted])
    except StoreError as error:
        text.error(f"The feedback store can't be read: {error}", icon=":material/error:")
        return
    if held:
        text.info(f"{kept.sentence(held)} Below is still {case.record.model}.", icon=":material/info:")
        return
    text.info(f"{wanted} has no result for this scan. Below is still {case.record.model}.")
    action.button(
        "Run this model", key="review_run", type="primary", on_click=_submit, args=(raw, case, wanted)
    )


def _paths(case: Case) -> CasePaths:
    return CasePaths(settings().derivatives_dir, case.record.subject, case.record.session)


def _submit(raw: Path, case: Case, wanted: str) -> None:
    try:
        if held := kept.kept_models(_paths(case), [wanted]):  # judged since the offer was drawn
            said.say(kept.sentence(held), failed=True)
            return
        job = jobs.submit(settings().jobs_dir, [raw], [wanted])
    except (jobs.JobError, StoreError) as error:
        said.say(str(error), failed=True)
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
