"""The Compare page by AppTest: empty states, blinding, running models, choosing regions."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import jobs
from app.cases import address
from app.compare import view
from app.feedback.store import open_store, reader_for
from core.config import ROOT, settings
from core.io.derivatives import CasePaths, CaseRecord
from core.networks.config import NetworkConfig, network_config
from tests.app.compare.conftest import SEEN, write_many
from tests.app.feedback.readings import first
from tests.casefactory import seal, write_case

MAIN = str(ROOT / "app" / "main.py")


def page(record: CaseRecord | None = None, **state: Any) -> AppTest:
    """The page on a scan, as reader Ada sees it."""
    at = AppTest.from_file(MAIN, default_timeout=30)
    at.switch_page("pages/compare.py")
    at.session_state["reader"] = reader_for(open_store(settings().store_url), "Ada", "typed")
    if record is not None:
        at.query_params["case"] = address(record)[:16]
    for name, value in state.items():
        at.session_state[name] = value
    at.run()
    assert not at.exception, at.exception
    return at


def words(at: AppTest) -> str:
    return "\n".join(element.value for element in [*at.info, *at.markdown, *at.caption, *at.warning])


def viewers(at: AppTest) -> int:
    return sum(one.proto.component_name == "fontanelle_compare" for one in at.get("bidi_component"))


def no_unaided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FONTANELLE_UNAIDED_READ", "false")
    settings.cache_clear()


def test_nothing_analysed(data_dir: Path) -> None:
    at = AppTest.from_file(MAIN, default_timeout=30)
    at.switch_page("pages/compare.py")
    at.run()
    assert not at.exception
    assert [one.value for one in at.title] == ["Compare"]
    assert "No analysed scan yet" in words(at)
    assert "python -m core analyze" in words(at)


def test_compares(many: list[CaseRecord]) -> None:
    at = page(many[1])
    assert [one.value for one in at.title] == ["Compare"]
    assert viewers(at) == 1
    assert at.selectbox(key="compare_scan").options == ["sub-many_ses-01 · 3 models"]
    assert at.selectbox(key="compare_model").options == list(SEEN)
    assert "synthetic scan" in words(at)
    assert at.session_state[view.OPEN].models == list(SEEN)


def test_one_model_says_what_to_do(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_unaided(monkeypatch)
    at = page(write_case(settings().derivatives_dir))
    assert viewers(at) == 0
    assert "results of two models or more" in words(at)
    assert "Not installed: std_8x8, std_16x16" in words(at)
    assert "python -m core train" in words(at)


def install(*names: str) -> None:
    """Model folders that say what they are; nobody reads their weights here."""
    from core.networks.autoencoder import build_network
    from core.networks.zoo import save_model

    for name in names:
        config = network_config(name, cube=16)
        assert isinstance(config, NetworkConfig)
        save_model(
            settings().models_dir / name,
            build_network(config),
            config,
            preprocess={"cube": 16},
            reference="demo",
            reference_hash="",
            training={},
            synthetic=True,
            card="",
        )


def raw_of(record: CaseRecord) -> Path:
    folder = settings().demo_dir / record.subject / record.session / "anat"
    folder.mkdir(parents=True)
    path = folder / f"{record.case_id}_T2w.nii.gz"
    paths = CasePaths(settings().derivatives_dir, record.subject, record.session)
    path.write_bytes(paths.acquired.read_bytes())
    return path


def test_command_where_the_file_is_elsewhere(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_unaided(monkeypatch)
    install("vae_8x8_512", "std_8x8")
    at = page(write_case(settings().derivatives_dir))
    assert "1 model has no result for this scan: std_8x8." in words(at)
    # The case's own model hash is none of the folder's.
    assert "1 model has changed since the analysis here: vae_8x8_512." in words(at)
    assert at.code[0].value == (
        "for model in std_8x8 vae_8x8_512; do\n  python -m core analyze SCAN.nii.gz --model $model\ndone"
    )


def test_runs_the_missing_models_and_cancels(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_unaided(monkeypatch)
    install("vae_8x8_512", "std_8x8", "vae_8x8_256")
    record = write_case(settings().derivatives_dir)
    raw = raw_of(record)
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    asked: list[tuple[list[Path], list[str]]] = []
    submit = jobs.submit

    def remembered(folder: Path, inputs: list[Path], models: list[str]) -> str:
        asked.append((inputs, models))
        return submit(folder, inputs, models, [sleeper for _ in models])

    monkeypatch.setattr(jobs, "submit", remembered)
    at = page(record)
    at.button(key="compare_run").click().run()
    assert not at.exception
    assert asked == [([raw], ["std_8x8", "vae_8x8_256", "vae_8x8_512"])]
    assert [button.key for button in at.button if button.key == "compare_cancel"] == ["compare_cancel"]
    # Another session finds the same job instead of offering a second one.
    other = page(record)
    assert not [button for button in other.button if button.key == "compare_run"]
    at.button(key="compare_cancel").click().run()
    job = at.session_state["compare_job"][0] if "compare_job" in at.session_state else None
    for child in jobs._children:
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            pytest.fail("the job did not stop")
    found = jobs.list_jobs(settings().jobs_dir)
    assert [one.state for one in found] == ["cancelled"]
    assert job in (None, found[0].id)
    assert [button.key for button in page(record).button if button.key == "compare_run"] == ["compare_run"]


def test_what_readers_have_judged_is_not_run_anew(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts name an analysis by its key: done anew by a changed model, theirs was gone."""
    no_unaided(monkeypatch)
    install("vae_8x8_512", "std_8x8", "vae_8x8_256")
    record = write_case(settings().derivatives_dir)
    raw_of(record)
    asked: list[list[str]] = []

    def submit(_folder: Path, _inputs: list[Path], models: list[str]) -> str:
        asked.append(models)
        return "job"

    monkeypatch.setattr(jobs, "submit", submit)
    store = open_store(settings().store_url)
    ada = reader_for(store, "Ada", "typed").id
    at = page(record)
    assert at.button(key="compare_run").label == "Run 3 models"
    first(store, ada, record=record)  # while the offer stands
    at.button(key="compare_run").click().run()
    assert asked == [["std_8x8", "vae_8x8_256"]]
    at = page(record)
    assert at.button(key="compare_run").label == "Run 2 models"
    assert "vae_8x8_512 is kept: readers have judged it." in words(at)
    # Of an analysis that is not the judged one nothing is kept.
    seal(settings().derivatives_dir, replace(record, key="0" * 64))
    assert page(record).button(key="compare_run").label == "Run 3 models"


