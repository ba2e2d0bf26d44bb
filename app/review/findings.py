"""The reader's own findings in Review's panel: what the flags overlook."""

from __future__ import annotations

import streamlit as st

from app.feedback.store import Missed
from app.feedback.vocabulary import Term
from app.review import answers, desk, marks
from app.review.choices import SURE, type_box
from app.review.reading import Open
from app.words import literal


def findings(now: Open, mine: dict[str, Missed], vocabulary: list[Term]) -> None:
    """The reader's own findings, by the read that they were marked in; those of the first are locked."""
    earlier = [] if now.blind else [mark for mark in mine.values() if mark.phase == "first"]
    here = {root: mark for root, mark in mine.items() if mark.phase == now.phase}
    title = "Findings marked" if now.blind else "Missed by the flags"
    st.markdown(f"**{title}** :gray[({len(here)})]", help="Shift-click in the viewer marks a finding.")
    if not here:
        what = "you see something" if now.blind else "the flags overlook something"
        st.caption(f"Shift-click in the viewer where {what}.")
    for root, mark in reversed(here.items()):
        _mark(now, root, mark, vocabulary)
    if earlier:
        st.markdown(
            f"**Marked in the first read** :gray[({len(earlier)}, locked)]",
            help="Marked before the flags were shown: a flag may lie there or not.",
        )
    for mark in reversed(earlier):
        _locked(mark, vocabulary)


def _where(mark: Missed) -> str:
    return f"{mark.x_mm:.0f}, {mark.y_mm:.0f}, {mark.z_mm:.0f} mm".replace("-", "−")


def _locked(mark: Missed, vocabulary: list[Term]) -> None:
    kind = next((term.label for term in vocabulary if term.name == mark.finding_type), mark.finding_type)
    sure = "" if mark.confidence is None else f"confidence {mark.confidence}"
    said = (_where(mark), "first read", kind, sure, literal(mark.note))
    st.caption(" · ".join(text for text in said if text != ""))


def _mark(now: Open, root: str, mark: Missed, vocabulary: list[Term]) -> None:
    at, kind_, sure_, remove = st.columns([0.28, 0.4, 0.2, 0.12], gap="xxsmall", vertical_alignment="center")
    at.caption(_where(mark))
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
