"""The answers that come from the desk by key, in the reader's order, and the notes that it keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from app import state
from app.cases import address, find_case
from app.feedback.drafts import change_read, keep_draft
from app.feedback.rows import Phase
from app.feedback.store import StoreError
from app.feedback.writing import kept_ids
from app.review import desk, marks, protocol, said, whole
from app.review.reading import Open, open_now
from app.review.refused import PREFIXES, refuse
from app.review.said import failed, say
from app.viewer.volumes import MAP_KINDS
from core.config import settings
from core.io.derivatives import CasePaths, DerivativesError, read_regions

TURN = "reading_turn"  # cases to go on by, asked for by key
ANSWERED = "reading_answered"
SKIPPING = "reading_skipping"  # whether the reader is asked why
REMEMBERED = 100


def answered() -> list[str]:
    """Ids of the answers by key that need not be sent again."""
    return list(st.session_state.get(ANSWERED, ()))[-REMEMBERED:]


def on_answers() -> None:
    """Keep what the reader answered by key, in order, each on the region and analysis that it names.

    Keys come faster than runs of the script: what is selected or open by now is not asked.
    """
    sent = (st.session_state.get(desk.DESK) or {}).get("answers") or []
    try:
        over = _heard_before([answer["id"] for answer in sent])
    except StoreError as error:
        failed("Not saved", error)
        return
    new = [(at, answer) for at, answer in enumerate(sent) if answer["id"] not in answered()]
    for at, answer in new:
        if at >= over and not _over(answer, last=answer is new[-1][1]):
            return  # kept in the browser, in order, for the next try
        st.session_state[ANSWERED] = [*answered(), answer["id"]]


def _over(answer: dict[str, Any], last: bool) -> bool:
    """Hear one answer; False where the database could not be asked, so that it must be heard again.

    What is refused for good is told, and the next is heard. Of the ``last`` answer the reading loop's line
    tells what the reader did wrong; the word on one before would be gone with the next.
    """
    before = said.count()
    try:
        kept = _heard(answer)
    except (KeyError, TypeError, ValueError) as error:
        kept = failed("Not saved", ValueError(f"the answer can't be read ({error}); reload the page"))
    text, wrong, count = st.session_state.get(said.SAID, ("", False, 0))
    if not kept and not said.refused_for_good():
        return False
    if not kept or (wrong and count > before and not last and text.startswith(PREFIXES)):
        refuse(answer, text)
    return True


def _heard_before(ids: list[str]) -> int:
    """How many of the answers sent were heard already, by an earlier session of the browser.

    They are heard in order: what stands before one that is in the store was heard too, and heard again it
    would meet what came after it.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    held = kept_ids(state.feedback(), [id for id in ids if id not in answered()])
    return max((at + 1 for at, id in enumerate(ids) if id in held), default=0)


def _heard(answer: dict[str, Any]) -> bool:
    """Keep one answer; False where the database refused, which ``said`` remembers."""
    what = answer["what"]
    # After a reload the browser sends again what it does not know to be kept. Answers are kept once by
    # their ids; what only moved the page is over.
    here = answer["session"] == state.session_id()
    if what in ("next", "previous"):
        if here:
            st.session_state[TURN] = st.session_state.get(TURN, 0) + (1 if what == "next" else -1)
        return True
    if what == "skip":
        st.session_state[SKIPPING] = here
        return True
    try:
        now = _reading_at(answer)
    except StoreError as error:
        return failed("Not saved", error)
    if now is None:
        say("Not saved: the answer named an analysis or map that is not on screen. Answer again.", True)
        return True
    if what in ("class", "class-sure", "finish"):
        return _of_scan(now, answer, here)
    if answer["phase"] != now.phase and answer["mark"] is None:
        say("Not saved: the answer came before the flags were shown. Answer again.", failed=True)
        return True
    if what == "undo":
        return _undo(now, answer["id"])
    if answer["mark"] is not None:
        change = {"finding_type": str(answer["value"])} if what == "type" else {"confidence": _sure(answer)}
        return marks.change(now, answer["mark"], answer["id"], **change)
    return _of_region(now, answer)


def _of_scan(now: Open, answer: dict[str, Any], here: bool) -> bool:
    """A class, how sure, or the end of a read."""
    if answer["phase"] != now.phase:
        # Sent twice, or typed before the reader saw that the first read was locked.
        say("This read was over already: nothing was changed.")
        return True
    if answer["what"] == "finish":
        whole.count_seconds(now, answer["active"] or {})
        if not _note_along(now, answer):
            return False
        return whole.finish(now, answer["id"], answer["remark"], here)
    if answer["what"] == "class":
        kept = whole.choose(now, classification=str(answer["value"]))
        if kept:
            say(f"class {whole.label(str(answer['value']))}")
        return kept
    return whole.choose(now, confidence=_sure(answer))


