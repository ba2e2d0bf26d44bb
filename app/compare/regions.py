"""The panel beside the viewer: a model's regions, and which models flag the one chosen."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from app.compare import view
from app.compare.analyses import Analyses
from app.compare.downloads import witnesses_csv
from app.compare.witnesses import drawn, witnesses
from app.review.table import describe, peak_slices, shown_regions, signed
from app.viewer.component import BAND_LABELS
from core.anomaly.consensus import Witness
from core.io.derivatives import MapName, Region

WEAK = "compare_weak"


def arrow(sign: int, band: str) -> str:
    """A band as tables show it: ``▲ 3–4``."""
    return f"{'▲' if sign > 0 else '▼'} {BAND_LABELS[band]}"


def region_frame(regions: list[Region], slices: Mapping[str, int]) -> pd.DataFrame:
    """Rows as the reader sees them, one a region; ``slices`` as of ``peak_slices``."""
    return pd.DataFrame(
        {
            "Band": [arrow(r.sign, r.band) for r in regions],
            "Side": [r.side for r in regions],
            "mm³": [r.volume_mm3 for r in regions],
            "Peak": [r.peak_z for r in regions],
            "Slice": [slices[r.id] for r in regions],
        }
    )


def witness_frame(found: Mapping[str, Witness], region: Region, model: str) -> pd.DataFrame:
    """One row a model: whether it flags the region, at which band, how strongly, and how much of it."""
    return pd.DataFrame(
        {
            "Model": [f"▸ {name}" if name == model else name for name in found],
            "Flags": [arrow(region.sign, one.band) if one.flagged else "–" for one in found.values()],
            "Peak z": [one.peak_z for one in found.values()],
            "Covers": [100 * one.covered for one in found.values()],
            "Dice": [one.dice for one in found.values()],
        }
    )


def on_row() -> None:
    """The reader chose a row of the regions."""
    analyses: Analyses = st.session_state[view.OPEN]
    name = view.map_name(analyses)
    cells = st.session_state[st.session_state[view.TABLE]]["selection"]["cells"]
    model, regions = listed(analyses, name)
    if cells and cells[0][0] < len(regions):
        view.choose(analyses, name, model, regions[cells[0][0]], move=True)


def listed(analyses: Analyses, name: MapName) -> tuple[str, list[Region]]:
    """The model whose regions are listed, and they as listed.

    Raises
    ------
    DerivativesError, AnomalyError
        Where its files can't be read.
    """
    models = [record.model for record in analyses.having(name)]
    wanted = st.session_state.get(view.MODEL)
    model = wanted if wanted in models else models[0]
    weak = bool(st.session_state.get(WEAK, False))
    return model, shown_regions(drawn(analyses.paths, model, name).regions, name, weak)


def find_region(analyses: Analyses, name: MapName) -> tuple[str, Region] | None:
    """The region chosen, with its model; None where there is none.

    Raises
    ------
    DerivativesError, AnomalyError
        Where its files can't be read.
    """
    chosen = view.chosen_region(analyses, name)
    if chosen is None or chosen[0] not in [record.model for record in analyses.having(name)]:
        return None
    regions = drawn(analyses.paths, chosen[0], name).regions
    region = next((one for one in regions if one.id == chosen[1]), None)
    return None if region is None else (chosen[0], region)


def panel(analyses: Analyses, name: MapName, chosen: tuple[str, Region] | None) -> None:
    """Regions of one model, and the witnesses of the one chosen.

    Raises
    ------
    DerivativesError, AnomalyError
        Where files can't be read.
    """
    model, regions = listed(analyses, name)
    models = [record.model for record in analyses.having(name)]
    left, right = st.columns([0.62, 0.38], vertical_alignment="bottom")
    # The session's own choice is the truth: a click in the viewer sets it too.
    st.session_state[view.MODEL] = model
    left.selectbox("Regions of", models, key=view.MODEL)
    right.toggle("2–3 too", key=WEAK)
    if not regions:
        st.info("This model flags no region here. Choose another model, or show those of 2–3 SD too.")
    else:
        # Another list is another table: no mark is left on a row that now holds another region.
        listing = (name, model, st.session_state.get(WEAK, False), st.session_state.get(view.PICKED, 0))
        key = st.session_state[view.TABLE] = "_".join((view.TABLE, *map(str, listing)))
        # Leaves the table's own tools, which Streamlit lays above it, a place beside the words.
        least = 2 if st.session_state.get(WEAK) else 3
        with st.container(key="compare_above_regions"):
            st.caption(f"{len(regions)} {'region' if len(regions) == 1 else 'regions'} from {least} SD on")
        st.dataframe(
            region_frame(regions, peak_slices(regions, analyses.paths.acquired)).style.format(
                {"Peak": signed, "mm³": "{:.0f}"}
            ),
            key=key,
            on_select=on_row,
            selection_mode="single-cell",
            hide_index=True,
            height=min(38 + 28 * len(regions), 214),
            row_height=28,
            column_config={
                "Peak": st.column_config.NumberColumn(help="Signed z of the peak voxel"),
                "Slice": st.column_config.NumberColumn(help="Axial slice of the peak voxel"),
            },
        )
    if chosen is None:
        st.caption("Choose a region here, or click a flag in the viewer, to see which models flag it.")
        return
    of, region = chosen
    with st.spinner("Looking at all models …"):
        found = witnesses(analyses, name, of, region.id)
    agree = sum(one.flagged for one in found.values())
    at = peak_slices([region], analyses.paths.acquired)[region.id]
    st.markdown(f"**{agree} of {len(found)} models flag it.** {of}: {describe(region, at)}")
    st.dataframe(
        witness_frame(found, region, of).style.format({"Peak z": signed}),
        hide_index=True,
        height=38 + 28 * len(found),
        row_height=28,
        column_config={
            "Model": st.column_config.TextColumn(width=128, help="▸ the model whose region is chosen"),
            "Flags": st.column_config.TextColumn(
                width=58,
                help="Strongest band of the model's own regions of this sign that touch it. – means none, "
                "though single voxels can be flagged",
            ),
            "Peak z": st.column_config.NumberColumn(
                width=56,
                help="Most extreme signed z of the model among the region's voxels",
            ),
            "Covers": st.column_config.NumberColumn(
                width=56,
                format="%.0f %%",
                help="Share of the region's voxels in those regions of the model",
            ),
            "Dice": st.column_config.NumberColumn(
                width=46,
                format="%.2f",
                help="Overlap of the region with those regions, 1 where they are the same",
            ),
        },
    )
    st.download_button(
        "Who flags it (CSV)",
        witnesses_csv(analyses, of, region, found),
        f"{analyses.case_id}_map-{name}_region-{region.id}_models.csv",
        "text/csv",
        key="compare_witnesses",
        icon=":material/download:",
        on_click="ignore",
    )
