"""The paper's tables on a cohort whose numbers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.anomaly.normative import Normative
from core.evaluation import cohort as tables
from core.evaluation.cohort import Measured, group_of
from core.evaluation.statistics import EvaluationError
from tests.core.evaluation.fakes import cohort, row, scan


@pytest.fixture(scope="module")
def subjects() -> pd.DataFrame:
    return tables.subject_table(cohort())


def test_groups() -> None:
    assert [group_of(scan(1, "train")), group_of(scan(1, "validation"))] == ["train", "validation"]
    assert [group_of(scan(1, "test", score)) for score in (1, 5)] == ["test normal", "test abnormal"]
    assert {group_of(scan(1, "test", score)) for score in (2, 4, None)} == {"left out"}
    poor = [replace(scan(1, split), poor_quality=True) for split in ("train", "validation", "test")]
    assert {group_of(one) for one in poor} == {"left out"}


def test_every_subject_and_measure_has_its_place(subjects: pd.DataFrame) -> None:
    assert len(subjects) == 3 * 13
    one = subjects[(subjects["model"] == "vae_8x8_512") & (subjects["case"] == "sub-10_ses-01")].iloc[0]
    assert one["group"] == "test abnormal"
    assert one["mse"] == pytest.approx(0.002 + 0.0010 + 0.0001)
    assert (one["cluster_size"], one["percent_-4"], one["percent_4"], one["cluster_4"]) == (20, 0, 5, 15)
    assert (one["normative_top"], one["largest_mm3"], one["regions_normative_4+"]) == (10, 1000, 1)


def test_validation_scans_have_no_normative_measure_of_their_own_map(subjects: pd.DataFrame) -> None:
    part = subjects[subjects["group"] == "validation"]
    assert part[["normative_top", "largest_mm3", "regions_normative_2-3"]].isna().all(axis=None)
    assert part[["mse", "regions_volume_2-3"]].notna().all(axis=None)


def test_a_cohort_without_groups_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"expected participants\.tsv to say so"):
        tables.subject_table([Measured(scan(1, "test", 3), row("std_8x8", 1.0))])


def test_mse_summary(subjects: pd.DataFrame) -> None:
    summary = tables.summary_table(subjects, seed=0).set_index(["measure", "model", "group"])
    train = summary.loc[("mse", "std_8x8", "train")]
    # 0.00100, 0.00101, 0.00102, 0.00103
    assert train["n"] == 4
    assert train["mean"] == train["median"] == pytest.approx(0.001015)
    assert (train["q1"], train["q3"]) == (pytest.approx(0.0010075), pytest.approx(0.0010225))
    assert 0.001 <= train["ci_low"] < 0.001015 < train["ci_high"] <= 0.00103
    assert summary.loc[("cluster_size", "vae_16x16_256", "test normal"), "mean"] == 30
    assert len(summary) == 2 * 3 * 4


def test_significance_is_corrected_over_the_models(subjects: pd.DataFrame) -> None:
    found = tables.significance_table(subjects).set_index(["measure", "first", "second", "model"])
    line = found.loc[("mse", "train", "test abnormal", "std_8x8")]
    # 4 against 3, wholly apart: exactly 2 / C(7, 3); three models with the same p: times 3.
    assert line["p"] == pytest.approx(2 / 35)
    assert line["p_holm"] == pytest.approx(6 / 35)
    assert (line["chance"], line["n_first"], line["n_second"]) == (1.0, 4, 3)
    # Cluster sizes don't differ between groups: each chance is a half.
    assert (found.loc["cluster_size"]["chance"] == 0.5).all()


def test_auc_of_both_questions(subjects: pd.DataFrame) -> None:
    auc = tables.auc_table(subjects, 0, ("mse",)).set_index(["variant", "model"])
    assert len(auc) == 2 * 3
    assert (auc["auc"] == 1.0).all()
    paper = auc.loc[("train against test abnormal (as in the paper)", "std_8x8")]
    assert (paper["n_normal"], paper["n_abnormal"]) == (4, 3)
    points = tables.roc_table(subjects)
    curve = points[(points["variant"] == auc.index[0][0]) & (points["model"] == "std_8x8")]
    assert (curve["true"].iloc[0], curve["true"].iloc[-1]) == (0, 1)
    assert np.trapezoid(curve["true"], curve["false"]) == 1.0


def test_case_auc_by_score(subjects: pd.DataFrame) -> None:
    auc = tables.auc_table(subjects, 0, variants=["test normal against test abnormal"])
    assert sorted(auc["score"].unique()) == ["cluster_size", "largest_mm3", "mse", "normative_top"]
    assert (auc.set_index("score").loc["cluster_size", "auc"] == 0.5).all()
    assert (auc.set_index("score").loc["normative_top", "auc"] == 1.0).all()


def test_paper_beside_ours(subjects: pd.DataFrame) -> None:
    summary, auc = tables.summary_table(subjects, 0), tables.auc_table(subjects, 0, ("mse",))
    table = tables.paper_table(summary, auc, "demo").set_index(["measure", "model"])
    assert list(table.columns) == ["paper", "ours", "data set"]
    assert list(table.loc[("mean mse, train", "std_8x8"), ["paper", "ours"]]) == ["0.002", "0.001"]
    # The range of the two VAEs here: 0.002015 and 0.003015.
    assert list(table.loc[("mean mse, train", "vae, all"), ["paper", "ours"]]) == [
        "0.003 to 0.004",
        "0.002 to 0.003",
    ]
    assert table.loc[("mean cluster_size, test abnormal", "std_8x8"), "paper"] == "23"
    assert table.loc[("mean mse, train", "std_16x16"), "ours"] == "not evaluated"
    assert (table["data set"] == "demo").all()


def test_false_alarms_are_those_of_the_calibration() -> None:
    counts = {"regions_volume_2-3": np.array([1.0, 2.0, 6.0]), "regions_normative_4+": np.zeros(3)}
    ones = np.ones((2, 2, 2), np.float32)
    model = Normative(ones, ones, 3, 2.0, 2.0, 1.0, 100.0, counts)
    table = tables.false_alarm_table({"std_8x8": model}, seed=0).set_index(["map", "band"])
    assert len(table) == 2
    assert table.loc[("volume", "2-3"), "regions_a_scan"] == 3
    assert table.loc[("normative", "4+"), "ci_high"] == 0
    assert (table["floor_mm3"] == 100).all()


def test_the_case_score_is_of_test_scans_alone() -> None:
    """Training and validation normals take part in it."""
    measured = [Measured(one.scan, {**one.row, "case_score": 1.5}) for one in cohort(("std_8x8",))]
    table = tables.subject_table(measured)
    known = table.dropna(subset=["case_score"])
    assert set(known["group"]) == {"test normal", "test abnormal"}
    assert set(known["case_score"]) == {1.5}
    assert "case_score" in set(tables.auc_table(table, 0)["score"])
    assert "case_score" not in tables.subject_table(cohort(("std_8x8",)))
