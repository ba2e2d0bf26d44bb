"""Under the viewer: what each model measures of the scan, where that stands among normals, and downloads."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app.compare import downloads, view
from app.compare.analyses import Analyses
from app.compare.measures import BAND_ORDER, STRONG, Measure, by_place, measures, normals_of, validation_of
from app.digits import digits
from app.review.table import BAND_WORDS, ordinal
from core.anomaly.bands import REGION_BANDS
from core.anomaly.normative import Validation
from core.config import settings
from core.io.derivatives import MapName, read_regions

REGION_WORDS = {"2-3": "2–3", "3-4": "3–4", "4+": "4+", STRONG: "3 SD and more"}
ERROR = "error"  # in place of a pattern: written by ``digits``
# Sections of the table: columns by name and band, and how a value is written.
SECTIONS: dict[str, list[tuple[str, str, str, str]]] = {
    "Scan": [
        ("mse", "", "Volume MSE", ERROR),
        ("cluster_size", "", "Mean cluster, all bands (voxels)", "{:.2f}"),
        ("normative_top", "", "Normative z, top voxels", "{:.2f}"),
        ("fused_score", "", "Fused score", "{:.2f}"),
        ("regions", STRONG, "Regions of 3 SD and more", "{:.0f}"),
        ("volume", STRONG, "Their volume (mm³)", "{:,.0f}"),
    ],
    "Share of the brain": [("percent", b, f"{BAND_WORDS[b]} SD (%)", "{:.2f}") for b in BAND_ORDER],
    "Cluster size": [("cluster", b, f"{BAND_WORDS[b]} SD (voxels)", "{:.2f}") for b in BAND_ORDER],
    "Regions": [
        column
        for b in REGION_BANDS
        for column in (
            ("regions", b, f"{REGION_WORDS[b]} SD", "{:.0f}"),
            ("volume", b, f"{REGION_WORDS[b]} SD (mm³)", "{:,.0f}"),
        )
    ],
}


def standing(percentile: float | None) -> str:
    """A percentile in words that few normals allow."""
    if percentile is None:
        return ""
    if percentile in (0.0, 100.0):
        return "above all" if percentile == 100 else "below all"
    return ordinal(percentile)


def cell(row: Measure | None, pattern: str) -> str:
    """Value and where it stands: ``0.0123 · 94th``."""
    if row is None:
        return "–"
    where = standing(row.percentile)
    value = digits(row.value) if pattern == ERROR else pattern.format(row.value)
    return value + (f" · {where}" if where else "")


def number_frame(
    rows: Mapping[tuple[str, str, str], Measure], models: list[str], section: str
) -> pd.DataFrame:
    """One row a model, columns of a section; measures that no model has are left out."""
    columns = [
        (name, band, words, pattern)
        for name, band, words, pattern in SECTIONS[section]
        if any((model, name, band) in rows for model in models)
    ]
    return pd.DataFrame(
        {
            "Model": models,
            **{
                words: [cell(rows.get((model, name, band)), pattern) for model in models]
                for name, band, words, pattern in columns
            },
        }
    )


def normals_line(rows: list[Measure]) -> str:
    """How many normals the percentiles stand on."""
    ranked = [row for row in rows if row.percentile is not None]
    if not ranked:
        return "No validation normals are known for these models: no percentiles."
    counts = sorted({row.normals for row in ranked if row.normals > 0})
    if not counts:
        return "After each value: its percentile among the model's validation normals (number not known)."
    many = " or ".join(f"{count}" for count in counts)
    return (
        f"After each value: its percentile among the {many} validation normals of that model. "
        f"With so few, read it as a rank: one normal is {100 / counts[0]:.0f} points."
    )


def strip(
    rows: Mapping[tuple[str, str, str], Measure],
    normals: Mapping[str, Validation | None],
    name: str,
    band: str,
    words: str,
    map_name: str,
) -> go.Figure:
    """One measure: each model's validation normals as dots, this scan as a diamond."""
    figure = go.Figure()
    others = {
        model: values
        for model, validation in normals.items()
        if validation is not None and (values := normals_of(validation, name, map_name, band)) is not None
    }
    figure.add_scatter(
        x=[model for model, values in others.items() for _ in values],
        y=[float(value) for values in others.values() for value in values],
        mode="markers",
        name="validation normals",
        marker={"color": "#8c9aa1", "size": 7, "opacity": 0.7},
    )
    mine = {model: rows[model, name, band] for model in normals if (model, name, band) in rows}
    figure.add_scatter(
        x=list(mine),
        y=[row.value for row in mine.values()],
        mode="markers",
        name="this scan",
        marker={"color": "#d55e00", "size": 12, "symbol": "diamond"},
    )
    figure.update_layout(
        height=300,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        yaxis={"title": words, "rangemode": "tozero"},
        xaxis={"type": "category", "categoryorder": "array", "categoryarray": list(normals)},
        legend={"orientation": "h", "y": 1.12},
    )
    return figure


