"""Calibration of a model on prepared held-out normals: normative maps, percentiles and false-alarm rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.anomaly.bands import BANDS, REGION_BANDS
from core.anomaly.channels import joint, spreads, t2w
from core.anomaly.deformed import MOST_NORMALS as MOST_DEFORMED
from core.anomaly.deformed import fit_deformed, small_log
from core.anomaly.detector import SMOOTH_MM, Detector, fit_detector, matched
from core.anomaly.library import coarse, grid_factor, picks, spread_over
from core.anomaly.normative import (
    Normative,
    band_cluster,
    band_share,
    fit_normative,
    region_count,
    region_volume,
)
from core.anomaly.regions import ALL_BANDS
from core.anomaly.residual import Array, normative_z, residual, volume_z
from core.anomaly.score import fused_score, normative_top, volume_mse
from core.anomaly.views import NormalScan
from core.case import AnalyzeSettings
from core.evaluation.ablation import choose_power
from core.evaluation.baselines import Cube
from core.io.derivatives import CasePaths, MapName
from core.predictor import Predictor
from core.prepared import Progress, check_prepared, no_progress
from core.preprocess.fine import fine_scan
from core.preprocess.harmonise import PERCENTILES, landmarks
from core.preprocess.pipeline import read_prepared
from core.scoring import ScoredMap, score_map

MOST_OTHERS = 80  # normals beside the held-out ones whose local contrast is read: 0.7 s each at 64³
# Of a normal's intensities, by which another site's are brought to the model's.
LANDMARKS = tuple(f"intensity_{percentile:g}" for percentile in PERCENTILES)


def note(values: dict[str, list[float]], name: MapName, scored: ScoredMap) -> None:
    """Add what one normal's map measures by band to ``values``."""
    for label in BANDS:
        values.setdefault(band_share(name, label.name), []).append(scored.percent[label.name])
        values.setdefault(band_cluster(name, label.name), []).append(scored.clusters[label.name][1])
    for band in REGION_BANDS:
        sizes = [region.volume_mm3 for region in scored.regions if region.band == band]
        values.setdefault(region_count(name, band), []).append(len(sizes))
        values.setdefault(region_volume(name, band), []).append(sum(sizes))


def calibrate(
    model: Predictor,
    normals: Sequence[CasePaths],
    settings: AnalyzeSettings | None = None,
    progress: Progress = no_progress,
) -> Normative:
    """Fit the normative model of ``model`` on held-out normals, prepared at its cube size.

    Each normal is scored exactly as ``analyze`` scores a case: the volume map by itself, the normative map
    against the other normals only (leave-one-out; see ``fit_normative`` for its scale). ``validation``
    receives, one value a normal, ``mse``, ``cluster_size``, ``normative_top`` and, by map and band, the share
    of brain voxels, the mean size of their clusters, and the flagged regions' number and volume; and
    its intensity's landmarks (``preprocess.harmonise``). Of T2w and T1w together also each channel's spread
    (``anomaly.channels``): one scale for all, the normal left out included.

    Raises
    ------
    PrepareError, AnomalyError
        On a scan that is not prepared as the model wants it, or fewer than 3.
    """
    settings = AnalyzeSettings() if settings is None else settings
    for paths in normals:
        check_prepared(paths, model.prepare, model.reference, model.name)
    residuals: list[Array] = []
    masks: list[NDArray[np.bool_]] = []
    errors: list[float] = []
    voxel_mm = 0.0
    for index, paths in enumerate(normals):
        progress("reconstruct", index / (2 * len(normals)))
        prepared = read_prepared(paths, model.cube, model.prepare.channels)
        x = prepared.x
        x_hat = model.reconstruct(x)
        residuals.append(residual(x, x_hat))
        masks.append(prepared.cube_mask.data > 0)
        errors.append(volume_mse(t2w(x), t2w(x_hat)))
        voxel_mm = float(prepared.cube.spacing[0])
    spread = spreads(residuals, masks)
    joined = [joint(one, spread) for one in residuals]
    fitted, left_out = fit_normative(joined, masks, voxel_mm, settings.smooth_z_mm)

    values: dict[str, list[float]] = {"mse": errors, "cluster_size": [], "normative_top": [], **spread}
    values |= {name: [] for name in LANDMARKS}
    for index, (paths, others) in enumerate(zip(normals, left_out, strict=True)):
        progress("score", 0.5 + index / (2 * len(normals)))
        prepared = read_prepared(paths, model.cube)
        z_maps: dict[MapName, Array] = {
            "volume": volume_z(t2w(residuals[index]), masks[index]),
            "normative": normative_z(joined[index], others, masks[index]),
        }
        scored: dict[MapName, ScoredMap] = {
            name: score_map(name, z, prepared, paths.stem, settings.floor_mm3) for name, z in z_maps.items()
        }
        values["cluster_size"].append(scored["volume"].clusters[ALL_BANDS][1])
        values["normative_top"].append(normative_top(z_maps["normative"], masks[index]))
        for name, one in scored.items():
            note(values, name, one)
        for place, mark in zip(LANDMARKS, landmarks(prepared.cube.data, masks[index]), strict=True):
            values[place].append(float(mark))
    progress("done", 1.0)
    validation = {name: np.array(numbers, np.float64) for name, numbers in values.items()}
    return replace(fitted, floor_mm3=settings.floor_mm3, validation=validation)


