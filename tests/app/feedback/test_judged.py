"""Which analyses answers point at."""

from __future__ import annotations

from app.feedback.judged import judged_analyses
from app.feedback.store import Store
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
