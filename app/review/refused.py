"""Answers by key that were not kept and never will be: each in words, until the reader has seen them."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.cases import find_case
from app.review.classes import label
from core.config import settings

REFUSED = "reading_refused"  # (id, words) of each
MOST = 20
PREFIXES = ("Not saved: ", "Not undone: ", "Not kept: ", "Not taken back: ")
WORDS = {"finish": "end of the read"}
OF_SCAN = ("class", "class-sure", "finish")


def refused() -> list[list[str]]:
    """Id and words of the answers that were refused, for the desk."""
    return [list(one) for one in st.session_state.get(REFUSED, ())]


def refuse(answer: dict[str, Any], why: str) -> None:
    """Tell the reader which answer was not kept, and why."""
    for prefix in PREFIXES:
        why = why.removeprefix(prefix)
    words = f"{described(answer)}: {why}"
    st.session_state[REFUSED] = [*st.session_state.get(REFUSED, ()), (str(answer["id"]), words)][-MOST:]


def described(answer: dict[str, Any]) -> str:
    """What was answered, and on what, as ``class 2A of sub-a_ses-01``."""
    what, value = str(answer.get("what")), str(answer.get("value") or "not said")
    named = {
        "class": f"class {label(value)}",
        "class-sure": f"confidence {value} in the class",
        "type": f"finding {value}",
        "sure": f"confidence {value}",
    }
    case = find_case(settings().derivatives_dir, str(answer.get("address"))[:16])
    scan = "a scan that is not here any more" if case is None else case.record.case_id
    on = "a mark in " if answer.get("mark") else ""
    if answer.get("region") and on == "":
        on = f"region {answer['region']} of "
    return f"{named.get(what) or WORDS.get(what, what)}, {'' if what in OF_SCAN else on}{scan}"
