"""Upload: each file by itself, analysis in the background, and on to Review."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import jobs
from app.cases import address
from app.feedback.store import open_store, reader_for
from core.config import ROOT, settings
from core.networks import zoo
from tests.app.test_uploads import mask_bytes, scan_bytes
from tests.casefactory import write_case

MAIN = str(ROOT / "app" / "main.py")
TYPE = "application/octet-stream"


def model(name: str) -> zoo.ModelInfo:
    config = zoo.network_config(name)
    return zoo.ModelInfo(name, Path(name), config, {"cube": 64}, "demo", "1" * 64, {}, True, "0" * 64, "")


@pytest.fixture
def at(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    models = [model("std_8x8"), model("vae_8x8_512")]
    monkeypatch.setattr(zoo, "list_models", lambda folder: models)
    at = AppTest.from_file(MAIN, default_timeout=30).run()
    at.switch_page("pages/upload.py").run()
    assert not at.exception, at.exception
    return at


def fake(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Analyses run ``code`` instead of the command line."""

    def command(inputs: list[str], model: str, progress: Path) -> list[str]:
        return [sys.executable, "-c", code, *inputs, model, str(progress)]

    monkeypatch.setattr(jobs, "analyze_command", command)


def send(at: AppTest, *files: tuple[str, bytes]) -> None:
    at.file_uploader[0].set_value([(name, content, TYPE) for name, content in files])
    at.run()
    assert not at.exception, at.exception


