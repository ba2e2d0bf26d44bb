"""What the paper could not measure: voxels and lesions found, where masks exist, as data frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.evaluation.baselines import FUSED, HELD_OUT, TRAINING, VOLUME
from core.evaluation.cohort import ABNORMAL, NORMAL, Measured, group_of
from core.evaluation.lesions import SIZES, case_of, classes_of
from core.evaluation.metrics import (
    Detection,
    crossing,
    froc_curve,
    pooled_average_precision,
    sensitivity_at,
    value_at,
)
from core.evaluation.resampling import LEAST_SCANS
from core.evaluation.statistics import DRAWS, Estimate, bootstrap, mean_estimate
from core.evaluation.thresholds import Threshold, Thresholds, dice_at, no_threshold
from core.evaluation.wording import SCORES

FALSE_A_SCAN = 1.0
FITTED_ON = {
    VOLUME: "no normals",
    HELD_OUT: "validation normals",
    TRAINING: "training normals",
    FUSED: "validation normals and training normals",
}


@dataclass(frozen=True, eq=False)
class Scored:
    """One scorer's map over all test scans with known lesions."""

    scorer: str
    map: str
    normals: list[dict[str, Any]]  # ``localise`` of each normal scan
    abnormals: list[dict[str, Any]]
    cases: list[str]  # of the abnormal scans

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [*self.normals, *self.abnormals]

    @property
    def named(self) -> dict[str, Any]:
        """What heads its lines in a table."""
        return {
            "method": self.method,
            "scorer": self.scorer,
            "map": self.map,
            "fitted_on": FITTED_ON[self.map],
        }

    @property
    def method(self) -> str:
        """Name for people."""
        what = SCORES.get(self.scorer, f"residual of {self.scorer}")
        if self.map == FUSED:
            return f"{what} joined with normals, fused z"
        return f"{what}, {'z in the volume' if self.map == VOLUME else 'normative z'}"


def scored_maps(measured: Sequence[Measured]) -> list[Scored]:
    """Rows by scorer and map, in their order; those without localisation are left out."""
    found: dict[tuple[str, str], Scored] = {}
    for one in measured:
        group = group_of(one.scan)
        for name, values in one.row["maps"].items():
            if "localisation" not in values or group not in (NORMAL, ABNORMAL):
                continue
            key = (one.row["scorer"], name)
            scored = found.setdefault(key, Scored(*key, [], [], []))
            if group == NORMAL:
                scored.normals.append(values["localisation"])
            else:
                scored.abnormals.append(values["localisation"])
                scored.cases.append(case_of(one.scan))
    return [one for one in found.values() if one.abnormals]


def detections(
    rows: Sequence[dict[str, Any]], kind: str = "any", chosen: Sequence[np.ndarray] | None = None
) -> list[Detection]:
    """Rows as detections by components of one ``kind`` of ``localise``; ``chosen`` keeps some lesions."""
    found = []
    for index, row in enumerate(rows):
        false = np.asarray(row["components"][kind]["false"], np.int64)
        hits = np.asarray(row["components"][kind]["found"], bool).reshape(-1, false.size)
        found.append(Detection(hits if chosen is None else hits[chosen[index]], false))
    return found


def _resampled(scored: Scored, statistic: Any, seed: int) -> Estimate:
    """Bootstrap of ``statistic(normal indices, abnormal indices)`` over scans of both groups."""
    if scored.normals:
        return bootstrap(statistic, [len(scored.normals), len(scored.abnormals)], seed)
    none = np.zeros(0, np.int64)
    return bootstrap(lambda index: statistic(none, index), [len(scored.abnormals)], seed)


def pooled_ap(scored: Scored, seed: int) -> Estimate:
    """Average precision over the brain voxels of all scans together, normals included."""
    low = np.array([row["histograms"] for row in scored.normals], np.int64).reshape(
        len(scored.normals), 2, -1
    )
    high = np.array([row["histograms"] for row in scored.abnormals], np.int64)

    def statistic(i: np.ndarray, j: np.ndarray) -> float:
        counts = high[j].sum(axis=0)
        return pooled_average_precision(counts + low[i].sum(axis=0) if i.size else counts)

    return _resampled(scored, statistic, seed)


def sensitivity(scored: Scored, kind: str, seed: int) -> Estimate:
    """Lesion-wise sensitivity at one false positive a scan over all test scans."""
    low, high = detections(scored.normals, kind), detections(scored.abnormals, kind)

    def statistic(i: np.ndarray, j: np.ndarray) -> float:
        return sensitivity_at(*froc_curve([*(low[n] for n in i), *(high[n] for n in j)]), FALSE_A_SCAN)

    return _resampled(scored, statistic, seed)


def threshold_of(one: Scored, thresholds: Thresholds) -> Threshold:
    return thresholds.get((one.scorer, one.map), no_threshold("no threshold was chosen"))


