"""Small choices in Review's panel: which finding, how sure, which class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from app.feedback.vocabulary import Term

SURE = (1, 2, 3, 4, 5)
ENDS = {1: ", a guess", 5: ", certain"}


def type_box(
    key: str,
    chosen: str,
    vocabulary: list[Term],
    disabled: bool,
    on_change: Callable[..., None],
    args: tuple[Any, ...],
) -> None:
    """A box of finding types; a retired one stays where it was chosen."""
    labels = {term.name: term.label for term in vocabulary}
    names: list[str] = list(labels)
    if chosen != "" and chosen not in labels:
        names.append(chosen)
    st.selectbox(
        "Finding",
        names,
        names.index(chosen) if chosen in names else None,
        key=key,
        format_func=lambda name: labels.get(name, name.replace("_", " ")),
        placeholder="Finding (J)",
        label_visibility="collapsed",
        disabled=disabled,
        on_change=on_change,
        args=(key, *args),
    )


def button_row(
    name: str,
    choices: list[tuple[str, Any, str]],
    chosen: Any,
    on_click: Callable[[Any], None],
    disabled: bool = False,
    caption: str = "",
) -> None:
    """Small buttons, of which one is chosen: (text, value, explanation); ``caption`` before them."""
    with st.container(horizontal=True, gap="xxsmall", key=f"row_{name}", vertical_alignment="center"):
        if caption != "":
            st.caption(caption, width="content", wrap=False)
        for text, value, explained in choices:
            st.button(
                text,
                key=f"{name}_{value}",
                help=explained,
                type="primary" if value == chosen else "secondary",
                on_click=on_click,
                args=(value,),
                disabled=disabled,
            )


def sure_row(name: str, chosen: int | None, on_click: Callable[[Any], None], disabled: bool = False) -> None:
    """How sure the reader is, 1 to 5."""
    choices = [(str(one), one, f"Confidence {one} of 5{ENDS.get(one, '')}") for one in SURE]
    button_row(name, choices, chosen, on_click, disabled, caption="Confidence")
