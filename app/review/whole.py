"""What a reader says of the whole scan: class, confidence, note, kept as they come; then locked or saved."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state
from app.assign import mine
from app.cases import address
from app.feedback.drafts import ReadDraft, change_read, preference, read_draft
from app.feedback.reads import ReadInput, add_event, lock_first, save_second
from app.feedback.store import StoreError, new_id
from app.review import marks
from app.review.classes import INADEQUATE, classification, label
from app.review.desk import remember_kept
from app.review.progress import following, open_order, ordered, standing
from app.review.reading import Open, open_now, viewer_said
from app.review.said import failed, flush_notes, say, verdicts
from core.io.derivatives import DerivativesError

NEXT = "reading_next"  # address of the case to go on with
CONFIRM = "reading_confirm"  # scan whose regions without an answer were pointed out
ELSEWHERE = (
    "Not saved: This read was changed in another tab: class, confidence and note are shown as they stand "
    "now; look again and press f once more."
)
SHOWN = "reading_shown"  # (note_place, class, confidence, note): the draft as this tab showed or changed it
ADVANCE = "advance"  # preference: "off" stays with a case that was saved


def draft(now: Open) -> ReadDraft:
    """The read under way; a second one begins with what the first said, which the reader may change."""
    found = read_draft(state.feedback(), reader_id=now.reader.id, scan=now.scan, phase=now.phase)
    before = now.second if now.second is not None else now.first
    if found.classification != "" or now.phase == "first" or before is None:
        return found
    note = found.note or ("" if now.second is None else now.second.note)
    confidence = before.confidence if found.confidence is None else found.confidence
    return ReadDraft(before.classification, confidence, note, found.active)


def note_place(now: Open) -> str:
    """Whose note this is: reader, scan and phase."""
    return f"{now.reader.id}.{now.scan}.@{now.phase}"


def shown(now: Open) -> bool:
    """Remember the draft that the page shows; False where another tab has changed it since the last time.

    What was remembered stays then, so that the end of the read is refused once.

    Raises
    ------
    StoreError
        Where the database can't be read.
    """
    if st.session_state.get(SHOWN, ("",))[0] != note_place(now):
        st.session_state[SHOWN] = (note_place(now), *_stored(now))
    if not _changed_elsewhere(now):
        return True
    remember_kept(note_place(now), _stored(now)[2])  # what this tab knew to be kept is so no more
    return False


def changed_here(place: str, **changes: Any) -> None:
    """This tab changed fields of the draft at ``place`` (``note_place``) by itself."""
    at, *said = st.session_state.get(SHOWN, ("", "", None, ""))
    if at == place:
        names = ("classification", "confidence", "note")
        st.session_state[SHOWN] = (
            at,
            *(changes.get(name, value) for name, value in zip(names, said, strict=True)),
        )


def _stored(now: Open) -> tuple[str, int | None, str]:
    found = read_draft(state.feedback(), reader_id=now.reader.id, scan=now.scan, phase=now.phase)
    return found.classification, found.confidence, found.note


def _changed_elsewhere(now: Open) -> bool:
    at, *said = st.session_state.get(SHOWN, ("",))
    return at == note_place(now) and tuple(said) != _stored(now)


def choose(now: Open, **changes: Any) -> bool:
    """Keep a class, confidence or note as a draft; False where the database refused."""
    try:
        change_read(state.feedback(), reader_id=now.reader.id, scan=now.scan, phase=now.phase, **changes)
    except StoreError as error:
        return failed("Not kept", error)
    changed_here(note_place(now), **changes)
    return True


def choose_class(value: str) -> None:
    """Keep the class of the button pressed."""
    if choose(open_now(), classification=value):
        say(f"class {label(value)}")


def choose_confidence(value: int) -> None:
    """Keep the confidence of the button pressed."""
    if choose(open_now(), confidence=value):
        say(f"confidence {value} of 5")


def on_active() -> None:
    """The viewer counted the reader's seconds."""
    report, now = viewer_said("active") or {}, open_now()
    count_seconds(now, report)


def count_seconds(now: Open, report: dict[str, Any]) -> None:
    """Keep a report of active seconds with its read; one of another case or phase came late: dropped."""
    seconds, run = report.get("seconds"), report.get("run")
    if report.get("phase") != now.clock or not isinstance(seconds, int | float) or not isinstance(run, str):
        return
    if report.get("address") == address(now.record):
        choose(now, active={f"{run[:36]}.{report['address'][:8]}": float(seconds)})


def finish_here(id: str) -> None:
    """Lock or save by button."""
    finish(open_now(), id)


