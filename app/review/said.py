"""What a reader says of flagged regions, kept: verdict, finding type, confidence and note, and undo.

Callbacks write to the database first and touch the session afterwards.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import streamlit as st

from app import state
from app.cases import address
from app.feedback.database import StoreUnreachable
from app.feedback.drafts import AnswerDraft, answer_draft, find_draft, keep_answer, keep_draft
from app.feedback.rows import standing_verdicts
from app.feedback.store import (
    SavedVerdict,
    StoreError,
    VerdictValue,
    add_verdict,
    current_verdicts,
    history,
    new_id,
    undo_last,
    verdict_input,
)
from app.review.desk import remember_kept
from app.review.reading import Open, open_now, select, selected_region
from core.config import settings
from core.io.derivatives import CasePaths, Region, read_regions

SAID = "reading_said"  # (text, failed, count)
FOR_GOOD = "reading_for_good"  # whether the answer that failed last was refused for good


def say(text: str, failed: bool = False) -> None:
    """Show the reader what came of their last answer."""
    st.session_state[SAID] = (text, failed, count() + 1)


def hush() -> None:
    """Another case is opened: what failed on the one before is not said of it."""
    if st.session_state.get(SAID, ("", False, 0))[1]:
        st.session_state[SAID] = ("", False, count())


def count() -> int:
    """How often something was said."""
    return int(st.session_state.get(SAID, ("", False, 0))[2])


def failed(words: str, error: Exception) -> bool:
    """Say that an answer was not kept, and note whether it never will be; False, for whoever returns it."""
    say(f"{words}: {error}", failed=True)
    st.session_state[FOR_GOOD] = not isinstance(error, StoreUnreachable)
    return False


def refused_for_good() -> bool:
    """Whether what failed last would fail again: the answer's own fault, not the database's."""
    return bool(st.session_state.get(FOR_GOOD, False))


def form_id() -> str:
    """Idempotency key of the verdict form, drawn when the form is first shown."""
    return str(st.session_state.setdefault("reading_form", new_id()))


def analysis_key(now: Open) -> str:
    """Names this reading of the analysis: drafts stay with it. 64 characters."""
    key = address(now.record)
    if now.pass_number == 1:
        return key
    return hashlib.sha256(f"{key} {now.pass_number}".encode()).hexdigest()


def note_place(now: Open, region: Region) -> str:
    """Whose note this is: reader, analysis and region."""
    return f"{now.reader.id}.{analysis_key(now)}.{region.id}"


def verdicts(now: Open, map: str | None = None) -> dict[str, SavedVerdict]:
    """The reader's standing verdicts on the open analysis and map, or another ``map``, by region id."""
    record = now.record
    return current_verdicts(
        state.feedback(),
        case_id=record.case_id,
        model=record.model,
        case_key=record.key,
        map=now.name if map is None else map,
        reader_id=now.reader.id,
        pass_number=now.pass_number,
    )


def newest(now: Open) -> str:
    """When the newest standing verdict on the open analysis was given, on any map; "" where none stands."""
    rows = history(
        state.feedback(), case_id=now.record.case_id, model=now.record.model, reader_id=now.reader.id
    )
    here = [row for row in rows if (row.case_key, row.pass_number) == (now.record.key, now.pass_number)]
    return max((row.created_utc for row in standing_verdicts(here)), default="")


def note_of(now: Open, region: Region, standing: SavedVerdict | None) -> str:
    """What the note's field holds at first: the reader's draft if it came last, else the verdict's note."""
    draft = find_draft(
        state.feedback(), reader_id=now.reader.id, analysis=analysis_key(now), region_id=region.id
    )
    if draft is not None and (standing is None or draft.updated_utc > standing.created_utc):
        return draft.note
    return "" if standing is None else standing.note


def answer_of(now: Open, region: Region, standing: SavedVerdict | None) -> AnswerDraft:
    """Finding type and confidence: the verdict's, or those chosen before it."""
    if standing is not None:
        return AnswerDraft(standing.finding_type, standing.confidence)
    return answer_draft(
        state.feedback(), reader_id=now.reader.id, analysis=analysis_key(now), region_id=region.id
    )


def save(verdict: VerdictValue, region_id: str) -> None:
    """Keep the reader's verdict by button; ``region_id`` is the region that the button was drawn for."""
    now, region = open_now(), selected_region()
    if region is None or region.id != region_id:
        say("Not saved: the selection has moved on. Look, and answer again.", failed=True)
        return
    if keep(now, region, form_id(), verdict=verdict):
        st.session_state.pop("reading_form", None)


def choose(what: str, value: Any, region_id: str) -> None:
    """Keep finding type or confidence by mouse."""
    now, region = open_now(), selected_region()
    if region is None or region.id != region_id:
        say("Not saved: the selection has moved on. Look, and answer again.", failed=True)
        return
    name(now, region, new_id(), what, value)


