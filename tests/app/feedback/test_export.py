"""Exports hold every row, also the superseded ones, and say what each column means."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from app.feedback import export
from app.feedback.store import Store, add_verdict, new_id, reader_for, undo_last
from core.config import settings
from tests.app.feedback.conftest import given


def filled(store: Store) -> None:
    reader = reader_for(store, "Ada", "typed")
    add_verdict(store, given(reader.id, note='comma, "quote"\nline; Ödem'))
    add_verdict(store, given(reader.id, verdict="disagree", note="=1+1"))
    undo_last(
        store,
        id=new_id(),
        case_id="sub-a_ses-01",
        model="vae_8x8_512",
        case_key="k" * 64,
        reader_id=reader.id,
    )


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_csv_holds_every_row(store: Store, tmp_path: Path) -> None:
    filled(store)
    paths = export.export_csv(store, tmp_path / "out")
    assert sorted(path.stem for path in paths) == [
        "adjudication",
        "assignment",
        "assignment_batch",
        "case_event",
        "case_read",
        "data_dictionary",
        "finding_type",
        "missed_finding",
        "reader",
        "verdict",
    ], "no drafts, and nothing of lessons"
    rows = sorted(read(tmp_path / "out" / "verdict.csv"), key=lambda row: int(row["seq"]))
    assert [row["verdict"] for row in rows] == ["agree", "disagree", "disagree"]
    assert [row["retracted"] for row in rows] == ["0", "0", "1"]
    assert rows[0]["note"] == 'comma, "quote"\nline; Ödem'
    assert rows[1]["note"] == "'=1+1", "a spreadsheet must not run a note"
    assert rows[2]["supersedes"] == rows[1]["id"]
    assert json.loads(rows[0]["region"])["peak_z"] == 5.25
    assert read(tmp_path / "out" / "missed_finding.csv") == []
    assert [
        path.name for path in (tmp_path / "out").iterdir() if path.name not in {p.name for p in paths}
    ] == []


def test_json_holds_the_same_with_types(store: Store, tmp_path: Path) -> None:
    filled(store)
    content = json.loads(export.export_json(store, tmp_path / "out" / "all.json").read_text(encoding="utf-8"))
    assert content["reader"][0]["name"] == "Ada"
    rows = sorted(content["verdict"], key=lambda row: row["seq"])
    assert [row["retracted"] for row in rows] == [False, False, True]
    assert rows[0]["region"]["volume_mm3"] == 640.5
    assert rows[1]["note"] == "=1+1"
    assert content["data_dictionary"]["verdict"]["supersedes"].startswith("Row of the same table")


def test_dictionary_names_each_column_once(store: Store, tmp_path: Path) -> None:
    columns = {column.name for table in export.TABLES for column in table.columns}
    assert set(export.DICTIONARY) == columns
    export.export_csv(store, tmp_path)
    for table in ("reader", "verdict", "missed_finding"):
        with (tmp_path / f"{table}.csv").open() as stream:
            header = next(csv.reader(stream))
        terms = [row["column"] for row in read(tmp_path / "data_dictionary.csv") if row["table"] == table]
        assert terms == header


def test_failed_export_leaves_the_old_file(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store)
    export.export_csv(store, tmp_path)
    before = (tmp_path / "verdict.csv").read_bytes()

    def fail(value: object) -> object:
        raise OSError("disk full")

    monkeypatch.setattr(export, "_inert", fail)
    with pytest.raises(OSError, match="disk full"):
        export.export_csv(store, tmp_path)
    assert (tmp_path / "verdict.csv").read_bytes() == before
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FONTANELLE_DATABASE_URL", f"sqlite:///{tmp_path / 'f.sqlite'}")
    settings.cache_clear()
    assert export.main(["--out", str(tmp_path / "out")]) == 0
    assert "verdict.csv" in capsys.readouterr().out
    monkeypatch.setenv("FONTANELLE_DATABASE_URL", "sqlite://")
    settings.cache_clear()
    assert export.main(["--out", str(tmp_path / "out")]) == 2
    assert "in-memory" in capsys.readouterr().err
    monkeypatch.undo()
    settings.cache_clear()
