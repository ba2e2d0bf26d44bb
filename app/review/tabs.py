"""Tabs below the viewer: scores, the paper's figure, preparation, downloads; worked out only when opened."""

from __future__ import annotations

import streamlit as st

from app.report.offer import report_button
from app.review import preparation
from app.review.figure import overlay_figure
from app.review.reading import Open
from app.review.table import BAND_WORDS, score_lines
from app.viewer.volumes import VolumeMissing
from core.io.derivatives import CasePaths

SCORES = 1300  # pixels: a wider table can't be followed from a band to its numbers
PROTOCOL = """
1. **First read, unaided.** Look at the scan, mark findings by Shift-click, give the scan a class. Lock it: it
   can't be changed afterwards. An inadequate image ends the case here.
2. **Second read.** The model's flags appear. Agree, disagree or unsure on each region; mark what they
   overlook; keep the class or change it. Save.

Both reads are kept with the seconds that you were at work. The keys are under **?**.
"""


def below(now: Open, paths: CasePaths) -> None:
    """Draw the tabs; while the read is unaided only what preparation made of the scan."""
    if now.blind:
        protocol, prepared = st.tabs(
            ["How a case is read", "Preparation"], key="review_tabs_unaided", on_change="rerun"
        )
        protocol.markdown(PROTOCOL)
        if prepared.open:
            with prepared:
                preparation.show(now.record, paths)
        return
    with st.container(horizontal=True, horizontal_alignment="right"):
        report_button(now, "review_report")
    scores, figure, prepared, files = st.tabs(
        ["Scores", "Figure as in the paper", "Preparation", "Downloads"], key="review_tabs", on_change="rerun"
    )
    if scores.open:
        with scores, st.container(width=SCORES):
            _scores(now)
    if figure.open:
        with figure:
            try:
                st.plotly_chart(
                    overlay_figure(now.record, paths, now.name),
                    width="content",
                    theme=None,
                    key="overlay_figure",
                )
            except VolumeMissing as error:
                st.error(str(error))
    if prepared.open:
        with prepared:
            preparation.show(now.record, paths)
    if files.open:
        with files:
            _downloads(now, paths)


def _scores(now: Open) -> None:
    lines, bands = st.columns([0.4, 0.6])
    # Steps named prepare_… are parts of "prepare".
    seconds = sum(took for step, took in now.record.times.items() if not step.startswith("prepare_"))
    with lines:
        for line in score_lines(now.record):
            st.markdown(line)
        st.caption(
            f"Brain mask: {now.record.mask_source}. Overlap with the reference after registration: "
            f"{now.record.overlap:.2f} (Dice). Analysed in {seconds:.1f} s."
        )
    rows = now.record.bands.get(now.name, [])
    bands.dataframe(
        {
            "Band (SD)": [BAND_WORDS[row.band] for row in rows],
            "% of brain voxels": [row.percent for row in rows],
            "2D clusters": [row.clusters for row in rows],
            "Mean cluster (voxels)": [row.mean_cluster_size for row in rows],
        },
        hide_index=True,
        row_height=28,
        column_config={
            "% of brain voxels": st.column_config.NumberColumn(format="%.2f"),
            "Mean cluster (voxels)": st.column_config.NumberColumn(format="%.1f"),
        },
    )


def _downloads(now: Open, paths: CasePaths) -> None:
    model = now.record.model
    report_button(now, "download_report", "Report of this case, HTML")
    files = {
        f"z map ({now.name}), NIfTI": paths.z(model, now.name),
        "Reconstruction, NIfTI": paths.reconstruction(model),
        "Regions, TSV": paths.regions(model),
        "Case record, JSON": paths.case_json(model),
    }
    for label, path in files.items():
        if path.is_file():
            st.download_button(
                label,
                path.read_bytes,
                path.name,
                key=f"download_{path.name}",
                icon=":material/download:",
                on_click="ignore",
            )
        else:
            st.caption(f"{label}: {path.name} is missing; analyse the scan again.")
