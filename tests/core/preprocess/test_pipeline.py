"""A scan through all steps, and maps back on its own grid."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import ROOT
from core.io.derivatives import CasePaths
from core.io.volume import Volume, load_mask, load_volume, save_volume
from core.preprocess.errors import PrepareError
from core.preprocess.pipeline import (
    Prepared,
    PrepareSettings,
    Reference,
    prepare,
    read_prepared,
    settings_from_dict,
    to_scan_grid,
    write_prepared,
)
from core.preprocess.register import dice
from tests.core.preprocess.phantom import centred, grid, phantom, reference

SHAPE = (80, 92, 84)
TILT = np.array([[0.995, -0.0998, 0], [0.0998, 0.995, 0], [0, 0, 1.0]])
REAL = ROOT.parent / "shared" / "data" / "real-fetal-t2-cc0"
QUICK = PrepareSettings(cube=32, bias="none")


@pytest.fixture(scope="module")
def target() -> Reference:
    return reference()


@pytest.fixture(scope="module")
def scan() -> tuple[Volume, Volume]:
    moved = np.eye(4)
    moved[:3, 3] = (5, -4, 6)
    moved[:3, :3] = np.diag([1.05, 0.97, 1.02])
    return phantom(SHAPE, centred(SHAPE, TILT @ np.diag([1.2, 1.3, 1.25])), moved)


@pytest.fixture(scope="module")
def prepared(scan: tuple[Volume, Volume], target: Reference) -> Prepared:
    return prepare(scan[0], scan[1], target, PrepareSettings(cube=64), note="synthetic")


def test_cube_holds_the_reference_anatomy(prepared: Prepared, target: Reference) -> None:
    assert prepared.cube.shape == (64, 64, 64)
    assert np.allclose(prepared.cube.spacing, 2)
    inside = prepared.cube_mask.data > 0
    assert prepared.cube.data[inside].min() == 0
    assert prepared.cube.data[inside].max() == 1
    assert (prepared.cube.data[~inside] == 0).all()
    mm = grid(prepared.cube.shape, prepared.cube.affine)
    radius = np.sqrt(((mm / np.array([44, 54, 42])) ** 2).sum(axis=-1))
    assert dice(inside, radius <= 1) > 0.98
    at = np.linalg.inv(prepared.cube.affine)
    ventricle = np.rint(at @ [-9, 4, 6, 1])[:3].astype(int)  # brightest part of the phantom
    basal = np.rint(at @ [-14, 4, -4, 1])[:3].astype(int)  # among the darkest
    assert prepared.cube.data[tuple(ventricle)] > prepared.cube.data[tuple(basal)] + 0.3


def test_what_is_told_of_the_run(prepared: Prepared, scan: tuple[Volume, Volume]) -> None:
    assert prepared.mask_source == "given"
    assert prepared.overlap > 0.97
    assert list(prepared.times) == ["mask", "bias", "register", "resample", "intensity", "qc"]
    assert all(seconds >= 0 for seconds in prepared.times.values())
    assert np.array_equal(prepared.scan.data, scan[0].data)
    assert np.array_equal(prepared.mask.data, scan[1].data)
    assert Image.open(io.BytesIO(prepared.qc)).format == "PNG"


def test_same_input_same_output(prepared: Prepared, scan: tuple[Volume, Volume], target: Reference) -> None:
    again = prepare(scan[0], scan[1], target, PrepareSettings(cube=64), note="synthetic")
    assert np.array_equal(again.cube.data, prepared.cube.data)
    assert np.array_equal(again.scan_to_reference, prepared.scan_to_reference)
    assert again.qc == prepared.qc


@pytest.mark.parametrize("codes", [("L", "A", "S"), ("P", "I", "R")])
def test_stored_order_does_not_matter(
    codes: tuple[str, str, str], scan: tuple[Volume, Volume], target: Reference, tmp_path: Path
) -> None:
    results = []
    for order in (("R", "A", "S"), codes):
        for name, volume in zip(("scan", "mask"), scan, strict=True):
            save_volume(Volume(volume.data, volume.affine, order), tmp_path / f"{name}.nii.gz")
        loaded = load_volume(tmp_path / "scan.nii.gz")
        assert loaded.stored == order
        results.append(prepare(loaded, load_mask(tmp_path / "mask.nii.gz", loaded), target, QUICK))
    plain, turned = results
    # The header holds float32, so origins may differ by a micrometre.
    assert np.allclose(turned.scan_to_reference, plain.scan_to_reference, atol=1e-2)
    assert np.abs(turned.cube.data - plain.cube.data).mean() < 1e-3


def test_planted_blob_returns_to_its_place(prepared: Prepared) -> None:
    place = np.array([18.0, -21.0, 9.0])  # mm in the reference
    distance = np.linalg.norm(grid(prepared.cube.shape, prepared.cube.affine) - place, axis=-1)
    blob = prepared.cube.with_data(np.exp(-(distance**2) / (2 * 4.0**2)))
    back = to_scan_grid(blob, prepared)
    assert back.shape == SHAPE
    assert back.stored == prepared.scan.stored
    mm = grid(SHAPE, back.affine)
    centroid = (mm * back.data[..., None]).sum(axis=(0, 1, 2)) / back.data.sum()
    expected = np.linalg.solve(prepared.scan_to_reference, [*place, 1])[:3]
    assert np.linalg.norm(centroid - expected) < 0.1
    # The phantom's own map (scale and shift of the fixture) says the same within the registration.
    known = (place - [5, -4, 6]) / [1.05, 0.97, 1.02]
    assert np.linalg.norm(centroid - known) < 0.5


def test_maps_stay_in_the_brain_and_labels_stay_whole(prepared: Prepared) -> None:
    labels = prepared.cube.with_data(np.where(prepared.cube.data > 0.5, 3.0, 7.0))
    back = to_scan_grid(labels, prepared, order=0)
    assert set(np.unique(back.data[prepared.mask.data > 0])) == {3.0, 7.0}
    assert not back.data[prepared.mask.data == 0].any()


@pytest.mark.parametrize("order", [0, 1])
def test_constant_of_the_brain_comes_back_undiluted(prepared: Prepared, order: int) -> None:
    # Zero around the brain, as z is, and a mask of the cube that leaves part of the scan's brain out.
    cut = prepared.cube_mask.data.copy()
    cut[:, :, :22] = 0
    short = replace(prepared, cube_mask=prepared.cube.with_data(cut))
    for source in (prepared, short):
        back = to_scan_grid(source.cube.with_data(4.5 * source.cube_mask.data), source, order)
        assert np.allclose(back.data[prepared.mask.data > 0], 4.5, rtol=1e-5)
        assert not back.data[prepared.mask.data == 0].any()


def test_nearest_keeps_the_extremes(prepared: Prepared) -> None:
    z = prepared.cube.with_data(np.random.default_rng(4).normal(0, 2, (64, 64, 64)))
    inside = prepared.cube_mask.data > 0
    back = to_scan_grid(z, prepared, order=0).data[prepared.mask.data > 0]
    assert np.isin(back, z.data[inside]).all()
    assert np.mean(np.abs(back) >= 4) == pytest.approx(np.mean(np.abs(z.data[inside]) >= 4), rel=0.1)


def test_map_of_another_cube_is_refused(prepared: Prepared) -> None:
    other = Volume(np.zeros((32, 32, 32)), np.diag([4.0, 4, 4, 1]))
    with pytest.raises(
        PrepareError, match=r"map of \(32, 32, 32\) voxels is not on the cube; expected \(64, 64, 64\)"
    ):
        to_scan_grid(other, prepared)
    with pytest.raises(PrepareError, match=r"order: 3; expected 0 \(nearest\) or 1 \(linear\)"):
        to_scan_grid(prepared.cube, prepared, order=3)


def test_write_and_read_back(prepared: Prepared, tmp_path: Path) -> None:
    paths = CasePaths(tmp_path, "sub-a", "ses-01")
    write_prepared(prepared, paths, 64, {"key": "k", "synthetic": True})
    written = sorted(path.name for path in paths.folder.iterdir())
    assert len(written) == 6
    assert not [name for name in written if name.endswith(".part")]
    record = json.loads(paths.prepared_json(64).read_text())
    assert record["key"] == "k"
    assert record["synthetic"] is True
    assert record["mask_source"] == "given"
    assert set(record["versions"]) >= {"fontanelle", "antspyx", "nibabel"}
    back = read_prepared(paths, 64)
    assert np.array_equal(back.scan_to_reference, prepared.scan_to_reference)
    for name in ("scan", "mask", "cube", "cube_mask"):
        assert np.array_equal(getattr(back, name).data, getattr(prepared, name).data), name
    assert (back.overlap, back.times, back.qc) == (prepared.overlap, prepared.times, prepared.qc)


def test_half_a_preparation_is_not_read(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = CasePaths(tmp_path, "sub-a", "ses-01")
    with pytest.raises(PrepareError, match=r"sub-a_ses-01_space-cube64.*\.json: .*prepare again"):
        read_prepared(paths, 64)
    write_prepared(prepared, paths, 64, {})

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("core.preprocess.pipeline.write_bytes", full)
    with pytest.raises(OSError, match="disk full"):
        write_prepared(prepared, paths, 64, {})
    assert not paths.prepared_json(64).exists()
    monkeypatch.undo()
    with pytest.raises(PrepareError, match="overlap given twice"):
        write_prepared(prepared, paths, 64, {"overlap": 1})


def test_whole_numbers_are_kept_short_and_exact(prepared: Prepared, tmp_path: Path) -> None:
    paths = CasePaths(tmp_path, "sub-a", "ses-01")
    rounded = prepared.scan.with_data(np.rint(prepared.scan.data))
    whole = Prepared(**{**prepared.__dict__, "scan": rounded})
    write_prepared(whole, paths, 64, {})
    assert paths.acquired.stat().st_size < 0.6 * prepared.scan.data.nbytes
    assert np.array_equal(load_volume(paths.acquired).data, rounded.data)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"bias": "N4"}, r"bias: 'N4'; expected one of n4, n3, none"),
        ({"intensity": "z"}, r"intensity: 'z'; expected one of minmax, robust"),
        ({"mask": True}, r"mask: True; expected one of auto, given, stripped, bet, command"),
        ({"cube": 4}, r"cube: 4; expected 8 to 512 voxels"),
        ({"fov_mm": 1.0}, r"fov_mm: 1\.0; expected 32 to 512 mm"),
        ({"spline": 3}, r"unknown setting spline; known are bias, channels, cube, fov_mm, intensity, land"),
        ({"channels": ["T1w"]}, r"channels: \('T1w',\); expected \('T2w',\) or \('T2w', 'T1w'\)"),
        ({"channels": ["T1w", "T2w"]}, r"channels: \('T1w', 'T2w'\); expected"),
        ({"channels": "T2w"}, r"channels: 'T2w'; expected a list"),
    ],
)
def test_settings_that_are_none(change: dict[str, object], text: str) -> None:
    with pytest.raises(PrepareError, match=text):
        settings_from_dict(change)


def test_mask_of_another_grid_is_refused(scan: tuple[Volume, Volume], target: Reference) -> None:
    other = Volume(scan[1].data[:-1], scan[1].affine)
    with pytest.raises(PrepareError, match="mask: not on the scan's grid"):
        prepare(scan[0], other, target, QUICK)
    with pytest.raises(PrepareError, match="mask: empty"):
        prepare(scan[0], scan[1].with_data(0 * scan[1].data), target, QUICK)


@pytest.mark.parametrize("scaled", ["-1 to 1", "z", "offset"])
def test_scan_whose_brain_is_below_zero_is_refused(
    scan: tuple[Volume, Volume], target: Reference, scaled: str
) -> None:
    data, inside = scan[0].data, scan[1].data > 0
    middle, low, high = np.median(data[inside]), data.min(), data.max()
    changed = {
        "-1 to 1": 2 * (data - low) / (high - low) - 1,
        "z": (data - data[inside].mean()) / data[inside].std(),
        "offset": data - 0.8 * middle,
    }[scaled]
    with pytest.raises(
        PrepareError, match=r"intensity: \d+\.\d% of the brain's voxels are negative, down to -"
    ):
        prepare(scan[0].with_data(changed), scan[1], target, QUICK)


def test_a_few_negative_voxels_pass(scan: tuple[Volume, Volume], target: Reference) -> None:
    # Super-resolution and resampling leave some at edges, whatever the file's scale.
    ringing = scan[0].data.copy()
    few = np.flatnonzero(scan[1].data > 0)[::150]
    ringing.ravel()[few] = -2
    assert prepare(scan[0].with_data(0.01 * ringing), scan[1], target, QUICK).overlap > 0.95


def test_scan_that_does_not_register_is_refused(scan: tuple[Volume, Volume], target: Reference) -> None:
    thimble = scan[0].affine @ np.diag([0.15, 0.15, 0.15, 1])
    with pytest.raises(
        PrepareError, match=r"register: (overlap|no match) with reference phantom.*; expected"
    ):
        prepare(Volume(scan[0].data, thimble), Volume(scan[1].data, thimble), target, QUICK)


def test_head_with_scalp_does_not_pass_as_a_stripped_brain(target: Reference) -> None:
    shape = (100, 116, 96)
    affine = centred(shape, 2.0 * np.eye(3))
    brain, inside = phantom(shape, affine, np.diag([1.25, 1.25, 1.25, 1]))  # 214 ml
    mm = grid(shape, affine)
    # A scalp and a face around it, 0 beyond.
    scalp = ((mm / [44, 52, 41]) ** 2).sum(-1) <= 1
    face = (((mm - [0, 44, -34]) / [26, 24, 34]) ** 2).sum(-1) <= 1
    head = brain.with_data(np.where(inside.data > 0, brain.data, 90.0 * (scalp | face)))
    with pytest.raises(PrepareError, match=r"mask \(stripped\): overlap 0\.[78]\d with the reference"):
        prepare(head, None, target, replace(QUICK, mask="stripped"))
    bare = brain.with_data(brain.data * inside.data)
    assert prepare(bare, None, target, replace(QUICK, mask="stripped")).mask_source == "stripped"


@pytest.mark.skipif(not REAL.is_dir(), reason="real fetal T2 volumes are not in ../shared/data")
def test_real_fetal_scan_runs_through() -> None:
    volumes = {}
    for name in ("GA29", "GA34"):
        volume = load_volume(REAL / name / "srr.nii.gz")
        volumes[name] = volume, load_mask(REAL / name / "mask.nii.gz", volume)
    target = Reference(*volumes["GA34"], hash="1" * 64, name="GA34")
    scan, mask = volumes["GA29"]
    found = prepare(scan, None, target, PrepareSettings(cube=64, intensity="robust"))
    assert found.mask_source == "stripped"
    assert dice(found.mask.data, mask.data) > 0.95
    assert found.overlap > 0.93
    # 29 weeks must grow to match 34: the map's volume factor is that of the masks within a tenth.
    growth = volumes["GA34"][1].data.sum() / found.mask.data.sum()
    assert np.linalg.det(found.scan_to_reference[:3, :3]) == pytest.approx(growth, rel=0.1)
    inside = found.cube_mask.data > 0
    assert 0.2 < found.cube.data[inside].mean() < 0.7
    back = to_scan_grid(found.cube, found)
    both = (found.mask.data > 0) & (back.data > 0)
    here = np.corrcoef(back.data[both], scan.data[both])[0, 1]
    elsewhere = np.corrcoef(np.roll(back.data, 4, axis=0)[both], scan.data[both])[0, 1]
    assert here > 0.85
    assert elsewhere < here - 0.2
