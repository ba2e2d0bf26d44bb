"""Who reads. A login or a proxy's header where one is configured, else a typed name, marked as unverified.

A typed name outlives a reload of its browser tab, by the tab's own storage (identity.js). No other tab has
it, and no address or cookie.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from app.feedback.store import ReaderSource, SavedReader, Store, StoreError, list_readers, reader_for
from app.state import feedback
from app.words import literal
from core.config import settings

READER = "reader"
LAST = "reader_last"  # name given in this browser session before "Change reader"
KEEPER = "reader_keeper"
BACK = "reader_back"  # whether the name was just taken up again after a reload
NEW = "Someone else …"
# The form does not flash up before identity.js has looked for a name that the tab has kept.
STYLE = """<style>
@keyframes fontanelle-asks {from {visibility: hidden;} to {visibility: visible;}}
html:not([data-fontanelle-reader]) .st-key-who_box {animation: fontanelle-asks 0s 15s both;}
</style>"""
ASKED = "reader_asked"  # whether this session has been asked for a name
WAIT_S = 0.5
# Keys of st.user that name a person, best first.
CLAIMS = ("email", "preferred_username", "name", "sub")


def source() -> ReaderSource:
    """How readers are known here.

    Raises
    ------
    StoreError
        Where a login and a trusted header are both configured: which one counts would be a guess.
    """
    header = bool(st.get_option("server.trustedUserHeaders"))
    oidc = "is_logged_in" in st.user.to_dict()
    if header and oidc:
        raise StoreError("Both a login ([auth] in secrets) and server.trustedUserHeaders are set; keep one.")
    return "header" if header else "oidc" if oidc else "typed"


def claimed_name(user: dict[str, Any], known: ReaderSource, mapped: list[str]) -> str | None:
    """Name that ``st.user`` carries; None where nobody is logged in.

    ``mapped`` are the keys that ``server.trustedUserHeaders`` fills; for a login, the usual claims count.
    """
    if known == "oidc" and user.get("is_logged_in") is not True:
        return None
    for key in mapped if known == "header" else CLAIMS:
        if isinstance(user.get(key), str) and user[key].strip() != "":
            return str(user[key])
    return None


def current_reader() -> SavedReader | None:
    """The reader of this session, without asking; None where nobody gave a name yet."""
    known = source()
    held = st.session_state.get(READER)
    if known == "typed":
        return held
    headers = st.get_option("server.trustedUserHeaders") or {}
    name = claimed_name(dict(st.user.to_dict()), known, list(headers.values()))
    if name is None:
        return None
    if held is None or (held.name, held.source) != (" ".join(name.split()), known):
        held = st.session_state[READER] = reader_for(feedback(), name, known)
    return held


def is_coordinator(reader: SavedReader | None) -> bool:
    """Whether a reader may assign, adjudicate, teach, import and edit the vocabulary.

    They are named in ``FONTANELLE_COORDINATORS``. Where that is empty, every typed name is one (demo mode)
    and nobody who was identified.
    """
    if reader is None:
        return False
    named = [" ".join(name.split()) for name in settings().coordinators.split(",")]
    if any(named):
        return reader.name in named
    return reader.source == "typed"


def require_reader() -> SavedReader:
    """The reader of this session; where unknown, asks in place and stops the page."""
    try:
        reader = current_reader()
        if reader is not None:
            return reader
        ask(feedback())
    except StoreError as error:
        st.error(str(error))
    st.stop()


def ask(store: Store) -> None:
    """Draw what it takes to become known: a login button, or a name, chosen among those known or typed.

    No known name is preselected: another workstation may have left it. Only this session's own last one is.
    """
    known = source()
    if known == "oidc":
        st.info("Log in to read: verdicts are kept under your name.")
        st.button("Log in", on_click=st.login, type="primary", key="login")
        return
    if known == "header":
        st.error("The proxy in front of this server sent no user name; reading needs one.")
        return
    readers = [reader.name for reader in list_readers(store, "typed")]
    if ASKED not in st.session_state:
        # A name that the tab has kept comes meanwhile and cuts this run off; styles are loaded late.
        st.session_state[ASKED] = True
        time.sleep(WAIT_S)
    with st.container(key="who_box"):
        st.subheader("Who is reading?", anchor=False)
        st.caption("Demo mode: the name is kept beside your verdicts, but nobody checks it.")
        with st.form("who", border=False, width=420):
            chosen: str | None = NEW
            if readers:
                st.markdown("Choose yourself under *Reader*. Not listed? Type *Your name*; it goes first.")
                last = st.session_state.get(LAST)
                index = readers.index(last) if last in readers else None
                chosen = st.selectbox(
                    "Reader", [*readers, NEW], index, key="who_known", placeholder="Choose…"
                )
            typed = st.text_input("Your name", key="who_typed", max_chars=200, placeholder="e.g. A. Reader")
            go = st.form_submit_button("Continue", type="primary", key="who_continue")
    name = typed.strip() or ("" if chosen is None or chosen == NEW else chosen)
    if go and name == "":
        st.error("Give your name first.")
    elif go:
        st.session_state[READER] = reader_for(store, name, "typed")
        st.rerun()


def forget() -> None:
    """Ask again who reads (typed names only)."""
    reader = st.session_state.pop(READER, None)
    if reader is not None:
        st.session_state[LAST] = reader.name


@cache
def _keeper() -> Callable[..., Any]:
    return st.components.v2.component(
        "fontanelle_identity", js=Path(__file__).with_name("identity.js").read_text(encoding="utf-8")
    )


def _take_up() -> None:
    """The tab has kept a name from before a reload: it counts where that reader is known here."""
    if READER in st.session_state:
        return
    kept = (st.session_state.get(KEEPER) or {}).get("name")
    try:
        found = next((one for one in list_readers(feedback(), "typed") if one.name == kept), None)
    except StoreError:
        return  # the page says what is wrong with the store
    if found is None:
        st.session_state[LAST] = ""  # as after "Change reader": the tab forgets it
    else:
        st.session_state[READER], st.session_state[BACK] = found, True


def badge() -> None:
    """Sidebar line: who reads, and whether that is verified; a typed name is kept for a reload."""
    try:
        reader = current_reader()
        typed = source() == "typed"
    except StoreError as error:
        st.sidebar.error(str(error))
        return
    if typed:
        with st.sidebar:
            name = "" if reader is None else reader.name
            forgotten = reader is None and LAST in st.session_state
            _keeper()(key=KEEPER, data={"name": name, "forgotten": forgotten}, on_name_change=_take_up)
    if st.session_state.pop(BACK, False) and reader is not None:
        st.toast(
            f"Reading as **{literal(reader.name)}**, as before. Not you? *Change reader* is in the sidebar."
        )
    if reader is None:
        return
    if reader.source == "typed":
        st.sidebar.markdown(f"Reading as **{literal(reader.name)}**  \n:gray[name typed, not verified]")
        st.sidebar.button("Change reader", on_click=forget, key="change_reader", type="tertiary")
        return
    st.sidebar.markdown(f"Reading as **{literal(reader.name)}**")
    if reader.source == "oidc":
        st.sidebar.button("Log out", on_click=st.logout, key="logout", type="tertiary")
