"""The flagged regions in Review's panel, and what the reader says of the one selected."""

from __future__ import annotations

import streamlit as st

from app.feedback.store import SavedVerdict, VerdictValue
from app.feedback.vocabulary import Term
from app.review import answers, desk, reading, said
from app.review.choices import sure_row, type_box
from app.review.reading import Open
from app.review.row import HEAD_PX, ROW_PX, in_sight
from app.review.table import (
    band_rule,
    describe,
    expectation,
    nothing_listed,
    peak_slices,
    region_frame,
    signed,
)
from core.anomaly.palette import PALETTES
from core.config import settings
from core.io.derivatives import CasePaths

INK = dict(zip(("▼ 4+", "▼ 3–4", "▼ 2–3", "▲ 2–3", "▲ 3–4", "▲ 4+"), PALETTES["paper"], strict=True))


def regions(
    now: Open,
    weak: bool,
    ready: bool,
    given: dict[str, SavedVerdict],
    vocabulary: list[Term],
    elsewhere: str,
) -> None:
    """How many are read, the table, and the buttons of a verdict."""
    count, include = st.columns([0.58, 0.42], vertical_alignment="center")
    read = sum(region.id in given for region in now.regions)
    count.markdown(f"**{read} of {len(now.regions)} regions read**", help=band_rule(now.record, now.name))
    key = reading.weak_key(weak)
    include.toggle("Band 2–3 too", weak, key=key, on_change=reading.on_weak_toggle, args=(key,))
    line = expectation(now.record, now.name, weak)
    st.caption(line if elsewhere == "" else f"{line} {elsewhere}: press m.")
    if not now.regions:
        st.info(nothing_listed(now.record, now.name, weak), icon=":material/check:")
        return
    _table(now, given)
    _verdict(now, ready, given, vocabulary)


def slices_of(now: Open) -> dict[str, int]:
    """By region id the axial slice of its peak."""
    record = now.record
    scan = CasePaths(settings().derivatives_dir, record.subject, record.session).acquired
    return peak_slices(now.regions, scan)


def _table(now: Open, given: dict[str, SavedVerdict]) -> None:
    """One row a region; a click anywhere in it moves the viewer there."""
    selected = st.session_state.get("reading_region")
    rows = [region.id for region in now.regions]
    style = region_frame(now.regions, given, slices_of(now)).style
    style = style.format(signed, subset=["Peak", "Mean"]).format("{:.0f}", subset=["mm³"])
    style = style.map(lambda band: f"color: {INK[band]}; font-weight: 600", subset=["Band"])
    if selected in rows:
        style = style.apply(
            lambda row: ["background-color: #d5ede8"] * len(row),
            axis=1,
            subset=([rows.index(selected)], slice(None)),
        )
    number = st.column_config.NumberColumn
    st.dataframe(
        style,
        key=reading.table_key(),
        on_select=reading.on_row,
        selection_mode="single-cell",
        hide_index=True,
        row_height=ROW_PX,
        height=HEAD_PX + 3 + ROW_PX * len(rows),  # with its borders; the style of the page limits it
        column_config={
            "": st.column_config.TextColumn(width=32, help="Your verdict"),
            "Band": st.column_config.TextColumn(width=58, help=band_rule(now.record, now.name)),
            "Side": st.column_config.TextColumn(width=62),
            "mm³": number(width=58),
            "Peak": number(width=54, help="Signed z of the peak voxel"),
            "Mean": number(width=54, help="Signed mean z"),
            "Slice": number(
                width=46, format="%d", help="Axial slice of the peak voxel, where the viewer goes"
            ),
        },
    )
    in_sight(reading.table_key(), rows, selected)


def _verdict(now: Open, ready: bool, given: dict[str, SavedVerdict], vocabulary: list[Term]) -> None:
    region = reading.selected_region()
    said.form_id()
    if not ready:
        st.markdown(":gray[Verdicts wait until the viewer shows this case.]")
    else:
        st.markdown(
            f"**{describe(region, slices_of(now)[region.id])}**"
            if region
            else ":gray[Select a region: n or a row. Till then the view stays.]"
        )
    standing = given.get(region.id) if region is not None else None
    choices: tuple[tuple[str, str, VerdictValue], ...] = (
        ("Agree", "A", "agree"),
        ("Disagree", "D", "disagree"),
        ("Unsure", "S", "unsure"),
    )
    name = "" if region is None else region.id
    for column, (text, key, verdict) in zip(st.columns(3, gap="small"), choices, strict=True):
        column.button(
            f"{text} ({key})",
            key=f"verdict_{verdict}",
            on_click=_save,
            args=(verdict, name),
            disabled=region is None or not ready,
            type="primary" if standing is not None and standing.verdict == verdict else "secondary",
            width="stretch",
        )
    answer = said.AnswerDraft() if region is None else said.answer_of(now, region, standing)
    kind, sure = st.columns([0.44, 0.56], gap="small", vertical_alignment="center")
    with kind:
        type_box(
            f"type_{said.analysis_key(now)[:16]}_{name}_{standing.id if standing else answer.finding_type}",
            answer.finding_type,
            vocabulary,
            region is None or not ready,
            said.choose_type,
            (name,),
        )
    with sure:
        sure_row(
            "sure",
            answer.confidence,
            lambda number: said.choose("sure", number, name),
            region is None or not ready,
        )
    place = said.note_place(now, region) if region is not None else ""
    desk.note(
        "region",
        place,
        "" if region is None else said.note_of(now, region, standing),
        key="reading_note",
        label="Note",
        placeholder="Note on the region (e)",
        title="Kept as you type, saved with the verdict",
        disabled=region is None,
        rows=1,
        on_typed=lambda: answers.on_typed("reading_note"),
    )


def _save(verdict: VerdictValue, region_id: str) -> None:
    # The note may have come with this very click: first it, then the verdict that carries it.
    answers.on_typed("reading_note")
    said.save(verdict, region_id)
