"""The chosen row of the region table, kept in sight."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.viewer.component import script

HERE = Path(__file__).resolve().parent
ROW_PX, HEAD_PX = 28, 35  # of the table


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component("fontanelle_row", js=script("base.js", HERE / "row.js"))


def in_sight(table: str, rows: list[str], selected: str | None) -> None:
    """Scroll the table with the key ``table`` to the row ``selected``; the page stays where it is."""
    data = {"table": table, "row": rows.index(selected) if selected in rows else None, "rows": len(rows)}
    _component()(key="region_row", data=data | {"rowHeight": ROW_PX, "headHeight": HEAD_PX})
