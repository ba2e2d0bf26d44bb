"""The paper's tables as data frames: every subject, summaries, tests, ROC, paper beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.anomaly.bands import BANDS, REGION_BANDS
from core.anomaly.normative import Normative, region_count
from core.evaluation.baselines import FUSED, HELD_OUT, VOLUME
from core.evaluation.measure import Row
from core.evaluation.metrics import auroc_estimate, roc_points
from core.evaluation.statistics import EvaluationError, holm, mann_whitney, mean_estimate
from core.evaluation.wording import ABNORMAL, NORMAL, TRAIN, VALIDATION, VARIANTS
from core.io.bids import Scan

GROUPS = (TRAIN, VALIDATION, NORMAL, ABNORMAL)
COMPARISONS = ((TRAIN, VALIDATION), (TRAIN, ABNORMAL), (NORMAL, ABNORMAL))
MEASURES = {"mse": "Volume MSE", "cluster_size": "Mean slice-wise cluster size, voxels"}
CASE_SCORES = {
    "mse": "volume MSE (the paper's)",
    "cluster_size": "mean slice-wise cluster size (the paper's)",
    "normative_top": "mean |normative z| of the top 0.1 %",
    "largest_mm3": "largest region of 3 SD or more, normative map",
    "fused_top": "mean |fused z| of the top 0.1 %",
    "fused_largest_mm3": "largest region of 3 SD or more, fused map",
    "case_score": "case score of the fused map",
}
# (measure, group, model or family, low, high), from Results and Figures 3 and 4 of Raad et al. 2023.
PAPER: tuple[tuple[str, str, str, float, float], ...] = (
    ("mse", TRAIN, "std_16x16", 0.001, 0.001),
    ("mse", TRAIN, "std_8x8", 0.002, 0.002),
    ("mse", TRAIN, "vae", 0.003, 0.004),
    ("mse", ABNORMAL, "std_16x16", 0.001, 0.001),
    ("mse", ABNORMAL, "std_8x8", 0.002, 0.002),
    ("mse", ABNORMAL, "vae", 0.004, 0.005),
    ("cluster_size", TRAIN, "std_16x16", 11, 11),
    ("cluster_size", TRAIN, "std_8x8", 16, 16),
    ("cluster_size", TRAIN, "vae", 20, 25),
    ("cluster_size", ABNORMAL, "std_16x16", 17, 17),
    ("cluster_size", ABNORMAL, "std_8x8", 23, 23),
    ("cluster_size", ABNORMAL, "vae", 32, 38),
    ("auc", ABNORMAL, "vae_8x8_1024", 0.83, 0.83),
    ("auc", ABNORMAL, "std_16x16", 0.74, 0.74),
)


@dataclass(frozen=True)
class Measured:
    """One row of ``measure`` and the scan that it is of."""

    scan: Scan
    row: Row


def group_of(scan: Scan) -> str:
    """Split, and for test scans normal (radiology score 1) or abnormal (5); "left out" is in no table.

    A scan of poor image quality (dHCP score Q) is no normal of any split.
    """
    if scan.poor_quality:
        return "left out"
    if scan.split in (TRAIN, VALIDATION):
        return str(scan.split)
    if scan.split == "test" and scan.radiology_score in (1, 5):
        return NORMAL if scan.radiology_score == 1 else ABNORMAL
    return "left out"


def subject_table(measured: Sequence[Measured]) -> pd.DataFrame:
    """One line for each scan and scorer: case, group and every measure that its row has.

    ``percent_<band>`` and ``cluster_<band>`` are of the volume map. The normative measures of validation
    scans are absent: the normative maps come from those scans, which would flatter them; the fused ones of
    training scans too.
    """
    lines: list[dict[str, Any]] = []
    for one in measured:
        scan, maps = one.scan, one.row["maps"]
        group = group_of(scan)
        if group not in GROUPS:
            continue
        line: dict[str, Any] = {
            "case": f"{scan.subject}_{scan.session}",
            "group": group,
            "radiology_score": scan.radiology_score,
            "age_weeks": scan.age,
            "synthetic": scan.synthetic,
            "model": one.row["scorer"],
            "mse": one.row["mse"],
            "cluster_size": maps[VOLUME]["cluster_size"],
        }
        for band in BANDS:
            line[f"percent_{band.name}"] = maps[VOLUME]["percent"][band.name]
            line[f"cluster_{band.name}"] = maps[VOLUME]["clusters"][band.name]
        for name, values in maps.items():
            if name != VOLUME and group == VALIDATION:
                continue
            if name == FUSED and group == TRAIN:  # some of them lend their patches
                continue
            line[f"{name}_top"] = values["top"]
            if name == HELD_OUT:
                line["largest_mm3"] = values["largest_mm3"]
            if name == FUSED:
                line["fused_largest_mm3"] = values["largest_mm3"]
            for level in REGION_BANDS:
                line[f"regions_{name}_{level}"] = values["regions"][level]
        if "case_score" in one.row and group in (NORMAL, ABNORMAL):
            line["case_score"] = one.row["case_score"]
        lines.append(line)
    if not lines:
        raise EvaluationError(
            "no scan with split train or validation, or test and radiology score 1 or 5; expected "
            "participants.tsv to say so"
        )
    return pd.DataFrame(lines)


def models_of(table: pd.DataFrame) -> list[str]:
    """Models in the order of the table."""
    return list(dict.fromkeys(table["model"]))


def values_of(table: pd.DataFrame, model: str, group: str, measure: str) -> np.ndarray:
    """One measure of one model and group, absent values left out."""
    chosen = table[(table["model"] == model) & (table["group"] == group)]
    return chosen[measure].dropna().to_numpy(np.float64)


def summary_table(table: pd.DataFrame, seed: int, measures: Sequence[str] = tuple(MEASURES)) -> pd.DataFrame:
    """n, median, quartiles, and mean with its bootstrap 95 % interval, by measure, model and group."""
    lines = []
    for measure in measures:
        for model in models_of(table):
            for group in GROUPS:
                values = values_of(table, model, group, measure)
                if values.size == 0:
                    continue
                mean = mean_estimate(values, seed)
                first, middle, third = np.quantile(values, [0.25, 0.5, 0.75])
                lines.append((measure, model, group, values.size, middle, first, third, *mean))
    columns = ["measure", "model", "group", "n", "median", "q1", "q3", "mean", "ci_low", "ci_high"]
    return pd.DataFrame(lines, columns=columns)


def significance_table(table: pd.DataFrame) -> pd.DataFrame:
    """Mann–Whitney tests of MSE and cluster size between groups, Holm-corrected over the models.

    ``chance`` is the probability that a scan of ``second`` has the higher value.
    """
    blocks = []
    for measure in MEASURES:
        for first, second in COMPARISONS:
            lines = []
            for model in models_of(table):
                a, b = (values_of(table, model, group, measure) for group in (first, second))
                if a.size and b.size:
                    p, chance = mann_whitney(a, b)
                    lines.append((measure, first, second, model, a.size, b.size, chance, p))
            columns = ["measure", "first", "second", "model", "n_first", "n_second", "chance", "p"]
            block = pd.DataFrame(lines, columns=columns)
            blocks.append(block.assign(p_holm=holm(block["p"].to_numpy(np.float64))))
    return pd.concat(blocks, ignore_index=True)


def roc_table(table: pd.DataFrame, score: str = "mse") -> pd.DataFrame:
    """Points of the ROC curves (figures S5 and S6) by variant and model."""
    blocks = []
    for variant, (low, high) in VARIANTS.items():
        for model in models_of(table):
            a, b = (values_of(table, model, group, score) for group in (low, high))
            if a.size and b.size:
                false, true = roc_points(np.concatenate([a, b]), np.repeat([0, 1], [a.size, b.size]))
                blocks.append(
                    pd.DataFrame({"variant": variant, "model": model, "false": false, "true": true})
                )
    columns = ["variant", "model", "false", "true"]
    return pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame(columns=columns)


def auc_table(
    table: pd.DataFrame,
    seed: int,
    scores: Sequence[str] = tuple(CASE_SCORES),
    variants: Sequence[str] = tuple(VARIANTS),
) -> pd.DataFrame:
    """Case AUC by score, variant and model, with a bootstrap 95 % interval over subjects of each group."""
    named = table.rename(columns={f"{HELD_OUT}_top": "normative_top"})
    lines = []
    for variant in variants:
        for score in scores:
            if score not in named:
                continue
            for model in models_of(named):
                a, b = (values_of(named, model, group, score) for group in VARIANTS[variant])
                if a.size and b.size:
                    lines.append((variant, score, model, a.size, b.size, *auroc_estimate(a, b, seed)))
    columns = ["variant", "score", "model", "n_normal", "n_abnormal", "auc", "ci_low", "ci_high"]
    return pd.DataFrame(lines, columns=columns)


def paper_table(summary: pd.DataFrame, auc: pd.DataFrame, data: str) -> pd.DataFrame:
    """Paper value | ours | data set, for each number that the paper's text gives.

    Where the text gives a range for the six VAEs, ours is the range of the VAEs that were evaluated.
    """
    as_paper = auc[(auc["score"] == "mse") & (auc["variant"] == list(VARIANTS)[1])]
    lines = []
    for measure, group, family, low, high in PAPER:
        if measure == "auc":
            source, column = as_paper, "auc"
        else:
            source = summary[(summary["measure"] == measure) & (summary["group"] == group)]
            column = "mean"
        ours = source[source["model"].str.fullmatch(family if "_" in family else rf"{family}_\w+")][column]
        names = f"{family}, all" if family == "vae" else family
        what = "AUC of MSE, train against test abnormal" if measure == "auc" else f"mean {measure}, {group}"
        lines.append((what, names, span([low, high]), span(ours.tolist()), data))
    return pd.DataFrame(lines, columns=["measure", "model", "paper", "ours", "data set"])


def span(values: Sequence[float]) -> str:
    """Range of ``values`` as text: "0.003 to 0.004", one number where both ends read alike."""
    if len(values) == 0:
        return "not evaluated"
    low, high = f"{min(values):.2g}", f"{max(values):.2g}"
    return low if low == high else f"{low} to {high}"


def false_alarm_table(normatives: Mapping[str, Normative], seed: int) -> pd.DataFrame:
    """Flagged regions a scan in each model's validation normals, left out of their own maps in turn.

    These are the numbers that Review shows beside a case, here with their intervals.
    """
    lines = []
    for model, normative in normatives.items():
        for name in (VOLUME, HELD_OUT, FUSED):
            for band in REGION_BANDS:
                counts = normative.validation.get(region_count(name, band))
                if counts is not None:
                    mean = mean_estimate(counts, seed)
                    lines.append((model, name, band, normative.floor_mm3, normative.n, *mean))
    columns = ["model", "map", "band", "floor_mm3", "n", "regions_a_scan", "ci_low", "ci_high"]
    return pd.DataFrame(lines, columns=columns)
