"""Calibration on held-out normals: what it counts is what an analysis would show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.anomaly.bands import REGION_BANDS
from core.anomaly.normative import Normative, false_alarms, fit_normative
from core.anomaly.residual import AnomalyError
from core.calibration import calibrate, calibrate_detector
from core.case import AnalyzeSettings, analyze
from core.io.bids import Scan
from core.io.derivatives import CasePaths, read_regions
from core.prepared import prepare_scan
from core.preprocess.pipeline import PrepareError, PrepareSettings, read_prepared
from tests.core.case_fakes import CUBE, CountingNetwork, fake_predictor, fake_prepare, reference, write_scan

SETTINGS = AnalyzeSettings(floor_mm3=200)


@pytest.fixture
def normals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Scan, CasePaths]]:
    """Five prepared phantoms; the last has a bright blob that no other has."""
    monkeypatch.setattr("core.prepared.prepare", fake_prepare)
    found = []
    for number in range(5):
        written = write_scan(
            tmp_path / str(number), blob=0.25 if number == 4 else 0.004 * number, seed=number
        )
        scan = replace(written, subject=f"sub-{number}")
        prepare_scan(scan, reference(), tmp_path / "out", PrepareSettings(cube=CUBE))
        found.append((scan, CasePaths(tmp_path / "out", scan.subject, scan.session)))
    return found


def counts(normative: Normative, name: str) -> np.ndarray:
    """(normals, bands)."""
    return np.stack([normative.validation[f"regions_{name}_{band}"] for band in REGION_BANDS], axis=1)


def test_a_case_has_the_regions_that_were_counted(
    normals: list[tuple[Scan, CasePaths]], tmp_path: Path
) -> None:
    model = fake_predictor(CountingNetwork())
    normative = calibrate(model, [paths for _, paths in normals], SETTINGS)
    assert (normative.n, normative.floor_mm3, normative.voxel_mm) == (5, 200, 4)
    for index, (scan, paths) in enumerate(normals):
        record = analyze(scan, model, reference(), tmp_path / "out", SETTINGS)
        regions = read_regions(paths.regions(model.name))
        found = [sum(region.band == band for region in regions) for band in REGION_BANDS]
        assert counts(normative, "volume")[index].tolist() == found
        assert normative.validation["mse"][index] == record.scores["mse"]
        assert normative.validation["cluster_size"][index] == record.scores["cluster_size"]
        for row in record.bands["volume"]:
            assert normative.validation[f"percent_volume_{row.band}"][index] == row.percent
            assert normative.validation[f"cluster_volume_{row.band}"][index] == row.mean_cluster_size
        mine = [region for region in regions if region.map == "volume"]
        volumes = [sum(r.volume_mm3 for r in mine if r.band == band) for band in REGION_BANDS]
        kept = [normative.validation[f"mm3_volume_{band}"][index] for band in REGION_BANDS]
        assert kept == pytest.approx(volumes)
    assert counts(normative, "volume")[4, 2] >= 1


def test_each_normal_is_judged_by_the_others_only(
    normals: list[tuple[Scan, CasePaths]], tmp_path: Path
) -> None:
    model = fake_predictor(CountingNetwork())
    normative = calibrate(model, [paths for _, paths in normals], SETTINGS)
    loaded = [read_prepared(paths, CUBE) for _, paths in normals]
    residuals = [one.cube.data - model.reconstruct(one.cube.data) for one in loaded]
    _, left_out = fit_normative(residuals, [one.cube_mask.data > 0 for one in loaded], 4)
    # The last against a model that has not seen it, as a new case would be.
    scan, paths = normals[4]
    fresh = replace(model, normative=left_out[4])
    record = analyze(scan, fresh, reference(), tmp_path / "out", SETTINGS)
    regions = [region for region in read_regions(paths.regions(model.name)) if region.map == "normative"]
    found = [sum(region.band == band for region in regions) for band in REGION_BANDS]
    assert counts(normative, "normative")[4].tolist() == found
    assert normative.validation["normative_top"][4] == pytest.approx(record.scores["normative_top"], rel=1e-6)
    assert normative.validation["normative_top"].argmax() == 4


def test_rates_are_means_over_the_normals(normals: list[tuple[Scan, CasePaths]]) -> None:
    normative = calibrate(fake_predictor(CountingNetwork()), [paths for _, paths in normals], SETTINGS)
    rates = false_alarms(normative, ("volume", "normative"), 200)
    for name in ("volume", "normative"):
        assert list(rates[name].values()) == counts(normative, name).mean(axis=0).tolist()
    assert false_alarms(normative, ("volume",), 100) == {}
    assert false_alarms(None, ("volume",), 200) == {}


def test_progress_grows_to_the_end(normals: list[tuple[Scan, CasePaths]]) -> None:
    heard: list[float] = []
    calibrate(
        fake_predictor(CountingNetwork()),
        [paths for _, paths in normals],
        SETTINGS,
        lambda step, fraction: heard.append(fraction),
    )
    assert heard == sorted(heard)
    assert (heard[0], heard[-1]) == (0, 1)


def test_refuses(normals: list[tuple[Scan, CasePaths]], tmp_path: Path) -> None:
    model = fake_predictor(CountingNetwork())
    with pytest.raises(AnomalyError, match="2 held-out normals; expected 3 or more"):
        calibrate(model, [paths for _, paths in normals[:2]], SETTINGS)
    with pytest.raises(PrepareError, match="expected a whole preparation"):
        calibrate(model, [CasePaths(tmp_path / "out", "sub-none", "ses-01")], SETTINGS)


def test_normals_prepared_for_another_model_are_refused(normals: list[tuple[Scan, CasePaths]]) -> None:
    """They were calibrated on, as whatever lay prepared at the cube's size was."""
    model, paths = fake_predictor(CountingNetwork()), [paths for _, paths in normals]
    told = f"{paths[4].prepared_json(CUBE).name}: prepared otherwise than for vae_8x8_512: intensity robust "
    prepare_scan(normals[4][0], reference(), paths[4].root, replace(model.prepare, intensity="robust"))
    fitted = Normative(np.zeros((CUBE,) * 3, np.float32), np.ones((CUBE,) * 3, np.float32), 5, 4.0, 2.0)
    with pytest.raises(PrepareError, match=told):
        calibrate(model, paths, SETTINGS)
    with pytest.raises(PrepareError, match=told):
        calibrate_detector(model, paths[:4], fitted, paths[4:], SETTINGS)
    with pytest.raises(PrepareError, match="reference phantom instead of hash"):
        calibrate(replace(model, reference="hash"), paths[:3], SETTINGS)
