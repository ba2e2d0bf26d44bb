"""Drafts are overwritten, each reader's own, and never leave as answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.feedback import export
from app.feedback.drafts import find_draft, keep_draft
from app.feedback.store import Store, StoreError, reader_for

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
    written = [*export.export_csv(store, tmp_path / "out"), export.export_json(store, tmp_path / "all.json")]
    assert "draft.csv" not in {path.name for path in written}
    assert not [path for path in written if "between us" in path.read_text()]
