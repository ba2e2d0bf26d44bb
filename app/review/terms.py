"""Dialog in which a coordinator edits the vocabulary of findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from app import state
from app.feedback.store import StoreError
from app.feedback.vocabulary import (
    LABEL_CHARACTERS,
    Term,
    add_term,
    move_term,
    rename_term,
    retire_term,
    terms,
)

EDITING = "terms_editing"
FAILED = "terms_failed"


def ask() -> None:
    """Open the dialog in the next run."""
    st.session_state[EDITING] = True


def dialog() -> None:
    """Draw the dialog where it was asked for."""
    if st.session_state.pop(EDITING, False):
        edit()


@st.dialog("Finding terms", width="large")
def edit() -> None:
    """Add, rename, order and retire terms; answers that hold a term keep it."""
    st.caption(
        "A retired term is offered no more; answers that hold it keep it. Rename to mend the wording only: "
        "answers given under the old words change with it."
    )
    if (failed := st.session_state.pop(FAILED, "")) != "":
        st.error(failed, icon=":material/error:")
    try:
        found = terms(state.feedback(), retired=True)
    except StoreError as error:
        st.error(str(error), icon=":material/error:")
        return
    for number, term in enumerate(found):
        _line(term, number == 0, number == len(found) - 1)
    new, add = st.columns([0.8, 0.2], vertical_alignment="bottom")
    new.text_input("New term", key="terms_new", max_chars=LABEL_CHARACTERS)
    add.button("Add", key="terms_add", type="primary", on_click=_add, width="stretch")


def _line(term: Term, first: bool, last: bool) -> None:
    words, up, down, away = st.columns([0.64, 0.08, 0.08, 0.2], vertical_alignment="center")
    key = f"terms_label_{term.name}"
    if key not in st.session_state:
        st.session_state[key] = term.label
    words.text_input(
        f"Term {term.label}",
        key=key,
        max_chars=LABEL_CHARACTERS,
        label_visibility="collapsed",
        disabled=term.retired,
        on_change=_rename,
        args=(term.name, key),
    )
    for column, icon, by, off, text in (
        (up, ":material/arrow_upward:", -1, first, "up"),
        (down, ":material/arrow_downward:", 1, last, "down"),
    ):
        column.button(
            "",
            icon=icon,
            key=f"terms_{text}_{term.name}",
            help=f"Move {term.label} {text}",
            disabled=off,
            type="tertiary",
            on_click=_try,
            args=(move_term, term.name, by),
        )
    away.button(
        "Offer again" if term.retired else "Retire",
        key=f"terms_retire_{term.name}",
        on_click=_try,
        args=(retire_term, term.name, not term.retired),
        width="stretch",
    )


def _try(change: Callable[..., None], *args: Any) -> None:
    try:
        change(state.feedback(), *args)
    except StoreError as error:
        st.session_state[FAILED] = str(error)


def _add() -> None:
    try:
        add_term(state.feedback(), str(st.session_state["terms_new"]))
        st.session_state["terms_new"] = ""
    except StoreError as error:
        st.session_state[FAILED] = str(error)


def _rename(name: str, key: str) -> None:
    try:
        rename_term(state.feedback(), name, str(st.session_state[key]))
    except StoreError as error:
        st.session_state[FAILED] = str(error)
        del st.session_state[key]
