"""One prepared scan measured by one scorer, once per content: the rows that all tables are made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from core.anomaly.bands import BANDS, REGION_BANDS, band_labels, band_percent
from core.anomaly.channels import joint, t2w
from core.anomaly.detector import Detector, score
from core.anomaly.regions import ALL_BANDS, FLOOR_MM3, flagged_regions, floor_at, slice_clusters
from core.anomaly.residual import Array, normative_z, volume_z
from core.anomaly.score import normative_top
from core.evaluation.baselines import FUSED, VOLUME, Cube, Normalisation, Scorer
from core.evaluation.lesions import SIZES, Lesions, classes_of, lesions_in_cube
from core.evaluation.metrics import BINS, auroc, average_precision, detect, score_bins, score_histograms
from core.evaluation.statistics import EvaluationError
from core.io.atomic import write_bytes
from core.io.derivatives import CasePaths, MapName
from core.io.volume import Volume, load_mask, load_volume
from core.prepared import check_prepared, content_key, stored_key
from core.preprocess.fine import read_fine
from core.preprocess.pipeline import ONE_CHANNEL

SCHEMA = 5
# |z| of the FROC curve; the same for all scorers.
THRESHOLDS: tuple[float, ...] = tuple(np.arange(1.0, 12.01, 0.25).tolist())
Row = dict[str, Any]


@dataclass(frozen=True)
class MeasureSettings:
    """What enters a row's key beside scan and scorer."""

    floor_mm3: float = FLOOR_MM3  # smallest region
    thresholds: tuple[float, ...] = THRESHOLDS


