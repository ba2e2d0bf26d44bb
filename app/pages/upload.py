"""Upload: scans of one's own, checked one by one, analysed in the background, opened in Review."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import streamlit as st
from niivue_component import niivue_viewer
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app import jobs, kept, state
from app.cases import FIRST_MODEL, PAPER_MODEL, Case
from app.facts import label_of
from app.feedback.store import StoreError
from app.identity import current_reader, is_coordinator
from app.jobs import Job, JobError
from app.uploads import (
    ACCEPTED,
    AGE_WEEKS,
    LABEL_CHARACTERS,
    SESSION,
    Sent,
    Upload,
    check,
    keep,
    pair,
    preview,
)
from core.config import settings
from core.io.volume import READ, VolumeError
from core.networks.zoo import ModelError, list_models

CHECKED = "upload_checked"
RETRY_FAILED = "upload_retry_failed"  # why a job could not be queued anew
REVIEW = "pages/review.py"
TYPES = [extension.removeprefix(".") for extension in ACCEPTED]
POLL_SECONDS = 1.0
SHOWN_JOBS = 10


def checked(scan: UploadedFile, mask: UploadedFile | None) -> Upload:
    """``check``, once per file in this session."""
    key = (scan.file_id, "" if mask is None else mask.file_id)
    known: dict[tuple[str, str], Upload] = st.session_state.setdefault(CHECKED, {})
    if key not in known:
        with st.spinner(f"Checking {scan.name} …"):
            sent = Sent(scan.name, scan.getvalue())
            with_mask = None if mask is None else Sent(mask.name, mask.getvalue())
            known[key] = check(sent, with_mask, settings().max_upload_mb, settings().uploads_dir)
    return known[key]


def received(files: list[UploadedFile]) -> list[Upload]:
    """The sent files as scans with masks; problems of one leave the others alone."""
    by_name: dict[str, UploadedFile] = {}
    for file in files:
        if file.name in by_name:
            st.error(f"{file.name}: sent twice; expected different names.", icon=":material/error:")
        by_name.setdefault(file.name, file)
    pairs, problems = pair(list(by_name))
    for problem in problems:
        st.error(problem, icon=":material/error:")
    found: dict[str, Upload] = {}
    for name, mask_name in pairs:
        upload = checked(by_name[name], by_name.get(mask_name))
        if upload.digest in found:
            st.warning(f"{name}: the same scan as {found[upload.digest].name}.", icon=":material/warning:")
        found.setdefault(upload.digest, upload)
    # Volumes are large: those that left the uploader are forgotten.
    ids = {file.file_id for file in files}
    known = st.session_state.get(CHECKED, {})
    st.session_state[CHECKED] = {key: one for key, one in known.items() if key[0] in ids}
    return list(found.values())


def show(upload: Upload) -> tuple[float | None, str]:
    """One scan: its grid or its error, age, label, a preview. Returns the age in weeks and the label."""
    with st.container(border=True):
        if upload.volume is None:
            st.error(upload.error, icon=":material/error:")
            return None, ""
        facts, name, age, look = st.columns([0.42, 0.24, 0.19, 0.15], vertical_alignment="center")
        brain = "no mask: the brain will be extracted"
        if upload.mask is not None:
            brain = f"mask {code(upload.mask_name)}"
        shape, spacing = upload.volume.shape, upload.volume.spacing
        grid = f"{'×'.join(map(str, shape))} voxels of {'×'.join(f'{mm:.3g}' for mm in spacing)} mm"
        grid += f", stored {''.join(upload.volume.stored)}"
        facts.markdown(f"{code(upload.name)}  \n{grid}; {brain}")
        given = name.text_input(
            "Label (optional)",
            key=f"upload_label_{upload.digest[:12]}",
            max_chars=LABEL_CHARACTERS,
            placeholder="e.g. study case 12",
            help="Shown in Worklist and Review beside the scan's hash. No patient names: all readers see it.",
        )
        weeks = age.number_input(
            "Age, weeks (optional)",
            *AGE_WEEKS,
            value=None,
            step=0.1,
            key=f"upload_age_{upload.digest[:12]}",
            help="Postmenstrual age at scan",
        )
        if look.toggle("Preview", key=f"upload_preview_{upload.digest[:12]}"):
            picture, words = st.columns(2)
            with picture:
                niivue_viewer(
                    nifti_data=preview(upload.volume),
                    # The component tells volumes apart by name: it carries the content's hash.
                    filename=f"{upload.digest[:12]}.nii.gz",
                    height=480,
                    styled=False,
                    settings={"radiological": True, "crosshair": True},
                    update_interval_ms=None,
                    key=f"upload_view_{upload.digest[:12]}",
                )
            words.caption("Radiological convention: the patient's left is on the right of the screen.")
        return weeks, given


def code(text: str) -> str:
    """A file's name as text, never as Markdown."""
    return "`" + text.replace("`", "'") + "`"


