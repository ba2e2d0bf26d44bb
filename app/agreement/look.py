"""The scan of a disagreement to scroll through, for looking only: nothing is read, marked or answered."""

from __future__ import annotations

import streamlit as st

from app.cases import Case, address
from app.feedback.adjudications import Dispute
from app.feedback.blinding import Answers
from app.feedback.remarks import said_of_scan
from app.review.scene import Material, material, threshold, volumes_of
from app.routes import niivue_url, served
from app.viewer.component import Mark, Scene, Spot, looking, mark
from app.viewer.volumes import MAP_KINDS
from core.config import settings
from core.io.derivatives import CasePaths, Region

VIEWER = "adjudicate_viewer"
UNSUPPORTED = "adjudicate_unsupported"
MARK = "adjudicate_mark"  # which mark of which question was asked for
BACK = "adjudicate_back"  # how often the way back to the place in question was asked for


def can_look() -> bool:
    """Whether the viewer can be shown: volumes are served, and the browser has WebGL2."""
    return served() and not st.session_state.get(UNSUPPORTED, False)


def question(dispute: Dispute) -> str:
    """Names the disagreement."""
    return "_".join(dispute.key)


def spots(dispute: Dispute, answers: Answers) -> list[Spot]:
    """What the scan's readers marked, by their numbers: no names."""
    return [
        Spot(one.place, one.radius_mm or 0.0, one.label.split()[-1])  # the number alone: little room
        for one in said_of_scan(dispute, answers)
        if one.place is not None
    ]


def scene(
    case: Case, dispute: Dispute, stuff: Material, marked: list[Spot], place: int | None, again: int
) -> Scene:
    """What the viewer shows: at the flag in question, or of a class at the mark ``place`` of ``marked``.

    Of a flag its own map alone is sent, and no other region. ``again`` counts ways back to the place.
    """
    flags: list[Mark] = [mark(Region(**dispute.region))] if dispute.subject == "region" else []
    at = flags[0].mm if flags else marked[place].mm if place is not None else None
    others = {kind for name, kind in MAP_KINDS.items() if name != dispute.map} if flags else set()
    return Scene(
        address=address(case.record),
        case=case.record.case_id,
        model=case.record.model,
        synthetic=case.record.synthetic,
        stored=stuff.stored,
        niivue=niivue_url(),
        volumes={kind: one for kind, one in volumes_of(case.record, stuff).items() if kind not in others},
        map=dispute.map,
        weak=any(dispute.region["band"] == "2-3" for _ in flags),
        regions=flags,
        selected=flags[0].id if flags else None,
        jump=None if at is None else {"mm": at, "nonce": f"{question(dispute)} {place} {again}"},
        missed=tuple(marked),
        threshold=threshold(case.record),
        look=question(dispute),
    )


def look(case: Case, dispute: Dispute, marked: list[Spot], place: int | None) -> list[str]:
    """Put the viewer on the page; gives what it has to do without, in words.

    Raises
    ------
    AssetMissing
        Where NiiVue is not installed.
    DerivativesError
        Where a file of the analysis is missing or changed.
    """
    record = case.record
    stuff = material(CasePaths(settings().derivatives_dir, record.subject, record.session), record)
    again = st.session_state.get(BACK, 0)
    looking(scene(case, dispute, stuff, marked, place, again), key=VIEWER, on_unsupported=_on_unsupported)
    return stuff.lacking


def back() -> None:
    """Move the viewer to the place in question again."""
    st.session_state[BACK] = st.session_state.get(BACK, 0) + 1


def to_mark(dispute: Dispute, place: int) -> None:
    """Move the viewer to one of the scan's marks."""
    st.session_state[MARK] = (question(dispute), place)
    back()


def marked(dispute: Dispute) -> int:
    """Which of the scan's marks was asked for last; else the first."""
    asked, place = st.session_state.get(MARK, ("", 0))
    return int(place) if asked == question(dispute) else 0


def _on_unsupported() -> None:
    st.session_state[UNSUPPORTED] = True
