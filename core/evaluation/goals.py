"""What the path beyond the paper set out to reach, and how far it came on test scans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.evaluation.baselines import FUSED, VOLUME
from core.evaluation.cohort import CASE_SCORES, span, values_of
from core.evaluation.lesions import SIZES
from core.evaluation.localisation import Scored, sensitivity
from core.evaluation.metrics import auroc, auroc_estimate
from core.evaluation.statistics import Estimate, bootstrap
from core.evaluation.wording import ABNORMAL, NORMAL, SCORES
from core.networks.config import NAMES

AP_TIMES = 1.5  # the better of the paper's path and the best map without a network
SENSITIVITY = 0.8  # lesions found at one false positive a scan
CASE_AUC = 0.95
# Named before test scans were measured, the first that there is; the best on test is not looked for.
CASE_SCORE = ("case_score", "fused_top")
UNKNOWN = Estimate(float("nan"), float("nan"), float("nan"))


def default_map(scored: Sequence[Scored]) -> Scored | None:
    """The map that Review shows first where there is one: the fused one of the first network that has it."""
    return next((one for one in scored if one.map == FUSED and one.scorer not in SCORES), None)


def _mean_ap(one: Scored) -> float:
    return float(np.mean([row["ap"] for row in one.abnormals]))


def _best(scored: Sequence[Scored]) -> Scored | None:
    return max(scored, key=_mean_ap, default=None)


def counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _by_size(lesions: pd.DataFrame, ours: Scored, measure: str) -> str:
    mine = lesions[(lesions["scorer"] == ours.scorer) & (lesions["map"] == ours.map)]
    mine = mine[mine["class"] == "size"]
    parts = [
        f"{line['name']} {line[measure]:.2f} ({counted(line['lesions'], 'lesion')})"
        for line in mine.to_dict("records")
    ]
    return "by size: " + ", ".join(parts)


def _precision(scored: Sequence[Scored], ours: Scored, lesions: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Our voxel AP over that of the best reference, each of them on the same scans."""
    references = {
        "the paper's path": _best([one for one in scored if one.map == VOLUME and one.scorer in NAMES]),
        "no network": _best([one for one in scored if one.map != FUSED and one.scorer in SCORES]),
    }
    known = {name: one for name, one in references.items() if one is not None}
    said = [f"AP {_mean_ap(ours):.3f}"]
    said += [f"{name} {_mean_ap(one):.3f} ({one.method})" for name, one in known.items()]
    joined = next((one for one in scored if one.map == FUSED and one.scorer in SCORES), None)
    if joined is not None:
        said.append(f"the same join without a network {_mean_ap(joined):.3f}")
    shared = [case for case in ours.cases if all(case in one.cases for one in known.values())]
    reached = UNKNOWN
    if known and shared:

        def of(one: Scored) -> np.ndarray:
            rows = dict(zip(one.cases, one.abnormals, strict=True))
            return np.array([rows[case]["ap"] for case in shared], np.float64)

        mine, others = of(ours), np.stack([of(one) for one in known.values()])
        reached = bootstrap(
            lambda index: float(mine[index].mean() / others[:, index].mean(axis=1).max()), [len(shared)], seed
        )
    return _line(
        "voxel AP, times the better of the paper's path and the best map without a network",
        AP_TIMES,
        reached,
        [*said, _by_size(lesions, ours, "ap")],
    )


def _area(normal: np.ndarray, abnormal: np.ndarray) -> float:
    return auroc(np.concatenate([normal, abnormal]), np.repeat([0, 1], [normal.size, abnormal.size]))


def _paper_areas(subjects: pd.DataFrame) -> list[float]:
    """AUC of volume MSE of each of the paper's networks that was evaluated."""
    found = []
    for model in (name for name in NAMES if name in set(subjects["model"])):
        normal, abnormal = (values_of(subjects, model, group, "mse") for group in (NORMAL, ABNORMAL))
        if normal.size and abnormal.size:
            found.append(_area(normal, abnormal))
    return found


def _cases(ours: Scored, subjects: pd.DataFrame, seed: int) -> dict[str, Any]:
    """AUC of normal against abnormal test scans by the case score of our model."""
    goal = "case AUC, test normals against test abnormals"
    mine = subjects[subjects["model"] == ours.scorer]
    score = next((name for name in CASE_SCORE if name in mine and mine[name].notna().any()), None)
    if score is None:
        return _line(goal, CASE_AUC, UNKNOWN, ["no case score was measured"])
    normal, abnormal = (values_of(subjects, ours.scorer, group, score) for group in (NORMAL, ABNORMAL))
    if not (normal.size and abnormal.size):
        return _line(goal, CASE_AUC, UNKNOWN, ["normal or abnormal test scans are missing"])
    said = [f"by {CASE_SCORES[score]}"]
    if areas := _paper_areas(subjects):
        said.append(f"the paper's volume MSE {span(areas)} ({len(areas)} of its 8 networks)")
    largest = {case: max(row["volumes_mm3"]) for case, row in zip(ours.cases, ours.abnormals, strict=True)}
    sick = mine[(mine["group"] == ABNORMAL) & mine["case"].isin(largest.keys())].dropna(subset=[score])
    volumes = sick["case"].map(largest).to_numpy(np.float64)
    parts = []
    for name, low, high in SIZES:
        part = sick[score].to_numpy(np.float64)[(volumes >= low) & (volumes < high)]
        if part.size:
            parts.append(f"{name} {_area(normal, part):.2f} ({counted(part.size, 'scan')})")
    said.append("by size of a scan's largest lesion: " + ", ".join(parts))
    return _line(goal, CASE_AUC, auroc_estimate(normal, abnormal, seed), said)


def _line(goal: str, needed: float, reached: Estimate, said: Sequence[str]) -> dict[str, Any]:
    return {
        "goal": goal,
        "needed": needed,
        "reached": reached.value,
        "reached_low": reached.low,
        "reached_high": reached.high,
        "met": bool(reached.value >= needed),
        "evidence": "; ".join(said),
    }


def goals_table(
    scored: Sequence[Scored], lesions: pd.DataFrame, subjects: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Each goal with what is needed and what the default map reached, interval over test scans, and why.

    ``lesions``: ``lesion_table``; ``subjects``: ``subject_table`` of all models. References are the best on
    these test scans, which makes the goal harder; our own map and case score are fixed beforehand. Empty
    where no network has a fused map.
    """
    ours = default_map(scored)
    if ours is None:
        return pd.DataFrame()
    lines = [
        _precision(scored, ours, lesions, seed),
        _line(
            "lesions found at one false positive a scan",
            SENSITIVITY,
            sensitivity(ours, "any", seed),
            [_by_size(lesions, ours, "sensitivity")],
        ),
        _cases(ours, subjects, seed),
    ]
    return pd.DataFrame([{"method": ours.method, **line} for line in lines])
