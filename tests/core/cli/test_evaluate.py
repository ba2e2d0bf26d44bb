"""``evaluate`` from a BIDS folder to a whole evaluation, on phantoms and a network that knows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from core.cli import evaluate, measuring
from core.cli.seen import seen_record
from core.evaluation.report import read_evaluation
from core.io.bids import find_scans
from core.io.volume import save_volume
from core.predictor import Predictor
from core.preprocess.pipeline import PrepareSettings
from tests.core.case_fakes import (
    BLOB_HALF_MM,
    BLOB_MM,
    CUBE,
    CountingNetwork,
    fake_prepare,
    phantom,
    reference,
)
from tests.core.case_fakes import write_scan as write_phantom
from tests.core.conftest import Run

SPLITS = [("train", 1)] * 3 + [("validation", 1)] * 3 + [("test", 1)] * 2 + [("test", 5)] * 2

SHEETS = 3  # scans of figures 5 to 7, which are drawn anew each time
CHOICE = 3 + 3 * 4  # validation normals and the implants in them, for the thresholds


def cohort_of_phantoms(root: Path) -> None:
    """Normals differ by noise; each abnormal scan has the bright blob, and its mask."""
    rows = ["participant_id\tsplit\tradiology_score"]
    volume, _ = phantom()
    grid = np.meshgrid(*(np.arange(n) for n in volume.shape), indexing="ij")
    world = [volume.affine[a, a] * index + volume.affine[a, 3] for a, index in enumerate(grid)]
    inside = np.max([np.abs(w - centre) for w, centre in zip(world, BLOB_MM, strict=True)], axis=0)
    for number, (split, score) in enumerate(SPLITS):
        scan = write_phantom(root / "made", blob=0.25 if score == 5 else 0.0, seed=number)
        folder, name = root / f"sub-{number}" / "ses-01" / "anat", f"sub-{number}_ses-01"
        folder.mkdir(parents=True)
        scan.path.rename(folder / f"{name}_T2w.nii.gz")
        assert scan.mask is not None
        scan.mask.rename(folder / f"{name}_desc-brain_mask.nii.gz")
        if score == 5:
            lesions = root / "derivatives" / "lesions" / f"sub-{number}" / "ses-01" / "anat"
            blob = volume.with_data((inside < BLOB_HALF_MM).astype(np.float32))
            save_volume(blob, lesions / f"{name}_desc-lesion_mask.nii.gz", np.uint8)
        rows.append(f"sub-{number}\t{split}\t{score}")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    (root / "dataset_description.json").write_text('{"Name": "phantoms", "Synthetic": true}')


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CountingNetwork:
    counting = CountingNetwork()
    info = SimpleNamespace(
        name="vae_8x8_512",
        folder=tmp_path / "model",
        card="# vae_8x8_512\n\nCopy of vae.\n\n## Metrics\nNone\n\n## Another site's normals\nOf phantoms.\n",
        reference="demo",
        reference_hash="r",
        config=SimpleNamespace(cube=CUBE, kind="vae"),
        preprocess={"cube": CUBE},
        training={"epochs": 2, "val_mse": 0.1, "data": "phantoms"},
        synthetic=True,
        hash="model-hash",
    )
    measuring.scorer_of.cache_clear()
    monkeypatch.setattr("core.prepared.prepare", fake_prepare)
    monkeypatch.setattr("core.cli.prepare.reference_of_model", lambda folder, name: reference())
    monkeypatch.setattr("core.cli.evaluate.list_models", lambda folder: [info])
    monkeypatch.setattr("core.cli.evaluate.model_named", lambda name: info)
    for module in ("evaluate", "measuring"):
        monkeypatch.setattr(
            f"core.cli.{module}.predictor_of",
            lambda folder, device: Predictor(
                "vae_8x8_512", "model-hash", PrepareSettings(cube=CUBE), counting
            ),
        )
    return counting


@pytest.fixture(autouse=True)
def _scorers() -> Iterator[None]:
    yield
    measuring.scorer_of.cache_clear()


def test_a_cohort_is_evaluated_once(run: Run, network: CountingNetwork, tmp_path: Path) -> None:
    cohort_of_phantoms(tmp_path / "bids")
    code, out, err = run("evaluate", tmp_path / "bids", "--json", "--tables", tmp_path / "small")
    assert code == 0, err
    assert json.loads(out)["left_out"] == {}
    folder = tmp_path / "data" / "evaluation" / "bids"
    made = read_evaluation(folder)
    assert made.facts.synthetic
    assert made.facts.models[0]["test subjects labelled as in its training"] == "not recorded"
    assert made.facts.groups == {"train": 3, "validation": 3, "test normal": 2, "test abnormal": 2}
    assert network.calls == 10 + CHOICE + SHEETS
    assert sorted(made.sheets) == ["figure_5", "figure_6", "figure_7", "figure_8"]
    assert (folder / "index.html").is_file()
    assert {path.stem for path in (tmp_path / "small").iterdir()} == {
        "summary",
        "significance",
        "auc",
        "paper",
        "localisation",
        "lesions",
        "case_auc",
    }
    # The blob is all that the network doesn't expect: normals have no lesion, abnormal scans one each.
    best = made.tables["localisation"].set_index(["scorer", "map"]).loc[("vae_8x8_512", "volume")]
    assert (best["n_normal"], best["n_abnormal"], best["lesions"]) == (2, 2, 2)
    assert best["ap"] > 0.8
    assert best["sensitivity"] == 1.0
    assert best["threshold"] > 1
    assert best["dice"] > 0.5
    assert best["threshold_from"] == "12 implants in 3 validation normals"
    nothing = made.tables["localisation"].set_index("scorer").loc["identity"]
    assert nothing["ap"] == pytest.approx(nothing["prevalence"])
    assert (nothing["auroc"], nothing["sensitivity"]) == (0.5, 0)
    auc = made.tables["auc"].set_index("variant")["auc"]
    assert auc["test normal against test abnormal"] == 1.0

    before = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    assert run("evaluate", tmp_path / "bids")[0] == 0
    assert network.calls == 10 + CHOICE + 2 * SHEETS, "measured before"
    assert {path.name: path.read_bytes() for path in folder.glob("*.csv")} == before


def test_the_split_may_change_without_measuring_again(
    run: Run, network: CountingNetwork, tmp_path: Path
) -> None:
    """And without an argument it is the demo's folder that is evaluated."""
    cohort_of_phantoms(tmp_path / "data" / "demo")
    assert run("evaluate")[0] == 0
    table = tmp_path / "data" / "demo" / "participants.tsv"
    table.write_text(table.read_text().replace("sub-0\ttrain", "sub-0\tvalidation"))
    # Two training normals are too few for the baselines; the rest goes on.
    assert run("evaluate", "--out", tmp_path / "again")[0] == 0
    assert network.calls == 10 + CHOICE + (4 + 4 * 4) + 2 * SHEETS
    assert read_evaluation(tmp_path / "data" / "evaluation" / "demo").facts.groups["train"] == 3
    made = read_evaluation(tmp_path / "again")
    assert made.facts.groups["validation"] == 4
    assert set(made.tables["localisation"]["scorer"]) == {"vae_8x8_512"}


