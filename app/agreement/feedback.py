"""Readers' feedback as files, from the Agreement page: label maps for whoever improves the model."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import streamlit as st

from app import identity, state
from app.feedback.adjudications import decisions
from app.feedback.blinding import answers_visible
from app.feedback.store import StoreError
from core.config import settings

SAID = "agree_labels_said"


def label_archive(viewer: int) -> tuple[bytes, int, dict[str, str]]:
    """ZIP of the label maps of scans that the viewer may know of, the number of files, what was refused."""
    from app.feedback.labels import export_labels  # not before it is asked for

    store = state.feedback()
    answers = answers_visible(store, viewer, coordinator=True)
    stream = io.BytesIO()
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        written, refused = export_labels(answers, decisions(store, answers), settings().derivatives_dir, out)
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as bundle:
            for path in written:
                bundle.write(path, path.relative_to(out).as_posix())
    return stream.getvalue(), len(written), refused


def _make() -> None:
    reader = identity.current_reader()
    if reader is None or not identity.is_coordinator(reader):
        return
    try:
        with st.spinner("Writing label maps …"):
            st.session_state[SAID] = (reader.id, *label_archive(reader.id))
    except (StoreError, OSError) as error:
        st.error(f"Not written. {error}")


def offer_feedback() -> None:
    """Buttons that make and hand out the label maps."""
    st.subheader("Feedback for the model", anchor=False)
    st.markdown(
        "Accepted, rejected and missed regions of closed scans as NIfTI label maps with a table each. "
        "`python -m core calibrate MODEL --from-feedback FOLDER --out NEW` sets a model's threshold by them."
    )
    st.button("Write label maps", key="agree_labels", on_click=_make, icon=":material/layers:")
    made, reader = st.session_state.get(SAID), identity.current_reader()
    if made is None or reader is None or made[0] != reader.id:
        return  # another reader of this session may know more
    _, content, count, refused = made
    for name, why in refused.items():
        st.warning(f"Refused: {name}: {why}", icon=":material/warning:")
    if count == 0:
        st.info(
            "No label map: no scan is closed. Scans close once everybody who is to read them has finished; "
            "`python -m app.feedback.labels --finished --out DIR` takes finished readings of open scans too.",
            icon=":material/info:",
        )
        return
    st.download_button(
        f"Download {count} files",
        content,
        "fontanelle_feedback_labels.zip",
        "application/zip",
        key="agree_labels_zip",
        type="primary",
        icon=":material/download:",
    )
