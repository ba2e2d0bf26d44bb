"""The scan as a whole in Review's panel: class, confidence, note, and the end of the read."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from app.feedback.reads import SavedRead
from app.feedback.store import new_id
from app.review import answers, desk, whole
from app.review.choices import button_row, sure_row
from app.review.classes import MEANINGS, label, meaning
from app.review.reading import Open
from app.words import literal


def scan(now: Open, ready: bool) -> None:
    """Class, confidence and note of the scan, and the button that locks or saves."""
    same = whole.shown(now)
    given = whole.draft(now)
    head = "Class of the scan (K)"
    if now.first is not None:
        head += f" :gray[first read: {label(now.first.classification)}]"
    st.markdown(f"**{head}**")
    if not same:
        st.caption(":orange[This read was changed in another tab: look again before you press f.]")
    button_row(
        "class",
        [(words[0], value, meaning(value)) for value, words in MEANINGS.items()],
        given.classification,
        whole.choose_class,
    )
    how, finish = st.columns([0.56, 0.44], gap="small", vertical_alignment="center")
    with how:
        sure_row("confidence", given.confidence, whole.choose_confidence)
    form = st.session_state.setdefault("reading_finish", {})
    id = form.setdefault(f"{now.scan}{now.phase}{now.second.id if now.second else ''}", new_id())
    again = "" if now.second is None else _saved(now.second, whole.unchanged(now, given))
    finish.button(
        "Lock first read (F)" if now.blind else "Save second read (F)" if again == "" else "Save again (F)",
        key="review_finish",
        type="primary",
        help="A locked read can't be changed afterwards. The flags are shown next." if now.blind else None,
        on_click=_finish,
        args=(id,),
        disabled=not ready,
        width="stretch",
    )
    if again != "":
        st.caption(again)
    desk.note(
        "case",
        whole.note_place(now),
        given.note,
        key="reading_remark",
        label="Note on the scan",
        placeholder="Note on the scan (Shift E)",
        rows=1,
        on_typed=lambda: answers.on_typed("reading_remark"),
    )
    if now.first is not None and now.first.note != "":
        st.caption(f"Note of the first read ({_short(now.first)}): {literal(now.first.note)}")


def _saved(second: SavedRead, unchanged: bool) -> str:
    """When the scan was finished, and what saving again would do."""
    at = datetime.fromisoformat(second.created_utc).astimezone()
    day = "" if at.date() == datetime.now().astimezone().date() else f" on {at:%Y-%m-%d}"
    if unchanged:
        return f"Saved at {second.saved_at}{day}; nothing has changed since."
    return f"Saved at {second.saved_at}{day}. Saving again adds a version that counts; this one is kept."


def _short(first: SavedRead) -> str:
    """Class and confidence of a read."""
    sure = "" if first.confidence is None else f", confidence {first.confidence}"
    return f"{label(first.classification)}{sure}"


def _finish(id: str) -> None:
    answers.on_typed("reading_remark")
    whole.finish_here(id)