def finish(now: Open, id: str, note: str | None = None, here: bool = True) -> bool:
    """Lock the first read, or save the second and go on; False where the database refused.

    ``here`` is False where the answer came from another session of the browser: nothing is opened then.
    """
    try:
        if _changed_elsewhere(now):
            st.session_state[SHOWN] = (note_place(now), *_stored(now))
            remember_kept(note_place(now), _stored(now)[2])
            say(ELSEWHERE, failed=True)
            return True
        if note is not None and note != draft(now).note:
            change_read(state.feedback(), reader_id=now.reader.id, scan=now.scan, phase=now.phase, note=note)
            changed_here(note_place(now), note=note)
        if note is not None:
            remember_kept(note_place(now), note)
        given = draft(now)
        if given.classification == "":
            say("Not saved: choose a class first (k).", failed=True)
            return True
        if now.second is not None and unchanged(now, given):
            _flush_notes(now)
            say(f"saved {now.second.saved_at}")
            if here:
                go_on(now)
            return True
        if _unanswered(now, given):
            return True
        _flush_notes(now)
        saved = (lock_first if now.phase == "first" else save_second)(
            state.feedback(), _input(now, given, id)
        )
    except (StoreError, DerivativesError) as error:
        return failed("Not saved", error)
    st.session_state.pop(CONFIRM, None)
    if now.phase == "first" and saved.classification != INADEQUATE:
        say(f"first read locked {saved.saved_at}; the flags are shown")
        return True
    say(f"saved {saved.saved_at}")
    if here:
        go_on(now)
    return True


def _flush_notes(now: Open) -> None:
    marks.flush_notes(now)
    if now.phase == "second":
        flush_notes(now)


def unchanged(now: Open, given: ReadDraft) -> bool:
    """Whether the second read is saved as ``given``: saving again would add nothing."""
    before = now.second
    if before is None:
        return False
    return (before.classification, before.confidence, before.note) == (
        given.classification,
        given.confidence,
        given.note,
    )


def _unanswered(now: Open, given: ReadDraft) -> bool:
    """Point out, once a scan, that listed regions have no answer."""
    if now.phase == "first" or given.classification == INADEQUATE:
        return False
    left = len({region.id for region in now.regions} - set(verdicts(now)))
    if left == 0 or st.session_state.get(CONFIRM) == now.scan:
        return False
    st.session_state[CONFIRM] = now.scan
    many = "1 region has" if left == 1 else f"{left} regions have"
    say(f"{many} no answer. Press f again to save without.", failed=True)
    return True


def _input(now: Open, given: ReadDraft, id: str) -> ReadInput:
    return ReadInput(
        id=id,
        reader_id=now.reader.id,
        case_id=now.record.case_id,
        input_hash=now.record.input_hash,
        classification=classification(given.classification),
        model=now.record.model,
        model_hash=now.record.model_hash,
        case_key=now.record.key,
        map=now.name,
        unaided=now.phase == "first" or now.first is not None,
        confidence=given.confidence,
        note=given.note,
        active_seconds=given.active_seconds,
        session_id=state.session_id(),
        pass_number=now.pass_number,
    )


def go_on(now: Open) -> None:
    """Open the next case that is to be read, unless the reader stays; the page does it in its next run."""
    if preference(state.feedback(), now.reader.id, ADVANCE) == "off":
        return
    after = next_case(now)
    if after is None:
        text, _, _ = st.session_state["reading_said"]
        say(f"{text}. That was the last case.")
    else:
        st.session_state[NEXT] = after


def next_case(now: Open) -> str | None:
    """Address of the case to read next: of the reader's list where the open scan was assigned.

    Else of the rest, in the reader's order, by the same model where there is one.
    """
    store = state.feedback()
    everything = state.cases()
    own = mine.mine(store, now.reader, everything)
    if (now.record.case_id, now.record.input_hash) in own.given:
        return None if own.due is None else mine.case_of(own.due, everything).address
    where = standing(store, now.reader)
    everything = mine.free(everything, own)
    same = [case for case in everything if case.record.model == now.record.model]
    rest = {case.record.case_id for case in same}
    same += [case for case in everything if case.record.case_id not in rest]
    order = open_order(store, now.reader, everything)
    found = following(ordered(same, order, now.reader), now.record.case_id, where)
    return None if found is None else found.address


def skip(reason: str) -> None:
    """Put the open scan aside, and go on."""
    now = open_now()
    if reason.strip() == "":
        say("Say why first, in a few words.", failed=True)
        return
    try:
        add_event(
            state.feedback(),
            id=new_id(),
            reader_id=now.reader.id,
            case_id=now.record.case_id,
            input_hash=now.record.input_hash,
            kind="skipped",
            detail=reason.strip()[:500],
            session_id=state.session_id(),
            pass_number=now.pass_number,
        )
    except StoreError as error:
        say(f"Not skipped: {error}", failed=True)
        return
    say("skipped")
    after = next_case(now)
    if after is not None:
        st.session_state[NEXT] = after