def calibrate_detector(
    model: Predictor,
    normals: Sequence[CasePaths],
    normative: Normative,
    more: Sequence[CasePaths] = (),
    settings: AnalyzeSettings | None = None,
    progress: Progress = no_progress,
    jobs: int = 1,
) -> tuple[Detector, Normative]:
    """Fit the detector that joins the model's restorations with patches of normals and deformed normals.

    ``normals``: the held-out ones of ``normative``, in the same order; ``more``: other normals, such as the
    model's training scans: some lend their patches, 40 are deformed. How the views are joined is what finds
    most of the lesions implanted into the held-out normals (``choose_power``). ``normative`` comes back with
    the fused map's values of each held-out normal beside the others, left out as ``fit_detector`` says.

    Local contrast near 1 mm (``preprocess.fine``) comes in from the held-out normals and up to 80 others.
    ``jobs``: scans deformed at a time.

    Raises
    ------
    PrepareError, AnomalyError
        On a scan that is not prepared as the model wants it, or can't be deformed, or fewer than 3 normals.
    """
    settings = AnalyzeSettings() if settings is None else settings
    for paths in (*normals, *more):
        check_prepared(paths, model.prepare, model.reference, model.name)
    held_out = []
    voxel_mm = 0.0
    for index, paths in enumerate(normals):
        progress("restore", 0.05 * index / len(normals))
        prepared = read_prepared(paths, model.cube)
        x = prepared.cube.data
        contrast = fine_scan(prepared).contrast
        held_out.append(NormalScan(x, prepared.cube_mask.data > 0, model.reconstruct(x), contrast))
        voxel_mm = float(prepared.cube.spacing[0])
    others = [read_prepared(paths, model.cube) for paths in picks(len(normals), more)]
    contrasts, smalls = [], []
    seen = spread_over(more, MOST_OTHERS)
    for index, paths in enumerate(seen):
        progress("contrast", 0.05 + 0.15 * index / len(seen))
        prepared = read_prepared(paths, model.cube)
        inside = prepared.cube_mask.data > 0
        small = coarse(prepared.cube.data, inside, grid_factor(voxel_mm))[1]
        contrasts.append((fine_scan(prepared).contrast, small))
        smalls.append(small_log(prepared.cube.data, inside, voxel_mm))
    deformed = fit_deformed(
        [small_log(one.x, one.mask, voxel_mm) for one in held_out],
        spread_over(smalls, MOST_DEFORMED),
        voxel_mm,
        SMOOTH_MM,
        jobs,
        lambda fraction: progress("deform", 0.2 + 0.2 * fraction),
    )
    detector, views = fit_detector(
        held_out,
        voxel_mm,
        [NormalScan(one.cube.data, one.cube_mask.data > 0) for one in others],
        smooth_mm=SMOOTH_MM,
        progress=lambda fraction: progress("match", 0.4 + 0.1 * fraction),
        contrasts=contrasts,
        deformed=deformed,
    )
    cubes = [
        Cube(one.x, one.mask, np.diag([voxel_mm] * 3 + [1.0]), np.eye(4), paths.stem)
        for one, paths in zip(held_out, normals, strict=True)
    ]
    precision = choose_power(
        detector,
        views,
        cubes,
        model.reconstruct,
        progress=lambda fraction: progress("implants", 0.5 + 0.4 * fraction),
        deformed=deformed,
        jobs=jobs,
    )
    detector, maps = matched(detector, views, max(precision, key=lambda power: precision[power]))
    values: dict[str, list[float]] = {"fused_score": []}
    for paths, z, scan in zip(normals, maps, held_out, strict=True):
        scored = score_map("fused", z, read_prepared(paths, model.cube), paths.stem, settings.floor_mm3)
        values["fused_score"].append(fused_score(z, scan.mask))
        note(values, "fused", scored)
    progress("done", 1.0)
    validation = {name: np.array(numbers, np.float64) for name, numbers in values.items()}
    return detector, replace(normative, validation={**normative.validation, **validation})
