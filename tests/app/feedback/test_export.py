"""Exports hold every row, also the superseded ones, in every format alike, and say what each column means."""

from __future__ import annotations

import csv
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from sqlalchemy import event

from app.feedback import export, export_bids, export_text
from app.feedback.blinding import answers_visible
from app.feedback.export_dictionary import DICTIONARY, LEVELS, MEANINGS, TABLES, UNITS, columns, sidecar
from app.feedback.export_rows import JSON_COLUMNS, Exported, about, of_reader, pseudonym, pseudonymous, take
from app.feedback.export_rows import visible as visible_to
from app.feedback.marks import retract_missed
from app.feedback.store import Store, add_verdict, new_id, open_store, reader_for, undo_last
from core.config import settings
from tests.app.feedback.conftest import given
from tests.app.feedback.readings import assign, first, hash_of, judge, miss, second

SECRET = "a secret of some length"
NOTES = ('comma, "quote"\nline; Ödem', "=1+1", "'=1+1", "@x\ty", "-2", "back\\slash \\n", "n/a", "＝1", "x=1")


def filled(store: Store) -> None:
    """Every kind of answer: replaced, taken back, with words that formats stumble over."""
    ada, ben = (reader_for(store, name, "typed").id for name in ("Ada", "=Ben"))
    for at, note in enumerate(NOTES):
        judge(store, ben, "agree", f"sub-{at:02d}_ses-01", note=note)
    add_verdict(store, given(ada))
    add_verdict(store, given(ada, verdict="disagree", note="=1+1"))
    undo_last(
        store,
        id=new_id(),
        case_id="sub-a_ses-01",
        model="vae_8x8_512",
        case_key="k" * 64,
        reader_id=ada,
    )
    miss(store, ada, note="kept")
    miss(store, ada, note="gone")
    gone = next(row for row in take(store).tables["missed_finding"] if row["note"] == "gone")
    retract_missed(store, id=new_id(), missed_id=gone["id"], reader_id=ada)
    first(store, ada, classification="1A")
    second(store, ada, classification="1B")
    second(store, ada, classification="2A")
    assign(store, [ada, ben], known={"sub-a_ses-01": "abnormal"}, kind="planted")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def alive(text: str) -> str:
    """Undo ``inert``, as the data dictionary tells."""
    return text[1:] if re.match(r"'+[=+\-@\t\r\n＝＋－＠]", text) else text


def untab(cell: str) -> str:
    """Undo the escapes of a TSV cell."""
    if cell == "n/a":
        return ""
    meant = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r", "\\/": "/"}
    return re.sub(r"\\.", lambda found: meant[found[0]], cell)


