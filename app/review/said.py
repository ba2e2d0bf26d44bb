"""What a reader says of the open case, kept: verdicts by button and key, undo, notes, missed findings.

Button callbacks and the viewer's events write to the database first and touch the session afterwards.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state
from app.cases import ADDRESS_CHARACTERS, address, find_case
from app.feedback.drafts import find_draft, keep_draft
from app.feedback.store import (
    Missed,
    MissedInput,
    SavedVerdict,
    StoreError,
    VerdictValue,
    add_missed,
    add_verdict,
    current_verdicts,
    list_missed,
    missed_input,
    new_id,
    retract_missed,
    undo_last,
    verdict_input,
)
from app.review.reading import Open, open_now, select, selected_region, viewer_said
from app.viewer.volumes import VolumeMissing, in_brain
from core.config import settings
from core.io.derivatives import CasePaths, DerivativesError, Region, read_regions

TURN = "reading_turn"  # cases to go on by, asked for by key
MISSED_RADIUS_MM = 5.0


def form_id() -> str:
    """Idempotency key of the verdict form, drawn when the form is first shown."""
    return str(st.session_state.setdefault("reading_form", new_id()))


def note_key(reading: Open, region: Region) -> str:
    """Widget key of a region's note: a draft stays with its region."""
    return f"note_{address(reading.record)[:16]}_{region.id}"


def verdicts(reading: Open) -> dict[str, SavedVerdict]:
    """The reader's standing verdicts on the open analysis and map, by region id."""
    record = reading.record
    return current_verdicts(
        state.feedback(),
        case_id=record.case_id,
        model=record.model,
        case_key=record.key,
        map=reading.name,
        reader_id=reading.reader.id,
    )


def missed(reading: Open) -> list[Missed]:
    """The reader's standing missed findings on the open scan, whichever model was open."""
    record = reading.record
    return list_missed(
        state.feedback(), case_id=record.case_id, input_hash=record.input_hash, reader_id=reading.reader.id
    )


def note_of(reading: Open, region: Region, standing: SavedVerdict | None) -> str:
    """What the note's field holds at first: the reader's draft if it came last, else the verdict's note."""
    draft = find_draft(
        state.feedback(),
        reader_id=reading.reader.id,
        analysis=address(reading.record),
        region_id=region.id,
    )
    if draft is not None and (standing is None or draft.updated_utc > standing.created_utc):
        return draft.note
    return "" if standing is None else standing.note


def on_note() -> None:
    """The reader left the note's field: a reload must not lose it."""
    reading, region = open_now(), selected_region()
    if region is None:
        return
    try:
        keep_draft(
            state.feedback(),
            reader_id=reading.reader.id,
            analysis=address(reading.record),
            region_id=region.id,
            note=str(st.session_state.get(note_key(reading, region), "")),
        )
    except StoreError as error:
        _say(f"Draft not kept: {error}", failed=True)
        return
    _say("draft kept")


def _say(text: str, failed: bool = False) -> None:
    st.session_state["reading_said"] = (text, failed)


def save(verdict: VerdictValue, region_id: str) -> None:
    """Keep the reader's answer by button; ``region_id`` is the region that the button was drawn for."""
    reading, region = open_now(), selected_region()
    if region is None or region.id != region_id:
        _say("Not saved: the selection has moved on. Look, and answer again.", failed=True)
        return
    if _keep(reading, region, verdict, form_id()):
        st.session_state.pop("reading_form", None)


def _keep(reading: Open, region: Region, verdict: VerdictValue, id: str) -> bool:
    """Write one answer and say so; False where the database refused."""
    try:
        standing = verdicts(reading).get(region.id)
        typed = st.session_state.get(note_key(reading, region))
        note = note_of(reading, region, standing) if typed is None else str(typed)
        if standing is not None and (standing.verdict, standing.note) == (verdict, note):
            _say(f"saved {standing.saved_at}")  # a doubled click: nothing new was said
            return True
        saved = add_verdict(
            state.feedback(),
            verdict_input(
                reading.record,
                region,
                id=id,
                reader_id=reading.reader.id,
                verdict=verdict,
                note=note,
                session_id=state.session_id(),
            ),
        )
    except StoreError as error:
        _say(f"Not saved: {error}", failed=True)
        return False
    _say(f"saved {saved.saved_at}")
    return True


def answered() -> tuple[str, ...]:
    """Ids of the answers by key that need not be sent again."""
    return tuple(st.session_state.get("reading_answered", ()))[-100:]


