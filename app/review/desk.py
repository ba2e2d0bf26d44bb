"""The desk: the reader's keys, and notes that are never lost, as Streamlit components."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.viewer.component import script

HERE = Path(__file__).resolve().parent
DESK = "reading_desk"
KEPT = "reading_kept"  # notes by place that the database holds, so that the browser can forget them
GIVEN = "reading_given"  # by place, the id of the leaving of which the answer there has the note
KEPT_COUNT = 20


@cache
def _component(name: str) -> Callable[..., Any]:
    files = [HERE / "waiting.js", HERE / "refused.js"] if name == "desk" else []
    return st.components.v2.component(
        f"fontanelle_{name}",
        css=(HERE / "desk.css").read_text(encoding="utf-8"),
        js=script("base.js", *files, HERE / f"{name}.js"),
    )


def desk(data: dict[str, Any], on_answers: Callable[[], None]) -> None:
    """Hear the reader's keys. ``data`` as in desk.js; the answers lie in ``st.session_state[DESK]``."""
    _component("desk")(key=DESK, data=data, on_answers_change=on_answers)


def note(
    role: str,
    place: str,
    value: str,
    *,
    key: str,
    label: str,
    placeholder: str,
    title: str = "",
    rows: int = 2,
    disabled: bool = False,
    on_typed: Callable[[], None],
) -> None:
    """A note's field. What was typed comes as ``{"typed": …}``, see note.js, in ``st.session_state[key]``."""
    data = {
        **{"role": role, "place": place, "value": value, "label": label, "placeholder": placeholder},
        **{"title": title, "rows": rows, "disabled": disabled, "kept": st.session_state.get(KEPT, {})},
        "given": st.session_state.get(GIVEN, {}),
    }
    _component("note")(key=key, data=data, height=14 + 18 * rows, on_typed_change=on_typed)


def kept(place: str) -> str | None:
    """What the database holds for a place, where this session knows."""
    return _remembered(KEPT, place)


def remember_kept(place: str, text: str) -> None:
    """The database holds this text now."""
    _remember(KEPT, place, text)


def given(place: str) -> str | None:
    """Which leaving of a place was seen to last."""
    return _remembered(GIVEN, place)


def remember_given(place: str, id: str) -> None:
    """The answer that stands there has the note of this leaving, or there is none."""
    _remember(GIVEN, place, id)


def _remembered(what: str, place: str) -> str | None:
    found = st.session_state.get(what, {}).get(place)
    return None if found is None else str(found)


def _remember(what: str, place: str, value: str) -> None:
    every = {name: one for name, one in st.session_state.get(what, {}).items() if name != place}
    st.session_state[what] = dict(list((every | {place: value}).items())[-KEPT_COUNT:])
