"""The reader's own findings in Review's panel: what the flags overlook."""

from __future__ import annotations

import streamlit as st

from app.feedback.store import Missed
from app.feedback.vocabulary import Term
from app.review import answers, desk, marks
from app.review.choices import SURE, type_box
from app.review.reading import Open


def findings(now: Open, mine: dict[str, Missed], vocabulary: list[Term]) -> None:
    """The reader's own findings; those of the locked first read can't be changed."""
    title = "Findings marked" if now.blind else "Missed by the flags"
    hint = "Shift-click in the viewer marks a finding." + (
        "" if now.blind else " Those of the first read are locked."
    )
    st.markdown(f"**{title}** :gray[({len(mine)})]", help=hint)
    if not mine:
        what = "you see something" if now.blind else "the flags overlook something"
        st.caption(f"Shift-click in the viewer where {what}.")
    for root, mark in reversed(mine.items()):
        _mark(now, root, mark, vocabulary)


def _mark(now: Open, root: str, mark: Missed, vocabulary: list[Term]) -> None:
    where = f"{mark.x_mm:.0f}, {mark.y_mm:.0f}, {mark.z_mm:.0f} mm".replace("-", "−")
    if mark.phase != now.phase:
        kind = next((term.label for term in vocabulary if term.name == mark.finding_type), mark.finding_type)
        sure = "" if mark.confidence is None else f"confidence {mark.confidence}"
        st.caption(" · ".join(text for text in (where, "first read", kind, sure, mark.note) if text != ""))
        return
    at, kind_, sure_, remove = st.columns([0.28, 0.4, 0.2, 0.12], gap="xxsmall", vertical_alignment="center")
    at.caption(where)
    with kind_:
        type_box(
            f"mark_type_{mark.id}", mark.finding_type, vocabulary, False, _choose_mark_type, (now.scan, root)
        )
    key = f"mark_sure_{mark.id}"
    sure_.selectbox(
        "Confidence",
        SURE,
        None if mark.confidence is None else SURE.index(mark.confidence),
        key=key,
        placeholder="1–5",
        label_visibility="collapsed",
        on_change=marks.choose,
        args=(now.scan, root, "confidence", key),
    )
    remove.button(
        "",
        icon=":material/close:",
        key=f"missed_remove_{root}",
        help="Take back",
        type="tertiary",
        on_click=marks.take_back,
        args=(root,),
    )
    desk.note(
        f"mark.{root}",
        marks.note_place(now, root),
        marks.note_of(now, root, mark),
        key=f"mark_note_{root}",
        label="Note on marked finding",
        placeholder="What is it? (e)",
        rows=1,
        on_typed=lambda: answers.on_typed(f"mark_note_{root}"),
    )


def _choose_mark_type(key: str, scan: str, root: str) -> None:
    marks.choose(scan, root, "finding_type", key)
