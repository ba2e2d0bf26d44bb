"""The comparing viewer as a Streamlit component: all models on one canvas, drawn from one state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.compare.palette import COUNTS, DIFFERENCE, DIFFERENCE_LIMIT
from app.viewer.component import HERE as VIEWER
from app.viewer.component import MAP_NAMED, MAP_TITLES, Mark, Volume, script
from core import __version__
from core.anomaly.palette import PALETTE_NAMES, PALETTES

HERE = Path(__file__).resolve().parent
# Files of the comparing viewer after those that it shares, in order.
SCRIPTS = (
    "slices.js",
    "panes.js",
    "paint.js",
    "picture.js",
    "controls.js",
    "actions.js",
    "input.js",
    "compare.js",
)


@dataclass(frozen=True)
class Pane:
    """One model's volumes."""

    model: str
    paper: bool  # one of the paper's eight; the others stand apart
    z: Volume
    reconstruction: Volume | None  # from when the reader first asks for them


@dataclass(frozen=True)
class Table:
    """Everything that the comparing viewer shows of one scan."""

    case: str
    synthetic: bool
    stored: str  # axis codes of the scan's file, for example "LAS"
    base: Volume
    map: str
    maps: tuple[str, ...]  # that can be chosen
    models: list[Pane]
    expected: bool  # whether the reconstructions are among the volumes
    region: Mark | None = None  # chosen: ringed
    region_model: str = ""
    jump: dict[str, Any] | None = None  # {"mm": (x, y, z), "nonce": changes with each jump}


def payload(table: Table) -> dict[str, Any]:
    """``table`` as the JSON that compare.js reads."""
    return {
        **asdict(table),
        "mapNames": {name: MAP_NAMED.get(name, name) for name in table.maps},
        "mapTitles": {name: MAP_TITLES.get(name, name) for name in table.maps},
        "palettes": {name: list(colors) for name, colors in PALETTES.items()},
        "paletteNames": PALETTE_NAMES,
        "counts": {"brighter": list(COUNTS[1]), "darker": list(COUNTS[-1])},
        "difference": list(DIFFERENCE),
        "differenceLimit": DIFFERENCE_LIMIT,
        "version": __version__,
    }


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "fontanelle_compare",
        css=(VIEWER / "viewer.css").read_text() + (HERE / "compare.css").read_text(),
        js=script("base.js", "widgets.js", *(HERE / name for name in SCRIPTS)),
    )


def compare(
    table: Table,
    *,
    key: str,
    on_map: Callable[[], None],
    on_expected: Callable[[], None],
    on_settings: Callable[[], None],
    on_picked: Callable[[], None],
) -> Any:
    """Mount the comparing viewer. The callbacks find what was said in ``st.session_state[key]``.

    ``map`` is a map's name; ``expected`` true when reconstructions are wanted; ``settings`` ``{"threshold",
    "pair"}``, the consensus' threshold in SD and the two models subtracted; ``picked`` ``{"model", "voxel",
    "case"}``, a flagged voxel (RAS) that was clicked.
    """
    return _component()(
        key=key,
        data=payload(table),
        on_map_change=on_map,
        on_expected_change=on_expected,
        on_settings_change=on_settings,
        on_picked_change=on_picked,
    )
