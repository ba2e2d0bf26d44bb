"""``calibrate --from-feedback``: a copy with a point, the model as it was, an analysis that goes by it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from core.anomaly.operating import FILE, Point, load_point
from core.anomaly.residual import AnomalyError
from core.case import AnalyzeSettings, analyze
from core.evaluation.feedback import COLUMNS, Flag
from core.io.derivatives import CasePaths, read_regions
from core.io.volume import file_hash
from core.networks.zoo import ModelInfo, model_info
from core.predictor import predictor
from tests.core.case_fakes import CountingNetwork, fake_predictor, fake_prepare, reference, write_scan
from tests.core.conftest import Run
from tests.core.evaluation.test_feedback import FLAG, flag
from tests.core.networks.test_zoo import write as write_model

FLAGS = (
    flag("accepted", "4+", 500.0),
    flag("accepted", "4+", 150.0),
    flag("rejected", "3-4", 400.0),
    replace(FLAG, kind="mark", decision="missed", band="", volume_mm3=30.0),
)


def write(folder: Path, number: int, model_hash: str, flags: tuple[Flag, ...] = FLAGS) -> Path:
    """A feedback table with its sidecar, as the app exports it."""
    stem = f"sub-{number:02d}_ses-01_model-vae_desc-volumeFeedback"
    table = folder / f"{stem}_regions.tsv"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(str(asdict(one)[name]) for name in COLUMNS) for one in flags]
    table.write_text("\n".join(["\t".join(COLUMNS), *lines]) + "\n")
    about = {
        "CaseId": f"sub-{number:02d}_ses-01",
        "Map": "volume",
        "Model": "vae_8x8_512",
        "ModelHash": model_hash,
        "FloorMm3": 100.0,
        "Synthetic": True,
        "Files": {table.name: file_hash(table)},
    }
    (folder / f"{stem}_dseg.json").write_text(json.dumps(about))
    return table


@pytest.fixture
def model(tmp_path: Path) -> ModelInfo:
    return write_model(tmp_path / "models" / "vae_8x8_512", "vae_8x8_512")


def test_a_copy_carries_the_point(run: Run, model: ModelInfo, tmp_path: Path) -> None:
    for number in range(8):
        write(tmp_path / "fb", number, model.hash)
    before = {path.name: file_hash(path) for path in model.folder.iterdir()}
    out = tmp_path / "models" / "tuned"
    code, said, err = run(
        "calibrate", model.folder, "--from-feedback", tmp_path / "fb", "--false-alarms", 0, "--out", out
    )
    assert code == 0, err
    assert "volume map (synthetic scans): band 4+ or higher, 100 mm³ or more" in said
    assert "on the other 4 scans: keeps 8 of 8 accepted flags (too few for an interval)" in said
    assert {path.name: file_hash(path) for path in model.folder.iterdir()} == before
    assert load_point(out / FILE) == {"volume": Point("4+", 100.0, 100.0)}
    assert {path.name for path in out.iterdir()} == {*before, FILE}
    info = model_info(out)
    assert info.hash != model.hash  # so that its analyses are others
    assert predictor(info).operating == {"volume": Point("4+", 100.0, 100.0)}
    assert predictor(model).operating == {}
    assert "Chosen on synthetic scans" in info.card
    about = json.loads((out / FILE).read_text())["about"]
    assert (about["seed"], about["model_hash"]) == (0, model.hash)
    assert sorted(
        about["maps"]["volume"]["subjects_chosen_on"] + about["maps"]["volume"]["subjects_reported_on"]
    ) == [f"sub-{number:02d}" for number in range(8)]


def test_json(run: Run, model: ModelInfo, tmp_path: Path) -> None:
    for number in range(8):
        write(tmp_path / "fb", number, model.hash)
    out = tmp_path / "tuned"
    code, said, _ = run(
        "calibrate", model.folder, "--from-feedback", tmp_path / "fb", "--out", out, "--json", "--seed", 3
    )
    assert code == 0
    told = json.loads(said)
    assert told["points"]["maps"]["volume"]["point"] == {"band": "4+", "floor_mm3": 100.0, "base_mm3": 100.0}
    assert told["points"]["maps"]["volume"]["reported_on"]["share"] == [1.0, None, None]
    assert told["not_set"] == []


def test_nothing_in_place_and_no_other_model_s_feedback(run: Run, model: ModelInfo, tmp_path: Path) -> None:
    write(tmp_path / "fb", 1, "0" * 64)
    feedback = ("calibrate", model.folder, "--from-feedback", tmp_path / "fb")
    for arguments, text in (
        (feedback, "--from-feedback without --out"),
        ((*feedback, "--out", model.folder), "already there; expected a new folder"),
        ((*feedback, "--out", tmp_path / "new"), "no feedback on vae_8x8_512"),
        (("calibrate", model.folder, "--out", tmp_path / "new"), "--out without --from-feedback or "),
        (
            ("calibrate", model.folder, "--from-feedback", tmp_path / "none", "--out", tmp_path / "new"),
            "no *Feedback_",
        ),
    ):
        code, _, err = run(*arguments)
        assert (code, text in err) == (2, True), err
    assert not (tmp_path / "new").exists()


def test_an_analysis_goes_by_the_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.prepared.prepare", fake_prepare)
    scan = write_scan(tmp_path / "bids")
    plain = fake_predictor(CountingNetwork(), None)
    settings = AnalyzeSettings(maps=("volume",))
    analyze(scan, plain, reference(), tmp_path / "plain", settings)
    listed = read_regions(CasePaths(tmp_path / "plain", "sub-one", "ses-01").regions(plain.name))
    assert any(one.band == "4+" for one in listed)
    smallest = min(one.volume_mm3 for one in listed)
    above = {"volume": Point("4+", smallest + 1, settings.floor_mm3)}
    tuned = replace(plain, hash="another", operating=above)
    record = analyze(scan, tuned, reference(), tmp_path / "tuned", settings)
    kept = read_regions(CasePaths(tmp_path / "tuned", "sub-one", "ses-01").regions(plain.name))
    wanted = [one for one in listed if one.band == "4+" and one.volume_mm3 >= smallest + 1]
    assert [one.volume_mm3 for one in kept] == [one.volume_mm3 for one in wanted]
    assert record.settings["operating_point"]["volume"]["band"] == "4+"
    with pytest.raises(AnomalyError, match="regions of 100 mm³ or more; the analysis asks for 50 mm³"):
        analyze(
            scan, tuned, reference(), tmp_path / "tuned", AnalyzeSettings(maps=("volume",), floor_mm3=50.0)
        )
