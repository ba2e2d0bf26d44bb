"""Numbers of an analysis and their place among validation normals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.compare.analyses import Analyses
from app.compare.measures import by_place, measures, validation_of
from app.compare.numbers import SECTIONS, cell, normals_line, number_frame, standing, strip
from core.anomaly.normative import Normative, Validation, read_validation, save_normative
from core.anomaly.residual import AnomalyError
from core.config import settings
from core.io.derivatives import read_regions
from core.networks.zoo import model_info, network_config, save_model

NORMALS = Validation(
    4,
    10.0,
    {
        "mse": np.array([0.01, 0.02, 0.03, 0.05]),
        "percent_volume_4": np.array([0.0, 0.0, 0.1, 99.0]),
        "regions_volume_3-4": np.array([0.0, 1.0, 2.0, 3.0]),
        "regions_volume_4+": np.array([0.0, 0.0, 1.0, 1.0]),
        "mm3_volume_4+": np.array([0.0, 0.0, 50.0, 5000.0]),
    },
)


def test_percentiles_by_hand(analyses: Analyses) -> None:
    record = analyses.records[0]
    regions = read_regions(analyses.paths.regions(record.model))
    rows = by_place(measures(record, regions, "volume", NORMALS))
    # MSE 0.02: one below, one the same (half).
    assert (rows["std_8x8", "mse", ""].value, rows["std_8x8", "mse", ""].percentile) == (0.02, 37.5)
    assert rows["std_8x8", "mse", ""].normals == 4
    # One region at 4+ and one at 3–4: 4×4×4 and 2×3×2 voxels of 10 mm³.
    strong = rows["std_8x8", "regions", "4+"]
    assert (strong.value, strong.percentile) == (1, 75.0)
    assert rows["std_8x8", "volume", "4+"].value == 640
    assert rows["std_8x8", "volume", "4+"].percentile == 75.0
    # 3 SD and more: normals have 0, 1, 3, 4 of them, this scan 2.
    assert (rows["std_8x8", "regions", "3+"].value, rows["std_8x8", "regions", "3+"].percentile) == (2, 50.0)
    assert rows["std_8x8", "volume", "3+"].value == 640 + 120
    # What the calibration did not keep has no percentile.
    assert rows["std_8x8", "volume", "3+"].percentile is None
    assert rows["std_8x8", "cluster", "4"].percentile is None
    share = rows["std_8x8", "percent", "4"]
    assert share.value == pytest.approx(next(r.percent for r in record.bands["volume"] if r.band == "4"))
    assert share.percentile == 75.0


def test_regions_of_another_floor_do_not_rank(analyses: Analyses) -> None:
    regions = read_regions(analyses.paths.regions("std_8x8"))
    rows = by_place(measures(analyses.records[0], regions, "volume", replace(NORMALS, floor_mm3=100.0)))
    assert rows["std_8x8", "regions", "4+"].percentile is None
    assert rows["std_8x8", "mse", ""].percentile == 37.5


def test_without_the_model_the_analysis_own_percentiles_count(analyses: Analyses) -> None:
    record = replace(analyses.records[0], scores={"mse": 0.02, "mse_percentile": 90.0, "validation_n": 9.0})
    rows = by_place(measures(record, [], "volume", None))
    assert (rows["std_8x8", "mse", ""].percentile, rows["std_8x8", "mse", ""].normals) == (90.0, 9)
    assert rows["std_8x8", "percent", "4"].percentile is None


def test_scores_of_the_other_map_are_left_out(analyses: Analyses) -> None:
    record = analyses.records[0]
    regions = read_regions(analyses.paths.regions(record.model))
    volume = by_place(measures(record, regions, "volume", None))
    normative = by_place(measures(record, regions, "normative", None))
    assert ("std_8x8", "normative_top", "") not in volume
    assert normative["std_8x8", "normative_top", ""].value == 4.5


def save(folder: Path, values: dict[str, np.ndarray]) -> None:
    maps = np.ones((4, 4, 4), np.float32)
    save_normative(Normative(maps, maps, 4, 2.0, 2.0, floor_mm3=10.0, validation=values), folder)


def test_reads_validation_without_the_maps(tmp_path: Path) -> None:
    save(tmp_path / "normative.npz", dict(NORMALS.values))
    found = read_validation(tmp_path / "normative.npz")
    assert (found.n, found.floor_mm3, set(found.values)) == (4, 10.0, set(NORMALS.values))
    assert found.values["mse"].tolist() == [0.01, 0.02, 0.03, 0.05]
    with pytest.raises(AnomalyError, match=r"absent\.npz"):
        read_validation(tmp_path / "absent.npz")
    np.savez(tmp_path / "other.npz", format=np.array(99))
    with pytest.raises(AnomalyError, match="not a normative model of format"):
        read_validation(tmp_path / "other.npz")


def test_validation_belongs_to_the_model_that_analysed(analyses: Analyses, tmp_path: Path) -> None:
    from core.networks.autoencoder import build_network

    record = analyses.records[0]
    assert validation_of(tmp_path, record) == (
        None,
        "std_8x8 is not installed here: its validation normals are not known",
    )
    config = network_config("std_8x8", cube=16)
    folder = tmp_path / "std_8x8"
    save_model(
        folder,
        build_network(config),
        config,
        preprocess={"cube": 16},
        reference="demo",
        reference_hash="",
        training={},
        synthetic=True,
        card="",
    )
    own = replace(record, model_hash=model_info(folder).hash)
    assert "is not calibrated" in validation_of(tmp_path, own)[1]
    save(folder / "normative.npz", dict(NORMALS.values))
    assert "has changed since this analysis" in validation_of(tmp_path, own)[1]
    validation, why = validation_of(tmp_path, replace(record, model_hash=model_info(folder).hash))
    assert why == ""
    assert validation is not None
    assert validation.values["mse"].size == 4


def test_words(analyses: Analyses) -> None:
    assert [standing(value) for value in (None, 0.0, 100.0, 94.4)] == ["", "below all", "above all", "94th"]
    everything = [
        row
        for record in analyses.records
        for row in measures(record, read_regions(analyses.paths.regions(record.model)), "volume", NORMALS)
    ]
    rows = by_place(everything)
    frame = number_frame(rows, analyses.models, "Scan")
    assert list(frame["Model"]) == analyses.models
    assert list(frame["Volume MSE"]) == ["0.0200 · 38th", "0.0200 · 38th", "0.0100 · 12th"]
    assert "Normative z, top voxels" not in frame
    assert len(number_frame(rows, analyses.models, "Cluster size").columns) == 7
    assert cell(None, "{:.1f}") == "–"
    assert "4 validation normals" in normals_line(everything)
    assert "25 points" in normals_line(everything)
    assert "no percentiles" in normals_line([])
    measure, band, words, _ = SECTIONS["Scan"][0]
    figure = strip(rows, {"std_8x8": NORMALS, "vae_8x8_512": None}, measure, band, words, "volume")
    assert list(figure.data[0].y) == [0.01, 0.02, 0.03, 0.05]
    assert (list(figure.data[1].x), list(figure.data[1].y)) == (["std_8x8", "vae_8x8_512"], [0.02, 0.02])


def test_settings_point_to_no_models(data_dir: Path) -> None:
    assert not (settings().models_dir / "std_8x8").exists()
