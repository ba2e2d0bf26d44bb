"""Scans that a lesson would spoil for readers who still have to read them."""

from __future__ import annotations

from app.feedback.owed import owed_scans
from app.feedback.store import Store
from tests.app.feedback.readings import SCAN, assign, first, hash_of, reader, second

THE_SCAN = (SCAN, hash_of(SCAN))


def test_a_scan_is_owed_until_everybody_assigned_has_read_it(store: Store) -> None:
    ada, ben = reader(store, "Ada"), reader(store, "Ben")
    assert owed_scans(store) == frozenset()
    assign(store, [ada, ben])
    assert owed_scans(store) == {THE_SCAN}
    for one in (ada, ben):
        first(store, one)
        assert owed_scans(store) == {THE_SCAN}
        second(store, one)
    assert owed_scans(store) == frozenset()


def test_a_batch_called_off_owes_nothing(store: Store) -> None:
    assign(store, [reader(store, "Ada")], closed=True)
    assert owed_scans(store) == frozenset()
