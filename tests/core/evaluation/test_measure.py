"""Rows of one scan by one scorer, and that none is measured twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.anomaly.channels import joint, spreads
from core.anomaly.normative import Normative
from core.anomaly.residual import Array, Mask, normative_z, volume_z
from core.evaluation.baselines import Cube, Scorer
from core.evaluation.lesions import Lesions
from core.evaluation.measure import (
    MeasureSettings,
    localise,
    measure,
    measured,
    read_cube,
    row_key,
    stored_content,
    z_map,
)
from core.evaluation.statistics import EvaluationError
from core.evaluation.thresholds import dice_at
from core.io.derivatives import CasePaths
from core.io.volume import Volume, save_volume
from core.preprocess.pipeline import PrepareError, PrepareSettings, settings_to_dict
from tests.core.evaluation.fakes import SIDE, block, cube


class Counting:
    """Residual against the expected ramp; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Array, mask: Mask) -> Array:
        self.calls += 1
        j = np.arange(SIDE, dtype=np.float32)[None, :, None] - SIDE / 2 + 0.5
        return np.where(mask, x - (0.4 + 0.01 * j), 0).astype(np.float32)


def scorer(residual: Counting, key: str = "scorer", rebuilds: bool = True) -> Scorer:
    return Scorer("fake", key, rebuilds, residual, {"volume": lambda: None})


def prepared(folder: Path, one: Cube) -> CasePaths:
    paths = CasePaths(folder, "sub-01", "ses-01")
    volume = Volume(one.x, one.affine)
    save_volume(volume, paths.prepared(SIDE))
    save_volume(volume.with_data(one.mask), paths.prepared_mask(SIDE), np.uint8)
    sidecar = {"key": one.key, "scan_to_reference": np.eye(4).tolist()}
    paths.prepared_json(SIDE).write_text(json.dumps(sidecar))
    return paths


def test_measures_of_a_bright_block() -> None:
    one = cube(1, lesion=0.3)
    row = measure(one, scorer(Counting()), None, MeasureSettings(floor_mm3=100))
    residual = Counting()(one.x, one.mask)
    # Over the whole cube, as the paper's; not over the brain alone.
    assert row["mse"] == pytest.approx(float((residual**2).mean()), rel=1e-5)
    found = row["maps"]["volume"]
    # 27 voxels of 8 mm³, far above 4 SD, in three slices of 9.
    assert found["regions"] == {"2-3": 0, "3-4": 0, "4+": 1}
    assert found["largest_mm3"] == 27 * 8
    assert found["clusters"]["4"] == pytest.approx(9.0)
    assert found["percent"]["4"] == pytest.approx(100 * 27 / one.mask.sum())
    assert "localisation" not in found
    json.dumps(row)


def test_only_a_reconstruction_has_an_mse() -> None:
    assert measure(cube(), scorer(Counting(), rebuilds=False), None, MeasureSettings())["mse"] is None


def test_normative_map_and_a_residual_of_nothing() -> None:
    one = cube(1)
    flat = Normative(np.zeros((SIDE,) * 3, np.float32), np.full((SIDE,) * 3, 0.1, np.float32), 9, 2.0, 0.0)
    nothing = Scorer(
        "identity",
        "k",
        True,
        lambda x, mask: np.zeros_like(x),
        {"volume": lambda: None, "normative": lambda: flat},
    )
    row = measure(one, nothing, None, MeasureSettings())
    assert row["mse"] == 0
    assert [row["maps"][name]["top"] for name in ("volume", "normative")] == [0, 0]
    plain = Scorer("x", "k", False, lambda x, mask: x, {"normative": lambda: flat})
    top = measure(one, plain, None, MeasureSettings())["maps"]["normative"]["top"]
    assert top == pytest.approx(10 * float(np.sort(one.x[one.mask])[-6:].mean()), rel=0.01)


@pytest.fixture
def lesion(tmp_path: Path) -> Lesions:
    one = cube()
    data = np.zeros(one.x.shape, np.float32)
    data[block()] = 1
    data[16:18, 12:14, 8:10] = 2
    path = tmp_path / "lesions.nii.gz"
    save_volume(Volume(data, one.affine), path, np.uint8)
    return Lesions(path, ("cyst", "spot"), (216.0, 64.0), "hash")