def read_cube(paths: CasePaths, cube: int, channels: tuple[str, ...] = ONE_CHANNEL) -> Cube:
    """The prepared cube; the scan that it comes from is read when its local contrast is asked for.

    Raises
    ------
    EvaluationError, VolumeError
        Where the scan is not prepared at ``cube``, or a file is damaged.
    """
    sidecar = paths.prepared_json(cube)
    try:
        record = json.loads(sidecar.read_text())
        transform = np.array(record["scan_to_reference"], np.float64).reshape(4, 4)
        key = str(record["key"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{sidecar.name}: {error}; expected a prepared scan") from error
    volume = load_volume(paths.prepared(cube))
    mask = load_mask(paths.prepared_mask(cube), volume)
    extra = {name: load_volume(paths.prepared(cube, name)).data for name in channels[1:]}
    fine = partial(read_fine, paths, cube)
    return Cube(volume.data, mask.data > 0, volume.affine, transform, key, extra, fine)


def check_fits(paths: CasePaths, scorer: Scorer) -> None:
    """Refuse a scan prepared otherwise than the scorer wants it.

    Raises
    ------
    PrepareError
    """
    if scorer.prepare is not None:
        check_prepared(paths, scorer.prepare, scorer.reference, scorer.name)


def stored_content(paths: CasePaths, cube: int, scorer: Scorer) -> str:
    """Keys of the preparations on disk that ``scorer`` sees, as one."""
    return "+".join(stored_key(paths, cube, channel) for channel in scorer.channels)


def row_key(prepared: str, scorer: Scorer, lesions: Lesions | None, settings: MeasureSettings) -> str:
    """Content address of a row: preparation, scorer, lesion mask, settings."""
    return content_key(
        {
            "schema": SCHEMA,
            "prepared": prepared,
            "scorer": scorer.key,
            "lesions": None if lesions is None else [lesions.hash, *lesions.types],
            "sizes": [[name, str(low), str(high)] for name, low, high in SIZES],
            "settings": asdict(settings),
        }
    )


def z_map(residual: Array, against: Normalisation, cube: Cube) -> Array:
    """z of a residual: against normals, or within the volume; 0 for a residual that is 0 everywhere.

    Of two channels (2, N, N, N) as ``core.scoring.z_map``: within the volume the T2w's alone.
    """
    if isinstance(against, Detector):
        contrast = None if against.fine is None else cube.contrast
        return score(against, cube.x, cube.mask, cube.x - t2w(residual), contrast)
    if against is not None:
        return normative_z(joint(residual, against.validation), against, cube.mask)
    shown = t2w(residual)
    return volume_z(shown, cube.mask) if shown.any() else np.zeros_like(shown)


def shown_as(name: str) -> MapName:
    """The dashboard's map whose regions a scorer's map has."""
    return "fused" if name == FUSED else "volume" if name == VOLUME else "normative"


def measure_map(z: Array, cube: Cube, name: MapName, floor_mm3: float) -> Row:
    """The paper's bands and slice-wise clusters of a z map, its extreme voxels and its regions.

    Regions are those of the cube, so their volumes are the reference brain's mm³; the dashboard's are of the
    scan.
    """
    labels = band_labels(z, cube.mask)
    clusters = slice_clusters(labels)
    regions = flagged_regions(Volume(z, cube.affine), cube.mask, name, "", floor_mm3)
    strong = [region.volume_mm3 for region in regions if region.band != REGION_BANDS[0]]
    return {
        "top": normative_top(z, cube.mask),
        "cluster_size": clusters[ALL_BANDS][1],
        "percent": band_percent(labels, cube.mask),
        "clusters": {band.name: clusters[band.name][1] for band in BANDS},
        "regions": {band: sum(region.band == band for region in regions) for band in REGION_BANDS},
        "largest_mm3": max(strong, default=0.0),
    }


def localise(
    z: Array, cube: Cube, lesions: Lesions, settings: MeasureSettings, name: MapName = "volume"
) -> Row:
    """How well |z| finds the lesions: voxels inside the brain, and components against lesions.

    The voxel measures of a scan without a lesion are absent, but for its histogram, which pooled average
    precision needs; Dice at any |z| follows from the histogram too (``metrics.dice_curve``). Components count
    twice: those of any size ("any"), since half of the lesions may be smaller than a region, and those that
    Review would list ("listed"). ``classes``: average precision and AUROC of each type and size, where voxels
    of other lesions count neither way; with ``lesion_histograms``, the lesions' own voxels by score, Dice of
    any of them follows.
    """
    labels = lesions_in_cube(lesions, cube)
    score = np.abs(z[cube.mask])
    mine = labels[cube.mask]
    truth = mine > 0
    listed = [floor_at(name, settings.floor_mm3, at) / cube.voxel_mm**3 for at in settings.thresholds]
    floors: dict[str, float | list[float]] = {"any": 0.0, "listed": listed}
    found = {kind: detect(z, cube.mask, labels, settings.thresholds, floor) for kind, floor in floors.items()}
    row: Row = {
        "histograms": score_histograms(score, truth),
        "components": {
            kind: {"found": one.found.tolist(), "false": one.false.tolist()} for kind, one in found.items()
        },
        "types": list(lesions.types),
        "volumes_mm3": list(lesions.volumes_mm3),
    }
    bins = score_bins(score)
    row["lesion_histograms"] = [
        np.bincount(bins[mine == label], minlength=BINS).tolist()
        for label in range(1, len(lesions.types) + 1)
    ]
    if truth.any():
        row["ap"] = average_precision(score, truth)
        row["auroc"] = auroc(score, truth)
        row["prevalence"] = float(truth.mean())
    row["classes"] = {kind: {} for kind in ("type", "size")}
    for kind, named in classes_of(lesions.types, lesions.volumes_mm3).items():
        for called, chosen in named.items():
            positive = np.isin(mine, 1 + np.flatnonzero(chosen))
            counted = positive | ~truth
            values, known = score[counted], positive[counted]
            row["classes"][kind][called] = {
                "ap": average_precision(values, known),
                "auroc": auroc(values, known),
            }
    return row


def measure(cube: Cube, scorer: Scorer, lesions: Lesions | None, settings: MeasureSettings) -> Row:
    """All measures of a prepared scan by one scorer, as JSON: ``mse`` and, by map, ``measure_map``.

    ``mse`` is the mean over the whole cube (Raad et al. 2023, Analysis framework), None for what is no
    reconstruction. With ``lesions``, each map has ``localisation``.

    Raises
    ------
    AnomalyError, EvaluationError, ModelError
        Where scan, model or lesions don't fit together.
    """
    residual = scorer.residual(cube.seen(scorer.channels), cube.mask)
    mse = float(np.mean(np.square(t2w(residual), dtype=np.float64))) if scorer.rebuilds else None
    row: Row = {"scorer": scorer.name, "mse": mse, "maps": {}}
    for name, against in scorer.maps.items():
        z = z_map(residual, against(), cube)
        row["maps"][name] = measure_map(z, cube, shown_as(name), settings.floor_mm3)
        if lesions is not None:
            row["maps"][name]["localisation"] = localise(z, cube, lesions, settings, shown_as(name))
    return row


def cached_row(cache: Path, key: str) -> Row | None:
    """A row that was measured before; a damaged one counts as none."""
    try:
        row = json.loads((cache / key[:2] / f"{key}.json").read_text())
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) and row.get("key") == key else None


def kept_row(cache: Path, key: str, make: Callable[[], Row]) -> Row:
    """The row of ``key`` from the cache, else made and put there."""
    if (row := cached_row(cache, key)) is not None:
        return row
    row = {**make(), "key": key}
    write_bytes(cache / key[:2] / f"{key}.json", json.dumps(row).encode())
    return row


def measured(
    paths: CasePaths,
    cube: int,
    scorer: Scorer,
    lesions: Lesions | None,
    settings: MeasureSettings,
    cache: Path,
) -> Row:
    """``measure`` of a prepared scan on disk, from the cache where its content was measured before.

    Raises
    ------
    EvaluationError, PrepareError, VolumeError, AnomalyError, ModelError
        Where the scan is not prepared, or not as the scorer wants it, or does not fit.
    """
    check_fits(paths, scorer)
    key = row_key(stored_content(paths, cube, scorer), scorer, lesions, settings)
    return kept_row(
        cache, key, lambda: measure(read_cube(paths, cube, scorer.channels), scorer, lesions, settings)
    )
