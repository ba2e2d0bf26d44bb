"""A card's metrics are the tables' rows of that model, with interval, n and command."""

from __future__ import annotations

import pandas as pd

from core.evaluation.cards import metrics_of
from core.evaluation.report import Facts

FACTS = Facts("demo", True, "python -m core evaluate", 0, 1000, {"train": 4}, [], {}, {}, {})
TABLES = {
    "summary": pd.DataFrame(
        {
            "measure": ["mse", "mse", "cluster_size"],
            "model": ["a", "b", "a"],
            "group": ["validation"] * 3,
            "n": [9, 9, 9],
            "mean": [0.00234, 9.0, 12.0],
            "ci_low": [0.002, 8.0, 11.0],
            "ci_high": [0.003, 10.0, 13.0],
        }
    ),
    "localisation": pd.DataFrame(
        {
            "scorer": ["a", "b"],
            "map": ["volume", "volume"],
            "n_abnormal": [12, 12],
            "n_normal": [11, 11],
            "lesions": [26, 26],
            **{f"ap{end}": [0.2, 0.9] for end in ("", "_low", "_high")},
            **{f"sensitivity{end}": [0.25, 0.9] for end in ("", "_low", "_high")},
            **{f"dice{end}": [0.3, 0.9] for end in ("", "_low", "_high")},
            "threshold": [3.5, 2.0],
            "threshold_from": ["36 implants in 9 validation normals"] * 2,
        }
    ),
    "case_auc": pd.DataFrame(
        {
            "variant": ["test normal against test abnormal", "train against test abnormal (as in the paper)"],
            "score": ["mse", "mse"],
            "model": ["a", "a"],
            "n_normal": [11, 80],
            "n_abnormal": [12, 12],
            "auc": [0.61, 0.99],
            "ci_low": [0.35, 0.98],
            "ci_high": [0.82, 1.0],
        }
    ),
    "false_alarms": pd.DataFrame(
        {
            "model": ["a"],
            "map": ["normative"],
            "band": ["4+"],
            "n": [9],
            "regions_a_scan": [1.25],
            "ci_low": [0.5],
            "ci_high": [2.0],
        }
    ),
}


def test_rows_of_the_model_alone() -> None:
    found = metrics_of("a", TABLES, FACTS)
    assert [(name, value) for name, value, _ in found] == [
        ("validation MSE, mean (synthetic demo)", "0.00234 [0.002, 0.003], n 9"),
        (
            "volume z: voxel average precision, mean of abnormal scans (synthetic demo)",
            "0.2 [0.2, 0.2], 12 abnormal and 11 normal scans, 26 lesions",
        ),
        (
            "volume z: lesions found at one false positive a scan (synthetic demo)",
            "0.25 [0.25, 0.25], 12 abnormal and 11 normal scans, 26 lesions",
        ),
        (
            "volume z: Dice at 3.50 SD or more, chosen on 36 implants in 9 validation normals "
            "(synthetic demo)",
            "0.3 [0.3, 0.3], 12 abnormal and 11 normal scans",
        ),
        ("case AUC by volume MSE (synthetic demo)", "0.61 [0.35, 0.82], 11 and 12 scans"),
        (
            "normative z: regions of 4+ in a validation normal (synthetic demo)",
            "1.25 [0.5, 2], n 9",
        ),
    ]
    assert {command for _, _, command in found} == {"python -m core evaluate"}


def test_without_a_threshold_there_is_no_dice() -> None:
    table = TABLES["localisation"].assign(threshold=float("nan"))
    found = metrics_of("a", {**TABLES, "localisation": table}, FACTS)
    assert len(found) == len(metrics_of("a", TABLES, FACTS)) - 1
    assert not any("Dice" in name for name, _, _ in found)


def test_without_masks_and_calibration_less_is_known() -> None:
    tables = {"summary": TABLES["summary"], "false_alarms": pd.DataFrame()}
    assert [name for name, _, _ in metrics_of("a", tables, FACTS)] == [
        "validation MSE, mean (synthetic demo)"
    ]
    assert metrics_of("c", tables, FACTS) == []