def choose_type(key: str, region_id: str) -> None:
    """Keep the finding type chosen in the box ``key``."""
    choose("type", st.session_state[key] or "", region_id)


def name(now: Open, region: Region, id: str, what: str, value: Any) -> bool:
    """Keep a finding type (``what`` is "type") or confidence ("sure"); False where the database refused."""
    change = {"finding_type": str(value)} if what == "type" else {"confidence": value}
    try:
        standing = verdicts(now).get(region.id)
        answer = replace(answer_of(now, region, standing), **change)
        if standing is None:
            keep_answer(
                state.feedback(),
                reader_id=now.reader.id,
                analysis=analysis_key(now),
                region_id=region.id,
                answer=answer,
            )
            say("kept for the verdict: agree, disagree or unsure?")
            return True
    except StoreError as error:
        return failed("Not saved", error)
    return keep(now, region, id, answer=answer)


def keep(
    now: Open,
    region: Region,
    id: str,
    *,
    verdict: VerdictValue | None = None,
    note: str | None = None,
    answer: AnswerDraft | None = None,
) -> bool:
    """Write one answer and say so; what is not given stays as it stands. False where the database refused."""
    try:
        standing = verdicts(now).get(region.id)
        note = note_of(now, region, standing) if note is None else note
        answer = answer_of(now, region, standing) if answer is None else answer
        verdict = verdict if verdict is not None or standing is None else _value(standing.verdict)
        if verdict is None:
            say("Not saved: agree, disagree or unsure first.", failed=True)
            return True
        given = (verdict, note, answer.finding_type, answer.confidence)
        if standing is not None and given == (
            standing.verdict,
            standing.note,
            standing.finding_type,
            standing.confidence,
        ):
            say(f"saved {standing.saved_at}")  # a doubled click: nothing new was said
            return True
        saved = add_verdict(
            state.feedback(),
            verdict_input(
                now.record,
                region,
                id=id,
                reader_id=now.reader.id,
                verdict=verdict,
                note=note,
                session_id=state.session_id(),
                finding_type=answer.finding_type,
                confidence=answer.confidence,
                pass_number=now.pass_number,
            ),
        )
    except StoreError as error:
        return failed("Not saved", error)
    say(f"saved {saved.saved_at}")
    return True


def flush_notes(now: Open) -> None:
    """Give the standing verdicts on the analysis, whichever their map, the notes that are drafts yet.

    Raises
    ------
    StoreError, DerivativesError
        Where the database refuses, or the regions can't be read.
    """
    record = now.record
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    regions = read_regions(paths.regions(record.model))
    for map in dict.fromkeys(region.map for region in regions):
        here = replace(now, name=map)
        given = verdicts(here)
        for region in regions:
            standing = given.get(region.id)
            if region.map != map or standing is None:
                continue
            if (note := note_of(here, region, standing)) != standing.note and not keep(
                here, region, new_id(), note=note
            ):
                kind = StoreError if refused_for_good() else StoreUnreachable
                raise kind(st.session_state[SAID][0].removeprefix("Not saved: "))


def _value(stored: str) -> VerdictValue:
    values: dict[str, VerdictValue] = {"agree": "agree", "disagree": "disagree", "unsure": "unsure"}
    return values[stored]


def undo(id: str, now: Open) -> bool:
    """Take back the reader's newest answer on an analysis; False where the database refused."""
    record = now.record
    try:
        row = undo_last(
            state.feedback(),
            id=id,
            case_id=record.case_id,
            model=record.model,
            case_key=record.key,
            reader_id=now.reader.id,
            session_id=state.session_id(),
            pass_number=now.pass_number,
        )
    except StoreError as error:
        return failed("Not undone", error)
    st.session_state.pop("reading_form", None)
    if row is None:
        say("nothing to undo")
        return True
    if not _take_note_back(now, row):
        return False
    if row.map == open_now().name:
        select(row.region_id, move=True)
    say(f"took back “{row.verdict}” {row.saved_at}")
    return True


def _take_note_back(now: Open, row: SavedVerdict) -> bool:
    """The note goes with the answer taken back, to what stands now; False where the database refused."""
    try:
        standing = verdicts(now, row.map).get(row.region_id)
        if standing is not None and standing.note != row.note:
            keep_draft(
                state.feedback(),
                reader_id=now.reader.id,
                analysis=analysis_key(now),
                region_id=row.region_id,
                note=standing.note,
            )
            remember_kept(f"{now.reader.id}.{analysis_key(now)}.{row.region_id}", standing.note)
    except StoreError as error:
        return failed("Not undone", error)
    return True