def test_localisation_of_a_perfect_map(lesion: Lesions) -> None:
    one = cube(1)
    z = np.zeros(one.x.shape, np.float32)
    z[block()], z[16:18, 12:14, 8:10] = 5, -4
    row = localise(z, one, lesion, MeasureSettings(floor_mm3=64, thresholds=(3.0, 4.5)))
    assert (row["ap"], row["auroc"]) == (1.0, 1.0)
    # Above 4 the spot's 8 voxels are lost of 35.
    dices = [dice_at(row["histograms"], z) for z in (4.0, 4.5, 5.5)]
    assert dices == pytest.approx([1.0, 2 * 27 / (27 + 35), 0.0])
    whole = {"found": [[True, True], [True, False]], "false": [0, 0]}
    assert row["components"] == {"any": whole, "listed": whole}
    coarse = localise(z, one, lesion, MeasureSettings(floor_mm3=65, thresholds=(3.0, 4.5)))
    assert coarse["components"]["any"] == whole
    assert coarse["components"]["listed"]["found"] == [[True, True], [False, False]]
    assert row["classes"]["type"] == {name: {"ap": 1.0, "auroc": 1.0} for name in ("cyst", "spot")}
    assert list(row["classes"]["size"]) == ["under 100 mm³", "100 to 1000 mm³"]
    histograms = np.array(row["lesion_histograms"])
    assert (histograms[0, 250], histograms[1, 200], histograms.sum()) == (27, 8, 35)
    assert row["prevalence"] == pytest.approx(35 / one.mask.sum())
    assert sum(row["histograms"][0]) == 35


def test_voxels_of_other_types_count_neither_way(lesion: Lesions) -> None:
    one = cube(1)
    z = np.zeros(one.x.shape, np.float32)
    z[block()], z[16:18, 12:14, 8:10] = 5, 4
    row = localise(z, one, lesion, MeasureSettings())
    # The cyst scores above the spot, and yet the spot's own precision is whole.
    assert row["classes"]["type"]["spot"] == {"ap": 1.0, "auroc": 1.0}
    # The spot is the smaller one; weaker than the cyst and than 27 other voxels, it is not.
    z[20, 8:17, 8:11] = 4.5
    row = localise(z * one.mask, one, lesion, MeasureSettings())
    above = int((z[20] * one.mask[20] > 0).sum())
    expected = {
        "ap": pytest.approx(8 / (8 + above)),
        "auroc": pytest.approx(1 - above / (one.mask.sum() - 35)),
    }
    assert row["classes"]["size"]["under 100 mm³"] == expected


def test_a_normal_scan_has_false_components_and_no_precision() -> None:
    one = cube(1)
    z = np.zeros(one.x.shape, np.float32)
    z[block()] = 5
    row = localise(z, one, Lesions(None), MeasureSettings(thresholds=(3.0, 6.0)))
    assert row["components"]["any"] == {"found": [], "false": [1, 0]}
    assert "ap" not in row
    assert (row["classes"], row["lesion_histograms"]) == ({"type": {}, "size": {}}, [])
    assert sum(row["histograms"][0]) == 0


def test_rows_are_cached_by_content(tmp_path: Path) -> None:
    one, residual = cube(1, lesion=0.2), Counting()
    paths, cache = prepared(tmp_path / "derivatives", one), tmp_path / "cache"
    options = MeasureSettings()
    first = measured(paths, SIDE, scorer(residual), None, options, cache)
    assert measured(paths, SIDE, scorer(residual), None, options, cache) == first
    assert residual.calls == 1
    measured(paths, SIDE, scorer(residual, "another"), None, options, cache)
    measured(paths, SIDE, scorer(residual), None, replace(options, floor_mm3=50), cache)
    measured(paths, SIDE, scorer(residual), Lesions(None), options, cache)
    prepared(tmp_path / "derivatives", cube(2))
    measured(paths, SIDE, scorer(residual), None, options, cache)
    assert residual.calls == 5
    # A damaged row counts as none.
    key = row_key("cube1", scorer(residual), None, options)
    (cache / key[:2] / f"{key}.json").write_text("{")
    prepared(tmp_path / "derivatives", one)
    assert measured(paths, SIDE, scorer(residual), None, options, cache) == first
    assert residual.calls == 6


