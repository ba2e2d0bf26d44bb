"""T1w and T2w together, from the scan to its record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.anomaly.channels import joint
from core.calibration import calibrate
from core.case import AnalyzeSettings, analyze
from core.io.bids import Scan
from core.io.derivatives import CasePaths
from core.io.volume import load_volume, save_volume
from core.predictor import Predictor
from core.prepared import prepare_scan
from core.preprocess.pipeline import PrepareError, PrepareSettings, read_prepared
from tests.core.case_fakes import CUBE, expected_cube, fake_prepare, reference, write_scan
from tests.core.conftest import Run
from tests.core.test_cli import cohort_of_phantoms

BOTH = PrepareSettings(cube=CUBE, bias="none", channels=("T2w", "T1w"))
SETTINGS = AnalyzeSettings(floor_mm3=200)


@pytest.fixture(autouse=True)
def _preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.prepared.prepare", fake_prepare)
    monkeypatch.setattr("core.preprocess.channel.align", lambda *_: (np.eye(4), False))


def beside(scan: Scan, dark: float = 0.0) -> Scan:
    """A T1w: the T2w without its blob turned over, and ``dark`` units less where the blob is."""
    volume = load_volume(scan.path)
    plain = np.minimum(volume.data, 620)
    data = np.where(volume.data > 0, 1000 - plain - dark * (volume.data > 620), 0)
    path = scan.path.with_name(scan.path.name.replace("T2w", "T1w"))
    save_volume(volume.with_data(data), path)
    return replace(scan, t1w=path)


def network(x: np.ndarray) -> np.ndarray:
    """x̂: the phantom without blob in T2w; of the T1w its own median in the brain."""
    assert x.shape == (2, CUBE, CUBE, CUBE)
    inside = x[0] > 0
    return np.stack([expected_cube(), np.where(inside, np.median(x[1][inside]), 0)]).astype(np.float32)


@pytest.fixture
def normals(tmp_path: Path) -> list[CasePaths]:
    found = []
    for number in range(5):
        scan = beside(write_scan(tmp_path / str(number), blob=0.004 * number, seed=number))
        scan = replace(scan, subject=f"sub-{number}")
        prepare_scan(scan, reference(), tmp_path / "out", BOTH)
        found.append(CasePaths(tmp_path / "out", scan.subject, scan.session))
    return found


def test_a_scan_of_both_is_calibrated_and_analysed(normals: list[CasePaths], tmp_path: Path) -> None:
    model = Predictor("vae_8x8_512_t1t2", "model-hash", BOTH, network)
    normative = calibrate(model, normals, SETTINGS)
    first = read_prepared(normals[0], CUBE, BOTH.channels)
    rest = first.x - network(first.x)
    # The paper's measure is that of the T2w; the spread is each channel's own.
    assert normative.validation["mse"][0] == pytest.approx(float(np.mean(rest[0] ** 2)), rel=1e-5)
    inside = first.cube_mask.data > 0
    for channel, name in enumerate(("T2w", "T1w")):
        rms = normative.validation[f"residual_rms_{name}"][0]
        assert rms == pytest.approx(float(np.sqrt(np.mean(rest[channel][inside] ** 2))), rel=1e-5)

    scan = beside(write_scan(tmp_path / "case", blob=0.25), dark=150)
    out = tmp_path / "out"
    calibrated = replace(model, normative=normative)
    record = analyze(scan, calibrated, reference(), out, SETTINGS)
    assert record.settings["prepare"]["channels"] == ["T2w", "T1w"]
    paths = CasePaths(out, "sub-one", "ses-01")
    assert paths.prepared(CUBE, "T1w").name in record.files
    prepared = read_prepared(paths, CUBE, BOTH.channels)
    difference = prepared.x - network(prepared.x)
    assert record.scores["mse"] == pytest.approx(float(np.mean(difference[0] ** 2)), rel=1e-5)
    # Bright in T2w and dark in T1w: both speak for the same sign.
    blob = difference[0] > 0.5 * difference[0].max()
    assert difference[1][blob].mean() < 0
    both = joint(difference, normative.validation)
    assert (
        both[blob].mean()
        > joint(difference * np.array([1, 0])[:, None, None, None], normative.validation)[blob].mean()
    )
    assert load_volume(paths.z(model.name, "normative")).data.max() > 4
    # Another T1w is another analysis; the same one is not computed again.
    assert analyze(scan, calibrated, reference(), out, SETTINGS).key == record.key
    assert scan.t1w is not None
    darker = beside(scan, dark=300)
    assert analyze(darker, calibrated, reference(), out, SETTINGS).key != record.key


def test_a_scan_without_t1w_is_refused_in_words(tmp_path: Path) -> None:
    model = Predictor("vae_8x8_512_t1t2", "model-hash", BOTH, network)
    with pytest.raises(PrepareError, match=r"sub-one_ses-01: no T1w scan; expected one beside sub-one_.*T2w"):
        analyze(write_scan(tmp_path / "bids"), model, reference(), tmp_path / "out", SETTINGS)


def test_train_refuses_by_name_then_trains_on_both(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "bids"
    cohort_of_phantoms(root)
    brain = root / "sub-0" / "ses-01" / "anat" / "sub-0_ses-01_T2w.nii.gz"
    mask = brain.with_name("sub-0_ses-01_desc-brain_mask.nii.gz")
    asked = ["train", "vae_8x8_512_t1t2", "--data", root, "--cube", "16", "--reference", brain]
    asked += ["--reference-mask", mask, "--epochs", "1", "--jobs", "1", "--json", "--device", "cpu"]
    for number in (0, 1, 2, 4):
        volume = load_volume(root / f"sub-{number}" / "ses-01" / "anat" / f"sub-{number}_ses-01_T2w.nii.gz")
        t1w = root / f"sub-{number}" / "ses-01" / "anat" / f"sub-{number}_ses-01_T1w.nii.gz"
        save_volume(volume.with_data(np.where(volume.data > 0, 1000 - volume.data, 0)), t1w)
    code, _, err = run(*asked)
    assert code == 2
    assert "2 of 6 scans have no T1w, first sub-3_ses-01, sub-5_ses-01; expected one beside each T2w" in err
    for number in (3, 5):
        t1w = root / f"sub-{number}" / "ses-01" / "anat" / f"sub-{number}_ses-01_T1w.nii.gz"
        t1w.write_bytes((root / "sub-4" / "ses-01" / "anat" / "sub-4_ses-01_T1w.nii.gz").read_bytes())
    code, out, err = run(*asked)
    assert code == 0, err
    config = json.loads((Path(json.loads(out)["folder"]) / "config.json").read_text())
    assert config["network"]["in_channels"] == 2
    assert config["preprocess"]["channels"] == ["T2w", "T1w"]
    code, out, err = run("analyze", brain, "--model", "vae_8x8_512_t1t2", "--json")
    assert code == 0, err
    (case,) = json.loads(out)["cases"]
    assert set(case["regions"]) == {"volume", "normative"}
    brain.with_name("sub-0_ses-01_T1w.nii.gz").unlink()
    code, out, err = run("analyze", brain, "--model", "vae_8x8_512_t1t2", "--json")
    assert code == 2
    assert json.loads(out)["errors"][0]["error"].startswith("sub-0_ses-01: no T1w scan; expected one beside")
