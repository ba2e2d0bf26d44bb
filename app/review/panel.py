"""Right side of Review: what the reader says of regions, of findings of their own, and of the whole scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from app import state
from app.feedback.drafts import keep_preference, preference
from app.feedback.store import Missed, SavedVerdict, StoreError, VerdictValue, new_id
from app.feedback.vocabulary import Term, terms
from app.review import answers, desk, marks, reading, said, whole
from app.review.classes import DIGITS, MEANINGS, label, meaning
from app.review.reading import Open
from app.review.slices import PLANES, decode, slice_png
from app.review.table import describe, expectation, nothing_listed, region_frame
from app.viewer.volumes import wire
from core.anomaly.palette import PALETTES
from core.io.derivatives import CasePaths

INK = dict(zip(("▼ 4+", "▼ 3–4", "▼ 2–3", "▲ 2–3", "▲ 3–4", "▲ 4+"), PALETTES["paper"], strict=True))
TABLE_ROWS = 4
SURE = (1, 2, 3, 4, 5)


def panel(now: Open, weak: bool, ready: bool, drawn_here: bool, elsewhere: str) -> None:
    """Everything that the reader answers; of an unaided read nothing that the model made.

    ``elsewhere`` is a line on the map that is not shown, or "".
    """
    try:
        vocabulary = terms(state.feedback())
        given = {} if now.blind else said.verdicts(now)
        mine = marks.marks(now)
        if now.blind:
            _unaided(now)
        else:
            _regions(now, weak, ready, given, vocabulary, elsewhere)
        _desk(now, drawn_here, vocabulary, mine)
        _whole(now, ready)
        _marks(now, mine, vocabulary)  # last: what grows moves nothing else
    except StoreError as error:
        st.error(f"The feedback store can't be read: {error}")


def _unaided(now: Open) -> None:
    st.markdown("**First read, without the model**")
    st.caption(
        "Mark findings by Shift-click, give the scan a class, and lock the read. The model's flags are "
        "shown then, not before."
    )


def _regions(
    now: Open,
    weak: bool,
    ready: bool,
    given: dict[str, SavedVerdict],
    vocabulary: list[Term],
    elsewhere: str,
) -> None:
    count, include = st.columns([0.58, 0.42], vertical_alignment="center")
    read = sum(region.id in given for region in now.regions)
    count.markdown(f"**{read} of {len(now.regions)} regions read**")
    include.toggle("Band 2–3 too", weak, key=f"review_weak_{weak}", on_change=reading.on_weak_toggle)
    line = expectation(now.record, now.name, weak)
    st.caption(line if elsewhere == "" else f"{line} {elsewhere}: press m.")
    if not now.regions:
        st.info(nothing_listed(now.record, weak), icon=":material/check:")
        return
    _table(now, given)
    _verdict(now, ready, given, vocabulary)


def _table(now: Open, given: dict[str, SavedVerdict]) -> None:
    """One row a region; a click anywhere in it moves the viewer there."""
    selected = st.session_state.get("reading_region")
    rows = [region.id for region in now.regions]
    style = region_frame(now.regions, given).style
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
        row_height=28,
        height=38 + 28 * min(TABLE_ROWS, len(rows)),
        column_config={
            "": st.column_config.TextColumn(width=32, help="Your verdict"),
            "Band": st.column_config.TextColumn(width=58, help="▲ brighter, ▼ darker than expected, in SD"),
            "Side": st.column_config.TextColumn(width=62),
            "mm³": number(width=58, format="%.0f"),
            "Peak": number(width=54, format="%+.1f", help="Signed z of the peak"),
            "Mean": number(width=54, format="%+.1f", help="Signed mean z"),
            "Slice": number(width=46, format="%d", help="Axial slice of largest extent"),
        },
    )


def _verdict(now: Open, ready: bool, given: dict[str, SavedVerdict], vocabulary: list[Term]) -> None:
    region = reading.selected_region()
    said.form_id()
    if not ready:
        st.markdown(":gray[Verdicts wait until the viewer shows this case.]")
    else:
        st.markdown(
            f"**{describe(region)}**" if region else ":gray[Select a region: click a row, or press n.]"
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
    kind, sure = st.columns([0.56, 0.44], gap="small", vertical_alignment="center")
    with kind:
        _type_box(
            f"type_{said.analysis_key(now)[:16]}_{name}_{standing.id if standing else answer.finding_type}",
            answer.finding_type,
            vocabulary,
            region is None or not ready,
            said.choose_type,
            (name,),
        )
    with sure:
        _row(
            "sure",
            [(str(number), number, "") for number in SURE],
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
        on_texts=lambda: answers.on_texts("reading_note"),
    )


def _save(verdict: VerdictValue, region_id: str) -> None:
    # The note may have come with this very click: first it, then the verdict that carries it.
    answers.on_texts("reading_note")
    said.save(verdict, region_id)


def _finish(id: str) -> None:
    answers.on_texts("reading_remark")
    whole.finish_here(id)


def _type_box(
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


def _row(
    name: str,
    choices: list[tuple[str, Any, str]],
    chosen: Any,
    on_click: Callable[[Any], None],
    disabled: bool,
) -> None:
    """Small buttons, of which one is chosen: (text, value, explanation)."""
    with st.container(horizontal=True, gap="xxsmall", key=f"row_{name}"):
        for text, value, explained in choices:
            st.button(
                text,
                key=f"{name}_{value}",
                help=explained or (f"Confidence {value} of 5" if value in SURE else None),
                type="primary" if value == chosen else "secondary",
                on_click=on_click,
                args=(value,),
                disabled=disabled,
            )


def _marks(now: Open, mine: dict[str, Missed], vocabulary: list[Term]) -> None:
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
        _type_box(f"mark_type_{mark.id}", mark.finding_type, vocabulary, False, _choose_mark_type, (root,))
    key = f"mark_sure_{mark.id}"
    sure_.selectbox(
        "Confidence",
        SURE,
        None if mark.confidence is None else SURE.index(mark.confidence),
        key=key,
        placeholder="1–5",
        label_visibility="collapsed",
        on_change=marks.choose,
        args=(root, "confidence", key),
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
        on_texts=lambda: answers.on_texts(f"mark_note_{root}"),
    )


def _choose_mark_type(key: str, root: str) -> None:
    marks.choose(root, "finding_type", key)


def _whole(now: Open, ready: bool) -> None:
    """Class, confidence and note of the scan, and the button that locks or saves."""
    given = whole.draft(now)
    head = "Class of the scan (K)"
    if now.first is not None:
        head += f" :gray[first read: {label(now.first.classification)}]"
    st.markdown(f"**{head}**")
    _row(
        "class",
        [(words[0], value, meaning(value)) for value, words in MEANINGS.items()],
        given.classification,
        whole.choose_class,
        False,
    )
    how, finish = st.columns([0.44, 0.56], gap="small", vertical_alignment="center")
    with how:
        _row(
            "confidence",
            [(str(number), number, "") for number in SURE],
            given.confidence,
            whole.choose_confidence,
            False,
        )
    form = st.session_state.setdefault("reading_finish", {})
    id = form.setdefault(f"{now.scan}{now.phase}{now.second.id if now.second else ''}", new_id())
    finish.button(
        "Lock first read (F)" if now.blind else "Save second read (F)",
        key="review_finish",
        type="primary",
        help="A locked read can't be changed afterwards. The flags are shown next." if now.blind else None,
        on_click=_finish,
        args=(id,),
        disabled=not ready,
        width="stretch",
    )
    desk.note(
        "case",
        whole.note_place(now),
        given.note,
        key="reading_remark",
        label="Note on the scan",
        placeholder="Note on the scan (Shift E)",
        rows=1,
        on_texts=lambda: answers.on_texts("reading_remark"),
    )


def _desk(now: Open, drawn_here: bool, vocabulary: list[Term], mine: dict[str, Missed]) -> None:
    """The keys and what the last one did; undo, skip and going on by mouse."""
    text, failed, count = st.session_state.get(said.SAID, ("", False, 0))
    region = reading.selected_region()
    here = [root for root, mark in mine.items() if mark.phase == now.phase]
    mark = st.session_state.get(marks.MARK)
    if mark not in here:  # a reload has forgotten it
        mark = here[-1] if here else None
    desk.desk(
        {
            "reader": str(now.reader.id),
            "session": state.session_id(),
            "analysis": said.analysis_key(now),
            "address": said.address(now.record),
            "scan": whole.note_place(now),
            "phase": now.phase,
            "viewer": not drawn_here,
            "region": None if region is None else region.id,
            "map": "" if now.blind else now.name,
            "hash": now.hashes.get("base"),
            "classes": [[value, words[0], DIGITS[value]] for value, words in MEANINGS.items()],
            "terms": [[term.name, term.label] for term in vocabulary],
            "answered": answers.answered(),
            "mark": mark,
            "fresh": bool(st.session_state.pop(marks.FRESH, False)),
            "said": {"text": text, "failed": failed, "count": count},
        },
        answers.on_answers,
    )
    back, away, on = st.columns([0.24, 0.24, 0.52], vertical_alignment="center")
    back.button("Undo (U)", key="verdict_undo", on_click=answers.undo_here, type="tertiary", width="stretch")
    away.button("Skip …", key="review_skip", on_click=_ask_why, type="tertiary", help="Shift S")
    going = preference(state.feedback(), now.reader.id, whole.ADVANCE) != "off"
    on.toggle("Next case once saved", going, key="review_advance", on_change=_keep_advance)
    if st.session_state.pop(answers.SKIPPING, False):
        _skip_dialog()


def _keep_advance() -> None:
    value = "on" if st.session_state["review_advance"] else "off"
    keep_preference(state.feedback(), reading.open_now().reader.id, whole.ADVANCE, value)


def _ask_why() -> None:
    st.session_state[answers.SKIPPING] = True


@st.dialog("Skip this case")
def _skip_dialog() -> None:
    with st.form("skip", border=False):
        st.text_input("Why?", key="review_skip_reason", placeholder="e.g. need the earlier scan")
        if st.form_submit_button("Skip", type="primary", key="review_skip_go", on_click=_skip):
            st.rerun()


def _skip() -> None:
    whole.skip(str(st.session_state["review_skip_reason"]))


def drawn_slices(now: Open, paths: CasePaths, weak: bool) -> None:
    """Slices drawn by the server, with a slider for the slice; without flags while the read is unaided."""
    plane = st.segmented_control(
        "Plane", PLANES, default="axial", key="drawn_plane", label_visibility="collapsed"
    )
    plane = plane or "axial"
    count = decode(wire(paths, now.record.model, "base")).shape[2 - PLANES.index(plane)]
    region = reading.selected_region()
    start = region.slice_axial if region is not None and plane == "axial" else count // 2
    index = st.slider("Slice", 1, count, start + 1, key=f"drawn_{plane}_{region.id if region else ''}")
    bands = frozenset({"2-3", "3-4", "4+"} if weak else {"3-4", "4+"})
    shown = None if now.blind else now.name
    st.image(slice_png(paths, now.record.model, shown, plane, index - 1, bands, 520))
    sides = "image left is posterior" if plane == "sagittal" else "radiological: image right is patient left"
    mark = " · SYNTHETIC" if now.record.synthetic else ""
    what = "unaided read" if now.blind else f"{now.record.model} · {now.name} z"
    st.caption(f"{now.record.case_id} · {what} · {sides}{mark}")
