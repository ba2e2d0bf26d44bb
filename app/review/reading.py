"""One reader before one case: what is selected, what the viewer has loaded, and saving what is said.

Callbacks take no arguments: they read the session, since arguments can be those of an earlier run. They
write to the database first and touch the session afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from app import state
from app.feedback.store import (
    Missed,
    SavedReader,
    SavedVerdict,
    StoreError,
    VerdictValue,
    add_missed,
    add_verdict,
    current_verdicts,
    list_missed,
    missed_input,
    new_id,
    retract_missed,
    undo_last,
    verdict_input,
)
from core.io.derivatives import CaseRecord, MapName, Region

VIEWER = "reading_viewer"
TABLE = "region_table"
MISSED_RADIUS_MM = 5.0


@dataclass(frozen=True)
class Open:
    """What the reader has before them."""

    record: CaseRecord
    name: MapName
    reader: SavedReader
    regions: list[Region]  # as listed
    hashes: dict[str, str]  # by volume kind, what the viewer must have loaded


def open_now() -> Open:
    """The open case as drawn last."""
    return st.session_state["reading"]


def map_name() -> MapName:
    """The z map that is read: the paper's, until the reader chooses the other."""
    return st.session_state.get("reading_map", "volume")


def selected_region() -> Region | None:
    """The selected region among those listed."""
    reading = open_now()
    wanted = st.session_state.get("reading_region")
    return next((region for region in reading.regions if region.id == wanted), None)


def select(region_id: str | None, move: bool) -> None:
    """Select a region, or none; ``move`` the viewer's crosshair to its peak."""
    st.session_state["reading_region"] = region_id
    st.session_state.pop("reading_form", None)
    region = selected_region()
    if region is None:
        st.session_state.pop("reading_jump", None)
        return
    if move:
        mm = (region.peak_x_mm, region.peak_y_mm, region.peak_z_mm)
        st.session_state["reading_jump"] = {"mm": mm, "nonce": new_id()}


def viewer_said(event: str) -> Any:
    """What the viewer sent last as ``event``; None where nothing."""
    return (st.session_state.get(VIEWER) or {}).get(event)


def on_loaded() -> None:
    """The viewer has drawn these volumes."""
    st.session_state["reading_loaded"] = viewer_said("loaded")


def on_unsupported() -> None:
    """The browser has no WebGL2."""
    st.session_state["reading_unsupported"] = True


def on_map() -> None:
    """The reader chose the other z map in the viewer."""
    name = viewer_said("map")
    if name in ("volume", "normative"):
        st.session_state["reading_map"] = name
        forget_row()


def unmark_row() -> None:
    """Take the table's own mark away: the region chosen elsewhere is shown by its row's colour."""
    st.session_state[TABLE] = {"selection": {"rows": [], "columns": [], "cells": []}}


def forget_row() -> None:
    """The list changes: the region chosen may be in it no more."""
    unmark_row()
    st.session_state["reading_region"] = None


def on_selected() -> None:
    """The reader chose a region in the viewer, which has moved there already."""
    said = viewer_said("selected") or {}
    if said.get("case") == open_now().record.case_id:
        select(said.get("id"), move=False)
        unmark_row()


def on_row() -> None:
    """The reader chose a row of the table."""
    cells = st.session_state[TABLE]["selection"]["cells"]
    regions = open_now().regions
    if cells and cells[0][0] < len(regions):
        select(regions[cells[0][0]].id, move=True)


def verified(reading: Open, drawn_here: bool) -> bool:
    """Whether what is on screen is the open case: the viewer's hashes, or slices that the server drew."""
    if drawn_here:
        return True
    loaded = st.session_state.get("reading_loaded") or {}
    return loaded.get("case") == reading.record.case_id and loaded.get("hashes") == reading.hashes


def form_id() -> str:
    """Idempotency key of the verdict form, drawn when the form is first shown."""
    return str(st.session_state.setdefault("reading_form", new_id()))


def note_key(reading: Open, region: Region) -> str:
    """Widget key of a region's note: a draft stays with its region."""
    return f"note_{reading.record.key[:16]}_{region.id}"


