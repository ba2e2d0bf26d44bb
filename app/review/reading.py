"""One reader before one case: what is open and selected, and what the viewer has on screen.

Callbacks take no arguments: they read the session, since arguments can be those of an earlier run.

A widget whose value Python sets gets a key of its own for each value: a message that the browser sent before
it heard of the new value would else be taken for a change by the reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app.feedback.drafts import scan_key
from app.feedback.reads import SavedRead
from app.feedback.rows import Phase
from app.feedback.store import SavedReader, new_id
from app.viewer.component import visible
from app.viewer.volumes import MAP_KINDS
from core.io.derivatives import CaseRecord, MapName, Region

VIEWER = "reading_viewer"
TABLE = "region_table"
SEATED = "reading_seated"  # id of the reader at the desk
# What one reader of a session must not leave to the next.
LEFT = [
    f"reading_{name}"
    for name in (
        *("said", "form", "mark", "fresh", "confirm", "turn", "skipping", "next", "refused", "marked"),
        "shown",  # the draft of a read
        "kept",  # notes as the database holds them
        "given",
    )
]
WEAK = "review_weak"  # whether regions of 2–3 SD are listed too


@dataclass(frozen=True)
class Open:
    """What the reader has before them."""

    record: CaseRecord
    name: MapName
    reader: SavedReader
    regions: list[Region]  # as listed
    hashes: dict[str, str]  # by volume kind, what the viewer must have loaded
    phase: Phase = "second"  # "first" while the model's flags are hidden
    first: SavedRead | None = None  # the locked read
    second: SavedRead | None = None
    pass_number: int = 1  # the reader's nth reading of the scan

    @property
    def blind(self) -> bool:
        """Whether nothing of the model may be seen yet."""
        return self.phase == "first"

    @property
    def clock(self) -> str:
        """What active seconds count for: this phase of this reading, also where a scan is read again."""
        return f"{self.phase} {self.scan[:12]}"

    @property
    def scan(self) -> str:
        """Names this reading of the scan, whichever model is open."""
        return scan_key(self.record.case_id, self.record.input_hash, self.pass_number)


def seat(reader: SavedReader) -> None:
    """Take away what another reader of this session left: what was last said, the mark at hand."""
    if st.session_state.get(SEATED, reader.id) != reader.id:
        for name in LEFT:
            st.session_state.pop(name, None)
    st.session_state[SEATED] = reader.id


def open_now() -> Open:
    """The open case as drawn last."""
    return st.session_state["reading"]


def map_name(maps: Sequence[MapName] = ()) -> MapName:
    """The z map that is read, of those there: as the reader chose; else the fused, else the paper's."""
    first: MapName = "fused" if "fused" in maps else "volume"
    wanted: MapName = st.session_state.get("reading_map", first)
    return wanted if wanted in maps or not maps else maps[0]


def selected_region() -> Region | None:
    """The selected region among those listed."""
    reading = open_now()
    wanted = st.session_state.get("reading_region")
    return next((region for region in reading.regions if region.id == wanted), None)


def select(region_id: str | None, move: bool) -> None:
    """Select a region, or none; ``move`` the viewer's crosshair to its peak."""
    st.session_state["reading_region"] = region_id
    st.session_state.pop("reading_form", None)
    st.session_state.pop("reading_mark", None)
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
    """The reader chose another z map in the viewer."""
    name = viewer_said("map")
    if name in MAP_KINDS:
        st.session_state["reading_map"] = name
        forget_row()


def on_weak() -> None:
    """The reader turned the bands of 2–3 SD on or off in the viewer: the list follows."""
    said = viewer_said("weak")
    if isinstance(said, dict):
        st.session_state[WEAK] = said.get("on") is True
        forget_row()


def table_key() -> str:
    """Key of the region table; a new one each time that its own mark is taken away."""
    return f"{TABLE}_{st.session_state.get(TABLE, 0)}"


def _cells() -> list[tuple[int, str]]:
    table = st.session_state.get(table_key()) or {}
    return list(table.get("selection", {}).get("cells", []))


def unmark_row() -> None:
    """Take the table's own mark away: the region chosen elsewhere is shown by its row's colour."""
    if _cells():
        st.session_state[TABLE] = st.session_state.get(TABLE, 0) + 1


def on_weak_toggle(key: str) -> None:
    """The reader turned the bands of 2–3 SD on or off beside the list, by the toggle ``key``.

    Its value counts, not that it was called: one that was away for an unaided read calls when it is back, and
    one that has just gone calls with the value that it was drawn with.
    """
    on = st.session_state[key] is True
    if on != st.session_state.get(WEAK, False) and key != weak_key(on):
        st.session_state[WEAK] = on
        forget_row()


def weak_key(on: bool) -> str:
    """Key of the toggle beside the list where it is drawn ``on``."""
    return f"{WEAK}_{on}"


def forget_row() -> None:
    """The list changes: the region chosen may be in it no more."""
    unmark_row()
    st.session_state["reading_region"] = None


def on_selected() -> None:
    """The reader chose a region in the viewer, which has moved there already."""
    said = viewer_said("selected") or {}
    st.session_state["reading_pick"] = int(said.get("pick", 0))
    if said.get("case") == open_now().record.case_id:
        select(said.get("id"), move=False)
        unmark_row()


def on_row() -> None:
    """The reader chose a row of the table."""
    cells = _cells()
    regions = open_now().regions
    if cells and cells[0][0] < len(regions):
        select(regions[cells[0][0]].id, move=True)


def verified(reading: Open, drawn_here: bool) -> bool:
    """Whether the open case and the map read are on screen, as the viewer says or as the server drew them."""
    if drawn_here:
        return True
    loaded = st.session_state.get("reading_loaded") or {}
    hashes = {kind: reading.hashes[kind] for kind in visible(reading.hashes, reading.blind)}
    drawn = loaded.get("hashes") or {}
    # Maps that nobody asked for are not fetched.
    needed = {kind for kind in hashes if kind not in MAP_KINDS.values() or kind == MAP_KINDS[reading.name]}
    if (
        loaded.get("case") != reading.record.case_id
        or not needed <= drawn.keys()
        or not drawn.items() <= hashes.items()
    ):
        return False
    return reading.blind or loaded.get("map") == reading.name
