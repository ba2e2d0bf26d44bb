"""Which analyses answers point at."""

from __future__ import annotations

from app.feedback import models
from app.feedback.judged import judged_analyses
from app.feedback.store import Store
from core import judged
from tests.app.feedback.readings import SCAN, first, judge, reader

KEY = f"k{SCAN:0<63}"[:64]


def test_an_analysis_with_a_verdict_or_a_read_is_judged(store: Store) -> None:
    ada = reader(store, "Ada")
    assert judged_analyses(store, SCAN) == frozenset()
    judge(store, ada, "agree")
    assert judged_analyses(store, SCAN) == {("vae_8x8_512", KEY)}
    assert judged_analyses(store, "sub-b_ses-01") == frozenset()
    first(store, ada, "sub-b_ses-01")
    assert judged_analyses(store, "sub-b_ses-01") == {("vae_8x8_512", f"k{'sub-b_ses-01':0<63}"[:64])}


def test_core_reads_every_table_that_points_at_an_analysis() -> None:
    tables = models.Base.metadata.tables.values()
    pointing = {
        table.name for table in tables if {"case_id", "model", "case_key"} <= set(table.columns.keys())
    }
    assert set(judged.TABLES) == pointing


def test_core_reads_the_database_as_the_app_left_it(store: Store) -> None:
    judge(store, reader(store, "Ada"), "agree")
    assert judged.judged_analyses(store.url, SCAN) == {("vae_8x8_512", KEY)}
