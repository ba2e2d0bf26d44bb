"""Downloads in the app: the report on the open case, a reader's own answers, and a coordinator's export."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import streamlit as st

from app import identity, state
from app.cases import plain
from app.feedback import export
from app.feedback.blinding import answers_visible
from app.feedback.database import Store
from app.feedback.export_rows import LEAST_SECRET, Exported, of_reader, pseudonymous, take, visible
from app.feedback.store import SavedReader, StoreError
from app.report.case import case_page, refusal
from app.report.content import ReportError, gather
from app.review import reading
from app.review.reading import Open
from core.config import Settings, settings
from core.io.derivatives import DerivativesError

MADE = "export_made"  # (what, reader id, ZIP, rows by table)
NAMES = {"mine": "fontanelle_my_answers.zip", "all": "fontanelle_answers.zip"}


def report(now: Open, store: Store, known: Settings, weak: bool) -> bytes:
    """The report on the open analysis and map, made when it is asked for; else a page that says why not."""
    try:
        content = gather(
            store,
            now.reader,
            now.record,
            known.derivatives_dir,
            models_dir=known.models_dir,
            unaided=known.unaided_read,
            name=now.name,
            weak=weak,
        )
        return case_page(content, datetime.now(UTC)).encode()
    except (ReportError, DerivativesError, StoreError) as error:
        # Streamlit would tell the reader no more than that the download failed.
        return refusal(plain(error, known.derivatives_dir)).encode()


def report_button(now: Open, key: str, label: str = "Report") -> None:
    """Hand out the report on the open case; nothing while the read is unaided."""
    if now.blind:
        return
    # It runs outside the session, so it gets all that it needs.
    make: Callable[[], bytes] = partial(
        report, now, state.feedback(), settings(), bool(st.session_state.get(reading.WEAK, False))
    )
    st.download_button(
        label,
        make,
        f"{now.record.case_id}_{now.record.model}_{now.name}_report.html",
        "text/html",
        key=key,
        icon=":material/description:",
        on_click="ignore",
        type="tertiary",
        help="One HTML file that opens offline and prints: regions in three planes, numbers, your reads",
    )


def bundle(exported: Exported) -> bytes:
    """Every format of an export as one ZIP in memory."""
    stream = io.BytesIO()
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in export.write(exported, out, "all"):
                archive.write(path, path.relative_to(out).as_posix())
    return stream.getvalue()


def make(what: str) -> None:
    """Keep the ZIP of the reader's own answers, or of what a coordinator may know, for its download."""
    reader = identity.current_reader()
    if reader is None or (what == "all" and not identity.is_coordinator(reader)):
        return
    store, known = state.feedback(), settings()
    try:
        exported = take(store, export.synthetic_scans(known.derivatives_dir))
        if what == "mine":
            exported = of_reader(exported, reader.id)
        else:
            exported = visible(exported, answers_visible(store, reader.id, coordinator=True))
            if st.session_state.get("export_hide") is True:
                exported = pseudonymous(exported, known.secret)
        st.session_state[MADE] = (what, reader.id, bundle(exported), exported.counts)
    except (StoreError, OSError, ValueError) as error:
        st.session_state.pop(MADE, None)
        st.error(f"Not written. {error}")


def offer_answers(reader: SavedReader) -> None:
    """Sections "My answers", and for coordinators "Export"."""
    st.subheader("Take answers with you", anchor=False)
    mine, everything = st.columns(2, gap="large")
    with mine:
        st.markdown("**My answers**")
        st.markdown(
            "All that you have saved, with what was replaced: BIDS, CSV, JSON and SQLite, each with a data "
            "dictionary."
        )
        st.button(
            "Prepare my answers", key="export_mine", on_click=make, args=("mine",), icon=":material/person:"
        )
        _hand_out("mine", reader)
    if not identity.is_coordinator(reader):
        return
    with everything:
        st.markdown("**Export of a study**")
        st.markdown(
            "Finished readings of closed scans by all readers. `python -m app.feedback.export` gives whoever "
            "keeps the database open scans too. Label maps are above, the picture of a view is in its viewer."
        )
        short = len(settings().secret) < LEAST_SECRET
        st.checkbox(
            "Replace readers' names",
            key="export_hide",
            disabled=short,
            help="Stable random names; notes stay as they were written",
        )
        if short:
            st.caption(
                f"Off: random names need FONTANELLE_SECRET, {LEAST_SECRET} characters or more, set where "
                "the server starts. The same secret gives the same names each time."
            )
        st.button(
            "Prepare the export", key="export_all", on_click=make, args=("all",), icon=":material/groups:"
        )
        _hand_out("all", reader)


def _hand_out(what: str, reader: SavedReader) -> None:
    """The prepared ZIP with its rows and size; one that another reader prepared here is not shown."""
    made = st.session_state.get(MADE)
    if made is None or made[:2] != (what, reader.id):
        return
    _, _, content, counts = made
    named = ("case_read", "verdict", "missed_finding", "adjudication", "case_event")
    words = ("reads", "verdicts", "marks", "decisions", "events")
    rows = ", ".join(f"{word} {counts[name]}" for name, word in zip(named, words, strict=True))
    st.markdown(f"Rows: {rows}.")
    st.download_button(
        f"Download ZIP, {size(len(content))}",
        content,
        NAMES[what],
        "application/zip",
        key=f"export_{what}_zip",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
    )


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
