"""What is open in Compare, and what the comparing viewer says of it.

Callbacks take no arguments: they read the session, since arguments can be those of an earlier run.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.cases import address
from app.compare.analyses import Analyses
from app.compare.component import Pane, Table, compare
from app.compare.witnesses import drawn, region_at
from app.feedback.store import new_id
from app.routes import volume_url
from app.viewer.component import Volume, mark
from app.viewer.volumes import MAP_KINDS, Kind, VolumeMissing, remember, sources, stored_axes, wire
from core.anomaly.residual import AnomalyError
from core.io.derivatives import CaseRecord, DerivativesError, MapName, Region
from core.networks.zoo import NAMES

VIEWER = "compare_viewer"
OPEN = "compare_open"  # Analyses drawn last
MAP = "compare_map"
EXPECTED = "compare_expected"
REGION = "compare_region"  # (case id, map, model, region id)
JUMP = "compare_jump"
MODEL = "compare_model"  # whose regions are listed
TABLE = "compare_regions"  # key of the table of regions as drawn last
PICKED = "compare_picked"  # counts choices in the viewer: each takes the table's own mark away
THRESHOLD = 3.0


def said(event: str) -> Any:
    """What the viewer sent last as ``event``; None where nothing."""
    return (st.session_state.get(VIEWER) or {}).get(event)


def map_name(analyses: Analyses) -> MapName:
    """The map compared: the paper's, until the reader chooses another that two models have."""
    wanted = st.session_state.get(MAP, "volume")
    return wanted if wanted in analyses.maps else analyses.maps[0]


def threshold() -> float:
    """|z| from which the consensus counts a model, as set in the viewer."""
    settings = said("settings") or {}
    value = settings.get("threshold", THRESHOLD)
    return float(value) if isinstance(value, int | float) and 1 <= value <= 7 else THRESHOLD


def pair(analyses: Analyses, name: MapName) -> tuple[str, str]:
    """The two models subtracted: those of the viewer, else the first two."""
    models = [record.model for record in analyses.having(name)]
    chosen = (said("settings") or {}).get("pair") or []
    if len(chosen) == 2 and set(chosen) <= set(models):
        return str(chosen[0]), str(chosen[1])
    return models[0], models[1]


def chosen_region(analyses: Analyses, name: MapName) -> tuple[str, str] | None:
    """Model and id of the region chosen on this scan and map."""
    case_id, of, model, region_id = st.session_state.get(REGION) or ("", "", "", "")
    return (model, region_id) if (case_id, of) == (analyses.case_id, name) else None


def choose(analyses: Analyses, name: MapName, model: str, region: Region, *, move: bool) -> None:
    """Choose a region; ``move`` the crosshair to its peak."""
    st.session_state[REGION] = (analyses.case_id, name, model, region.id)
    st.session_state[MODEL] = model
    if move:
        mm = (region.peak_x_mm, region.peak_y_mm, region.peak_z_mm)
        st.session_state[JUMP] = {"mm": mm, "nonce": new_id()}


def on_map() -> None:
    """The reader chose another z map for all panes."""
    if isinstance(said("map"), str):
        st.session_state[MAP] = said("map")
        st.session_state.pop(REGION, None)


def on_expected() -> None:
    """The reader wants the reconstructions."""
    st.session_state[EXPECTED] = True


def on_settings() -> None:
    """Threshold or pair changed: the downloads read it."""


def on_picked() -> None:
    """The reader clicked a flagged voxel of a model."""
    event, analyses = said("picked") or {}, st.session_state.get(OPEN)
    if analyses is None or event.get("case") != analyses.case_id or event.get("model") not in analyses.models:
        return
    name = map_name(analyses)
    try:
        region = region_at(drawn(analyses.paths, event["model"], name), event["voxel"])
    except (DerivativesError, AnomalyError):
        return  # the panel of regions says what is wrong
    if region is not None:
        choose(analyses, name, event["model"], region, move=False)
        st.session_state[PICKED] = st.session_state.get(PICKED, 0) + 1


def _volume(analyses: Analyses, record: CaseRecord, kind: Kind) -> Volume:
    built = wire(analyses.paths, record.model, kind)
    remember(record, analyses.paths)
    return Volume(volume_url(address(record), kind, built.hash), built.hash)


def mount(analyses: Analyses, name: MapName, region: Region | None, model: str) -> None:
    """Put the comparing viewer on the page. ``region`` of ``model`` is ringed.

    Raises
    ------
    VolumeMissing
        Where a volume can't be read, or lies on another grid than the scan.
    """
    records = analyses.having(name)
    shape = wire(analyses.paths, records[0].model, "base").shape
    for record in records:
        found = wire(analyses.paths, record.model, MAP_KINDS[name]).shape
        if found != shape:
            raise VolumeMissing(
                f"{analyses.paths.z(record.model, name).name}: grid {found}, expected the scan's {shape}"
            )
    expected = bool(st.session_state.get(EXPECTED, False))
    st.session_state[OPEN] = analyses
    compare(
        Table(
            case=analyses.case_id,
            synthetic=analyses.synthetic,
            stored=stored_axes(sources(analyses.paths, records[0].model, "base")[0]),
            base=_volume(analyses, records[0], "base"),
            map=name,
            maps=tuple(analyses.maps),
            models=[
                Pane(
                    record.model,
                    record.model in NAMES,
                    _volume(analyses, record, MAP_KINDS[name]),
                    _volume(analyses, record, "reconstruction") if expected else None,
                )
                for record in records
            ],
            expected=expected,
            region=None if region is None else mark(region),
            region_model=model,
            jump=st.session_state.get(JUMP),
        ),
        key=VIEWER,
        on_map=on_map,
        on_expected=on_expected,
        on_settings=on_settings,
        on_picked=on_picked,
    )