def show(analyses: Analyses, name: MapName) -> None:
    """Table, strip of one measure, and the downloads.

    Raises
    ------
    DerivativesError
        Where a region table can't be read.
    """
    records = analyses.having(name)
    normals: dict[str, Validation | None] = {}
    everything: list[Measure] = []
    notes: list[str] = []
    for record in records:
        validation, why = validation_of(settings().models_dir, record)
        normals[record.model] = validation
        notes += [why] if why else []
        regions = read_regions(analyses.paths.regions(record.model))
        everything += measures(record, regions, name, validation)
    rows, models = by_place(everything), [record.model for record in records]
    floors = {record.settings.get("floor_mm3") for record in records}
    if len(floors) > 1:
        notes.append("The models' smallest regions differ: their numbers of regions can't be compared")

    st.subheader("Where this scan stands", anchor=False)
    pick, get = st.columns([0.5, 0.5], vertical_alignment="center")
    section = pick.segmented_control(
        "Numbers", list(SECTIONS), default="Scan", key="compare_section", label_visibility="collapsed"
    )
    section = section or "Scan"
    with get.container(horizontal=True, horizontal_alignment="right"):
        downloads_row(analyses, name, everything)
    # Above the table: its tools lie there, and would cover the buttons.
    with st.container(key="compare_above_numbers"):
        st.caption(normals_line(everything))
    st.dataframe(
        number_frame(rows, models, section), hide_index=True, height=38 + 30 * len(models), row_height=30
    )
    lacking = [
        f"{model} was calibrated before these numbers were kept: run `python -m core calibrate {model}`"
        for model in models
        if normals[model] is not None
        and any(row.percentile is None for row in everything if row.model == model and row.name == "percent")
    ]
    if notes + lacking:
        with st.expander("Notes on percentiles"):
            st.markdown("\n".join(f"- {line}." for line in notes + lacking))
    choices = {words: (measure, band) for measure, band, words, _ in SECTIONS[section]}
    present = [words for words, place in choices.items() if any((m, *place) in rows for m in models)]
    wanted = st.selectbox("Distribution of", present, key=f"compare_measure_{section}", width=420)
    if wanted is not None:
        st.plotly_chart(
            strip(rows, normals, *choices[wanted], wanted, name), key=f"compare_strip_{section}_{wanted}"
        )


def downloads_row(analyses: Analyses, name: MapName, everything: list[Measure]) -> None:
    """Buttons; the maps are made when they are asked for."""
    threshold, pair = view.threshold(), view.pair(analyses, name)
    st.download_button(
        "Table (CSV)",
        downloads.table_csv(analyses, everything),
        f"{analyses.case_id}_map-{name}_models.csv",
        "text/csv",
        key="compare_csv",
        icon=":material/download:",
        on_click="ignore",
    )
    st.download_button(
        f"Consensus, |z| ≥ {threshold:g} (NIfTI in a .zip)",
        lambda: downloads.consensus_zip(analyses, name, threshold),
        f"{analyses.case_id}_map-{name}_consensus.zip",
        "application/zip",
        key="compare_consensus",
        icon=":material/download:",
        on_click="ignore",
        help="How many models flag each voxel, brighter and darker, on the scan's grid, at the viewer's "
        "threshold",
    )
    st.download_button(
        "Difference (NIfTI in a .zip)",
        lambda: downloads.difference_zip(analyses, name, pair),
        f"{analyses.case_id}_map-{name}_difference.zip",
        "application/zip",
        key="compare_difference",
        icon=":material/download:",
        on_click="ignore",
        help=f"z of {pair[0]} less z of {pair[1]}: the pair of the viewer",
    )
