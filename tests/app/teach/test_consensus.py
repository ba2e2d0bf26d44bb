"""The readers' view of a scan: only once it is closed, without names."""

from __future__ import annotations

from app.feedback.lesson_rows import LessonCase
from app.feedback.store import Store
from app.teach.consensus import Found, consensus
from tests.app.feedback.conftest import region
from tests.app.feedback.readings import SCAN, first, hash_of, judge, miss, reader, second

CASE = LessonCase(SCAN, hash_of(SCAN), "a" * 64, "vae_8x8_512")


def test_nothing_before_the_scan_is_closed(store: Store) -> None:
    ada = reader(store, "Ada")
    first(store, ada)
    judge(store, ada, "agree")
    second(store, ada)
    assert consensus(store, CASE, 5.0) is None, "one reader is no consensus"
    ben = reader(store, "Ben")
    first(store, ben)
    assert consensus(store, CASE, 5.0) is None, "the second has not finished"
    second(store, ben)
    assert consensus(store, CASE, 5.0) is not None


def test_findings_near_one_another_are_one(store: Store) -> None:
    ada, ben, cleo = (reader(store, name) for name in ("Ada", "Ben", "Cleo"))
    # The region's peak lies at (−11, 5, 3.75). Ben marks 3 mm beside it, and a place of his own.
    judge(store, ada, "agree", finding_type="white_matter_injury")
    judge(store, cleo, "disagree")
    away = region("r02", map="volume", peak_x_mm=30.0, side="right", volume_mm3=120.0)
    judge(store, cleo, "agree", region_=away)
    miss(store, ben, at=(-11.0, 5.0, 6.75), finding_type="cyst")
    miss(store, ben, at=(0.0, 40.0, 0.0), radius_mm=6.0)
    for one, classification in ((ada, "2A"), (ben, "2A"), (cleo, "normal")):
        first(store, one, classification="normal")
        second(store, one, classification=classification)  # type: ignore[arg-type]
    found = consensus(store, CASE, 5.0)
    assert found is not None
    assert found.readers == 3
    assert found.classes == (("2A", 2), ("normal", 1)), "of the second reads"
    assert [one.by for one in found.findings] == [2, 1, 1]
    assert set(found.findings[1:]) == {
        Found((0.0, 40.0, 0.0), 1, radius_mm=6.0),
        Found((30.0, 5.0, 3.75), 1, side="right", volume_mm3=120.0),
    }
    both = found.findings[0]
    assert (both.types, both.side) == (("cyst", "white_matter_injury"), "left")
    assert (both.volume_mm3, both.radius_mm) == (640.5, 4.0), "of the flag, of the mark"
    apart = consensus(store, CASE, 2.0)
    assert apart is not None
    assert [one.by for one in apart.findings] == [1, 1, 1, 1]


def test_another_scan_of_the_same_name_is_another(store: Store) -> None:
    for name in ("Ada", "Ben"):
        one = reader(store, name)
        first(store, one)
        second(store, one)
    assert consensus(store, LessonCase(SCAN, "0" * 64, "a" * 64, "vae"), 5.0) is None
