"""What each model measures of one scan, and where that stands among the model's validation normals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.cases import stamp
from core.anomaly.bands import BANDS, REGION_BANDS
from core.anomaly.normative import (
    Validation,
    band_cluster,
    band_share,
    read_validation,
    region_count,
    region_volume,
)
from core.anomaly.residual import AnomalyError
from core.anomaly.score import percentile_among
from core.io.derivatives import CaseRecord, MapName, Region
from core.networks.zoo import CONFIG, NORMATIVE, WEIGHTS, ModelError, model_info

# Scores of the whole scan: measure, unit, and the map they come from (None: the reconstruction).
SCORES: dict[str, tuple[str, MapName | None]] = {
    "mse": ("", None),
    "cluster_size": ("voxels", "volume"),
    "normative_top": ("SD", "normative"),
    "fused_score": ("", "fused"),
}
STRONG = "3+"  # regions of 3 SD and more together: what Review lists at first


@dataclass(frozen=True)
class Measure:
    """One number of one model on one scan."""

    model: str
    map: str  # empty: of the reconstruction
    name: str
    band: str  # empty: of the whole scan
    value: float
    unit: str
    percentile: float | None  # 0 to 100 among the model's validation normals; None where not known
    normals: int  # how many these are; 0 where not known


@lru_cache(maxsize=64)
def _model_hash(folder: Path, stamps: tuple[tuple[int, int], ...]) -> str:
    """``stamps`` only keys the cache."""
    return model_info(folder).hash


@lru_cache(maxsize=64)
def _validation(path: Path, changes_with: tuple[int, int]) -> Validation:
    return read_validation(path)


def validation_of(models_dir: Path, record: CaseRecord) -> tuple[Validation | None, str]:
    """The validation normals of the model that made ``record``; else None and why, in words."""
    folder = models_dir / record.model
    try:
        stamps = tuple(stamp(folder / name) for name in (CONFIG, WEIGHTS, NORMATIVE))
        if _model_hash(folder, stamps) != record.model_hash:
            return None, (f"{record.model} has changed since this analysis: analyse the scan again with it")
        return _validation(folder / NORMATIVE, stamps[-1]), ""
    except ModelError:
        return None, f"{record.model} is not installed here: its validation normals are not known"
    except AnomalyError:
        return None, f"{record.model} is not calibrated: run `python -m core calibrate {record.model}`"


def normals_of(validation: Validation, measure: str, name: str, band: str) -> NDArray[np.floating] | None:
    """The validation normals' values of a measure; None where the calibration did not keep it."""
    if measure in SCORES:
        return validation.values.get(measure)
    if measure == "percent":
        return validation.values.get(band_share(name, band))
    if measure == "cluster":
        return validation.values.get(band_cluster(name, band))
    key = {"regions": region_count, "volume": region_volume}[measure]
    wanted = [each for each in REGION_BANDS if band in (each, STRONG) and (band != STRONG or each != "2-3")]
    parts = [validation.values.get(key(name, each)) for each in wanted]
    known = [part for part in parts if part is not None]
    return np.sum(known, axis=0) if len(known) == len(wanted) else None


def measures(
    record: CaseRecord, regions: Iterable[Region], name: MapName, validation: Validation | None
) -> list[Measure]:
    """All numbers of one analysis with the map ``name``.

    Percentiles come from ``validation``; without it those of the scores are what the analysis wrote. Regions
    rank only among regions of the same smallest volume.
    """
    floor = record.settings.get("floor_mm3")
    found: list[tuple[str, str, str, float, str]] = []
    for score, (unit, of) in SCORES.items():
        if score in record.scores and of in (None, name):
            found.append(("" if of is None else of, score, "", record.scores[score], unit))
    for row in record.bands[name]:
        found.append((name, "percent", row.band, row.percent, "%"))
        found.append((name, "cluster", row.band, row.mean_cluster_size, "voxels"))
    mine = [region for region in regions if region.map == name]
    for band in (*REGION_BANDS, STRONG):
        sizes = [r.volume_mm3 for r in mine if r.band == band or (band == STRONG and r.band != "2-3")]
        found.append((name, "regions", band, float(len(sizes)), ""))
        found.append((name, "volume", band, float(sum(sizes)), "mm³"))
    rows = []
    for map_name, measure, band, value, unit in found:
        percentile, normals = None, 0
        if validation is not None:
            comparable = measure not in ("regions", "volume") or validation.floor_mm3 == floor
            values = normals_of(validation, measure, name, band) if comparable else None
            if values is not None and values.size > 0:
                percentile, normals = percentile_among(value, values), int(values.size)
        elif f"{measure}_percentile" in record.scores:
            percentile = record.scores[f"{measure}_percentile"]
            normals = int(record.scores.get("validation_n", 0))
        rows.append(Measure(record.model, map_name, measure, band, value, unit, percentile, normals))
    return rows


def by_place(rows: Iterable[Measure]) -> Mapping[tuple[str, str, str], Measure]:
    """Measures by model, name and band."""
    return {(row.model, row.name, row.band): row for row in rows}


BAND_ORDER = tuple(band.name for band in BANDS)
