"""Import of a folder on the server, for coordinators: what to analyse, how far it is, a way to stop it."""

from __future__ import annotations

import shlex

import streamlit as st

from app import identity, imports, jobs
from app.cases import FIRST_MODEL
from app.feedback.store import SavedReader
from app.words import scan_count
from core.config import settings
from core.networks.zoo import ModelError, list_models

IMPORT_JOB = "work_import_job"
IMPORT_FAILED = "work_import_failed"


def import_panel(reader: SavedReader | None) -> None:
    """For coordinators: analyse a folder that lies on the server."""
    if not identity.is_coordinator(reader):
        return
    with st.expander("Import a folder", expanded=IMPORT_JOB in st.session_state):
        if imports.root() is None:
            st.caption(imports.OFF)
            return
        _import_progress()
        names = imports.offered()
        place, models, go = st.columns([0.45, 0.37, 0.18], vertical_alignment="bottom")
        asked = place.selectbox(
            "Folder or manifest below the import folder",
            names,
            None,
            key="work_import",
            accept_new_options=True,
            placeholder="e.g. site-b or site-b/manifest.tsv",
        )
        try:
            have = [info.name for info in list_models(settings().models_dir)]
        except ModelError as error:
            st.error(str(error), icon=":material/error:")
            return
        first = [FIRST_MODEL] if FIRST_MODEL in have else have[:1]
        chosen = models.multiselect("Models", have, first, key="work_import_models")
        go.button(
            "Import",
            key="work_import_go",
            type="primary",
            disabled=asked is None or not chosen or IMPORT_JOB in st.session_state,
            on_click=start_import,
            width="stretch",
        )
        if (failed := st.session_state.pop(IMPORT_FAILED, "")) != "":
            st.error(failed, icon=":material/error:")
        if asked is not None and chosen:
            line = shlex.join(["python", "-m", "core", "analyze", str(asked), "--model", chosen[0]])
            st.caption(f"Or on the server, in the import folder: `{line}`")


def start_import() -> None:
    """Queue the analysis of what was asked for."""
    try:
        data = imports.found(str(st.session_state.get("work_import") or ""))
        models = st.session_state["work_import_models"]
        job = jobs.submit(settings().jobs_dir, [data.path], models)
    except (imports.ImportRefused, jobs.JobError) as error:
        st.session_state[IMPORT_FAILED] = str(error)
        return
    st.session_state[IMPORT_JOB] = (job, len(data.scans))


@st.fragment(run_every=1.0)
def _import_progress() -> None:
    """How far the import is, until it is over."""
    if IMPORT_JOB not in st.session_state:
        return
    id, count = st.session_state[IMPORT_JOB]
    try:
        job = jobs.status(settings().jobs_dir, id)
    except jobs.JobError as error:
        del st.session_state[IMPORT_JOB]
        st.error(str(error))
        return
    many = scan_count(count)
    if not job.over:
        bar, stop = st.columns([0.82, 0.18], vertical_alignment="center")
        bar.progress(job.fraction, f"Importing {many}: {job.step}")
        stop.button("Cancel", key="work_import_cancel", on_click=jobs.cancel, args=(settings().jobs_dir, id))
        return
    del st.session_state[IMPORT_JOB]
    if job.state == "failed":
        st.session_state[IMPORT_FAILED] = job.message
    st.rerun()