def on_answers() -> None:
    """Keep what the reader answered by key, in order, each on the region and analysis that it names.

    Keys come faster than runs of the script: what is selected or open by now is not asked.
    """
    for answer in viewer_said("answers") or []:
        if answer["id"] in answered():
            continue
        if answer["what"] in ("next", "previous"):
            by = 1 if answer["what"] == "next" else -1
            st.session_state[TURN] = st.session_state.get(TURN, 0) + by
        elif (reading := _reading_at(answer)) is None:
            _say("Not saved: the answer named an analysis or map that is not on screen. Answer again.", True)
        elif answer["what"] == "undo":
            if not undo(answer["id"], reading):
                return  # kept in the browser, in order, for the next try
        else:
            region = next((one for one in reading.regions if one.id == answer["region"]), None)
            if region is None or answer["what"] not in ("agree", "disagree", "unsure"):
                _say("Not saved: the answer named no region of this analysis. Answer again.", failed=True)
            elif not _keep(reading, region, answer["what"], answer["id"]):
                return
        st.session_state["reading_answered"] = [*answered(), answer["id"]]


def _reading_at(answer: dict[str, Any]) -> Open | None:
    """The analysis that an answer names, with all its regions of the answer's map; None where it can't be."""
    now, name = open_now(), answer["map"]
    case = find_case(settings().derivatives_dir, str(answer["address"])[:ADDRESS_CHARACTERS])
    if case is None or name not in case.record.bands:
        return None
    here = address(case.record) == address(now.record)
    if here and answer["hash"] != now.hashes.get("base"):
        return None
    record = case.record
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    try:
        regions = [region for region in read_regions(paths.regions(record.model)) if region.map == name]
    except DerivativesError:
        return None
    return Open(record, name, now.reader, regions, now.hashes if here else {})


def undo_here() -> None:
    """Take back the reader's newest answer on the open analysis, by button."""
    undo(new_id(), open_now())


def undo(id: str, reading: Open) -> bool:
    """Take back the reader's newest answer on an analysis; False where the database refused."""
    record = reading.record
    try:
        row = undo_last(
            state.feedback(),
            id=id,
            case_id=record.case_id,
            model=record.model,
            case_key=record.key,
            reader_id=reading.reader.id,
            session_id=state.session_id(),
        )
    except StoreError as error:
        _say(f"Not undone: {error}", failed=True)
        return False
    st.session_state.pop("reading_form", None)
    if row is None:
        _say("nothing to undo")
        return True
    if row.map == open_now().name:
        select(row.region_id, move=True)
    _say(f"took back “{row.verdict}” {row.saved_at}")
    return True


def _keep_missed(given: MissedInput, done: str, supersedes: str | None = None) -> None:
    try:
        add_missed(state.feedback(), given, supersedes=supersedes)
    except StoreError as error:
        _say(f"Not saved: {error}", failed=True)
        return
    _say(done)


def on_missed() -> None:
    """Keep a point that the model overlooked; its note can follow."""
    said, reading = viewer_said("missed") or {}, open_now()
    if said.get("case") != reading.record.case_id:
        return
    x, y, z = (float(value) for value in said["mm"])
    record = reading.record
    try:
        inside = in_brain(CasePaths(settings().derivatives_dir, record.subject, record.session), (x, y, z))
    except VolumeMissing as error:
        _say(f"Not saved: {error}", failed=True)
        return
    if not inside:
        _say("Not marked: this point lies outside the brain.", failed=True)
        return
    given = missed_input(
        reading.record,
        id=new_id(),
        reader_id=reading.reader.id,
        map=reading.name,
        point_mm=(x, y, z),
        radius_mm=float(said.get("radius", MISSED_RADIUS_MM)),
        session_id=state.session_id(),
    )
    _keep_missed(given, "missed finding saved")


def renote_missed(finding: Missed) -> None:
    """Append the note typed for a missed finding."""
    reading = open_now()
    given = missed_input(
        reading.record,
        id=new_id(),
        reader_id=reading.reader.id,
        map="normative" if finding.map == "normative" else "volume",
        point_mm=(finding.x_mm, finding.y_mm, finding.z_mm),
        radius_mm=finding.radius_mm,
        note=str(st.session_state.get(f"missed_note_{finding.id}", "")),
        session_id=state.session_id(),
    )
    _keep_missed(given, "note saved", supersedes=finding.id)


def remove_missed(finding: Missed) -> None:
    """Take back a missed finding."""
    try:
        retract_missed(
            state.feedback(),
            id=new_id(),
            missed_id=finding.id,
            reader_id=open_now().reader.id,
            session_id=state.session_id(),
        )
    except StoreError as error:
        _say(f"Not removed: {error}", failed=True)
        return
    _say("missed finding removed")
