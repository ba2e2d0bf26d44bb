"""Models that have not analysed the scan: run them here as one job, or say the command that does."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app import jobs, kept
from app.compare.analyses import Analyses
from app.feedback.store import StoreError
from core.config import settings
from core.networks.zoo import NAMES, ModelError, list_models

JOB = "compare_job"  # (job id, case id): the one that this session watches


def raw_scan(analyses: Analyses) -> Path | None:
    """The scan's file among the uploads or the demo cohort; None where neither holds it."""
    paths = analyses.paths
    for root in (settings().uploads_dir, settings().demo_dir):
        path = root / paths.subject / paths.session / "anat" / f"{analyses.case_id}_T2w.nii.gz"
        if path.is_file():
            return path
    return None


def missing_models(analyses: Analyses) -> tuple[list[str], list[str], list[str]]:
    """What could be run: models without a whole analysis of the scan, and those changed since theirs.

    Third, of the paper's eight those that have no analysis and are not installed.

    Raises
    ------
    ModelError
        Where a model folder can't be used.
    """
    hashes = {record.model: record.model_hash for record in analyses.records}
    installed = list_models(settings().models_dir)
    names = {info.name for info in installed}
    return (
        [info.folder.name for info in installed if info.name not in hashes],
        [info.folder.name for info in installed if hashes.get(info.name, info.hash) != info.hash],
        [name for name in NAMES if name not in hashes and name not in names],
    )


def command(scan: Path | None, models: list[str]) -> str:
    """The shell command that analyses the scan with ``models``."""
    what = "SCAN.nii.gz" if scan is None else str(scan)
    if len(models) == 1:
        return f"python -m core analyze {what} --model {models[0]}"
    return f"for model in {' '.join(models)}; do\n  python -m core analyze {what} --model $model\ndone"


def running(scan: Path) -> jobs.Job | None:
    """A job under way on this scan, whoever started it."""
    found = (job for job in jobs.list_jobs(settings().jobs_dir) if str(scan.resolve()) in job.inputs)
    return next((job for job in found if not job.over), None)


def offer(analyses: Analyses) -> None:
    """Offer to run the missing models; show how far a run is."""
    try:
        absent, changed, elsewhere = missing_models(analyses)
    except ModelError as error:
        st.error(str(error), icon=":material/error:")
        return
    scan = raw_scan(analyses)
    watched = st.session_state.get(JOB)
    if watched is None and scan is not None and (job := running(scan)) is not None:
        watched = st.session_state[JOB] = (job.id, analyses.case_id)
    if watched is not None and watched[1] == analyses.case_id:
        _progress(watched[0])
        return
    if elsewhere:
        st.caption(
            f"Not installed: {', '.join(elsewhere)}. Put their folders into models/, or train them with "
            "`python -m core train`."
        )
    try:
        held = kept.kept_models(analyses.paths, absent + changed)
    except StoreError as error:
        st.error(f"The feedback store can't be read: {error}", icon=":material/error:")
        return
    absent, changed = ([one for one in group if one not in held] for group in (absent, changed))
    todo = absent + changed
    if not todo:
        if held:
            st.caption(kept.sentence(held))
        return
    lines = [f"{_models(absent)} no result for this scan: {', '.join(absent)}."] if absent else []
    lines += [f"{_models(changed)} changed since the analysis here: {', '.join(changed)}."] if changed else []
    lines += [kept.sentence(held)] if held else []
    if scan is None:
        st.info(" ".join(lines))
        st.caption("The scan's original file is not here. Where it is, run:")
        st.code(command(None, todo), language="bash")
        return
    # One line: the viewer below must stay on the screen.
    text, action, other = st.columns([0.66, 0.17, 0.17], vertical_alignment="center")
    text.caption(" ".join(lines))
    action.button(
        f"Run {len(todo)} model{'' if len(todo) == 1 else 's'}",
        key="compare_run",
        type="primary",
        on_click=_submit,
        args=(scan, analyses, todo),
        width="stretch",
    )
    with other.popover("Or by command", width="stretch"):
        st.code(command(scan, todo), language="bash")


def _models(models: list[str]) -> str:
    return "1 model has" if len(models) == 1 else f"{len(models)} models have"


def _submit(scan: Path, analyses: Analyses, models: list[str]) -> None:
    try:
        # Asked again: somebody may have judged one since the offer was drawn.
        held = kept.kept_models(analyses.paths, models)
        if held:
            st.toast(kept.sentence(held), icon=":material/info:")
        left = [model for model in models if model not in held]
        if not left:
            return
        job = jobs.submit(settings().jobs_dir, [scan], left)
    except (jobs.JobError, StoreError) as error:
        st.toast(str(error), icon=":material/error:")
        return
    st.session_state[JOB] = (job, analyses.case_id)


def _forget() -> None:
    st.session_state.pop(JOB, None)


@st.fragment(run_every=1.0)
def _progress(job_id: str) -> None:
    try:
        job = jobs.status(settings().jobs_dir, job_id)
    except jobs.JobError as error:
        st.error(str(error), icon=":material/error:")
        st.button("Close", key="compare_close", on_click=_forget)
        return
    if not job.over:
        bar, stop = st.columns([0.85, 0.15], vertical_alignment="center")
        count = len(job.models)
        turn = min(int(job.fraction * count), count - 1)
        bar.progress(job.fraction, f"{job.models[turn]}, model {turn + 1} of {count}: {job.step}")
        stop.button(
            "Cancel",
            key="compare_cancel",
            on_click=jobs.cancel,
            args=(settings().jobs_dir, job_id),
            width="stretch",
        )
        return
    if job.state == "failed":
        st.error(f"Not all models ran: {job.message}", icon=":material/error:")
        st.button("Close", key="compare_close", on_click=_forget)
        return
    _forget()
    st.rerun()