def finish(at: AppTest) -> list[jobs.Job]:
    deadline = time.monotonic() + 20
    while any(not job.over for job in jobs.list_jobs(settings().jobs_dir)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    at.run()
    assert not at.exception, at.exception
    return jobs.list_jobs(settings().jobs_dir)


def texts(at: AppTest) -> str:
    return "\n".join(element.value for element in [*at.markdown, *at.info, *at.error, *at.warning])


def test_page_says_what_it_is_for(at: AppTest) -> None:
    assert "De-identified data only" in at.info[0].value
    assert at.file_uploader[0].allowed_type == [".nii", ".nii.gz", ".mgz", ".mha", ".nrrd", ".zip"]
    assert not [button for button in at.button if button.key == "upload_go"]
    assert "named like its scan, with the word mask" in at.caption[0].value


def test_bad_file_leaves_the_others(at: AppTest, tmp_path: Path) -> None:
    good = scan_bytes(tmp_path / "sent", ("L", "A", "S"))
    send(at, ("broken.nii.gz", b"not gzip"), ("good_T2w.nii.gz", good), ("stray_mask.nii", b""))
    errors = [error.value for error in at.error]
    assert len(errors) == 2
    assert any(error.startswith("broken.nii.gz") for error in errors)
    assert any(error.startswith("stray_mask.nii: no scan of this name") for error in errors)
    assert "20×26×22 voxels" in texts(at)
    assert "stored LAS; no mask" in texts(at)
    assert not at.button(key="upload_go").disabled
    assert at.multiselect(key="upload_models").value == ["vae_8x8_512"]


def test_only_bad_files_can_not_be_analysed(at: AppTest) -> None:
    send(at, ("broken.nii", b""))
    assert at.button(key="upload_go").disabled


def test_analysis_runs_and_opens_in_review(
    at: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, "pass")
    send(
        at,
        ("baby anna.nii.gz", scan_bytes(tmp_path / "sent")),
        ("mask.nii.gz", mask_bytes(tmp_path / "sent")),
    )
    assert "mask `mask.nii.gz`" in texts(at)
    at.text_input[0].set_value("study case 12").run()
    age = at.number_input[0].set_value(39.5).run()
    assert age.number_input[0].value == 39.5
    at.button(key="upload_go").click().run()
    assert not at.exception, at.exception
    job = finish(at)[0]
    assert (job.state, job.models) == ("done", ("vae_8x8_512",))
    subject = Path(job.inputs[0]).name.split("_")[0]
    assert Path(job.inputs[0]).is_file()
    assert subject.startswith("sub-up")
    assert "anna" not in "".join(path.read_text() for path in settings().jobs_dir.glob("*/*.json"))
    assert "study case 12" not in "".join(path.read_text() for path in settings().jobs_dir.glob("*/*.json"))
    assert (
        f"{subject}\tses-01\t39.5\tstudy case 12" in (settings().uploads_dir / "participants.tsv").read_text()
    )
    assert "`baby anna.nii.gz` · vae_8x8_512 · done" in texts(at), "the session that sent it knows the name"
    again = AppTest.from_file(MAIN, default_timeout=30).run()  # as after a reload
    again.switch_page("pages/upload.py").run()
    assert f"`study case 12` · `{subject}` · vae_8x8_512 · done" in texts(again)
    record = write_case(settings().derivatives_dir, subject)
    at.run()
    at.button(key=f"job_open_{job.id}").click().run()
    assert not at.exception, at.exception
    assert at.session_state["case"] == address(record)[:16]
    assert not any(title.value == "Upload" for title in at.title)


def test_other_sessions_see_no_file_name(
    at: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, "pass")
    send(at, ("baby anna.nii.gz", scan_bytes(tmp_path / "sent")))
    at.button(key="upload_go").click().run()
    finish(at)
    other = AppTest.from_file(MAIN, default_timeout=30).run()
    other.switch_page("pages/upload.py").run()
    assert "· done" in texts(other)
    assert "anna" not in texts(other)


def test_failure_is_one_plain_line(at: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "raise ValueError('the brain mask is empty')")
    send(at, ("a.nii.gz", scan_bytes(tmp_path / "sent")))
    at.button(key="upload_go").click().run()
    assert finish(at)[0].state == "failed"
    assert [error.value for error in at.error] == ["a.nii.gz · vae_8x8_512: the brain mask is empty"]


def failed_job(at: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> jobs.Job:
    """An upload whose analysis failed."""
    fake(monkeypatch, "raise ValueError('the disk is full')")
    send(at, ("a.nii.gz", scan_bytes(tmp_path / "sent")))
    at.button(key="upload_go").click().run()
    return finish(at)[0]


def test_failed_analysis_is_tried_again_in_its_place(
    at: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = failed_job(at, tmp_path, monkeypatch)
    fake(monkeypatch, "pass")
    at.button(key=f"job_retry_{failed.id}").click().run()
    assert not at.exception, at.exception
    again = finish(at)
    assert [(job.state, job.inputs, job.models) for job in again] == [("done", failed.inputs, failed.models)]
    assert again[0].id != failed.id
    assert not at.error


def test_a_retry_that_can_not_start_is_said_and_the_failure_stays(
    at: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = failed_job(at, tmp_path, monkeypatch)

    def refuse(*_: object) -> str:
        raise jobs.JobError("The queue is closed.")

    monkeypatch.setattr(jobs, "submit", refuse)
    at.button(key=f"job_retry_{failed.id}").click().run()
    assert [error.value for error in at.error] == [
        "The queue is closed.",
        "a.nii.gz · vae_8x8_512: the disk is full",
    ]


def test_failed_analysis_is_dismissed(at: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = failed_job(at, tmp_path, monkeypatch)
    at.button(key=f"job_dismiss_{failed.id}").click().run()
    assert not at.error
    assert jobs.list_jobs(settings().jobs_dir) == []
    assert Path(failed.inputs[0]).is_file(), "the scan stays"


def test_running_analysis_is_cancelled(at: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "import time; time.sleep(60)")
    send(at, ("a.nii.gz", scan_bytes(tmp_path / "sent")))
    at.button(key="upload_go").click().run()
    at.button(key="upload_go").click().run()
    active = jobs.list_jobs(settings().jobs_dir)
    assert len(active) == 1, "a second click queues nothing new"
    at.button(key=f"job_cancel_{active[0].id}").click().run()
    assert finish(at)[0].state == "cancelled"
    assert "· cancelled" in texts(at)


def test_no_model_is_said(at: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "list_models", lambda folder: [])
    send(at, ("a.nii.gz", scan_bytes(tmp_path / "sent")))
    assert "no model to analyse with" in at.warning[0].value
    assert at.button(key="upload_go").disabled


def test_preview_is_drawn_on_request(at: AppTest, tmp_path: Path) -> None:
    send(at, ("a.nii.gz", scan_bytes(tmp_path / "sent")))
    assert not [caption for caption in at.caption if "Radiological convention" in caption.value]
    at.toggle[0].set_value(True).run()
    assert not at.exception, at.exception
    assert [caption for caption in at.caption if "Radiological convention" in caption.value]


def test_the_name_of_an_imported_folder_is_told_to_coordinators_alone(at: AppTest, tmp_path: Path) -> None:
    """It can tell what its scans are."""
    folder = tmp_path / "in" / "patients"
    folder.mkdir(parents=True)
    jobs.submit(settings().jobs_dir, [folder], ["m1"], [[sys.executable, "-c", "pass"]])
    assert "patients" not in " ".join(one.value for one in at.run().markdown)
    assert not any(one.value == "Analyses" for one in at.subheader)
    at.session_state["reader"] = reader_for(open_store(settings().store_url), "Ada", "typed")
    finish(at)
    assert "`patients` · m1" in texts(at), "demo mode: everybody coordinates"
