"""The form of a decision as a Streamlit component: nothing that is chosen or typed in it is ever lost."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.viewer.component import script

HERE = Path(__file__).resolve().parent
FORM = "adjudicate_form"


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "fontanelle_decision",
        css=(HERE / "decision.css").read_text(encoding="utf-8"),
        js=script("base.js", "presence.js", HERE / "decision.js"),
    )


def decision(data: dict[str, Any], on_typed: Callable[[], None], on_saved: Callable[[], None]) -> None:
    """Mount the form. ``data`` as in decision.js; what it says lies in ``st.session_state[FORM]``."""
    _component()(key=FORM, data=data, on_typed_change=on_typed, on_saved_change=on_saved)


def heard(what: str) -> dict[str, Any]:
    """What the form said last under a name; {} before it said anything."""
    return dict((st.session_state.get(FORM) or {}).get(what) or {})