def _note_along(now: Open, answer: dict[str, Any]) -> bool:
    """Keep, as a draft, the region's note that came with the end of a read; False where it was refused."""
    region = next((one for one in now.regions if one.id == answer["region"]), None)
    if region is None or answer["note"] is None:
        return True
    try:
        if said.note_of(now, region, said.verdicts(now).get(region.id)) != answer["note"]:
            keep_draft(
                state.feedback(),
                reader_id=now.reader.id,
                analysis=said.analysis_key(now),
                region_id=region.id,
                note=answer["note"],
            )
    except StoreError as error:
        return failed("Not saved", error)
    return True


def _of_region(now: Open, answer: dict[str, Any]) -> bool:
    region = next((one for one in now.regions if one.id == answer["region"]), None)
    if region is None or now.phase == "first":
        say("Not saved: the answer named no region of this analysis. Answer again.", failed=True)
        return True
    what = answer["what"]
    if what in ("type", "sure"):
        value = str(answer["value"]) if what == "type" else _sure(answer)
        return said.name(now, region, answer["id"], what, value)
    if what not in ("agree", "disagree", "unsure"):
        say("Not saved: an answer that is not known here. Reload the page.", failed=True)
        return True
    kept = said.keep(now, region, answer["id"], verdict=what, note=answer["note"])
    if kept and answer["note"] is not None:
        desk.remember_kept(said.note_place(now, region), answer["note"])
    return kept


def _undo(now: Open, id: str) -> bool:
    """Take back the newest of the reader's marks of this phase and verdicts."""
    try:
        mine = [(root, mark) for root, mark in marks.marks(now).items() if mark.phase == now.phase]
        newest = said.newest(now)
    except StoreError as error:
        return failed("Not undone", error)
    if mine and (now.phase == "first" or mine[-1][1].created_utc > newest):
        return marks.withdraw(now, mine[-1][0], id)
    if now.phase == "first":
        say("nothing to undo")
        return True
    return said.undo(id, now)


def undo_here() -> None:
    """Take back the newest answer, by button."""
    _undo(open_now(), said.new_id())


def _sure(answer: dict[str, Any]) -> int | None:
    return int(answer["value"]) if answer["value"] in ("1", "2", "3", "4", "5") else None


def _reading_at(answer: dict[str, Any]) -> Open | None:
    """The analysis that an answer names, with all its regions of the answer's map; None where it can't be.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    now, name = open_now(), answer["map"]
    case = find_case(settings().derivatives_dir, str(answer["address"])[:16])
    if case is None:
        return None
    record, here = case.record, address(case.record) == address(now.record)
    if here and answer["hash"] != now.hashes.get("base"):
        return None
    first, second = protocol.reads(now.reader, record)
    phase, number = protocol.phase_of(first), protocol.pass_of(now.reader, record)
    if here and number != now.pass_number:  # the answer was to the reading on screen
        return None
    base = Open(
        record,
        now.name,
        now.reader,
        [],
        now.hashes if here else {},
        phase,
        first,
        second,
        number,
    )
    if phase == "first" or answer["phase"] == "first":
        return base
    if name not in record.bands or name not in MAP_KINDS:
        return None
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    try:
        regions = [region for region in read_regions(paths.regions(record.model)) if region.map == name]
    except DerivativesError:
        return None
    if answer["what"] == "finish":  # what the table lists is what wants an answer
        regions = now.regions if here else [region for region in regions if region.band != "2-3"]
    return replace(base, name=name, regions=regions)


def on_typed(key: str) -> None:
    """Keep the notes that the reader types, as drafts: a reload must not lose them.

    A note that the reader has left goes to the answer that stands there.
    """
    now = open_now()
    typed = (st.session_state.get(key) or {}).get("typed") or {}
    texts, left = typed.get("texts") or {}, typed.get("left") or {}
    for place, text in texts.items():
        reader, _, rest = str(place).partition(".")
        at, _, what = rest.partition(".")
        if reader != str(now.reader.id) or len(at) != 64:
            continue
        text = str(text)[:2000]
        if desk.kept(place) == text:
            continue
        try:
            if what in ("@first", "@second"):
                phase: Phase = "first" if what == "@first" else "second"
                change_read(state.feedback(), reader_id=now.reader.id, scan=at, phase=phase, note=text)
                whole.changed_here(place, note=text)
            else:
                keep_draft(
                    state.feedback(), reader_id=now.reader.id, analysis=at, region_id=what[:100], note=text
                )
        except StoreError as error:
            say(f"Draft not kept: {error}", failed=True)
            return
        desk.remember_kept(place, text)
        say("draft kept")
    for place, id in left.items():
        if place not in texts or desk.given(place) == id:
            continue
        if _answered_note(now, str(place), str(texts[place])[:2000]) or said.refused_for_good():
            desk.remember_given(place, str(id))


def _answered_note(now: Open, place: str, note: str) -> bool:
    """Give a note to the verdict or mark that stands there; False where the database refused."""
    try:
        for region in now.regions:
            if said.note_place(now, region) == place and region.id in said.verdicts(now):
                return said.keep(now, region, said.new_id(), note=note)
        for root, mark in marks.marks(now).items():
            if marks.note_place(now, root) == place and mark.phase == now.phase and mark.note != note:
                return marks.change(now, root, said.new_id(), note=note)
    except StoreError as error:
        return failed("Not saved", error)
    return True