def test_a_copys_card_keeps_what_it_tells_of_the_copy(
    run: Run, network: CountingNetwork, tmp_path: Path
) -> None:
    cohort_of_phantoms(tmp_path / "bids")
    code, _, err = run("evaluate", tmp_path / "bids", "--cards", "--models", "vae_8x8_512")
    assert code == 0, err
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert card.startswith("# vae_8x8_512\n\nCopy of vae.\n\n## Metrics\n| metric | value | command |\n")
    assert card.endswith("\n\n## Another site's normals\nOf phantoms.\n")
    assert "| validation MSE, mean (synthetic bids) | " in card
    assert "None" not in card


def test_too_few_validation_normals_give_no_dice_and_say_so(
    run: Run, network: CountingNetwork, tmp_path: Path
) -> None:
    cohort_of_phantoms(tmp_path / "bids")
    table = tmp_path / "bids" / "participants.tsv"
    table.write_text(table.read_text().replace("sub-3\tvalidation", "sub-3\ttrain"))
    assert run("evaluate", tmp_path / "bids")[0] == 0
    folder = tmp_path / "data" / "evaluation" / "bids"
    found = read_evaluation(folder).tables["localisation"]
    assert found["dice"].isna().all()
    assert set(found["threshold_from"]) == {
        "2 validation normals; 3 or more are needed to choose a threshold"
    }
    assert (found["ap"] > 0).all()
    assert "2 validation normals; 3 or more" in (folder / "index.html").read_text()


