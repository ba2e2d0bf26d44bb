"""What one browser session holds: which case is open, and the store that all sessions share."""

from __future__ import annotations

from uuid import uuid4

import streamlit as st

from app.cases import Case, find_case, read_cases
from app.feedback.store import Store, open_store
from core.config import settings

# An analysis' address, in the session and in the page's own: no subject's name.
CASE = "case"


@st.cache_resource(show_spinner=False)
def _store(url: str) -> Store:
    return open_store(url)


def feedback() -> Store:
    """The feedback store of ``settings()``, opened once a process.

    Raises
    ------
    StoreError
        Where it can't be opened.
    """
    return _store(settings().store_url)


def session_id() -> str:
    """Random name of this browser session, kept beside each verdict."""
    return str(st.session_state.setdefault("session_id", str(uuid4())))


def select_case(case: Case) -> None:
    """Make ``case`` the open one, in the session and in the page's address."""
    st.session_state[CASE] = case.address


def asked_address() -> str:
    """Address of the analysis asked for: the session's, else that of a deep link ``?case=…``; else empty."""
    return str(st.session_state.get(CASE) or st.query_params.get(CASE, ""))


def selected_case() -> Case | None:
    """The open case; None where none was asked for, or where it is not on disk."""
    case = find_case(settings().derivatives_dir, asked_address())
    if case is not None:
        select_case(case)
        show_address(case)
    return case


def show_address(case: Case) -> None:
    """Let the page's own address name ``case``, which is open: a reload must open it again."""
    if st.query_params.get(CASE) != case.address:
        st.query_params[CASE] = case.address


def cases() -> list[Case]:
    """Every whole analysis on disk."""
    return read_cases(settings().derivatives_dir)[0]
