"""Slices that the server draws, where the viewer can't be shown."""

from __future__ import annotations

import streamlit as st

from app.review import reading
from app.review.reading import Open
from app.review.slices import PLANES, decode, slice_png
from app.review.table import peak_slices
from app.viewer.volumes import wire
from core.io.derivatives import CasePaths


def drawn_slices(now: Open, paths: CasePaths, weak: bool) -> None:
    """Slices drawn by the server, with a slider for the slice; without flags while the read is unaided."""
    plane = st.segmented_control(
        "Plane", PLANES, default="axial", key="drawn_plane", label_visibility="collapsed"
    )
    plane = plane or "axial"
    count = decode(wire(paths, now.record.model, "base")).shape[2 - PLANES.index(plane)]
    region = reading.selected_region()
    start = count // 2 + 1
    if region is not None and plane == "axial":
        start = peak_slices([region], paths.acquired)[region.id]
    index = st.slider("Slice", 1, count, start, key=f"drawn_{plane}_{region.id if region else ''}")
    bands = frozenset({"2-3", "3-4", "4+"} if weak else {"3-4", "4+"})
    shown = None if now.blind else now.name
    st.image(slice_png(paths, now.record.model, shown, plane, index - 1, bands, 520))
    sides = "image left is posterior" if plane == "sagittal" else "radiological: image right is patient left"
    mark = " · SYNTHETIC" if now.record.synthetic else ""
    what = "unaided read" if now.blind else f"{now.record.model} · {now.name} z"
    st.caption(f"{now.record.case_id} · {what} · {sides}{mark}")