def unjudged(scan: Path, models: Sequence[str]) -> list[str]:
    """Those of ``models`` whose analysis of the scan nobody has judged, which may be done anew.

    Raises
    ------
    StoreError
        Where it can't be told.
    """
    paths = kept.paths_of(scan)
    held = [] if paths is None else kept.kept_models(paths, models)
    return [model for model in models if model not in held]


def start(
    found: list[Upload], ages: dict[str, float | None], labels: dict[str, str], models: list[str]
) -> None:
    """Keep the good scans and queue one job for each that is not queued already."""
    names: dict[str, str] = st.session_state.setdefault("upload_names", {})
    queued = {(job.inputs, job.models) for job in jobs.list_jobs(settings().jobs_dir) if not job.over}
    for upload in found:
        if upload.volume is None:
            continue
        try:
            path = keep(upload, ages[upload.digest], settings().uploads_dir, labels[upload.digest])
            left = unjudged(path, models)
            if left and ((str(path.resolve()),), tuple(left)) not in queued:
                jobs.submit(settings().jobs_dir, [path], left)
        except (VolumeError, JobError, StoreError) as error:
            st.error(f"{upload.name}: {error}", icon=":material/error:")
        except OSError as error:
            st.error(
                f"{upload.name}: could not be kept ({error.strerror or error}).", icon=":material/error:"
            )
        else:
            names[upload.label(ages[upload.digest])] = upload.name
            if held := [model for model in models if model not in left]:
                st.info(f"{code(upload.name)}: {kept.sentence(held)}", icon=":material/info:")
            if not left:
                continue
            st.toast(f"{code(upload.name)} is being analysed; see Analyses below.", icon=":material/check:")


def result(job: Job) -> Case | None:
    """The analysis that a finished job made, by its first model."""
    subject = label(job)
    mine = [
        case for case in state.cases() if (case.record.subject, case.record.session) == (subject, SESSION)
    ]
    return next((case for model in job.models for case in mine if case.record.model == model), None)


def label(job: Job) -> str:
    """Subject of a job."""
    return Path(job.inputs[0]).name.split("_")[0]


def recent_jobs() -> list[Job]:
    """The newest jobs; a folder's import, whose name can tell what its scans are, for coordinators alone."""
    try:
        everything = is_coordinator(current_reader())
    except StoreError:
        everything = False
    every = jobs.list_jobs(settings().jobs_dir)
    return [job for job in every if everything or job.inputs[0].endswith(tuple(READ))][:SHOWN_JOBS]


def retry(job: Job) -> None:
    """Queue a failed job anew, in its place."""
    try:
        scans = [Path(path) for path in job.inputs]
        if any(kept.paths_of(scan) is None for scan in scans):
            st.session_state[RETRY_FAILED] = "Import the folder again, in the Worklist."
            return
        left = [model for model in job.models if all(model in unjudged(scan, [model]) for scan in scans)]
        if not left:
            st.session_state[RETRY_FAILED] = kept.sentence(job.models)
            return
        jobs.submit(settings().jobs_dir, scans, left)
    except (jobs.JobError, StoreError) as error:
        st.session_state[RETRY_FAILED] = str(error)
        return
    jobs.dismiss(settings().jobs_dir, job.id)


