"""Verdicts are appended, superseded and taken back; never lost, doubled or changed."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.feedback.database import StoreUnreachable
from app.feedback.store import (
    MissedInput,
    Store,
    StoreError,
    add_missed,
    add_verdict,
    case_progress,
    current_verdicts,
    history,
    list_missed,
    list_readers,
    new_id,
    open_store,
    reader_for,
    retract_missed,
    undo_last,
)
from tests.app.feedback.conftest import given, region

CASE: dict[str, Any] = {"case_id": "sub-a_ses-01", "model": "vae_8x8_512"}
ANALYSIS: dict[str, Any] = {**CASE, "case_key": "k" * 64}


def current(store: Store, reader_id: int) -> dict[str, str]:
    rows = current_verdicts(store, **ANALYSIS, map="normative", reader_id=reader_id)
    return {name: row.verdict for name, row in rows.items()}


def missed(reader_id: int, **changes: object) -> MissedInput:
    values: dict[str, object] = {
        "id": new_id(),
        "reader_id": reader_id,
        **ANALYSIS,
        "model_hash": "m" * 64,
        "input_hash": "i" * 64,
        "map": "normative",
        "x_mm": 1.5,
        "y_mm": -2.5,
        "z_mm": 3.0,
        "radius_mm": 4.0,
    }
    return MissedInput(**(values | changes))  # type: ignore[arg-type]


def test_saved_row_holds_what_was_given(store: Store) -> None:
    reader = reader_for(store, "  Ada   Lovelace ", "typed")
    assert (reader.name, reader.source) == ("Ada Lovelace", "typed")
    note = "Zyste? 左側 ☂️ \u202eabc\n'; DROP TABLE verdict; --"
    saved = add_verdict(store, given(reader.id, note=note, verdict="unsure"))
    assert (saved.seq, saved.note, saved.verdict, saved.supersedes) == (1, note, "unsure", None)
    assert (saved.map, saved.region_id) == ("normative", "r01")
    assert (saved.region["peak_z"], saved.region["side"]) == (5.25, "left")
    assert history(store, **CASE, reader_id=reader.id) == [saved]


def test_reader_is_one_per_name_and_source(store: Store) -> None:
    typed = reader_for(store, "Ada", "typed")
    assert reader_for(store, "Ada ", "typed") == typed
    assert reader_for(store, "Ada", "oidc").id != typed.id
    assert [reader.name for reader in list_readers(store, "typed")] == ["Ada"]
    with pytest.raises(StoreError, match="1 to 200 characters"):
        reader_for(store, "   ", "typed")


def test_readers_come_most_recent_first(store: Store) -> None:
    ada, bob = reader_for(store, "Ada", "typed"), reader_for(store, "Bob", "typed")
    assert list_readers(store, "typed")[0] == bob
    add_verdict(store, given(ada.id))
    assert list_readers(store, "typed")[0] == ada


def test_same_key_twice_is_one_row(store: Store) -> None:
    reader = reader_for(store, "Ada", "typed")
    answer = given(reader.id)
    first = add_verdict(store, answer)
    retry = given(reader.id, id=answer.id, session_id="after a reload")
    assert add_verdict(store, retry) == first
    assert len(history(store, **CASE, reader_id=reader.id)) == 1
    with pytest.raises(StoreError, match=r"used for another answer \(verdict\)"):
        add_verdict(store, given(reader.id, id=answer.id, verdict="disagree"))


def test_second_thoughts_supersede_and_undo_goes_back_step_by_step(store: Store) -> None:
    reader = reader_for(store, "Ada", "typed")
    first = add_verdict(store, given(reader.id, verdict="agree"))
    second = add_verdict(store, given(reader.id, verdict="disagree"))
    assert second.supersedes == first.id
    assert current(store, reader.id) == {"r01": "disagree"}

    undo = undo_last(store, id=new_id(), **ANALYSIS, reader_id=reader.id)
    assert undo is not None
    assert (undo.supersedes, undo.retracted, undo.verdict) == (second.id, True, "disagree")
    assert current(store, reader.id) == {"r01": "agree"}
    again = undo_last(store, id=undo.id, **ANALYSIS, reader_id=reader.id)
    assert again == undo, "the same undo key undoes once"

    last = undo_last(store, id=new_id(), **ANALYSIS, reader_id=reader.id)
    assert last is not None
    assert last.supersedes == undo.id
    assert current(store, reader.id) == {}
    assert undo_last(store, id=new_id(), **ANALYSIS, reader_id=reader.id) is None

    third = add_verdict(store, given(reader.id, verdict="unsure"))
    assert third.supersedes == last.id
    assert [row.seq for row in history(store, **CASE, reader_id=reader.id)] == [1, 2, 3, 4, 5]
    assert current(store, reader.id) == {"r01": "unsure"}


def test_undo_takes_back_the_newest_answer_of_all_regions(store: Store) -> None:
    reader = reader_for(store, "Ada", "typed")
    add_verdict(store, given(reader.id, region=region("r01")))
    add_verdict(store, given(reader.id, region=region("r02")))
    add_verdict(store, given(reader.id, region=region("r01"), verdict="disagree"))
    undo_last(store, id=new_id(), **ANALYSIS, reader_id=reader.id)
    undo_last(store, id=new_id(), **ANALYSIS, reader_id=reader.id)
    assert current(store, reader.id) == {"r01": "agree"}


def test_verdicts_do_not_leak_between_analyses_maps_or_readers(store: Store) -> None:
    ada, bob = reader_for(store, "Ada", "typed"), reader_for(store, "Bob", "typed")
    add_verdict(store, given(ada.id, verdict="agree"))
    add_verdict(store, given(ada.id, verdict="unsure", region=region("r01", map="volume")))
    add_verdict(store, given(ada.id, verdict="disagree", case_key="x" * 64))
    add_verdict(store, given(bob.id, verdict="disagree"))
    add_missed(store, missed(bob.id))
    assert current(store, ada.id) == {"r01": "agree"}
    assert current(store, bob.id) == {"r01": "disagree"}
    assert list_missed(store, case_id="sub-a_ses-01", input_hash="i" * 64, reader_id=ada.id) == []
    progress = case_progress(store, ada.id)
    assert set(progress) == {"sub-a_ses-01"}
    assert progress["sub-a_ses-01"].judged == {
        ("k" * 64, "normative"): {"r01"},
        ("k" * 64, "volume"): {"r01"},
        ("x" * 64, "normative"): {"r01"},
    }
    assert progress["sub-a_ses-01"].verdicts == {"agree": 1, "disagree": 1, "unsure": 1}
    assert progress["sub-a_ses-01"].missed == 0


def test_missed_finding_is_corrected_and_taken_back(store: Store) -> None:
    ada, bob = reader_for(store, "Ada", "typed"), reader_for(store, "Bob", "typed")
    first = add_missed(store, missed(ada.id, note="cyst"))
    better = add_missed(store, missed(ada.id, note="cyst, larger", radius_mm=6), supersedes=first.id)
    standing = list_missed(store, case_id="sub-a_ses-01", input_hash="i" * 64, reader_id=ada.id)
    assert [row.radius_mm for row in standing] == [6.0]
    assert list_missed(store, case_id="sub-a_ses-01", input_hash="j" * 64, reader_id=ada.id) == []
    with pytest.raises(StoreError, match="changed or taken back already"):
        add_missed(store, missed(ada.id), supersedes=first.id)
    with pytest.raises(StoreError, match="no such missed finding of this reader"):
        retract_missed(store, id=new_id(), missed_id=better.id, reader_id=bob.id)
    key = new_id()
    gone = retract_missed(store, id=key, missed_id=better.id, reader_id=ada.id)
    assert gone.retracted
    assert retract_missed(store, id=key, missed_id=better.id, reader_id=ada.id) == gone
    assert list_missed(store, case_id="sub-a_ses-01", input_hash="i" * 64, reader_id=ada.id) == []
    assert case_progress(store, ada.id) == {}


@pytest.mark.parametrize("statement", ["UPDATE {} SET note = 'x'", "DELETE FROM {}"])
@pytest.mark.parametrize("table", ["verdict", "missed_finding"])
def test_database_itself_refuses_changes(store: Store, table: str, statement: str) -> None:
    reader = reader_for(store, "Ada", "typed")
    add_verdict(store, given(reader.id))
    add_missed(store, missed(reader.id))
    path = store.engine.url.database
    assert path is not None
    # A plain connection, as another tool would open it.
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
        connection.execute(statement.format(table))
    with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
        connection.execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    connection.close()


def test_foreign_keys_and_enumerations_are_enforced(store: Store) -> None:
    with pytest.raises(StoreError, match="Unknown reader"):
        add_verdict(store, given(99))
    reader = reader_for(store, "Ada", "typed")
    with pytest.raises(StoreError, match="ck_verdict_verdict"):
        add_verdict(store, given(reader.id, verdict="maybe"))
    with pytest.raises(StoreError, match="ck_missed_finding_radius_mm"):
        add_missed(store, missed(reader.id, radius_mm=0))
    with pytest.raises(StoreError, match="is not a UUID"):
        add_verdict(store, given(reader.id, id="1"))
    row = add_verdict(store, given(reader.id))
    insert = text(
        "INSERT INTO verdict SELECT :id, seq + 1, :reader, case_id, model, model_hash, input_hash, case_key,"
        " map, region_id, region, verdict, finding_type, "
        "confidence, pass_number, note, session_id, created_utc, :supersedes, retracted FROM verdict"
    )
    for reader_id, supersedes in ((99, None), (reader.id, new_id())):
        values = {"id": new_id(), "reader": reader_id, "supersedes": supersedes}
        with pytest.raises(IntegrityError, match="FOREIGN KEY"), store.engine.begin() as connection:
            connection.execute(insert, values)
    assert history(store, **CASE, reader_id=reader.id) == [row]


def test_store_survives_a_restart(url: str) -> None:
    first = open_store(url)
    reader = reader_for(first, "Ada", "typed")
    saved = add_verdict(first, given(reader.id, note="é"))
    first.engine.dispose()
    again = open_store(url)
    assert reader_for(again, "Ada", "typed") == reader
    assert history(again, **CASE, reader_id=reader.id) == [saved]


def test_unusable_databases_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="in-memory one forgets"):
        open_store("sqlite://")
    with pytest.raises(StoreError, match="FONTANELLE_DATABASE_URL is not usable"):
        open_store("nonsense")
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="damaged"):
        open_store(f"sqlite:///{damaged}")


def test_locked_database_is_a_plain_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_for(store, "Ada", "typed")
    path = store.engine.url.database
    assert path is not None
    monkeypatch.setattr("app.feedback.database.BUSY_SECONDS", 0)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnreachable, match=r"is busy; nothing was saved\. Please try again"):
        add_verdict(store, given(reader.id))
    assert history(store, **CASE, reader_id=reader.id) == [], "readers don't wait for writers"
    blocker.execute("ROLLBACK")
    blocker.close()
    assert add_verdict(store, given(reader.id)).seq == 1


@pytest.mark.parametrize(
    "changes",
    [{"verdict": "perhaps"}, {"confidence": 9}, {"reader_id": 99}, {"id": "no UUID"}],
)
def test_what_the_content_is_refused_for_is_refused_for_good(store: Store, changes: dict[str, Any]) -> None:
    reader = reader_for(store, "Ada", "typed")
    with pytest.raises(StoreError) as refused:
        add_verdict(store, given(**({"reader_id": reader.id} | changes)))
    assert not isinstance(refused.value, StoreUnreachable)


def test_a_database_that_is_gone_may_come_back(store: Store) -> None:
    reader, path = reader_for(store, "Ada", "typed"), Path(str(store.engine.url.database))
    path.rename(path.with_name("aside"))
    path.mkdir()
    with pytest.raises(StoreUnreachable):
        add_verdict(store, given(reader.id))
    path.rmdir()
    path.with_name("aside").rename(path)
    assert add_verdict(store, given(reader.id)).seq == 1


def work(url: str, barrier: object, worker: int, errors: object) -> None:
    """Open the store from nothing and read-then-insert: every row supersedes the one before."""
    try:
        barrier.wait(30)  # type: ignore[attr-defined]
        store = open_store(url)
        reader = reader_for(store, "Ada", "typed")
        for n in range(4):
            add_verdict(store, given(reader.id, note=f"{worker}/{n}"))
    except Exception as error:
        errors.put(repr(error))  # type: ignore[attr-defined]
        raise


def check_chain(url: str, notes: set[str]) -> None:
    store = open_store(url)
    reader = reader_for(store, "Ada", "typed")
    rows = history(store, **CASE, reader_id=reader.id)
    assert len(rows) == len(notes)
    assert {row.note for row in rows} == notes
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert [row.supersedes for row in rows] == [None, *(row.id for row in rows[:-1])]


def test_sixty_threads_lose_no_verdict(url: str) -> None:
    import queue

    barrier, errors = threading.Barrier(60), queue.Queue[str]()
    threads = [threading.Thread(target=work, args=(url, barrier, n, errors)) for n in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors.empty(), errors.get()
    check_chain(url, {f"{worker}/{n}" for worker in range(60) for n in range(4)})


def test_two_processes_lose_no_verdict(url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier, errors = spawn.Barrier(2), spawn.Queue()
    processes = [spawn.Process(target=work, args=(url, barrier, n, errors)) for n in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    check_chain(url, {f"{worker}/{n}" for worker in range(2) for n in range(4)})
