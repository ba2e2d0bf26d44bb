"""What preparation made of a scan: its quality-control picture, and a word where the mask needs a look."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.io.derivatives import CasePaths, CaseRecord


def picture(record: CaseRecord, paths: CasePaths) -> Path | None:
    """The picture of the preparation that the analysis rests on; None where it is not there."""
    cube = record.settings.get("prepare", {}).get("cube")
    path = None if cube is None else paths.qc(int(cube))
    return path if path is not None and path.is_file() else None


def show(record: CaseRecord, paths: CasePaths) -> None:
    """Draw the picture, or say that it is missing."""
    path = picture(record, paths)
    if path is None:
        st.caption("The picture of this preparation is missing; prepare the scan again.")
        return
    try:
        st.image(path.read_bytes())
    except OSError as error:
        st.caption(f"{path.name}: can't be read ({error.strerror}).")


def mask_banner(record: CaseRecord, paths: CasePaths) -> None:
    """One line above the viewer where the brain mask is BET's guess: skull taken in, or brain cut off."""
    if record.mask_source != "bet":
        return
    words, look = st.columns([0.82, 0.18], vertical_alignment="center")
    words.warning("Brain mask extracted by BET: check its outline.", icon=":material/warning:")
    with look.popover("Show outline", width="stretch"):
        show(record, paths)
