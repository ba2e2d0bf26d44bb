"""The lesson as a Streamlit component: mounted once, then it talks to ``app.teach.web`` by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import streamlit as st

from app.routes import PREFIX, niivue_url
from app.teach.snapshot import Follower
from app.teach.web import token_for
from app.viewer.component import script

HERE = Path(__file__).resolve().parent
SCRIPTS = (
    "base.js",
    "marks.js",
    HERE / "stage.js",
    HERE / "link.js",
    HERE / "panels.js",
    HERE / "lesson.js",
)


@cache
def _component() -> Callable[..., Any]:
    return st.components.v2.component(
        "fontanelle_lesson", css=(HERE / "lesson.css").read_text(encoding="utf-8"), js=script(*SCRIPTS)
    )


def _token(who: Follower) -> str:
    """One token a browser session: a new one at each rerun would end the stream each time."""
    held: dict[Follower, str] = st.session_state.setdefault("lesson_tokens", {})
    if who not in held:
        held[who] = token_for(who)
    return held[who]


def _renew(who: Follower) -> None:
    st.session_state.get("lesson_tokens", {}).pop(who, None)


def lesson_view(who: Follower) -> None:
    """Mount the lesson for one follower. Its ``renew`` asks for a new token where the server refuses its own.

    Raises
    ------
    AssetMissing
        Where NiiVue is not installed.
    """
    _component()(
        key=f"lesson_{who.role}_{who.lesson_id}_{who.learner_id}",
        data={"role": who.role, "prefix": f"{PREFIX}/lesson/{_token(who)}", "niivue": niivue_url()},
        on_renew_change=partial(_renew, who),
    )