def verdicts(reading: Open) -> dict[str, SavedVerdict]:
    """The reader's standing verdicts on the open analysis and map, by region id."""
    record = reading.record
    return current_verdicts(
        state.feedback(),
        case_id=record.case_id,
        model=record.model,
        case_key=record.key,
        map=reading.name,
        reader_id=reading.reader.id,
    )


def missed(reading: Open) -> list[Missed]:
    """The reader's standing missed findings on the open scan, whichever model was open."""
    return list_missed(state.feedback(), case_id=reading.record.case_id, reader_id=reading.reader.id)


def _say(text: str, failed: bool = False) -> None:
    st.session_state["reading_said"] = (text, failed)


def save(verdict: VerdictValue) -> None:
    """Keep the reader's answer on the selected region."""
    reading, region = open_now(), selected_region()
    if region is None:
        return
    note = str(st.session_state.get(note_key(reading, region), ""))
    try:
        standing = verdicts(reading).get(region.id)
        if standing is not None and (standing.verdict, standing.note) == (verdict, note):
            _say(f"saved {standing.saved_at}")  # a doubled click: nothing new was said
            return
        saved = add_verdict(
            state.feedback(),
            verdict_input(
                reading.record,
                region,
                id=form_id(),
                reader_id=reading.reader.id,
                verdict=verdict,
                note=note,
                session_id=state.session_id(),
            ),
        )
    except StoreError as error:
        _say(f"Not saved: {error}", failed=True)
        return
    st.session_state.pop("reading_form", None)
    _say(f"saved {saved.saved_at}")


def save_agree() -> None:
    save("agree")


def save_disagree() -> None:
    save("disagree")


def save_unsure() -> None:
    save("unsure")


def undo() -> None:
    """Take back the reader's newest answer on this analysis."""
    reading, record = open_now(), open_now().record
    try:
        row = undo_last(
            state.feedback(),
            id=new_id(),
            case_id=record.case_id,
            model=record.model,
            case_key=record.key,
            reader_id=reading.reader.id,
            session_id=state.session_id(),
        )
    except StoreError as error:
        _say(f"Not undone: {error}", failed=True)
        return
    st.session_state.pop("reading_form", None)
    if row is None:
        _say("nothing to undo")
        return
    if row.map == reading.name:
        select(row.region_id, move=True)
    _say(f"took back “{row.verdict}” {row.saved_at}")


def on_missed() -> None:
    """Keep a point that the model overlooked; its note can follow."""
    said, reading = viewer_said("missed") or {}, open_now()
    if said.get("case") != reading.record.case_id:
        return
    x, y, z = (float(value) for value in said["mm"])
    try:
        add_missed(
            state.feedback(),
            missed_input(
                reading.record,
                id=new_id(),
                reader_id=reading.reader.id,
                map=reading.name,
                point_mm=(x, y, z),
                radius_mm=MISSED_RADIUS_MM,
                session_id=state.session_id(),
            ),
        )
    except StoreError as error:
        _say(f"Not saved: {error}", failed=True)
        return
    _say("missed finding saved")


def renote_missed(finding: Missed) -> None:
    """Append the note typed for a missed finding."""
    note = str(st.session_state.get(f"missed_note_{finding.id}", ""))
    reading = open_now()
    try:
        add_missed(
            state.feedback(),
            missed_input(
                reading.record,
                id=new_id(),
                reader_id=reading.reader.id,
                map="normative" if finding.map == "normative" else "volume",
                point_mm=(finding.x_mm, finding.y_mm, finding.z_mm),
                radius_mm=finding.radius_mm,
                note=note,
                session_id=state.session_id(),
            ),
            supersedes=finding.id,
        )
    except StoreError as error:
        _say(f"Not saved: {error}", failed=True)
        return
    _say("note saved")


def remove_missed(finding: Missed) -> None:
    """Take back a missed finding."""
    try:
        retract_missed(
            state.feedback(),
            id=new_id(),
            missed_id=finding.id,
            reader_id=open_now().reader.id,
            session_id=state.session_id(),
        )
    except StoreError as error:
        _say(f"Not removed: {error}", failed=True)
        return
    _say("missed finding removed")
