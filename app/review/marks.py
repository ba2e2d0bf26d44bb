"""Findings that the reader marks: before the flags are shown, and afterwards what they miss."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import streamlit as st

from app import state
from app.feedback.drafts import find_draft
from app.feedback.marks import marks_by_root
from app.feedback.store import (
    Missed,
    MissedInput,
    StoreError,
    add_missed,
    missed_input,
    new_id,
    retract_missed,
)
from app.feedback.writing import kept_ids
from app.review.reading import Open, open_now, viewer_said
from app.review.said import failed, refused_for_good, say
from app.viewer.volumes import VolumeMissing, in_brain
from core.config import settings
from core.io.derivatives import CasePaths

RADIUS_MM = 5.0
MARK = "reading_mark"  # root of the mark set last: what is typed next names it
FRESH = "reading_fresh"  # whether it was set just now
MARKED = "reading_marked"  # ids that the viewer need not tell again
REMEMBERED = 20


def marks(now: Open) -> dict[str, Missed]:
    """The reader's standing marks on the open scan, by the id that each began with."""
    record = now.record
    return marks_by_root(
        state.feedback(),
        case_id=record.case_id,
        input_hash=record.input_hash,
        reader_id=now.reader.id,
        pass_number=now.pass_number,
    )


def note_place(now: Open, root: str) -> str:
    """Whose note this is: reader, scan and mark."""
    return f"{now.reader.id}.{now.scan}.mark:{root}"


def note_of(now: Open, root: str, mark: Missed) -> str:
    """What the note's field holds at first: the draft if it came last, else the mark's own."""
    draft = find_draft(state.feedback(), reader_id=now.reader.id, analysis=now.scan, region_id=f"mark:{root}")
    return draft.note if draft is not None and draft.updated_utc > mark.created_utc else mark.note


def on_missed() -> None:
    """Keep a point that the reader marked, once; what it is can follow. One that must wait is told again."""
    said = viewer_said("missed")
    if said is not None and said["id"] not in marked() and _keep(open_now(), said):
        st.session_state[MARKED] = (*marked(), said["id"])[-REMEMBERED:]


def marked() -> tuple[str, ...]:
    """Ids of the marks that were told, and are kept or refused for good."""
    return tuple(st.session_state.get(MARKED, ()))


def _keep(now: Open, said: dict[str, Any]) -> bool:
    """Whether a mark is settled; False where the database could not be asked."""
    record = now.record
    if said["case"] != record.case_id or said["blind"] != now.blind:
        say("Not saved: the mark belongs to another scan or step. Mark it again.", failed=True)
        return True
    x, y, z = (float(value) for value in said["mm"])
    try:
        if kept_ids(state.feedback(), [said["id"]]):
            return True
        inside = in_brain(CasePaths(settings().derivatives_dir, record.subject, record.session), (x, y, z))
    except VolumeMissing as error:
        say(f"Not saved: {error}", failed=True)
        return True
    except StoreError as error:
        return failed("Not saved", error) or refused_for_good()
    if not inside:
        say("Not marked: this point lies outside the brain.", failed=True)
        return True
    given = missed_input(
        record,
        id=said["id"],
        reader_id=now.reader.id,
        map=now.name,
        point_mm=(x, y, z),
        radius_mm=float(said.get("radius", RADIUS_MM)),
        session_id=state.session_id(),
        phase=now.phase,
        pass_number=now.pass_number,
    )
    if not _append(given, "finding marked: which is it?"):
        return refused_for_good()
    st.session_state[MARK], st.session_state[FRESH] = given.id, True
    return True


def change(now: Open, root: str, id: str, **values: Any) -> bool:
    """Give a mark another finding type, confidence or note; False where the database refused."""
    try:
        mark = marks(now).get(root)
        if mark is None:
            if now.scan == open_now().scan:
                say("Not saved: this mark was taken back.", failed=True)
            return True
        if all(getattr(mark, name) == value for name, value in values.items()):
            return True
        given = replace(_input(mark), id=id, session_id=state.session_id(), **values)
    except StoreError as error:
        return failed("Not saved", error)
    return _append(given, "saved", supersedes=mark.id)


def choose(scan: str, root: str, name: str, key: str) -> None:
    """Keep what was chosen in the box ``key`` of a mark on ``scan``; an echo on another scan is nothing."""
    if scan != open_now().scan:
        return
    value = st.session_state[key]
    change(open_now(), root, new_id(), **{name: value if value is not None or name == "confidence" else ""})


def flush_notes(now: Open) -> None:
    """Give the marks of this phase the notes that are drafts yet.

    Raises
    ------
    StoreError
        Where the database refuses.
    """
    for root, mark in marks(now).items():
        note = note_of(now, root, mark)
        if mark.phase == now.phase and note != mark.note:
            given = replace(_input(mark), id=new_id(), note=note, session_id=state.session_id())
            add_missed(state.feedback(), given, supersedes=mark.id)


def take_back(root: str) -> None:
    """Take back a mark, by button."""
    withdraw(open_now(), root, new_id())


def withdraw(now: Open, root: str, id: str) -> bool:
    """Take back a mark; False where the database refused."""
    try:
        mark = marks(now).get(root)
        if mark is not None:
            retract_missed(
                state.feedback(),
                id=id,
                missed_id=mark.id,
                reader_id=now.reader.id,
                session_id=state.session_id(),
            )
    except StoreError as error:
        return failed("Not taken back", error)
    if st.session_state.get(MARK) == root:
        del st.session_state[MARK]
    say("nothing to undo" if mark is None else "mark taken back")
    return True


def _append(given: MissedInput, done: str, supersedes: str | None = None) -> bool:
    try:
        saved = add_missed(state.feedback(), given, supersedes=supersedes)
    except StoreError as error:
        return failed("Not saved", error)
    say(f"{done} {saved.saved_at}" if done == "saved" else done)
    return True


def _input(mark: Missed) -> MissedInput:
    values = asdict(mark)
    for name in ("seq", "created_utc", "supersedes", "retracted"):
        del values[name]
    return MissedInput(**values)