def as_text(table: str, rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Rows as cells that nothing was done to."""

    def cell(column: str, value: Any) -> str:
        if isinstance(value, bool):
            return str(int(value))
        if (table, column) in JSON_COLUMNS and value is not None:
            return json.dumps(value, ensure_ascii=False, sort_keys=True)
        return "" if value is None else str(value)

    return [{column: cell(column, value) for column, value in row.items()} for row in rows]


@pytest.fixture
def exported(store: Store) -> Exported:
    filled(store)
    return take(store)


def test_csv_round_trips(exported: Exported, tmp_path: Path) -> None:
    paths = export.write(exported, tmp_path / "out", "csv")
    assert sorted(path.stem for path in paths) == [
        "about",
        "adjudication",
        "answers_seen",
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
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in paths}
    for name, rows in exported.tables.items():
        back = [
            {column: alive(cell) for column, cell in row.items()}
            for row in read(tmp_path / "out" / f"{name}.csv")
        ]
        assert back == as_text(name, rows), name
    notes = {row["note"] for row in read(tmp_path / "out" / "verdict.csv")}
    assert {"'=1+1", "''=1+1", "'@x\ty", "'-2", "'＝1", "x=1"} <= notes, "a spreadsheet must not run a note"
    assert "'=Ben" in {row["name"] for row in read(tmp_path / "out" / "reader.csv")}


def test_tsv_round_trips_and_scans_hold_what_stands(exported: Exported, tmp_path: Path) -> None:
    export.write(exported, tmp_path, "bids")

    def table(path: Path) -> list[dict[str, str]]:
        head, *lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        names = head.split("\t")
        cells = [[alive(untab(cell)) for cell in line.split("\t")] for line in lines]
        return [dict(zip(names, row, strict=True)) for row in cells]

    for name, rows in exported.tables.items():
        assert table(tmp_path / "tables" / f"{name}.tsv") == as_text(name, rows), name
        described = json.loads((tmp_path / "tables" / f"{name}.json").read_text())
        assert list(described) == columns(name)
        assert all(entry["Description"] for entry in described.values())
    stem = tmp_path / "sub-a" / "ses-01" / "anat" / "sub-a_ses-01_desc-"
    (verdict,) = table(Path(f"{stem}verdicts_ratings.tsv"))
    assert verdict["verdict"] == "agree", "the second was taken back, so the first stands"
    assert [row["note"] for row in table(Path(f"{stem}marks_ratings.tsv"))] == ["kept"]
    assert [row["classification"] for row in table(Path(f"{stem}reads_ratings.tsv"))] == ["1A", "2A"]
    about_it = json.loads((tmp_path / "dataset_description.json").read_text())
    assert (about_it["DatasetType"], about_it["Synthetic"]) == ("derivative", False)
    assert about_it["GeneratedBy"][0]["Version"] == export_bids.__version__
    assert about_it["Models"] == [
        {"model": "vae_8x8_512", "model_hash": "m" * 64, "maps": ["normative", "volume"]}
    ]
    assert "RAS+" in about_it["Convention"]
    assert "radiological" in about_it["Convention"]
    ignored = (tmp_path / ".bidsignore").read_text().split()
    odd = [path for path in tmp_path.rglob("*_ratings.*") if path.suffix == ".tsv"]
    assert odd
    assert "*_ratings.tsv" in ignored
    assert "tables/" in ignored


def test_json_round_trips_with_types(exported: Exported, tmp_path: Path) -> None:
    (path,) = export.write(exported, tmp_path, "json")
    content = json.loads(path.read_text(encoding="utf-8"))
    for name, rows in exported.tables.items():
        assert content[name] == rows, name
    assert content["about"] == about(exported)
    assert content["data_dictionary"]["verdict"]["supersedes"].startswith("Row of the same table")
    chain = [row for row in content["verdict"] if row["case_id"] == "sub-a_ses-01"]
    assert [(row["retracted"], row["standing"]) for row in chain] == [
        (False, True),
        (False, False),
        (True, False),
    ]
    assert chain[0]["region"]["volume_mm3"] == 640.5


def test_sqlite_round_trips(exported: Exported, tmp_path: Path) -> None:
    (path,) = export.write(exported, tmp_path / "out", "sqlite")
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["feedback.sqlite"]
    database = sqlite_utils.Database(path)
    assert set(database.table_names()) == {*exported.tables, "about", "data_dictionary"}
    for name, rows in exported.tables.items():
        back = [dict(row) for row in database[name].rows]
        for row in back:
            for column in row:
                if (name, column) in JSON_COLUMNS and row[column] is not None:
                    row[column] = json.loads(row[column])
        key = "name" if name == "finding_type" else "id"
        assert {row[key]: row for row in back} == {row[key]: row for row in rows}, name
        assert len(back) == len(rows), name
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    facts = {row["what"]: json.loads(row["value"]) for row in database["about"].rows}
    assert facts == about(exported)
    database.close()


def test_dictionary_names_each_column_once() -> None:
    stored = {column.name for table in TABLES for column in table.columns}
    assert set(DICTIONARY) == stored | {"standing"}
    assert set(MEANINGS) == {table.name for table in TABLES}
    assert set(LEVELS) | set(UNITS) <= set(DICTIONARY)
    for table in TABLES:
        assert all(entry["Description"] for entry in sidecar(table.name).values())


def test_levels_name_every_value_that_the_database_allows() -> None:
    """Checks of the form ``column IN ('a', 'b')`` and the levels say the same."""
    seen = set()
    for table in TABLES:
        for constraint in table.constraints:
            found = re.fullmatch(r"(\w+) IN \((.*)\)", str(getattr(constraint, "sqltext", "")))
            if found:
                values = set(re.findall(r"'([^']+)'", found[2]))
                seen.add(found[1])
                assert values <= set(LEVELS[found[1]]), found[1]
    assert {"verdict", "classification", "phase", "source"} <= seen


@pytest.mark.parametrize("format", export.FORMATS)
def test_failed_export_leaves_the_old_file(
    format: str, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = export.write(exported, tmp_path, format)
    before = {path: path.read_bytes() for path in paths}

    def fail(*args: object, **more: object) -> object:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    monkeypatch.setattr(sqlite_utils.db.Table, "insert_all", fail)
    with pytest.raises(OSError, match="disk full"):
        export.write(exported, tmp_path, format)
    assert {path: path.read_bytes() for path in paths} == before
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]


def test_a_snapshot_under_writing_is_one_moment_and_loses_nothing(store: Store) -> None:
    """Each writer saves a mark and then a verdict: no snapshot may hold more verdicts than marks."""
    readers = [reader_for(store, f"R{at}", "typed").id for at in range(3)]
    each = 12

    def write(reader_id: int) -> None:
        for at in range(each):
            miss(store, reader_id, f"sub-{at:02d}_ses-01")
            judge(store, reader_id, "agree", f"sub-{at:02d}_ses-01")

    threads = [threading.Thread(target=write, args=(one,)) for one in readers]
    for thread in threads:
        thread.start()
    counts = []
    while any(thread.is_alive() for thread in threads):
        held = take(store)
        for one in readers:
            mine = of_reader(held, one).counts
            assert 0 <= mine["missed_finding"] - mine["verdict"] <= 1
        counts.append(held.counts["verdict"])
    assert counts == sorted(counts)
    assert len(set(counts)) > 1, "snapshots were taken while others wrote"
    assert take(store).counts["verdict"] == take(store).counts["missed_finding"] == 3 * each


def test_what_is_saved_between_two_tables_is_in_none(store: Store) -> None:
    """A mark and a verdict, saved after the marks were read and before the verdicts are."""
    ada = reader_for(store, "Ada", "typed").id
    done: list[str] = []

    def between(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if "FROM missed_finding" in statement and not done:
            done.append(statement)
            miss(store, ada)
            judge(store, ada, "agree")

    event.listen(store.engine, "after_cursor_execute", between)
    held = take(store)
    event.remove(store.engine, "after_cursor_execute", between)
    assert len(done) == 1
    assert (held.counts["missed_finding"], held.counts["verdict"]) == (0, 0)
    assert (take(store).counts["missed_finding"], take(store).counts["verdict"]) == (1, 1)


def test_one_s_own_answers_hold_nobody_else_s(store: Store) -> None:
    filled(store)
    ada = reader_for(store, "Ada", "typed").id
    mine = of_reader(take(store), ada)
    assert mine.counts["verdict"] == 3
    assert mine.counts["reader"] == 1
    assert mine.counts["case_read"] == 3
    assert mine.counts["assignment"] == mine.counts["assignment_batch"] == 0, "planted scans stay unknown"
    assert {row["reader_id"] for row in mine.tables["verdict"]} == {ada}


def test_an_open_scan_stays_shut_to_coordinators_too(store: Store) -> None:
    ada, ben = (reader_for(store, name, "typed").id for name in ("Ada", "Ben"))
    assign(store, [ada, ben], kind="planted", known={"sub-a_ses-01": "abnormal"})
    first(store, ben)
    judge(store, ben, "agree")
    second(store, ben)

    def seen() -> Exported:
        return visible_to(take(store), answers_visible(store, ada, coordinator=True))

    assert (seen().counts["verdict"], seen().counts["assignment"], seen().counts["assignment_batch"]) == (
        0,
        0,
        0,
    )
    assert {row["name"] for row in seen().tables["reader"]} == {"Ada"}
    first(store, ada)
    assert seen().counts["case_read"] == 1
    second(store, ada)
    assert seen().counts["case_read"] == 4
    assert seen().counts["verdict"] == 1
    assert seen().tables["assignment_batch"][0]["settings"] == {"known": {"sub-a_ses-01": "abnormal"}}


def test_a_half_finished_reading_is_nobody_else_s(store: Store) -> None:
    """Of a closed scan too: Cem, to whom it was not assigned, has begun."""
    ada, ben, cem = (reader_for(store, name, "typed").id for name in ("Ada", "Ben", "Cem"))
    assign(store, [ada, ben])
    for one in (ada, ben):
        first(store, one)
        second(store, one)
    first(store, cem, note="cem's")
    held = visible_to(take(store), answers_visible(store, ada, coordinator=True))
    assert sorted(row["reader_id"] for row in held.tables["case_read"]) == [ada, ada, ben, ben]


def test_pseudonyms_are_stable_and_hide_names(exported: Exported, tmp_path: Path) -> None:
    hidden = pseudonymous(exported, SECRET)
    names = {row["id"]: row["name"] for row in hidden.tables["reader"]}
    assert names == {row["id"]: row["name"] for row in pseudonymous(exported, SECRET).tables["reader"]}
    assert len(set(names.values())) == 2
    assert all(re.fullmatch("reader-[a-z2-7]{10}", name) for name in names.values())
    assert pseudonym(SECRET, "typed", "Ada") != pseudonym(SECRET + "!", "typed", "Ada")
    for path in export.write(hidden, tmp_path, "all"):
        assert b"Ada" not in path.read_bytes(), path.name
    with pytest.raises(ValueError, match="3 characters, expected 16"):
        pseudonymous(exported, "abc")


def test_about_counts_synthetic_scans(store: Store) -> None:
    ada = reader_for(store, "Ada", "typed").id
    for case in ("sub-a_ses-01", "sub-b_ses-01", "sub-c_ses-01"):
        first(store, ada, case)
    known = {
        ("sub-a_ses-01", hash_of("sub-a_ses-01")): True,
        ("sub-b_ses-01", hash_of("sub-b_ses-01")): False,
    }
    facts = about(take(store, known))
    assert (facts["scans"], facts["synthetic_scans"], facts["other_scans"]) == (3, 1, 1)
    assert facts["scans_not_at_hand"] == 1
    assert facts["note"].startswith("SYNTHETIC")
    assert about(take(store))["note"] == ""


def test_standing_reads_follow_the_chain(store: Store) -> None:
    ada = reader_for(store, "Ada", "typed").id
    first(store, ada)
    second(store, ada, classification="1A")
    second(store, ada, classification="1B")
    rows = take(store).tables["case_read"]
    assert [(row["classification"], row["standing"]) for row in rows] == [
        ("normal", True),
        ("1A", False),
        ("1B", True),
    ]


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'f.sqlite'}"
    monkeypatch.setenv("FONTANELLE_DATABASE_URL", url)
    monkeypatch.setenv("FONTANELLE_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    first(open_store(url), reader_for(open_store(url), "Ada", "typed").id)
    out = ["--out", str(tmp_path / "out")]
    secret = tmp_path / "keys" / "secret"
    assert export.main([*out, "--pseudonyms", str(secret)]) == 0
    said = capsys.readouterr()
    assert "csv/verdict.csv" in said.out
    assert "1 case_read" in said.err
    assert secret.stat().st_mode & 0o077 == 0, "for its owner alone"
    (name,) = [row["name"] for row in read(tmp_path / "out" / "csv" / "reader.csv")]
    assert name == pseudonym(secret.read_text().strip(), "typed", "Ada")
    assert export.main([*out, "--format", "json"]) == 0
    assert (tmp_path / "out" / "feedback.json").is_file()
    secret.write_text("short")
    assert export.main([*out, "--pseudonyms", str(secret)]) == 2
    assert "expected 16" in capsys.readouterr().err
    monkeypatch.setenv("FONTANELLE_DATABASE_URL", "sqlite://")
    settings.cache_clear()
    assert export.main(out) == 2
    assert "in-memory" in capsys.readouterr().err
    monkeypatch.undo()
    settings.cache_clear()


def test_inert_leaves_numbers_and_plain_text() -> None:
    assert [export_text.inert(value) for value in (-2, -2.5, None, "plain", "")] == [
        -2,
        -2.5,
        None,
        "plain",
        "",
    ]
