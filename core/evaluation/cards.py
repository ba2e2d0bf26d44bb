"""Metrics of a model's card, read off an evaluation's tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from core.evaluation.cohort import ABNORMAL, NORMAL, VALIDATION
from core.evaluation.figures import SCORE_NAMES
from core.evaluation.report import Facts
from core.evaluation.wording import VARIANTS

Metric = tuple[str, str, str]  # name, value with interval and n, command
MEASURES = {
    "ap": "voxel average precision, mean of abnormal scans",
    "sensitivity": "lesions found at one false positive a scan",
}


def with_interval(row: Mapping[str, float], value: str, low: str, high: str) -> str:
    return f"{row[value]:.3g} [{row[low]:.3g}, {row[high]:.3g}]"


def metrics_of(model: str, tables: Mapping[str, pd.DataFrame], facts: Facts) -> list[Metric]:
    """What was measured of one model: MSE, localisation by map, case AUC, false alarms.

    Values with their bootstrap 95 % interval over subjects and n; each names the command and, where it is,
    that the data are synthetic.
    """
    data = f"{'synthetic ' if facts.synthetic else ''}{facts.data}"
    found: list[Metric] = []

    def add(name: str, value: str) -> None:
        found.append((f"{name} ({data})", value, facts.command))

    summary = tables["summary"]
    chosen = (summary["measure"] == "mse") & (summary["model"] == model) & (summary["group"] == VALIDATION)
    for row in summary[chosen].to_dict("records"):
        add("validation MSE, mean", f"{with_interval(row, 'mean', 'ci_low', 'ci_high')}, n {row['n']:.0f}")
    if "localisation" in tables:
        table = tables["localisation"]
        for row in table[table["scorer"] == model].sort_values("map", ascending=False).to_dict("records"):
            n = f"{row['n_abnormal']:.0f} abnormal and {row['n_normal']:.0f} normal scans"
            for column, label in MEASURES.items():
                value = with_interval(row, column, f"{column}_low", f"{column}_high")
                add(f"{row['map']} z: {label}", f"{value}, {n}, {row['lesions']:.0f} lesions")
            if np.isfinite(row["threshold"]):
                value = with_interval(row, "dice", "dice_low", "dice_high")
                chosen = f"{row['threshold']:.2f} SD or more, chosen on {row['threshold_from']}"
                add(f"{row['map']} z: Dice at {chosen}", f"{value}, {n}")
    if "case_auc" in tables:
        table = tables["case_auc"]
        first = next(name for name, groups in VARIANTS.items() if groups == (NORMAL, ABNORMAL))
        for row in table[(table["model"] == model) & (table["variant"] == first)].to_dict("records"):
            value = with_interval(row, "auc", "ci_low", "ci_high")
            label = SCORE_NAMES.get(row["score"], row["score"])
            add(f"case AUC by {label}", f"{value}, {row['n_normal']:.0f} and {row['n_abnormal']:.0f} scans")
    alarms = tables["false_alarms"]
    for row in alarms[alarms["model"] == model].to_dict("records") if len(alarms) else []:
        value = with_interval(row, "regions_a_scan", "ci_low", "ci_high")
        add(f"{row['map']} z: regions of {row['band']} in a validation normal", f"{value}, n {row['n']:.0f}")
    return found
