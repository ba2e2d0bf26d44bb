"""``calibrate --normals``: a copy that knows the site's normals and intensities; the model as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.anomaly.normative import load_normative
from core.demo import REFERENCE_BRAIN
from core.io.derivatives import CasePaths
from core.io.volume import Volume, file_hash, load_mask, load_volume, save_volume
from core.networks.zoo import ModelInfo, model_info
from core.preprocess.harmonise import harmonised, landmarks
from core.preprocess.pipeline import Prepared, PrepareSettings, Reference
from tests.core.case_fakes import fake_prepare, reference, write_scan
from tests.core.conftest import Run
from tests.core.networks.test_zoo import CUBE
from tests.core.networks.test_zoo import write as write_model

GAMMA = 1.6
GAIN = 2.0  # by which this test tells the other site's scans
TRAINING = {  # what a card tells of
    **dict.fromkeys(("n_train", "n_validation", "epochs", "kept_epoch", "steps", "minutes", "kl"), 1),
    "train_mse": 0.1,
    "val_mse": 0.1,
    "data": "phantoms",
    "date": "2026-01-01",
    "settings": {"keep": "best"},
}


def site_prepare(
    scan: Volume, mask: Volume | None, known: Reference, settings: PrepareSettings, note: str = ""
) -> Prepared:
    """The phantom's preparation; the other site's scanner darkens tissue."""
    far = float(np.median(scan.data[scan.data > 0])) > 600
    made = fake_prepare(scan.with_data(scan.data / (GAIN if far else 1)), mask, known, settings, note)
    x = np.power(made.cube.data, GAMMA if far else 1)
    return replace(made, cube=made.cube.with_data(harmonised(x, made.cube_mask.data, settings.landmarks)))


def normals(root: Path, prefix: str, count: int, gain: float) -> Path:
    rows = ["participant_id\tsplit\tradiology_score"]
    for number in range(count):
        scan = write_scan(root / "made", blob=0.01 * number, seed=number)
        folder, name = root / f"sub-{prefix}{number}" / "ses-01" / "anat", f"sub-{prefix}{number}_ses-01"
        folder.mkdir(parents=True)
        volume = load_volume(scan.path)
        save_volume(volume.with_data(volume.data * gain), folder / f"{name}_T2w.nii.gz")
        assert scan.mask is not None
        scan.mask.rename(folder / f"{name}_desc-brain_mask.nii.gz")
        rows.append(f"sub-{prefix}{number}\tvalidation\t1")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    (root / "dataset_description.json").write_text('{"Name": "phantoms", "Synthetic": true}')
    return root


@pytest.fixture
def model(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelInfo:
    monkeypatch.setattr("core.prepared.prepare", site_prepare)
    monkeypatch.setattr(
        "core.cli.prepare.reference_of_model", lambda *_: replace(reference(), name=REFERENCE_BRAIN)
    )
    folder = tmp_path / "models" / "vae_8x8_256"
    write_model(folder)
    config = json.loads((folder / "config.json").read_text())
    config["training"] |= TRAINING
    (folder / "config.json").write_text(json.dumps(config))
    home = normals(tmp_path / "home", "h", 4, 1.0)
    code, _, err = run("calibrate", "vae_8x8_256", "--data", home, "--jobs", "1")
    assert code == 0, err
    return model_info(folder)


def cubes(root: Path, prefix: str, count: int) -> list[Path]:
    return [CasePaths(root, f"sub-{prefix}{n}", "ses-01").prepared(CUBE) for n in range(count)]


def test_the_copy_sees_the_site_as_the_model_sees_its_own(run: Run, model: ModelInfo, tmp_path: Path) -> None:
    before = {path.name: file_hash(path) for path in model.folder.iterdir()}
    site = normals(tmp_path / "site", "s", 5, GAIN)
    out = tmp_path / "models" / "ours"
    code, said, err = run("calibrate", "vae_8x8_256", "--normals", site, "--out", out, "--jobs", "1")
    assert code == 0, err
    assert (
        f"warning: --normals {site}: 5 scans; below 10 normals percentiles and false alarms are coarse\n"
        in err
    )
    assert "Held-out normals: 5, each left out" in said
    assert {path.name: file_hash(path) for path in model.folder.iterdir()} == before
    made = model_info(out)
    assert (made.name, made.hash != model.hash) == ("ours", True)
    assert "## Another site's normals" in made.card
    assert "The network was not trained on them." in made.card
    assert load_normative(out / "normative.npz").n == 5

    # What the network is given now has the intensities that it knows.
    root = tmp_path / "data" / "derivatives" / "fontanelle"
    code, _, err = run("prepare", site, "--model", "ours", "--jobs", "1")
    assert code == 0, err
    home, there = ([load_volume(path) for path in cubes(root, p, 4)] for p in ("h", "s"))
    masks = [
        load_mask(CasePaths(root, f"sub-h{n}", "ses-01").prepared_mask(CUBE), home[n]).data for n in range(4)
    ]
    wanted = np.mean([landmarks(v.data, m) for v, m in zip(home, masks, strict=True)], axis=0)
    got = np.mean([landmarks(v.data, m) for v, m in zip(there, masks, strict=True)], axis=0)
    raw = np.mean([landmarks(v.data**GAMMA, m) for v, m in zip(home, masks, strict=True)], axis=0)
    assert np.abs(raw - wanted).max() > 0.05
    assert got == pytest.approx(wanted, abs=0.01)
    source, target = json.loads((out / "config.json").read_text())["preprocess"]["landmarks"]
    assert source == pytest.approx(raw, abs=0.01)
    assert target == pytest.approx(wanted, abs=0.01)


def test_a_harmonised_copy_maps_the_same_site_as_before(run: Run, model: ModelInfo, tmp_path: Path) -> None:
    """Landmarks were measured on scans mapped already: the copy's map was the identity."""
    site = normals(tmp_path / "site", "s", 3, GAIN)
    made = []
    for name, of, *more in (
        ("ours", "vae_8x8_256"),
        ("again", "ours"),
        ("kept", "ours", "--no-harmonise"),
    ):
        out = tmp_path / "models" / name
        code, _, err = run("calibrate", of, "--normals", site, "--out", out, "--jobs", "1", *more)
        assert code == 0, err
        made.append((model_info(out).preprocess, load_normative(out / "normative.npz").validation["mse"]))
    (first, errors), *others = made
    source, target = first["landmarks"]
    assert np.abs(np.subtract(source, target)).max() > 0.05
    for preprocess, found in others:
        assert preprocess == first
        assert found.tolist() == errors.tolist()


