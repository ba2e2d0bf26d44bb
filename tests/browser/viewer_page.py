"""One analysis in the viewer, and what the viewer says, as text. Query: ``case`` (an address), ``phase``."""

from __future__ import annotations

import json

import streamlit as st

from app.cases import address, find_case
from app.review.scene import material, threshold, volumes_of
from app.routes import health_url, niivue_url
from app.viewer.component import Scene, Spot, mark, viewer
from core.config import settings
from core.io.derivatives import CasePaths, read_regions

KEY = "viewer"
EVENTS = ("loaded", "selected", "missed", "map", "weak", "active", "unsupported")


def hear(event: str) -> None:
    """Note what came, in order."""
    said = (st.session_state.get(KEY) or {}).get(event)
    st.session_state.setdefault("heard", []).append([event, said])
    if event == "missed" and said is not None:
        spot = Spot(tuple(said["mm"]), said["radius"])
        st.session_state.setdefault("spots", []).append(spot)


st.set_page_config(layout="wide", initial_sidebar_state="collapsed")
case = find_case(settings().derivatives_dir, st.query_params["case"])
assert case is not None, "no such case"
paths = CasePaths(settings().derivatives_dir, case.record.subject, case.record.session)
stuff = material(paths, case.record)
blind = st.toggle("Blind", value=st.query_params.get("blind") == "1")
phase = st.text_input("Phase", st.query_params.get("phase", ""))
name = stuff.maps[0]
heard = st.session_state.get("heard", [])
viewer(
    Scene(
        address=address(case.record),
        case=case.record.case_id,
        model=case.record.model,
        synthetic=case.record.synthetic,
        stored=stuff.stored,
        niivue=niivue_url(),
        volumes=volumes_of(case.record, stuff),
        map=name,
        weak=False,
        regions=[mark(one) for one in read_regions(paths.regions(case.record.model)) if one.map == name],
        pick=max((said["pick"] for event, said in heard if event == "selected" and said), default=0),
        marked=tuple(said["id"] for event, said in heard if event == "missed" and said),
        missed=tuple(st.session_state.get("spots", ())),
        threshold=threshold(case.record),
        blind=blind,
        phase=phase,
        health=health_url(),
    ),
    key=KEY,
    **{f"on_{event}": lambda event=event: hear(event) for event in EVENTS},
)
st.code(json.dumps(st.session_state.get("heard", [])), language=None)
