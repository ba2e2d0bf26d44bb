"""The Agreement page's numbers, counted by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest

from app.agreement import tables
from app.agreement.sections import short
from app.agreement.tables import EVERY
from app.feedback.adjudications import CLASSES, decide, decisions, disputes
from app.feedback.agreement import Rows, class_ratings, fits, region_ratings, repeated, rows_of
from app.feedback.blinding import answers_finished, answers_visible
from app.feedback.database import Store, transaction
from app.feedback.models import CaseRead, Verdict
from app.feedback.writing import new_id, now_utc
from tests.app.feedback.conftest import region
from tests.app.feedback.readings import SCAN, assign, first, hash_of, judge, miss, reader, second

R1, R2 = region("r01", map="volume", band="4+", sign=1), region("r02", map="volume", band="3-4", sign=-1)


@pytest.fixture
def rows(store: Store) -> Rows:
    """Ada and Ben on six scans of two regions each.

    Both accept r01 everywhere; on r02 both say no, but Ben is unsure on the first scan. Ada calls all normal
    at first and the last three 2A in the end; Ben calls all normal. Ada marks one missed infarct on scan 5.
    """
    ada, ben = reader(store, "Ada"), reader(store, "Ben")
    for number in range(6):
        case = f"sub-{number}_ses-01"
        for one in (ada, ben):
            first(store, one, case, "normal", seconds=10.0 * (number + 1))
            judge(store, one, "agree", case, region_=R1, finding_type="infarct")
            unsure = one == ben and number == 0
            judge(store, one, "unsure" if unsure else "disagree", case, region_=R2)
        if number == 5:
            miss(store, ada, case, finding_type="infarct")
        second(store, ada, case, "2A" if number >= 3 else "normal", seconds=7.0, unaided=True)
        second(store, ben, case, "normal", seconds=9.0, unaided=True)
    known = {f"sub-{number}_ses-01": "abnormal" if number in (3, 4) else "normal" for number in range(6)}
    names = {ada: "Reader 1", ben: "Reader 2"}
    return rows_of(answers_visible(store, ada), {}, known, names)


def test_acceptance_by_band_and_the_rest(rows: Rows) -> None:
    by_band = tables.acceptance(rows, "band").set_index("group")
    assert by_band.loc[EVERY, ["verdicts", "accepted", "rejected", "unsure"]].tolist() == [24, 12, 11, 1]
    assert by_band.loc[EVERY, "share"] == 0.5
    assert by_band.loc["4+", ["share", "low", "high", "scans"]].tolist() == [1.0, 1.0, 1.0, 6]
    assert by_band.loc["3-4", "share"] == 0.0
    by_sign = tables.acceptance(rows, "sign").set_index("group")
    assert (by_sign.loc["brighter", "share"], by_sign.loc["darker", "share"]) == (1.0, 0.0)
    by_type = tables.acceptance(rows, "finding_type")
    assert by_type["group"].tolist() == [EVERY, "infarct", tables.NOT_SAID]
    for column in ("model", "map"):
        assert tables.acceptance(rows, column)["verdicts"].tolist() == [24, 24]


def test_missed_findings_a_reading(rows: Rows) -> None:
    for column in ("model", "map", "finding_type"):
        found = tables.missed(rows, column)
        assert found["missed"].tolist() == [1, 1]
        assert found["readings"].tolist() == [12, 12]
        assert found["a reading"].tolist() == pytest.approx([1 / 12, 1 / 12])


def test_agreement_on_regions(rows: Rows) -> None:
    ratings, readers = region_ratings(rows)
    assert ratings.codes.shape == (12, 2)
    assert len(readers) == 2
    found, warning = tables.region_agreement(rows)
    values = found.set_index("statistic")["value"]
    # 11 of 12 agreed. Chance: (6·6 + 6·5)/144; the third category adds 0·1.
    assert values["Percent agreement"] == pytest.approx(11 / 12)
    assert values["Cohen's kappa"] == pytest.approx((11 / 12 - 66 / 144) / (1 - 66 / 144))
    assert warning == ""
    assert tables.pairs(rows, "regions")["readers"].tolist() == ["Reader 1 and Reader 2"]
    crossed = tables.crossed(ratings, 0, 1)
    assert crossed.to_numpy().tolist() == [[6, 0, 0], [0, 5, 1], [0, 0, 0]]


def test_agreement_on_classes_leaves_inadequate_out_of_the_ordinal_ones(rows: Rows) -> None:
    found, _ = tables.class_agreement(rows)
    values = found.set_index("statistic")["value"]
    assert values["Percent agreement"] == 0.5  # they differ on scans 3, 4, 5
    assert values["Cohen's kappa"] == 0.0  # Ben never varies
    assert "Krippendorff's alpha, ordinal" in values.index
    assert class_ratings(rows)[0].categories == CLASSES


def test_first_against_second_read(rows: Rows) -> None:
    found = tables.change(rows).set_index("reader")
    # Known: scans 3 and 4 abnormal. Ada's change helps there, and harms on scan 5.
    assert found.loc["Reader 1", ["readings", "known", "changed", "helped", "harmed"]].tolist() == [
        6,
        6,
        3,
        2,
        1,
    ]
    assert found.loc["Reader 2", ["changed", "helped", "harmed"]].tolist() == [0, 0, 0]
    assert found.loc[EVERY, "changed share"] == 0.25
    moved = tables.changes(rows)
    assert moved.loc["normal"].to_dict() == {"normal": 9, "2A": 3}


def test_seconds(rows: Rows) -> None:
    found = tables.seconds(rows).set_index(["reader", "phase"])
    assert found.loc[("Reader 1", "first"), ["median", "quartile 1", "quartile 3"]].tolist() == [
        35,
        22.5,
        47.5,
    ]
    assert found.loc[(EVERY, "second"), "median"] == 8.0


def test_a_decision_is_the_known_class(store: Store, rows: Rows) -> None:
    ada = reader(store, "Ada")
    answers = answers_visible(store, ada, coordinator=True)
    on_class = [one for one in disputes(answers) if one.subject == "class"]
    assert [one.case_id for one in on_class] == [f"sub-{n}_ses-01" for n in (3, 4, 5)]
    for one in on_class:
        decide(store, one, id=new_id(), reader_id=ada, decision="2B", reason="x")
    decided = decisions(store, answers)
    again = rows_of(answers, decided, {}, {ada: "You", reader(store, "Ben"): "Reader 1"})
    found = tables.change(again).set_index("reader")
    assert found.loc[EVERY, ["known", "helped", "harmed"]].tolist() == [6, 0, 0]  # 2A is not 2B


def test_fits() -> None:
    assert fits("2A", "abnormal")
    assert not fits("inadequate", "abnormal")
    assert not fits("normal", "abnormal")
    assert fits("normal", "normal")
    assert not fits("1A", "1B")


def test_repeats_and_planted_stay_apart(store: Store) -> None:
    ada = reader(store, "Ada")
    for number in range(6):
        case = f"sub-{number}_ses-01"
        assign(store, [ada], case)
        assign(store, [ada], case, pass_number=2, kind="repeat")
        for turn in (1, 2):
            judge(
                store,
                ada,
                "disagree" if turn == 2 and number == 0 else "agree",
                case,
                region_=R1,
                pass_number=turn,
            )
            second(store, ada, case, "1A" if number < 3 else "normal", pass_number=turn)
    assign(store, [ada], "sub-p_ses-01", kind="planted", known={"sub-p_ses-01": "abnormal"})
    judge(store, ada, "agree", "sub-p_ses-01", region_=R1)
    second(store, ada, "sub-p_ses-01", "normal")
    rows = rows_of(answers_visible(store, ada), {}, {}, {ada: "You"})
    assert tables.acceptance(rows, "band")["verdicts"].tolist() == [6, 6]
    found = tables.repeatability(rows).set_index(["what", "reader"])
    assert found.loc[("regions", "You"), "same answer"] == pytest.approx(5 / 6)
    assert found.loc[("classes", EVERY), "kappa"] == 1.0
    assert repeated(rows, "regions").codes.shape == (6, 2)
    one = tables.planted(rows).set_index("reader").loc["You"]
    assert one[["readings", "right", "abnormal", "abnormal found", "normal"]].tolist() == [1, 0, 1, 0, 0]


def test_what_is_known_of_a_planted_scan_stands_over_a_decision(store: Store) -> None:
    ada, ben = reader(store, "Ada"), reader(store, "Ben")
    assign(store, [ada, ben], kind="planted", known={SCAN: "2A"})
    second(store, ada, classification="2A")
    second(store, ben, classification="normal")
    answers = answers_visible(store, ada)
    decide(store, disputes(answers)[0], id=new_id(), reader_id=ada, decision="normal", reason="x")
    rows = rows_of(answers, decisions(store, answers), {}, {ada: "You", ben: "Reader 1"})
    found = tables.planted(rows).set_index("reader")["right"]
    assert found.to_dict() == {EVERY: 1, "You": 1, "Reader 1": 0}


def test_nothing_read_gives_empty_tables(store: Store) -> None:
    rows = rows_of(answers_visible(store, reader(store, "Ada")), {}, {}, {})
    for column in tables.WAYS.values():
        assert tables.acceptance(rows, column).empty
    for column in tables.MISSED_WAYS.values():
        assert tables.missed(rows, column).empty
    for found in (
        tables.pairs(rows, "regions"),
        tables.repeatability(rows),
        tables.change(rows),
        tables.changes(rows),
        tables.seconds(rows),
        tables.planted(rows),
    ):
        assert found.empty
    assert tables.region_agreement(rows)[0]["items"].tolist() == [0] * 4


def fill(store: Store, scans: int, readers: int, regions: int) -> None:
    """A large store, written at once."""
    rng = np.random.default_rng(4)
    ids = [reader(store, f"Reader {number}") for number in range(readers)]
    shown = {key: value for key, value in vars(R1).items()}
    common = {
        "model": "vae_8x8_512",
        "model_hash": "m" * 64,
        "map": "volume",
        "note": "",
        "session_id": "",
        "confidence": None,
        "pass_number": 1,
        "created_utc": now_utc(),
        "supersedes": None,
        "retracted": False,
    }
    reads: list[dict[str, object]] = []
    verdicts: list[dict[str, object]] = []
    for one in ids:
        for number in range(scans):
            case = f"sub-{number:04d}_ses-01"
            key = {
                "reader_id": one,
                "case_id": case,
                "input_hash": hash_of(case),
                "case_key": f"k{case:0<63}",
            }
            for phase in ("first", "second"):
                reads.append(
                    {
                        **common,
                        **key,
                        "id": new_id(),
                        "seq": len(reads) + 1,
                        "phase": phase,
                        "unaided": True,
                        "classification": CLASSES[rng.integers(0, 3)],
                        "active_seconds": float(rng.random()),
                    }
                )
            for at in range(regions):
                verdicts.append(
                    {
                        **common,
                        **key,
                        "id": new_id(),
                        "seq": len(verdicts) + 1,
                        "region_id": f"r{at}",
                        "region": {**shown, "band": ("4+", "3-4")[at % 2], "sign": 1 - 2 * (at % 2)},
                        "verdict": ("agree", "disagree", "unsure")[rng.integers(0, 3)],
                        "finding_type": "",
                    }
                )
    with transaction(store, write=True) as session:
        session.bulk_insert_mappings(CaseRead.__mapper__, reads)
        session.bulk_insert_mappings(Verdict.__mapper__, verdicts)


def test_800_scans_of_three_readers_in_seconds(store: Store) -> None:
    fill(store, 800, 3, 6)
    start = time.perf_counter()
    answers = answers_finished(store)
    read = time.perf_counter()
    rows = rows_of(answers, {}, {}, {one: f"Reader {one}" for one in answers.names})
    for column in tables.WAYS.values():
        tables.acceptance(rows, column)
    for column in tables.MISSED_WAYS.values():
        tables.missed(rows, column)
    found = [
        tables.region_agreement(rows)[0],
        tables.class_agreement(rows)[0],
        tables.pairs(rows, "regions"),
        tables.pairs(rows, "classes"),
        tables.repeatability(rows),
        tables.change(rows),
        tables.seconds(rows),
    ]
    end = time.perf_counter()
    print(f"read {read - start:.2f} s, computed {end - read:.2f} s")
    assert all(len(one) for one in found[:4])
    assert len(rows.verdicts) == 14_400
    assert end - start < 10  # 2 s on an idle machine; a busy one takes longer


def test_numbers_are_short_and_have_a_real_minus() -> None:
    assert [short(value) for value in (-0.04567, 12340.0, 3.0)] == ["−0.0457", "12300", "3"]