def test_calibrating_leaves_results_alone(run: Run, model: ModelInfo, tmp_path: Path) -> None:
    """Analyses of the site's normals were removed, as they count on another preparation of the scan."""
    site = normals(tmp_path / "site", "s", 3, GAIN)
    assert run("prepare", site, "--model", "vae_8x8_256", "--jobs", "1")[0] == 0
    root = tmp_path / "data" / "derivatives" / "fontanelle"
    for number, cube in enumerate(cubes(root, "s", 3)):
        record = CasePaths(root, f"sub-s{number}", "ses-01").case_json("vae_8x8_256")
        record.write_text(json.dumps({"model": "vae_8x8_256", "files": {cube.name: file_hash(cube)}}))
    before = {path: file_hash(path) for path in root.rglob("*") if path.is_file()}
    for option in ("--harmonise", "--no-harmonise"):
        out = tmp_path / "models" / f"ours_{option[2:4]}"
        code, _, err = run("calibrate", "vae_8x8_256", "--normals", site, "--out", out, "--jobs", "1", option)
        assert code == 0, err
    assert {path: file_hash(path) for path in root.rglob("*") if path.is_file()} == before
    assert list((tmp_path / "data" / "cache" / "site").iterdir()) == []


def test_feedback_and_normals_are_two_ways(run: Run, tmp_path: Path) -> None:
    """--normals was ignored beside --from-feedback, without a word."""
    write_model(tmp_path / "models" / "vae_8x8_256")
    given = ("--normals", tmp_path, "--from-feedback", tmp_path, "--out", tmp_path / "models" / "ours")
    code, _, err = run("calibrate", "vae_8x8_256", *given)
    assert code == 2
    assert "--normals and --from-feedback are given together; expected one of them" in err
    assert not (tmp_path / "models" / "ours").exists()


def test_without_harmonising_the_maps_alone_are_new(run: Run, model: ModelInfo, tmp_path: Path) -> None:
    site = normals(tmp_path / "site", "s", 3, GAIN)
    out = tmp_path / "models" / "ours"
    options = ("--normals", site, "--out", out, "--no-harmonise", "--jobs", "1", "--json")
    code, said, err = run("calibrate", "vae_8x8_256", *options)
    assert code == 0, err
    assert json.loads(said)["model"] == "ours"
    assert "landmarks" not in model_info(out).preprocess
    # The copy's normals are the site's; what the network knows is handed on for another copy.
    maps = []
    for of in ("vae_8x8_256", "ours"):
        mapped = tmp_path / "models" / f"mapped_{of}"
        code, _, err = run("calibrate", of, "--normals", site, "--out", mapped, "--jobs", "1")
        assert code == 0, err
        maps.append(model_info(mapped).preprocess["landmarks"])
    assert maps[1] == maps[0]


def test_what_no_calibration_has_kept_is_not_mapped_to(run: Run, model: ModelInfo, tmp_path: Path) -> None:
    site = normals(tmp_path / "site", "s", 3, GAIN)
    (model.folder / "normative.npz").unlink()
    code, _, err = run(
        "calibrate", "vae_8x8_256", "--normals", site, "--out", tmp_path / "models" / "a", "--jobs", "1"
    )
    assert (code, "calibrated without landmarks; calibrate the model again" in err) == (2, True), err
    for of, out, option in (("vae_8x8_256", "b", "--no-harmonise"), ("b", "c", "--harmonise")):
        target = tmp_path / "models" / out
        code, _, err = run("calibrate", of, "--normals", site, "--out", target, "--jobs", "1", option)
    assert (code, "models/b: calibrated without landmarks" in err) == (2, True), err


def test_what_can_not_be_calibrated_on(run: Run, model: ModelInfo, tmp_path: Path) -> None:
    few = normals(tmp_path / "few", "f", 2, GAIN)
    ill = normals(tmp_path / "ill", "i", 3, GAIN)
    table = ill / "participants.tsv"
    table.write_text(table.read_text().replace("sub-i1\tvalidation\t1", "sub-i1\tvalidation\t5"))
    poor = normals(tmp_path / "poor", "p", 3, GAIN)
    table = poor / "participants.tsv"
    table.write_text(table.read_text().replace("sub-p1\tvalidation\t1", "sub-p1\tvalidation\tQ"))
    new = tmp_path / "models" / "new"
    for arguments, text in (
        (("--normals", few), "--normals without --out"),
        (("--normals", few, "--out", new), "2 normals; expected 3 or more, better 10"),
        (("--normals", ill, "--out", new), "sub-i1 has radiology score 5; expected normals (1) only"),
        (("--normals", poor, "--out", new), "sub-p1 has radiology score Q (poor image quality); expected"),
        (("--normals", ill, "--out", model.folder), "already there"),
    ):
        code, _, err = run("calibrate", "vae_8x8_256", *arguments)
        assert (code, text in err) == (2, True), err
    assert not new.exists()
