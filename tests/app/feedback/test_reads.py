"""First reads are locked, second ones supersede; each reader and pass on its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.feedback.reads import (
    ReadInput,
    add_event,
    current_reads,
    events_of,
    lock_first,
    reads_of,
    save_second,
)
from app.feedback.store import (
    MissedInput,
    Store,
    StoreError,
    add_missed,
    list_missed,
    new_id,
    reader_for,
    retract_missed,
)

SCAN = ("sub-a_ses-01", "i" * 64)


def read(reader_id: int, **changes: object) -> ReadInput:
    values: dict[str, object] = {
        "id": new_id(),
        "reader_id": reader_id,
        "case_id": SCAN[0],
        "input_hash": SCAN[1],
        "classification": "1A",
        "model": "vae_8x8_512",
        "model_hash": "m" * 64,
        "case_key": "k" * 64,
        "map": "volume",
        "unaided": True,
        "confidence": 4,
        "note": "small lesion",
        "active_seconds": 61.5,
    }
    return ReadInput(**(values | changes))  # type: ignore[arg-type]


def mark(reader_id: int, **changes: object) -> MissedInput:
    values: dict[str, object] = {
        **{"id": new_id(), "reader_id": reader_id, "case_id": SCAN[0], "input_hash": SCAN[1]},
        **{"model": "vae_8x8_512", "model_hash": "m" * 64, "case_key": "k" * 64, "map": "volume"},
        **{"x_mm": -8.0, "y_mm": 4.0, "z_mm": 7.0, "radius_mm": 5.0, "phase": "first"},
    }
    return MissedInput(**(values | changes))  # type: ignore[arg-type]


def of(store: Store, reader_id: int, pass_number: int = 1) -> list[str | None]:
    found = current_reads(
        store, reader_id=reader_id, case_id=SCAN[0], input_hash=SCAN[1], pass_number=pass_number
    )
    return [None if one is None else one.classification for one in found]


def test_a_first_read_locks_once(store: Store) -> None:
    ada = reader_for(store, "Ada", "typed").id
    given = read(ada)
    saved = lock_first(store, given)
    assert (saved.phase, saved.unaided, saved.active_seconds, saved.supersedes) == ("first", True, 61.5, None)
    assert lock_first(store, replace(given, active_seconds=63.0)) == saved, "a retry: one row"
    with pytest.raises(StoreError, match=r"another answer .classification."):
        lock_first(store, replace(given, classification="3"))
    with pytest.raises(StoreError, match=r"was locked at .*; it can't change"):
        lock_first(store, read(ada, classification="normal"))
    assert of(store, ada) == ["1A", None]


def test_second_reads_supersede_and_wait_for_the_lock(store: Store) -> None:
    ada = reader_for(store, "Ada", "typed").id
    with pytest.raises(StoreError, match="first read of this scan is not locked yet"):
        save_second(store, read(ada))
    lock_first(store, read(ada))
    one = save_second(store, read(ada, classification="2A"))
    two = save_second(store, read(ada, classification="2B"))
    assert (one.supersedes, two.supersedes, two.seq) == (None, one.id, 3)
    assert of(store, ada) == ["1A", "2B"]


def test_without_unaided_read_the_second_stands_alone(store: Store) -> None:
    ada = reader_for(store, "Ada", "typed").id
    save_second(store, read(ada, unaided=False, classification="normal"))
    assert of(store, ada) == [None, "normal"]


def test_readers_scans_and_passes_stay_apart(store: Store) -> None:
    ada, bob = (reader_for(store, name, "typed").id for name in ("Ada", "Bob"))
    lock_first(store, read(ada))
    lock_first(store, read(ada, pass_number=2, classification="3"))
    lock_first(store, read(ada, input_hash="j" * 64, classification="1B"))
    assert of(store, ada) == ["1A", None]
    assert of(store, ada, 2) == ["3", None]
    assert of(store, bob) == [None, None]
    assert set(reads_of(store, ada)) == {(*SCAN, 1), (*SCAN, 2), (SCAN[0], "j" * 64, 1)}
    assert reads_of(store, bob) == {}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"classification": "4"}, "classification"),
        ({"confidence": 6}, "confidence"),
        ({"active_seconds": -1.0}, "active_seconds"),
        ({"id": "x"}, "is not a UUID"),
        ({"reader_id": 99}, "Unknown reader"),
    ],
)
def test_values_out_of_range_are_refused(store: Store, change: dict[str, object], word: str) -> None:
    ada = reader_for(store, "Ada", "typed").id
    with pytest.raises(StoreError, match=word):
        lock_first(store, read(**({"reader_id": ada} | change)))  # type: ignore[arg-type]
    assert of(store, ada) == [None, None]


def test_marks_of_the_first_read_are_locked_with_it(store: Store) -> None:
    ada = reader_for(store, "Ada", "typed").id
    kept = add_missed(store, mark(ada, finding_type="cyst", confidence=2))
    lock_first(store, read(ada))
    for change in (
        lambda: add_missed(store, mark(ada)),
        lambda: add_missed(store, mark(ada, note="late"), supersedes=kept.id),
        lambda: retract_missed(store, id=new_id(), missed_id=kept.id, reader_id=ada),
    ):
        with pytest.raises(StoreError, match="belongs to the first read, which is locked"):
            change()
    add_missed(store, mark(ada, phase="second"))
    found = list_missed(store, case_id=SCAN[0], input_hash=SCAN[1], reader_id=ada)
    assert [(one.phase, one.finding_type, one.confidence) for one in found] == [
        ("first", "cyst", 2),
        ("second", "", None),
    ]


def test_events_are_kept_in_order_and_once(store: Store) -> None:
    ada = reader_for(store, "Ada", "typed").id
    ids = [new_id() for _ in range(3)]
    for id, kind in zip([*ids, ids[0]], ("opened", "skipped", "resumed", "opened"), strict=True):
        add_event(store, id=id, reader_id=ada, case_id=SCAN[0], input_hash=SCAN[1], kind=kind)  # type: ignore[arg-type]
    assert [(event.kind, event.seq) for event in events_of(store, ada)] == [
        ("opened", 1),
        ("skipped", 2),
        ("resumed", 3),
    ]
