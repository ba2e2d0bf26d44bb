"""Right side of Review: what the reader says of regions, of findings of their own, and of the whole scan."""

from __future__ import annotations

import streamlit as st

from app import state
from app.feedback.store import StoreError
from app.feedback.vocabulary import terms
from app.review import marks, said
from app.review.bar import bar
from app.review.findings import findings
from app.review.finished import way_back
from app.review.reading import Open
from app.review.regions import regions
from app.review.scan import scan


def panel(now: Open, weak: bool, ready: bool, drawn_here: bool, elsewhere: str) -> None:
    """Everything that the reader answers; of an unaided read nothing that the model made.

    ``elsewhere`` is a line on the map that is not shown, or "".
    """
    try:
        vocabulary = terms(state.feedback())
        given = {} if now.blind else said.verdicts(now)
        mine = marks.marks(now)
        way_back(now)
        if now.blind:
            _unaided()
        else:
            regions(now, weak, ready, given, vocabulary, elsewhere)
        bar(now, drawn_here, vocabulary, mine)
        scan(now, ready)
        findings(now, mine, vocabulary)  # last: what grows moves nothing else
    except StoreError as error:
        st.error(f"The feedback store can't be read: {error}")


def _unaided() -> None:
    st.markdown("**First read, without the model**")
    st.caption(
        "Mark findings by Shift-click, give the scan a class, and lock the read. The model's flags are "
        "shown then, not before."
    )
