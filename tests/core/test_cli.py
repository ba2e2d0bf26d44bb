"""The command line: help, one line for bad input, JSON for machines, and work that survives one bad scan."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.cli.console import UsageError
from core.cli.prepare import grid_of
from core.cli.sources import reference_of_model
from core.cli.train import alone
from core.config import ROOT
from core.demo.cohort import reference_recipe
from core.io.derivatives import CasePaths, read_regions
from core.io.volume import file_hash, load_volume, save_volume
from core.networks.zoo import NAMES
from core.preprocess.pipeline import settings_from_dict
from tests.core.case_fakes import CountingNetwork, fake_predictor, fake_prepare, reference, write_scan
from tests.core.conftest import Run

COMMANDS = ("demo", "prepare", "train", "calibrate", "analyze", "evaluate", "models")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> CountingNetwork:
    """A model of any name that expects the phantom, and preparation without ANTs."""
    counting = CountingNetwork()
    info = SimpleNamespace(name="vae_8x8_512", folder=Path("model"), reference="demo")
    monkeypatch.setattr("core.prepared.prepare", fake_prepare)
    for module in ("analyze", "demo", "prepare"):
        monkeypatch.setattr(f"core.cli.{module}.model_named", lambda name: info)
    for module in ("analyze", "prepare"):
        monkeypatch.setattr(f"core.cli.{module}.reference_of_model", lambda folder, name: reference())
    for module in ("demo", "prepare"):
        monkeypatch.setattr(f"core.cli.{module}.demo_reference", reference)
    monkeypatch.setattr("core.cli.analyze.predictor_of", lambda folder, device: fake_predictor(counting))
    return counting


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Example: python -m core {command}" in " ".join(out.split())


def test_all_commands_are_in_the_help(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(f" {command} " in out for command in COMMANDS)
    assert "not a medical device" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["analyse"], "No such command 'analyse'"),
        (["analyze"], "Missing argument"),
        (["analyze", "x.nii", "--jobs", "0"], "greater than or equal to 1"),
        (["analyze", "x.nii", "--model", "vae_9"], "no model 'vae_9'; there are: none yet"),
        (["analyze", "x.nii", "--maps", "window"], "unknown map window; known are volume, normative"),
        (["prepare", "nowhere"], "nowhere: no such file or folder"),
        (["prepare", "x.nii", "--bias", "n5"], "bias: 'n5'; expected one of n4, n3, none"),
        (["prepare", "x.nii", "--reference", "r.nii"], "--reference needs --reference-mask"),
        (["train", "vae_9"], "unknown model 'vae_9'"),
        (["train", NAMES[0], "--set", "epoch=3"], "--set epoch=3: expected KEY=VALUE with a key of epochs"),
        (["train", NAMES[0], "--set", "epochs=three"], "--set epochs=three: expected int"),
        (["train", NAMES[0], "--set", "schedule=step"], "schedule is 'step'"),
        (["calibrate", "../etc"], "no model '../etc'"),
        (["demo", "--which", "some"], "--which some: expected test or all"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    monkeypatch.setattr("core.cli.prepare.demo_reference", reference)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert text in err


def test_debug_shows_the_traceback_wherever_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FONTANELLE_MODELS_DIR", str(tmp_path))
    for arguments in (["--debug", "calibrate", "none"], ["calibrate", "none", "--debug"]):
        done = subprocess.run(
            [sys.executable, "-m", "core", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert "Traceback (most recent call last)" in done.stderr
        assert "UsageError: no model 'none'" in done.stderr


def test_an_error_that_nobody_expected_is_one_line_too() -> None:
    code = (
        "import core.cli.models as m, core.__main__ as c\n"
        "def broken(folder): raise ZeroDivisionError('a\\nb')\n"
        "m.list_models = broken\n"
        "c.main(['models'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: unexpected ZeroDivisionError: a b (add --debug for the traceback)\n"


def test_models(run: Run) -> None:
    assert run("models", "--names")[1].split() == list(NAMES)
    assert json.loads(run("models", "--json")[1]) == []
    assert run("models")[1].count("not trained") == 10, "the eight and ours"


def test_analyze_tells_people_and_machines(run: Run, network: CountingNetwork, tmp_path: Path) -> None:
    scan, progress = write_scan(tmp_path / "bids"), tmp_path / "progress.json"
    code, out, err = run(
        "analyze", scan.path, "--json", "--progress-file", progress, "--out", tmp_path / "out"
    )
    assert code == 0
    (case,) = json.loads(out)["cases"]
    assert case["case"] == "sub-one_ses-01"
    paths = CasePaths(tmp_path / "out", "sub-one", "ses-01")
    assert case["record"] == str(paths.case_json("vae_8x8_512"))
    assert case["regions"] == {"volume": len(read_regions(paths.regions("vae_8x8_512")))}
    assert "analyse" in err
    assert json.loads(progress.read_text()) == {
        "state": "done",
        "step": "done",
        "fraction": 1.0,
        "message": "",
        "case": "sub-one_ses-01",
    }
    code, out, err = run("analyze", tmp_path / "bids", "--out", tmp_path / "out")
    assert (code, err, network.calls) == (0, "", 1)
    assert out.startswith("sub-one_ses-01  MSE 0.000")


def test_analyze_goes_on_past_a_bad_scan(run: Run, network: CountingNetwork, tmp_path: Path) -> None:
    bad, good = write_scan(tmp_path / "bids"), write_scan(tmp_path / "other")
    good_path = good.path.with_name("sub-two_ses-01_T2w.nii.gz")
    good.path.rename(good_path)
    assert good.mask is not None
    good.mask.rename(good.mask.with_name("sub-two_ses-01_desc-brain_mask.nii.gz"))
    bad.path.write_bytes(b"\x1f\x8b no gzip")
    progress = tmp_path / "progress.json"
    code, out, err = run("analyze", bad.path, good_path, "--json", "--progress-file", progress)
    document = json.loads(out)
    assert code == 1
    assert [case["case"] for case in document["cases"]] == ["sub-two_ses-01"]
    (failed,) = document["errors"]
    assert (failed["case"], failed["type"]) == ("sub-one_ses-01", "VolumeError")
    assert f"error: sub-one_ses-01: {failed['error']}" in err
    assert json.loads(progress.read_text())["state"] == "failed"


def test_prepare_names_the_grid_of_its_model() -> None:
    options = settings_from_dict({"cube": 64})
    assert grid_of(options, "vae_8x8_512") == "grid: 64³ voxels of 2 mm, as vae_8x8_512 wants it"
    assert grid_of(settings_from_dict({"cube": 256}), "") == "grid: 256³ voxels of 0.5 mm, by --cube"


@pytest.mark.parametrize("command", ["analyze", "prepare"])
def test_exit_code_is_2_where_all_scans_are_bad(
    run: Run, network: CountingNetwork, tmp_path: Path, command: str
) -> None:
    bad = write_scan(tmp_path / "bids")
    bad.path.write_bytes(b"\x1f\x8b no gzip")
    code, _, err = run(command, bad.path)
    assert code == 2
    assert "error: sub-one_ses-01: " in err


def test_exit_code_is_1_where_the_fault_is_not_the_scans(
    run: Run, network: CountingNetwork, tmp_path: Path
) -> None:
    network.fail = True
    assert run("analyze", write_scan(tmp_path / "bids").path)[0] == 1


def test_another_scan_of_the_same_label_needs_replace(
    run: Run, network: CountingNetwork, tmp_path: Path
) -> None:
    one, other = write_scan(tmp_path / "a"), write_scan(tmp_path / "b", seed=2)
    assert run("analyze", one.path)[0] == 0
    for arguments in (("analyze", other.path), ("prepare", other.path, "--cube", "16")):
        code, _, err = run(*arguments)
        assert code == 2
        assert "results of another scan with this label" in err
        assert "--replace" in err
    assert run("analyze", one.path)[0] == 0
    assert network.calls == 1
    assert run("prepare", other.path, "--cube", "16", "--replace")[0] == 0
    code, _, err = run("analyze", one.path)
    assert code == 2, err
    assert run("analyze", one.path, "--replace")[0] == 0


def test_two_scans_of_one_name_are_refused(run: Run, network: CountingNetwork, tmp_path: Path) -> None:
    one, other = write_scan(tmp_path / "a"), write_scan(tmp_path / "b")
    code, _, err = run("analyze", one.path, other.path)
    assert code == 2
    assert "are both sub-one_ses-01" in err


def test_brain_mask_belongs_to_one_file(run: Run, network: CountingNetwork, tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    assert scan.mask is not None
    moved = scan.mask.rename(tmp_path / "brain.nii.gz")
    assert run("analyze", scan.path, "--brain-mask", moved)[0] == 0
    code, _, err = run("analyze", tmp_path / "bids", "--brain-mask", moved)
    assert code == 2
    assert "a single scan file" in err


def test_prepare(run: Run, network: CountingNetwork, tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "bids")
    code, out, err = run("prepare", scan.path, "--cube", "32", "--json")
    assert (code, err.splitlines()[0]) == (0, "grid: 32³ voxels of 4 mm, by --cube")
    (case,) = json.loads(out)["cases"]
    assert Path(case["prepared"]).is_file()
    assert (case["mask_source"], case["overlap"]) == ("given", 1.0)


def test_demo_makes_and_analyses_the_test_cases(
    run: Run, network: CountingNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def cohort(
        root: Path, which: str, jobs: int, t1w: bool, progress: Callable[[int, int, str], None]
    ) -> list[Path]:
        asked.append(which)
        write_scan(root)
        (root / "participants.tsv").write_text("participant_id\tsplit\nsub-one\ttest\n")
        progress(1, 1, "sub-one")
        return [root]

    monkeypatch.setattr("core.demo.cohort.write_cohort", cohort)
    assert json.loads(run("demo", "--json")[1]) == {
        "folder": str(tmp_path / "data" / "demo"),
        "scans": 1,
        "synthetic": True,
    }
    code, out, err = run("demo", "--which", "all", "--analyze", "vae_8x8_512")
    assert (code, asked) == (0, ["test", "all"])
    assert out.startswith("sub-one_ses-01")
    assert "no newborn was scanned" in err


def cohort_of_phantoms(root: Path) -> None:
    rows = ["participant_id\tsplit\tradiology_score"]
    for number in range(6):
        scan = write_scan(root / "made", blob=0.02 * number)
        folder = root / f"sub-{number}" / "ses-01" / "anat"
        folder.mkdir(parents=True)
        scan.path.rename(folder / f"sub-{number}_ses-01_T2w.nii.gz")
        assert scan.mask is not None
        scan.mask.rename(folder / f"sub-{number}_ses-01_desc-brain_mask.nii.gz")
        rows.append(f"sub-{number}\t{'train' if number < 3 else 'validation'}\t1")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    (root / "dataset_description.json").write_text('{"Name": "phantoms", "Synthetic": true}')


def test_train_calibrate_and_analyze(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.prepared.prepare", fake_prepare)
    cohort_of_phantoms(tmp_path / "bids")
    brain = tmp_path / "bids" / "sub-0" / "ses-01" / "anat" / "sub-0_ses-01_T2w.nii.gz"
    mask = brain.with_name("sub-0_ses-01_desc-brain_mask.nii.gz")
    given = ("--data", tmp_path / "bids", "--cube", "16", "--reference", brain, "--reference-mask", mask)
    code, out, err = run(
        "train", "std_8x8", *given, "--epochs", "1", "--jobs", "1", "--json", "--device", "cpu"
    )
    assert code == 0, err
    trained = json.loads(out)
    assert (trained["training"]["n_train"], trained["training"]["n_validation"]) == (3, 3)
    assert [len(trained["training"]["seen"][name]) for name in ("subjects", "files")] == [6, 6]
    folder = tmp_path / "models" / "std_8x8"
    before = file_hash(folder / "weights.safetensors")
    code, _, err = run("train", "std_8x8", *given, "--epochs", "2")
    assert code == 2
    assert f"{folder}: holds a model of another training (trained on bids, 16³; other settings)" in err
    assert "give --out or --replace" in err
    assert file_hash(folder / "weights.safetensors") == before
    assert {path.name for path in folder.iterdir()} >= {
        "config.json",
        "weights.safetensors",
        "normative.npz",
        "MODEL_CARD.md",
        "reference_T2w.nii.gz",
        "reference_mask.nii.gz",
    }
    card = (folder / "MODEL_CARD.md").read_text()
    assert "Synthetic data only" in card
    assert "| Held-out normals | 3, each left out of its own mean and SD |" in card
    assert not (tmp_path / "data" / "cache" / "training" / "std_8x8_16").exists()
    log = (tmp_path / "models" / "std_8x8" / "training_log.csv").read_text().splitlines()
    assert log[0].startswith("epoch,train_loss")
    assert len(log) == 2
    assert "validation MSE" in (tmp_path / "models" / "std_8x8" / "loss.html").read_text()
    config = json.loads((folder / "config.json").read_text())
    saved = file_hash(folder / "reference_T2w.nii.gz") + file_hash(folder / "reference_mask.nii.gz")
    assert config["reference_hash"] == hashlib.sha256(saved.encode()).hexdigest()
    # Where the reference came from stands nowhere: a file's name may be a patient's.
    sidecar = CasePaths(tmp_path / "data" / "derivatives" / "fontanelle", "sub-3", "ses-01").prepared_json(16)
    assert json.loads(sidecar.read_text())["reference"] == {
        "name": "reference",
        "hash": config["reference_hash"],
    }
    (listed,) = json.loads(run("models", "--json")[1])
    assert (listed["name"], listed["cube"], listed["calibrated"]) == ("std_8x8", 16, True)

    with monkeypatch.context() as patch:
        patch.setattr("core.prepared.prepare", lambda *_: pytest.fail("prepared twice"))
        code, out, err = run(
            "calibrate", "std_8x8", "--data", tmp_path / "bids", "--floor-mm3", "600", "--json"
        )
    assert code == 0, err
    again = json.loads(out)
    # The same residuals, and fewer regions the larger the floor.
    np.testing.assert_allclose(again["validation"]["mse"], trained["validation"]["mse"])
    total = [sum(sum(bands.values()) for bands in one["false_alarms"].values()) for one in (trained, again)]
    assert total[1] <= total[0]

    scan = tmp_path / "bids" / "sub-3" / "ses-01" / "anat" / "sub-3_ses-01_T2w.nii.gz"
    code, out, err = run("analyze", scan, "--model", "std_8x8", "--floor-mm3", "600", "--json")
    assert code == 0, err
    (case,) = json.loads(out)["cases"]
    # The same scan as the first validation normal: its MSE must be that one's.
    assert case["scores"]["mse"] == pytest.approx(again["validation"]["mse"][0], rel=1e-6)
    assert set(case["regions"]) == {"volume", "normative"}

    # Another brain under the reference's name is not the one that the model knows.
    reference_of_model.cache_clear()
    other = tmp_path / "bids" / "sub-1" / "ses-01" / "anat" / "sub-1_ses-01_T2w.nii.gz"
    (folder / "reference_T2w.nii.gz").write_bytes(other.read_bytes())
    code, out, err = run("analyze", scan, "--model", "std_8x8")
    assert code == 2
    assert "std_8x8: reference reference_T2w.nii.gz has hash" in err
    assert f"the model was trained with {config['reference_hash'][:12]}…" in err
    reference_of_model.cache_clear()


def test_demo_models_are_tied_to_the_recipe_not_to_one_machines_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.cli.sources.demo_reference", reference)
    info = SimpleNamespace(reference_hash=reference_recipe())
    monkeypatch.setattr("core.cli.sources.model_info", lambda folder: info)
    assert reference_of_model(tmp_path / "a", "demo").hash == reference().hash
    monkeypatch.setattr("core.demo.cohort.RECIPE", "another")
    with pytest.raises(UsageError, match=r"reference demo has hash .* the model was trained with"):
        reference_of_model(tmp_path / "b", "demo")


def test_train_restorer(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.prepared.prepare", fake_prepare)
    cohort_of_phantoms(tmp_path / "bids")
    for seed, path in enumerate(sorted((tmp_path / "bids").glob("sub-*/*/anat/*T2w.nii.gz"))):
        scan = load_volume(path)  # so unlike each other that none is taken for another
        noise = np.random.default_rng(seed).uniform(0.8, 1.2, scan.shape).astype(np.float32)
        save_volume(scan.with_data(scan.data * noise), path)
    given = (
        "train",
        "restorer",
        "--data",
        tmp_path / "bids",
        "--cube",
        "24",
        "--jobs",
        "1",
        "--device",
        "cpu",
    )
    code, _, err = run(*given, "--set", "kl_weight=1")
    assert code == 2
    assert "--set kl_weight=1: expected KEY=VALUE with a key of epochs" in err
    code, out, err = run(
        *given, "--epochs", "2", "--set", "kinds=brighter,deform", "--set", "precision=float32", "--json"
    )
    assert code == 0, err
    trained = json.loads(out)["training"]
    assert trained["settings"]["kinds"] == "brighter,deform"
    assert (trained["n_train"], trained["steps"], trained["kl"]) == (3, 6, 0.0)
    assert "Not one of the paper's eight" in (tmp_path / "models" / "restorer" / "MODEL_CARD.md").read_text()
    (last,) = [line for line in run("models")[1].splitlines() if line.startswith("restorer ")]
    assert "validation MSE of restored corruption 0." in last
    assert run("models", "--names")[1].split() == list(NAMES)


def test_two_trainings_of_one_network_at_once_are_refused(run: Run, tmp_path: Path) -> None:
    cohort_of_phantoms(tmp_path / "bids")
    scratch = tmp_path / "data" / "cache" / "training" / "std_8x8_16"
    with alone(scratch):
        code, _, err = run("train", "std_8x8", "--data", tmp_path / "bids", "--cube", "16")
    assert code == 2
    assert "std_8x8_16: another training of this network and cube size runs" in err
    with alone(scratch), alone(scratch.with_name("std_8x8_32")):
        pass  # the lock is free again, and others are not held


def test_training_refuses_abnormal_scans_and_missing_splits(run: Run, tmp_path: Path) -> None:
    cohort_of_phantoms(tmp_path / "bids")
    table = tmp_path / "bids" / "participants.tsv"
    table.write_text(table.read_text().replace("sub-1\ttrain\t1", "sub-1\ttrain\t5"))
    code, _, err = run("train", "std_8x8", "--data", tmp_path / "bids", "--cube", "16")
    assert code == 2
    assert "sub-1 of split 'train' has radiology score 5; expected normals (1) only" in err
    table.write_text(table.read_text().replace("sub-1\ttrain\t5", "sub-1\ttrain\tQ"))
    code, _, err = run("train", "std_8x8", "--data", tmp_path / "bids", "--cube", "16")
    assert code == 2
    assert "sub-1 of split 'train' has radiology score Q (poor image quality); expected normals (1)" in err
    table.write_text(table.read_text().replace("sub-1\ttrain\tQ", "sub-1\ttrain\t5"))
    table.write_text(table.read_text().replace("5\n", "1\n").replace("validation", "test"))
    code, _, err = run("train", "std_8x8", "--data", tmp_path / "bids", "--cube", "16")
    assert code == 2
    assert "0 scans with split 'validation'; expected 3 or more" in err


SLEEPER = """
import sys, time
from pathlib import Path
import core.prepared, core.cli.analyze as a
from core.__main__ import main
from tests.core.case_fakes import CountingNetwork, fake_predictor, reference
from types import SimpleNamespace
a.model_named = lambda name: SimpleNamespace(name="m", folder=Path("m"), reference="demo")
a.reference_of_model = lambda folder, name: reference()
a.predictor_of = lambda folder, device: fake_predictor(CountingNetwork())
core.prepared.prepare = lambda *_: time.sleep(60)
main(sys.argv[1:])
"""


def test_sigterm_ends_it_at_once_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    scan, progress = write_scan(tmp_path / "bids"), tmp_path / "progress.json"
    arguments = ["analyze", scan.path, "--out", tmp_path / "out", "--progress-file", progress]
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, *map(str, arguments)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (progress.exists() and json.loads(progress.read_text())["step"] == "prepare"):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()
    _, err = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "terminated; nothing half done is left" in err
    assert "Traceback" not in err
    assert json.loads(progress.read_text())["state"] == "cancelled"
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == [".lock"]