def localisation_table(scored: Sequence[Scored], thresholds: Thresholds, seed: int) -> pd.DataFrame:
    """One line for each scorer and map, every value with a bootstrap 95 % interval over scans.

    ``ap`` and ``auroc``: of brain voxels within a scan, mean of abnormal scans. ``ap_pooled``: over the
    voxels of all test scans, normals too. ``dice``: at |z| ≥ ``threshold``, mean of abnormal scans; the
    threshold was chosen as ``threshold_from`` says, never on test scans (NaN: none could be).
    ``sensitivity``: lesion-wise, at one false positive a scan, by components of
    any size; ``sensitivity_listed``: by those as large as a region that Review lists.
    """
    lines = []
    for one in scored:
        threshold = threshold_of(one, thresholds)
        line: dict[str, Any] = {
            **one.named,
            "n_normal": len(one.normals),
            "n_abnormal": len(one.abnormals),
            "lesions": sum(len(row["types"]) for row in one.abnormals),
            "prevalence": float(np.mean([row["prevalence"] for row in one.abnormals])),
        }
        estimates = {
            name: mean_estimate([row[name] for row in one.abnormals], seed) for name in ("ap", "auroc")
        }
        dices = [dice_at(row["histograms"], threshold.z) for row in one.abnormals]
        estimates["dice"] = mean_estimate(dices, seed)
        estimates["ap_pooled"] = pooled_ap(one, seed)
        estimates["sensitivity"] = sensitivity(one, "any", seed)
        estimates["sensitivity_listed"] = sensitivity(one, "listed", seed)
        for name, (value, low, high) in estimates.items():
            line |= {name: value, f"{name}_low": low, f"{name}_high": high}
        line |= {
            "threshold": threshold.z,
            "validation_dice": threshold.dice,
            "threshold_from": threshold.source,
        }
        lines.append(line)
    table = pd.DataFrame(lines)
    return table.sort_values("ap", ascending=False, kind="stable", ignore_index=True) if lines else table


def froc_table(scored: Sequence[Scored], thresholds: Sequence[float]) -> pd.DataFrame:
    """False positives a scan and lesion-wise sensitivity at each threshold of |z|."""
    blocks = []
    for one in scored:
        false, found = froc_curve(detections(one.rows))
        curve = {"threshold": thresholds, "false_a_scan": false, "sensitivity": found}
        blocks.append(pd.DataFrame({"method": one.method, "fitted_on": FITTED_ON[one.map], **curve}))
    return pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame()


def _class_estimates(
    one: Scored, kind: str, name: str, threshold: float, place: tuple[int, float], seed: int
) -> tuple[dict[str, int], dict[str, Estimate]]:
    """How many lesions and scans a class has, and its measures; no interval from fewer than 5 scans."""
    chosen = [
        classes_of(row["types"], row["volumes_mm3"])[kind].get(name, np.zeros(len(row["types"]), bool))
        for row in one.abnormals
    ]
    count = np.array([part.sum() for part in chosen])
    found = np.array(
        [
            value_at(detection.found.sum(axis=0).astype(np.float64), place)
            for detection in detections(one.abnormals, chosen=chosen)
        ]
    )
    having = [(row, part) for row, part in zip(one.abnormals, chosen, strict=True) if part.any()]
    values = {
        measure: [row["classes"][kind][name][measure] for row, _ in having] for measure in ("ap", "auroc")
    }
    values["dice"] = [
        dice_at(
            [np.asarray(row["lesion_histograms"])[part].sum(axis=0).tolist(), row["histograms"][1]], threshold
        )
        for row, part in having
    ]
    enough = len(having) >= LEAST_SCANS
    draws = DRAWS if enough else 0

    def share(index: np.ndarray) -> float:
        total = count[index].sum()
        return float(found[index].sum() / total) if total else float("nan")

    estimates = {"sensitivity": bootstrap(share, [len(count)], seed, draws)}
    estimates |= {measure: mean_estimate(numbers, seed, draws) for measure, numbers in values.items()}
    return {"lesions": int(count.sum()), "scans": len(having)}, estimates


def lesion_table(scored: Sequence[Scored], thresholds: Thresholds, seed: int) -> pd.DataFrame:
    """By lesion type and size: sensitivity at the whole cohort's one false positive a scan, voxel measures.

    ``ap``, ``auroc`` and ``dice`` (at the map's ``threshold`` of ``localisation_table``) of a class count the
    voxels of other lesions neither way; each is the mean of the scans that have the class. Intervals over
    scans, none where fewer than 5 have it. The map of highest voxel AP comes first.
    """
    lines = []
    for one in sorted(scored, key=lambda one: -float(np.mean([row["ap"] for row in one.abnormals]))):
        threshold = threshold_of(one, thresholds).z
        place = crossing(froc_curve(detections(one.rows))[0], FALSE_A_SCAN)
        there = [classes_of(row["types"], row["volumes_mm3"]) for row in one.abnormals]
        types = sorted({name for classes in there for name in classes["type"]})
        sizes = [name for name, _, _ in SIZES if any(name in classes["size"] for classes in there)]
        for kind, name in [*(("type", name) for name in types), *(("size", name) for name in sizes)]:
            counts, estimates = _class_estimates(one, kind, name, threshold, place, seed)
            line: dict[str, Any] = {
                **one.named,
                "class": kind,
                "name": name,
                **counts,
            }
            for measure, (value, low, high) in estimates.items():
                line |= {measure: value, f"{measure}_low": low, f"{measure}_high": high}
            lines.append({**line, "threshold": threshold})
    return pd.DataFrame(lines)
