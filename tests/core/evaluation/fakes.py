"""A small cohort whose measures can be known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core.evaluation import cohort as tables
from core.evaluation.baselines import Cube
from core.evaluation.cohort import Measured
from core.evaluation.lesions import classes_of
from core.evaluation.localisation import froc_table, lesion_table, localisation_table, scored_maps
from core.evaluation.report import Evaluation, Facts
from core.evaluation.thresholds import Threshold
from core.evaluation.wording import VARIANTS
from core.io.bids import Scan

SIDE = 24


def cube(number: int = 0, lesion: float = 0.0, key: str = "") -> Cube:
    """A ball of brain, brighter towards the front, noise by ``number``; a block ``lesion`` brighter."""
    rng = np.random.default_rng(number)
    i, j, k = np.meshgrid(*(np.arange(SIDE) - SIDE / 2 + 0.5,) * 3, indexing="ij")
    mask = i**2 + j**2 + k**2 < 11**2
    x = 0.4 + 0.01 * j + rng.normal(0, 0.02, mask.shape)
    x[block()] += lesion
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -SIDE + 1
    return Cube(np.where(mask, x, 0).astype(np.float32), mask, affine, np.eye(4), key or f"cube{number}")


def block() -> tuple[slice, slice, slice]:
    return slice(6, 9), slice(10, 13), slice(12, 15)


def scan(number: int, split: str, score: int | None = 1) -> Scan:
    subject = f"sub-{number:02d}"
    path = Path("data") / subject / "ses-01" / "anat" / f"{subject}_ses-01_T2w.nii.gz"
    return Scan(subject, "ses-01", path, radiology_score=score, split=split, synthetic=True, age=40.0)


def row(
    model: str, mse: float, cluster: float = 10.0, top: float = 3.0, **localisation: Any
) -> dict[str, Any]:
    """A row of ``measure`` as JSON gives it."""
    bands = ("-4", "-4..-3", "-3..-2", "2..3", "3..4", "4")
    one = {
        "top": top,
        "cluster_size": cluster,
        "percent": {band: float(n) for n, band in enumerate(bands)},
        "clusters": {band: 10.0 + n for n, band in enumerate(bands)},
        "regions": {"2-3": 3, "3-4": 2, "4+": 1},
        "largest_mm3": 100 * top,
    }
    maps = {"volume": one, "normative": {**one, **({"localisation": localisation} if localisation else {})}}
    return {"scorer": model, "mse": mse, "maps": maps, "key": "k"}


def localised(found: list[list[int]], false: list[int], types: list[str], ap: float = 0.5) -> dict[str, Any]:
    """``localise`` of a scan with lesions of 50, 500, … mm³; every positive voxel scores above all others."""
    row: dict[str, Any] = {
        "histograms": [[0] * 9 + [len(types)], [90] + [0] * 9],
        "components": {
            # As if no component were as large as a region.
            "any": {"found": [[bool(hit) for hit in line] for line in found], "false": false},
            "listed": {"found": [[False] * len(false) for _ in found], "false": [0] * len(false)},
        },
        "types": types,
        "volumes_mm3": [50.0 * 10**n for n in range(len(types))],
    }
    if types:
        row |= {"ap": ap, "auroc": 0.9, "prevalence": 0.02}
    row["lesion_histograms"] = [[0] * 9 + [1] for _ in types]
    row["classes"] = {
        kind: {name: {"ap": ap, "auroc": 0.8} for name in named}
        for kind, named in classes_of(types, row["volumes_mm3"]).items()
    }
    return row


def thresholds(models: tuple[str, ...], z: float) -> dict[tuple[str, str], Threshold]:
    """One threshold for the normative map of all."""
    return {
        (model, "normative"): Threshold(z, 0.5, "36 implants in 9 validation normals") for model in models
    }


def cohort(models: tuple[str, ...] = ("std_8x8", "vae_8x8_512", "vae_16x16_256")) -> list[Measured]:
    """4 training, 3 validation, 3 + 3 test scans; MSE is the model's place times 0.001, plus the group's."""
    groups = [("train", 1)] * 4 + [("validation", 1)] * 3 + [("test", 1)] * 3 + [("test", 5)] * 3
    shift = {("train", 1): 0.0, ("validation", 1): 0.0001, ("test", 1): 0.0002, ("test", 5): 0.0010}
    found = []
    for place, model in enumerate(models, 1):
        for number, (split, score) in enumerate(groups):
            mse = 0.001 * place + shift[split, score] + 0.00001 * number
            one = scan(number, split, score)
            extra = {}
            if split == "test":
                types = ["cyst", "infarct"] if score == 5 else []
                hits = [[1, 1, 0], [1, 0, 0]] if score == 5 else []
                extra = localised(hits, [4, 1, 0], types)
            found.append(Measured(one, row(model, mse, 10.0 * place, float(number), **extra)))
    return found


def evaluation() -> Evaluation:
    """All tables of ``cohort``, with one scan left out."""
    measured = cohort()
    subjects = tables.subject_table(measured)
    auc, summary = tables.auc_table(subjects, 0, ("mse",)), tables.summary_table(subjects, 0)
    scored = scored_maps(measured)
    facts = Facts(
        data="demo",
        synthetic=True,
        command="python -m core evaluate data/demo",
        seed=0,
        draws=1000,
        groups={"train": 4, "validation": 3, "test normal": 3, "test abnormal": 3},
        models=[{"model": "std_8x8", "cube": 64, "epochs": 30}],
        left_out={"sub-99_ses-01": "no <mask>"},
        settings={"floor_mm3": 100.0},
        versions={"fontanelle": "0"},
    )
    return Evaluation(
        facts,
        {
            "subjects": subjects,
            "summary": summary,
            "significance": tables.significance_table(subjects),
            "roc": tables.roc_table(subjects),
            "auc": auc,
            "paper": tables.paper_table(summary, auc, "demo"),
            "localisation": localisation_table(scored, thresholds(("std_8x8",), 0.18), 0),
            "froc": froc_table(scored, [2.0, 3.0, 4.0]),
            "lesions": lesion_table(scored, thresholds(("std_8x8",), 0.18), 0),
            "case_auc": tables.auc_table(subjects, 0, variants=list(VARIANTS)[:1]),
        },
    )