def test_one_bad_scan_is_left_out_and_named(run: Run, network: CountingNetwork, tmp_path: Path) -> None:
    cohort_of_phantoms(tmp_path / "bids")
    (tmp_path / "bids" / "sub-1" / "ses-01" / "anat" / "sub-1_ses-01_T2w.nii.gz").write_bytes(b"no scan")
    code, out, err = run("evaluate", tmp_path / "bids", "--json")
    assert code == 1
    assert list(json.loads(out)["left_out"]) == ["sub-1_ses-01"]
    assert "error: sub-1_ses-01: " in err
    subjects = pd.read_csv(tmp_path / "data" / "evaluation" / "bids" / "subjects.csv", comment="#")
    assert subjects["case"].nunique() == 9


def test_a_network_that_breaks_is_left_out_by_scan(
    run: Run, network: CountingNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort_of_phantoms(tmp_path / "bids")
    whole = CountingNetwork.__call__

    def breaks_once(self: CountingNetwork, x: np.ndarray) -> np.ndarray:
        found = whole(self, x)
        if self.calls == 2:
            raise ValueError("the network broke")
        return found

    monkeypatch.setattr(CountingNetwork, "__call__", breaks_once)
    code, out, _ = run("evaluate", tmp_path / "bids", "--json")
    assert code == 1
    assert json.loads(out)["left_out"] == {"sub-1_ses-01 by model": "the network broke"}


def test_bad_input_is_one_line(run: Run, tmp_path: Path) -> None:
    cohort_of_phantoms(tmp_path / "bids")
    code, _, err = run("evaluate", tmp_path / "bids")
    assert code == 2
    assert "no model in " in err
    assert err.count("\n") == 1


def test_a_data_set_without_splits_is_refused(run: Run, network: CountingNetwork, tmp_path: Path) -> None:
    cohort_of_phantoms(tmp_path / "bids")
    (tmp_path / "bids" / "participants.tsv").unlink()
    code, _, err = run("evaluate", tmp_path / "bids")
    assert code == 2
    assert "expected participants.tsv to say so" in err


def test_a_model_is_not_judged_on_its_own_training_scans(
    run: Run, network: CountingNetwork, tmp_path: Path
) -> None:
    cohort_of_phantoms(tmp_path / "bids")
    (info,) = evaluate.list_models(tmp_path)
    scans = find_scans(tmp_path / "bids")
    info.training["seen"] = seen_record([scan for scan in scans if scan.split == "test"][:2], [])
    code, _, err = run("evaluate", tmp_path / "bids")
    assert code == 2
    assert (
        "vae_8x8_512: 2 of 4 test scans are among those it was trained or calibrated on, first sub-6" in err
    )
    assert network.calls == 0


def test_models_that_take_different_scans_are_refused(
    run: Run, network: CountingNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort_of_phantoms(tmp_path / "bids")
    infos = [
        SimpleNamespace(name=name, preprocess={"cube": cube}, reference="demo", reference_hash="r")
        for name, cube in (("std_8x8", 64), ("std_16x16", 128))
    ]
    monkeypatch.setattr("core.cli.evaluate.list_models", lambda folder: infos)
    code, _, err = run("evaluate", tmp_path / "bids")
    assert code == 2
    assert "std_8x8 and std_16x16 differ in cube, preparation or reference" in err


@pytest.mark.parametrize("second", ["site_2", "site2"])
def test_two_models_that_would_share_their_results_are_refused(
    run: Run, network: CountingNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    cohort_of_phantoms(tmp_path / "bids")
    infos = {
        str(folder): SimpleNamespace(
            name=folder.name, folder=folder, preprocess={"cube": 64}, reference="demo", reference_hash="r"
        )
        for folder in (tmp_path / "a" / "site_2", tmp_path / "b" / second)
    }
    monkeypatch.setattr("core.cli.evaluate.model_named", infos.__getitem__)
    code, _, err = run("evaluate", tmp_path / "bids", "--models", ",".join(infos))
    assert code == 2
    assert f"site_2 and {second} would share their results; expected models of different names" in err
