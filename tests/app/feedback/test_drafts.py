"""Drafts are overwritten, each reader's own, and never leave as answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.feedback import export, export_rows
from app.feedback.blinding import closed_scans
from app.feedback.drafts import (
    AnswerDraft,
    ReadDraft,
    answer_draft,
    change_read,
    drafted_scans,
    find_draft,
    keep_answer,
    keep_draft,
    keep_preference,
    preference,
    read_draft,
    scan_key,
)
from app.feedback.store import Store, StoreError, reader_for
from tests.app.feedback.readings import SCAN, first, hash_of, second

AT = "a" * 64


def note(store: Store, reader_id: int, analysis: str = AT, region_id: str = "r01") -> str | None:
    found = find_draft(store, reader_id=reader_id, analysis=analysis, region_id=region_id)
    return None if found is None else found.note


def test_the_last_words_stand(store: Store) -> None:
    ada, bob = (reader_for(store, name, "typed").id for name in ("Ada", "Bob"))
    for words in ("cy", "cyst?"):
        keep_draft(store, reader_id=ada, analysis=AT, region_id="r01", note=words)
    assert note(store, ada) == "cyst?"
    assert note(store, bob) is None
    assert note(store, ada, analysis="b" * 64) is None
    assert note(store, ada, region_id="r02") is None


def test_unknown_reader_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="Unknown reader"):
        keep_draft(store, reader_id=99, analysis=AT, region_id="r01", note="x")


def test_drafts_are_not_exported(store: Store, tmp_path: Path) -> None:
    ada = reader_for(store, "Ada", "typed").id
    keep_draft(store, reader_id=ada, analysis=AT, region_id="r01", note="between us")
    written = export.write(export_rows.take(store), tmp_path / "out", "all")
    assert "draft.csv" not in {path.name for path in written}
    assert not [path for path in written if b"between us" in path.read_bytes()]


def test_a_read_under_way_keeps_what_was_not_changed(store: Store) -> None:
    ada = reader_for(store, "Ada", "typed").id
    scan = scan_key("sub-a_ses-01", "i" * 64, 1)
    where: dict[str, Any] = {"reader_id": ada, "scan": scan, "phase": "first"}
    assert read_draft(store, **where) == ReadDraft()
    change_read(store, **where, classification="1B", confidence=4)
    change_read(store, **where, note="two lesions")
    assert read_draft(store, **where) == ReadDraft("1B", 4, "two lesions")
    assert read_draft(store, reader_id=ada, scan=scan, phase="second") == ReadDraft()
    assert scan != scan_key("sub-a_ses-01", "i" * 64, 2), "another reading of the scan starts anew"


def test_seconds_of_a_run_only_grow_and_runs_add_up(store: Store) -> None:
    ada = reader_for(store, "Ada", "typed").id
    where: dict[str, Any] = {"reader_id": ada, "scan": "s" * 64, "phase": "first"}
    for run, seconds in (("a", 10.0), ("a", 20.0), ("a", 15.0), ("b", 4.0), ("b", 4.0)):
        change_read(store, **where, active={run: seconds})
    assert read_draft(store, **where).active_seconds == 24.0


def test_answers_before_a_verdict_and_preferences(store: Store) -> None:
    ada, bob = (reader_for(store, name, "typed").id for name in ("Ada", "Bob"))
    place = {"analysis": "a" * 64, "region_id": "vr01"}
    keep_answer(store, reader_id=ada, **place, answer=AnswerDraft("cyst", 3))
    assert answer_draft(store, reader_id=ada, **place) == AnswerDraft("cyst", 3)
    assert answer_draft(store, reader_id=bob, **place) == AnswerDraft()
    assert find_draft(store, reader_id=ada, **place) is None, "the note is another draft"
    keep_preference(store, ada, "order", "random")
    assert (preference(store, ada, "order"), preference(store, bob, "order")) == ("random", "")


def test_opening_a_scan_begins_no_read(store: Store) -> None:
    ada, bob = (reader_for(store, name, "typed").id for name in ("Ada", "Bob"))
    scans = {name: scan_key(f"sub-{name}_ses-01", "i" * 64, 1) for name in "abcde"}

    def change(name: str, **changes: Any) -> None:
        change_read(store, reader_id=ada, scan=scans[name], phase="first", **changes)

    change("a", active={"one": 31.0, "two": 31.0})  # opened twice and left alone
    assert drafted_scans(store, ada) == frozenset()
    change("b", active={"one": 40.0})
    change("c", classification="1A")
    change("d", confidence=2)
    change("e", note="x")
    assert drafted_scans(store, ada) == {scans[name] for name in "bcde"}
    change("e", note="")
    assert drafted_scans(store, ada) == {scans[name] for name in "bcd"}, "taken back"
    assert drafted_scans(store, bob) == frozenset()


def test_a_scan_that_somebody_only_opened_can_close(store: Store) -> None:
    for name in ("Ada", "Bob"):
        second(store, reader_for(store, name, "typed").id)
    scan = (SCAN, hash_of(SCAN))
    cleo = reader_for(store, "Cleo", "typed").id
    change_read(store, reader_id=cleo, scan=scan_key(*scan, 1), phase="first", active={"one": 5.0})
    assert closed_scans(store) == {scan}
    first(store, cleo)
    assert closed_scans(store) == frozenset()