def test_refuses_until_the_first_read_is_locked(
    many: list[CaseRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FONTANELLE_UNAIDED_READ", "true")
    settings.cache_clear()
    asked: list[str] = []

    def locked(_reader: object, record: CaseRecord) -> bool:
        asked.append(record.case_id)
        return len(asked) > 1

    at = page(many[0])
    assert viewers(at) == 0
    assert "waits for your first read" in words(at)
    assert not at.dataframe
    monkeypatch.setattr("app.review.protocol.revealed", locked)
    assert viewers(page(many[0])) == 0
    assert viewers(page(many[0])) == 1
    assert asked == ["sub-many_ses-01"] * 2


def test_a_chosen_region_shows_who_flags_it(many: list[CaseRecord]) -> None:
    chosen = ("sub-many_ses-01", "volume", "std_8x8", "vr01")
    at = page(many[0], **{view.REGION: chosen, view.MODEL: "std_8x8"})
    assert "2 of 3 models flag it" in words(at)
    frames = [frame.value for frame in at.dataframe]
    witness = next(frame for frame in frames if "Flags" in frame)
    assert list(witness["Flags"]) == ["▲ 4+", "▲ 3–4", "–"]
    numbers = next(frame for frame in frames if "Volume MSE" in frame)
    assert list(numbers["Volume MSE"]) == ["0.0200 · 97th", "0.0200 · 97th", "0.0100 · 97th"]


def test_a_click_in_the_viewer_chooses(
    many: list[CaseRecord], analyses: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: dict[str, Any] = {view.OPEN: analyses}
    monkeypatch.setattr(view.st, "session_state", held)
    held[view.VIEWER] = {"picked": {"model": "vae_8x8_512", "voxel": [13, 7, 7], "case": "sub-many_ses-01"}}
    view.on_picked()
    assert held[view.REGION] == ("sub-many_ses-01", "volume", "vae_8x8_512", "vr02")
    assert held[view.MODEL] == "vae_8x8_512"
    assert view.JUMP not in held  # the crosshair is there already
    held[view.VIEWER] = {"picked": {"model": "vae_8x8_512", "voxel": [4, 15, 12], "case": "sub-else_ses-01"}}
    view.on_picked()
    assert held[view.REGION][3] == "vr02"


def test_threshold_and_pair_follow_the_viewer(
    many: list[CaseRecord], analyses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: dict[str, Any] = {}
    monkeypatch.setattr(view.st, "session_state", held)
    assert (view.threshold(), view.pair(analyses, "volume")) == (3.0, ("std_8x8", "vae_8x8_512"))
    held[view.VIEWER] = {"settings": {"threshold": 2.25, "pair": ["vae_16x16_1024", "std_8x8"]}}
    assert (view.threshold(), view.pair(analyses, "volume")) == (2.25, ("vae_16x16_1024", "std_8x8"))
    held[view.VIEWER] = {"settings": {"threshold": "low", "pair": ["gone", "std_8x8"]}}
    assert (view.threshold(), view.pair(analyses, "volume")) == (3.0, ("std_8x8", "vae_8x8_512"))


def test_a_changed_file_is_named(many: list[CaseRecord]) -> None:
    paths = CasePaths(settings().derivatives_dir, many[0].subject, many[0].session)
    paths.z("std_8x8", "volume").write_bytes(b"other")
    at = page(many[1])
    assert any("std_8x8 is left out" in warning.value for warning in at.warning)
    assert viewers(at) == 1


def test_other_scans_can_be_picked(many: list[CaseRecord]) -> None:
    write_many(settings().derivatives_dir, "sub-next")
    at = page(many[0])
    at.selectbox(key="compare_scan").set_value("sub-next_ses-01").run()
    assert not at.exception
    assert at.session_state[view.OPEN].case_id == "sub-next_ses-01"