def test_a_scan_prepared_for_another_model_is_not_measured(tmp_path: Path) -> None:
    """Whatever lay prepared at the cube's size was, and a row kept of it was given again."""
    residual, wanted = Counting(), PrepareSettings(cube=SIDE)
    paths, cache = prepared(tmp_path / "derivatives", cube(1)), tmp_path / "cache"
    one = replace(scorer(residual), prepare=wanted, reference="hash")
    measured(paths, SIDE, scorer(residual), None, MeasureSettings(), cache)
    sidecar = json.loads(paths.prepared_json(SIDE).read_text())
    sidecar |= {"settings": settings_to_dict(wanted), "reference": {"name": "reference", "hash": "hash"}}
    for name, value, text in (
        ("settings", settings_to_dict(replace(wanted, bias="none")), "bias none instead of n4"),
        ("settings", None, "bias none instead of n4, cube none instead of "),
        ("reference", {"name": "reference", "hash": "other"}, "reference reference instead of hash"),
    ):
        paths.prepared_json(SIDE).write_text(json.dumps(sidecar | {name: value}))
        with pytest.raises(PrepareError, match=text):
            measured(paths, SIDE, one, None, MeasureSettings(), cache)
    assert residual.calls == 1
    paths.prepared_json(SIDE).write_text(json.dumps(sidecar))
    assert measured(paths, SIDE, one, None, MeasureSettings(), cache)["mse"] > 0


def test_a_scan_that_is_not_prepared_is_named(tmp_path: Path) -> None:
    paths = CasePaths(tmp_path, "sub-01", "ses-01")
    with pytest.raises(EvaluationError, match=r"sub-01_ses-01_space-cube64.*expected a prepared scan"):
        read_cube(paths, 64)


def test_read_cube(tmp_path: Path) -> None:
    one = cube(3)
    read = read_cube(prepared(tmp_path, one), SIDE)
    np.testing.assert_array_equal(read.x, one.x)
    np.testing.assert_array_equal(read.mask, one.mask)
    assert (read.voxel_mm, read.key) == (2.0, "cube3")


def test_two_channels_are_measured_as_an_analysis_does(tmp_path: Path) -> None:
    one = cube(3, lesion=0.3)
    paths = prepared(tmp_path, one)
    turned = np.where(one.mask, 1 - one.x, 0).astype(np.float32)
    save_volume(Volume(turned, one.affine), paths.prepared(SIDE, "T1w"))
    paths.prepared_json(SIDE, "T1w").write_text('{"key": "of T1w"}')
    both = ("T2w", "T1w")
    read = read_cube(paths, SIDE, both)
    assert np.array_equal(read.seen(("T2w",)), one.x)
    assert np.array_equal(read.seen(both), np.stack([one.x, turned]))
    rest = np.stack([one.x - 0.4, turned - 0.5]) * one.mask
    rest = rest.astype(np.float32)
    scale = {name: np.array(values) for name, values in spreads([rest], [one.mask]).items()}
    flat = np.where(one.mask, np.float32(1), np.float32(0))
    normative = Normative(0 * flat, flat, 5, 2.0, 0.0, validation=scale)
    two = Scorer(
        "two",
        "two",
        True,
        lambda x, mask: (x - np.array([0.4, 0.5], np.float32)[:, None, None, None]) * mask,
        {"volume": lambda: None, "normative": lambda: normative},
        both,
    )
    row = measure(read, two, None, MeasureSettings())
    assert row["mse"] == pytest.approx(float(np.mean(rest[0] ** 2)), rel=1e-5)
    assert np.array_equal(z_map(rest, None, read), volume_z(rest[0], one.mask))
    expected = normative_z(joint(rest, scale), normative, one.mask)
    assert np.array_equal(z_map(rest, normative, read), expected)
    assert stored_content(paths, SIDE, two) == "cube3+of T1w"
    assert stored_content(paths, SIDE, scorer(Counting())) == "cube3"
