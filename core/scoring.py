"""What a case is scored by: banded z maps with their clusters and regions, and numbers of the whole scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.anomaly.bands import BANDS, band_labels, band_percent
from core.anomaly.channels import joint, t2w
from core.anomaly.detector import score
from core.anomaly.normative import band_share, uncovered_percent
from core.anomaly.regions import ALL_BANDS, Clusters, flagged_regions, slice_clusters
from core.anomaly.residual import AnomalyError, Array, normative_z, residual, volume_z
from core.anomaly.score import fused_score, normative_top, percentile_among
from core.io.derivatives import MapName, Region
from core.io.volume import Volume
from core.predictor import Predictor
from core.preprocess.fine import fine_scan
from core.preprocess.pipeline import Prepared, to_scan_grid


@dataclass(frozen=True)
class ScoredMap:
    """One z map on the cube, with the paper's measures, and on the scan's grid, with its regions."""

    cube: Array
    percent: dict[str, float]
    clusters: Clusters
    scan: Volume
    regions: list[Region]


def z_map(name: MapName, model: Predictor, prepared: Prepared, x_hat: Array) -> Array:
    """One signed z map (N, N, N) of a prepared scan and its reconstruction, 0 outside the cube's mask.

    ``x_hat``: (N, N, N), or (2, N, N, N) of T2w and T1w: the volume z is the T2w's, the normative z that of
    both (``joint``).

    Raises
    ------
    AnomalyError
        Where arrays don't fit together, or the model is not calibrated for this map.
    """
    x, mask = prepared.x, prepared.cube_mask.data
    if name == "volume":
        return volume_z(residual(t2w(x), t2w(x_hat)), mask)
    if name == "normative" and model.normative is not None:
        difference = joint(residual(x, x_hat), model.normative.validation)
        return normative_z(difference, model.normative, mask)
    if name == "fused" and model.detector is not None:
        contrast = None if model.detector.fine is None else fine_scan(prepared).contrast
        return score(model.detector, x, mask, x_hat, contrast)
    raise AnomalyError(f"model {model.name} is not calibrated for the map {name!r}")


def score_map(name: MapName, z: Array, prepared: Prepared, key: str, floor_mm3: float) -> ScoredMap:
    """Bands and clusters of ``z`` (N, N, N) on the cube; nearest voxels and their regions on the scan's grid.

    Nearest, since linear interpolation averages z and so takes voxels out of the higher bands: the bands that
    a reader sees on the scan are those that were measured.
    """
    inside = prepared.cube_mask.data
    labels = band_labels(z, inside)
    scan_z = to_scan_grid(prepared.cube.with_data(z), prepared, order=0)
    middle = prepared.cube.affine @ [*((np.array(prepared.cube.shape) - 1) / 2), 1.0]
    found = flagged_regions(
        scan_z, prepared.mask.data, name, key, floor_mm3, prepared.scan_to_reference, float(middle[0])
    )
    return ScoredMap(z, band_percent(labels, inside), slice_clusters(labels), scan_z, found)


def scores(
    model: Predictor, mse: float, maps: Mapping[MapName, ScoredMap], prepared: Prepared
) -> dict[str, float]:
    """Case scores, each with its percentile among the validation normals where the model has them.

    ``validation_n`` is their number; ``normative_uncovered`` the percentage of brain voxels where none of
    them has brain, whose normative z is 0 without meaning that they are normal. ``fused_percent``: percentage
    of brain voxels at |z| ≥ 2 of the fused map; ``fused_percent_most``: the largest among those normals.
    """
    found = {"mse": mse}
    if "volume" in maps:
        found["cluster_size"] = maps["volume"].clusters[ALL_BANDS][1]
    if "normative" in maps:
        found["normative_top"] = normative_top(maps["normative"].cube, prepared.cube_mask.data)
    if "fused" in maps:
        found["fused_score"] = fused_score(maps["fused"].cube, prepared.cube_mask.data)
    normative = model.normative
    if normative is None:
        return found
    ranked = {
        f"{name}_percentile": percentile_among(value, np.asarray(normative.validation[name]))
        for name, value in found.items()
        if name in normative.validation
    }
    facts = {"validation_n": float(normative.n)}
    if "normative" in maps:
        facts["normative_uncovered"] = uncovered_percent(normative, prepared.cube_mask.data)
    keys = [band_share("fused", band.name) for band in BANDS]
    if "fused" in maps and all(key in normative.validation for key in keys):
        normals = np.sum([normative.validation[key] for key in keys], axis=0)
        facts["fused_percent"] = sum(maps["fused"].percent.values())
        facts["fused_percent_percentile"] = percentile_among(facts["fused_percent"], normals)
        facts["fused_percent_most"] = float(normals.max())
    return {**found, **ranked, **facts}