def show_job(job: Job) -> None:
    """One job: progress, and what can be done."""
    names: dict[str, str] = st.session_state.get("upload_names", {})
    name = names.get(label(job), label(job))
    called = f"{code(given)} · {code(name)}" if (given := label_of(label(job))) else code(name)
    what, act = st.columns([0.8, 0.2], vertical_alignment="center")
    models = ", ".join(job.models)
    if not job.over:
        text = (
            "waiting for its turn"
            if job.state == "queued"
            else f"{job.step}, {job.fraction:.0%}, {time.time() - job.created:.0f} s"
        )
        what.progress(job.fraction, text=f"{called} · {models} · {text}")
        stop = partial(jobs.cancel, settings().jobs_dir, job.id)
        act.button("Cancel", key=f"job_cancel_{job.id}", on_click=stop, width="stretch")
        return
    if job.state == "failed":
        plain = f"{code(given)} · {name}" if given else name
        what.error(f"{plain} · {models}: {job.message}", icon=":material/error:")
        act.button("Try again", key=f"job_retry_{job.id}", on_click=retry, args=(job,), width="stretch")
        away = partial(jobs.dismiss, settings().jobs_dir, job.id)
        act.button("Dismiss", key=f"job_dismiss_{job.id}", on_click=away, type="tertiary", width="stretch")
        return
    if job.state == "cancelled":
        what.markdown(f"{called} · {models} · cancelled")
        return
    case = result(job)
    what.markdown(f"{called} · {models} · done")
    if case is None:
        act.caption("result removed")
    elif act.button("Open in Review", key=f"job_open_{job.id}", type="primary", width="stretch"):
        state.select_case(case)
        st.switch_page(REVIEW)


def jobs_panel() -> None:
    """Recent jobs of this server; polls only while one is under way."""
    recent = recent_jobs()
    if not recent:
        return
    busy = any(not job.over for job in recent)
    st.subheader("Analyses", anchor=False)

    @st.fragment(run_every=POLL_SECONDS if busy else None)
    def polled() -> None:
        now = recent_jobs()
        if RETRY_FAILED in st.session_state:
            st.error(st.session_state.pop(RETRY_FAILED), icon=":material/error:")
        for job in now:
            show_job(job)
        if busy == all(job.over for job in now):
            st.rerun()  # the whole page, which stops the polling, or starts it

    polled()


def choose_models() -> list[str]:
    """Models to analyse with, among those on disk."""
    try:
        names = [info.name for info in list_models(settings().models_dir)]
    except ModelError as error:
        st.error(str(error), icon=":material/error:")
        return []
    if not names:
        st.warning("There is no model to analyse with; train one with `python -m core train`.")
        return []
    first = [name for name in (FIRST_MODEL, PAPER_MODEL, *names) if name in names][:1]
    return st.multiselect("Models", names, default=first, key="upload_models")


def draw() -> None:
    """The page."""
    st.title("Upload", anchor=False)
    st.info(
        "De-identified data only. File names and header texts are not kept; voxels are, "
        "on this server, in the data folder's `uploads`.",
        icon=":material/shield:",
    )
    files = st.file_uploader(
        f"T2-weighted scans ({', '.join(READ)}, or a .zip of one DICOM series)",
        type=TYPES,
        accept_multiple_files=True,
        max_upload_size=settings().max_upload_mb,
        key="upload_files",
    )
    found = received(files)
    said = {upload.digest: show(upload) for upload in found}
    ages = {digest: age for digest, (age, _) in said.items()}
    labels = {digest: given for digest, (_, given) in said.items()}
    good = [upload for upload in found if upload.volume is not None]
    if found:
        models = choose_models()
        text = "Analyse" if len(good) < 2 else f"Analyse {len(good)} scans"
        if st.button(text, type="primary", key="upload_go", disabled=not good or not models):
            start(found, ages, labels, models)
    else:
        st.caption(
            "Choose a scan and press Analyse; then open it in Review. If you have its brain mask, choose it "
            "too: named like its scan, with the word mask, as in `a_T2w.nii.gz` and `a_mask.nii.gz`. "
            "A file that can't be used is named with what was expected."
        )
    jobs_panel()


draw()
