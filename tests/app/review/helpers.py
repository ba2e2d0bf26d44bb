"""Review by AppTest: the page, what its components were sent, and what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.cases import address
from app.feedback.reads import SavedRead, current_reads
from app.feedback.store import Missed, Store, list_missed, new_id, open_store, reader_for
from app.review import answers, desk, marks
from app.viewer.volumes import kinds as kinds_of
from app.viewer.volumes import wire
from core.config import ROOT, settings
from core.io.derivatives import CasePaths, CaseRecord

PAGE = str(ROOT / "app" / "pages" / "review.py")
MAIN = str(ROOT / "app" / "main.py")


def flags_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn the unaided read off: for tests of what comes after it."""
    monkeypatch.setenv("FONTANELLE_UNAIDED_READ", "false")
    settings.cache_clear()


def store() -> Store:
    return open_store(settings().store_url)


def page(reader: str = "Ada", **state: Any) -> AppTest:
    """The page as a reader sees it."""
    at = AppTest.from_file(PAGE, default_timeout=30)
    at.session_state["reader"] = reader_for(store(), reader, "typed")
    for name, value in state.items():
        at.session_state[name] = value
    return ran(at)


def ran(at: AppTest) -> AppTest:
    at.run()
    assert not at.exception, at.exception
    return at


def loaded(case: CaseRecord, blind: bool = False) -> dict[str, Any]:
    """What the viewer reports once it shows ``case``."""
    paths = CasePaths(settings().derivatives_dir, case.subject, case.session)
    kinds = [kind for kind in kinds_of(case) if not blind or kind in ("base", "mask")]
    hashes = {kind: wire(paths, case.model, kind).hash for kind in kinds}
    return {"case": case.case_id, "map": "" if blind else "volume", "hashes": hashes}


def components(at: AppTest) -> dict[str, dict[str, Any]]:
    """What each component was sent, by its key."""
    found = {}
    for one in at.get("bidi_component"):
        key = one.proto.id.split("-reading_")[-1].split("-mark_note_")[-1]
        found[key] = json.loads(one.proto.json)
    return found


def text(at: AppTest) -> str:
    """What the page says in words, the desk's line too."""
    line = components(at).get("desk", {}).get("said", {}).get("text", "")
    return "\n".join([*(element.value for element in [*at.markdown, *at.caption]), line])


def call(at: AppTest, callback: Callable[[], None], **state: Any) -> AppTest:
    """Run a component's callback as Streamlit does: on the session, before the script."""
    names = [*at.session_state]
    session = {name: at.session_state[name] for name in names} | state
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(st, "session_state", session)
        callback()
    components_ = ("reading_viewer", "reading_desk", "reading_note", "reading_remark")
    for name in [name for name in names if name not in session]:
        del at.session_state[name]
    for name, value in session.items():
        changed = name not in names or at.session_state[name] is not value
        if changed and name not in components_ and not name.startswith("mark_note_"):
            at.session_state[name] = value
    return ran(at)


def typed(at: AppTest, role: str, words: str, left: bool = False) -> AppTest:
    """Type into a note and pause, or leave it."""
    key = {"region": "note", "case": "remark"}.get(role, role)
    place = components(at)[key]["place"]
    name = f"reading_{key}" if key in ("note", "remark") else f"mark_note_{key}"
    sent = {"texts": {place: words}, "left": {place: new_id()} if left else {}, "told": 0}
    return call(at, lambda: answers.on_typed(name), **{name: {"typed": sent}})


def mark_at(at: AppTest, case: CaseRecord, /, *mm: float, **more: Any) -> AppTest:
    """Mark a finding in the viewer, in the step that is under way."""
    blind = components(at)["desk"]["phase"] == "first"
    said = {"id": new_id(), "case": case.case_id, "mm": list(mm), "radius": 5.0, "blind": blind, **more}
    return call(at, marks.on_missed, reading_viewer={"missed": said})


def keyed(at: AppTest, case: CaseRecord, *keys: tuple[str, str], **more: Any) -> AppTest:
    """Answers by key (what, value), all on what is on screen now."""
    now = components(at)["desk"]
    given = [
        {
            "id": new_id(),
            "what": what,
            "value": value,
            "address": address(case),
            "region": now["region"],
            "map": now["map"],
            "hash": now["hash"],
            "phase": now["phase"],
            "session": now["session"],
            "mark": None,
            "active": None,
            "note": None,
            "remark": None,
            **more,
        }
        for what, value in keys
    ]
    return call(at, answers.on_answers, **{desk.DESK: {"answers": given}})


def reads(case: CaseRecord, reader: str = "Ada") -> tuple[SavedRead | None, SavedRead | None]:
    """First and second read in the database."""
    who = reader_for(store(), reader, "typed")
    return current_reads(store(), reader_id=who.id, case_id=case.case_id, input_hash=case.input_hash)


def marked(case: CaseRecord, reader: str = "Ada") -> list[Missed]:
    """Marks in the database."""
    who = reader_for(store(), reader, "typed")
    return list_missed(store(), case_id=case.case_id, input_hash=case.input_hash, reader_id=who.id)
