"""Jobs run outside the app, report progress, can be cancelled, and are seen to be dead when they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app import job_runner, jobs
from app.jobs import Job, JobError, cancel, friendly, list_jobs, status, submit
from core.config import ROOT, settings

SCAN = [Path("sub-a_T2w.nii.gz")]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code, "{progress}"]


OK = python("print('{}')")
# Reports 0.5 and waits for a file beside the progress file.
HALF = python(
    "import json, pathlib, sys, time\n"
    "p = pathlib.Path(sys.argv[1]); p.write_text(json.dumps({'fraction': 0.5, 'step': 'reconstruct'}))\n"
    "while not (p.parent / 'go').exists(): time.sleep(0.02)"
)
STUBBORN = python(
    "import pathlib, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "(pathlib.Path(sys.argv[1]).parent / 'ready').touch(); time.sleep(60)"
)


def until(jobs_dir: Path, job_id: str, test: Callable[[Job], bool], seconds: float = 15) -> Job:
    deadline = time.monotonic() + seconds
    while not test(job := status(jobs_dir, job_id)):
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return job


def test_job_runs_to_its_end(tmp_path: Path) -> None:
    job_id = submit(tmp_path, SCAN, ["m1"], [OK])
    job = until(tmp_path, job_id, lambda job: job.over)
    assert (job.state, job.fraction, job.message, job.models) == ("done", 1.0, "", ("m1",))
    assert (tmp_path / job_id / "result.txt").read_text() == "{}\n"


def test_progress_counts_over_the_models(tmp_path: Path) -> None:
    job_id = submit(tmp_path, SCAN, ["m1", "m2"], [OK, HALF])
    job = until(tmp_path, job_id, lambda job: job.fraction > 0.5)
    assert (job.state, job.fraction, job.step) == ("running", 0.75, "reconstruct")
    (tmp_path / job_id / "go").touch()
    assert until(tmp_path, job_id, lambda job: job.over).state == "done"


def test_failure_shows_the_last_line_and_skips_the_rest(tmp_path: Path) -> None:
    bad = python("import sys; print('noise', file=sys.stderr); sys.exit('scan.nii: 2 axes; expected 3')")
    job_id = submit(tmp_path, SCAN, ["m1", "m2"], [bad, python("open('never', 'w')")])
    job = until(tmp_path, job_id, lambda job: job.over)
    assert (job.state, job.message) == ("failed", "scan.nii: 2 axes; expected 3")


def test_traceback_is_never_shown(tmp_path: Path) -> None:
    job_id = submit(tmp_path, SCAN, ["m1"], [python("raise ValueError('affine is singular')")])
    assert until(tmp_path, job_id, lambda job: job.over).message == "affine is singular"
    assert friendly("") == "The analysis failed without a message; see log.txt in the job's folder."
    assert friendly("\x1b[31m│ Error: no model named x │\x1b[0m\n╰────╯\n") == "no model named x"


def test_killed_by_the_system_names_the_signal(tmp_path: Path) -> None:
    job_id = submit(tmp_path, SCAN, ["m1"], [python("import os; os.kill(os.getpid(), 9)")])
    assert "SIGKILL; is there enough memory?" in until(tmp_path, job_id, lambda job: job.over).message


def test_one_runs_and_the_next_waits_in_order(tmp_path: Path) -> None:
    first = submit(tmp_path, SCAN, ["m1"], [HALF])
    until(tmp_path, first, lambda job: job.fraction == 0.5)
    second, third = (submit(tmp_path, SCAN, ["m1"], [HALF]) for _ in range(2))
    time.sleep(0.5)
    assert [job.state for job in list_jobs(tmp_path)] == ["queued", "queued", "running"]
    (tmp_path / first / "go").touch()
    until(tmp_path, second, lambda job: job.state == "running")
    assert status(tmp_path, third).state == "queued"
    cancel(tmp_path, third)
    assert until(tmp_path, third, lambda job: job.over).state == "cancelled"
    cancel(tmp_path, second)
    assert until(tmp_path, second, lambda job: job.over).state == "cancelled"


def test_cancel_ends_even_a_stubborn_process(tmp_path: Path) -> None:
    job_id = submit(tmp_path, SCAN, ["m1"], [STUBBORN])
    until(tmp_path, job_id, lambda job: (tmp_path / job_id / "ready").exists())
    start = time.monotonic()
    cancel(tmp_path, job_id)
    assert time.monotonic() - start < 0.5, "the page does not wait"
    job = until(tmp_path, job_id, lambda job: job.over)
    assert (job.state, job.message) == ("cancelled", "")
    assert job_runner.GRACE_SECONDS - 0.5 < time.monotonic() - start < job_runner.GRACE_SECONDS + 3
    cancel(tmp_path, job_id)
    assert status(tmp_path, job_id).state == "cancelled"


@pytest.mark.skipif(sys.platform != "linux", reason="the call that ties a child to its parent is Linux's")
def test_a_killed_runner_takes_its_analysis_with_it(tmp_path: Path) -> None:
    """SIGKILL: the runner can't stop its child, and the next job would have started beside it."""
    child = python(
        "import os, pathlib, sys, time\n"
        "(pathlib.Path(sys.argv[1]).parent / 'child').write_text(str(os.getpid())); time.sleep(60)"
    )
    job_id = submit(tmp_path, SCAN, ["m1"], [child])
    told = tmp_path / job_id / "child"
    until(tmp_path, job_id, lambda job: told.exists() and told.read_text() != "")
    running = Path(f"/proc/{told.read_text()}")
    assert running.exists()
    os.kill(int((tmp_path / job_id / "pid.json").read_text()), signal.SIGKILL)
    assert "stopped unexpectedly" in until(tmp_path, job_id, lambda job: job.over).message
    end = time.monotonic() + 5
    while running.exists() and "\nState:\tZ" not in (running / "status").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_cancel_in_the_midst_of_a_fork_is_heard(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps({"created": 0, "commands": [OK, OK], "models": ["m1", "m2"]}))
    runner = (
        "import os, signal, sys; from pathlib import Path; from app import job_runner\n"
        "os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        "print(job_runner.work(Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", runner, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["cancelled"], done.stderr
    assert json.loads((folder / "end.json").read_text())["state"] == "cancelled"


def test_only_a_job_that_is_over_is_dismissed(tmp_path: Path) -> None:
    job_id = submit(tmp_path, SCAN, ["m1", "m2"], [OK, HALF])
    until(tmp_path, job_id, lambda job: job.state == "running")
    jobs.dismiss(tmp_path, job_id)
    assert (tmp_path / job_id / "job.json").is_file()
    cancel(tmp_path, job_id)
    until(tmp_path, job_id, lambda job: job.over)
    jobs.dismiss(tmp_path, job_id)
    jobs.dismiss(tmp_path, job_id)  # gone already: nothing to do
    assert jobs.list_jobs(tmp_path) == []


def test_cancel_counts_before_the_process_has_told_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is slow to start: all that is there is the lock that it was given."""
    killed: list[int] = []
    monkeypatch.setattr(jobs.os, "killpg", lambda pid, _signal: killed.append(pid))
    job_id = submit(tmp_path, SCAN, ["m1"], [python("open('never', 'w')")])
    folder = tmp_path / job_id
    (folder / "pid.json").unlink(missing_ok=True)
    cancel(tmp_path, job_id)
    assert (folder / "cancel").exists()
    assert until(tmp_path, job_id, lambda job: job.over).state == "cancelled"
    assert not (jobs.ROOT / "never").exists()
    assert killed == []


def test_worker_looks_for_a_cancel_that_came_first(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    jobs.write_json(folder / "job.json", {"created": 0.0, "inputs": [], "models": ["m"], "commands": [OK]})
    (folder / "cancel").touch()
    subprocess.run(
        [sys.executable, "-m", "app.job_runner", str(folder)], cwd=jobs.ROOT, check=False, timeout=30
    )
    assert jobs.read_json(folder / "end.json") == {"state": "cancelled", "message": ""}
    assert not (folder / "result.txt").exists()


def test_relative_folders_reach_the_child_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FONTANELLE_MODELS_DIR", "my models")
    monkeypatch.setenv("FONTANELLE_DATA_DIR", "my data")
    settings.cache_clear()
    show = python("import os; print(os.environ['FONTANELLE_MODELS_DIR'], os.environ['FONTANELLE_DATA_DIR'])")
    try:
        job_id = submit(tmp_path / "jobs", SCAN, ["m1"], [show])
        assert until(tmp_path / "jobs", job_id, lambda job: job.over).state == "done"
    finally:
        settings.cache_clear()
    said = (tmp_path / "jobs" / job_id / "result.txt").read_text()
    assert said == f"{tmp_path / 'my models'} {tmp_path / 'my data'}\n"


def test_old_jobs_go_although_another_server_was_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        jobs.write_json(tmp_path / name / "job.json", {})
        os.utime(tmp_path / name / "job.json", (0, 0))
    listed = list(tmp_path.glob("*/job.json"))
    (tmp_path / "a" / "job.json").unlink()
    (tmp_path / "a").rmdir()
    monkeypatch.setattr(Path, "glob", lambda *_: iter(listed))
    jobs._prune(tmp_path)
    assert not (tmp_path / "b").exists()


def test_dead_worker_is_recognised_although_its_pid_lives(tmp_path: Path) -> None:
    job_id = submit(tmp_path, SCAN, ["m1"], [HALF])
    until(tmp_path, job_id, lambda job: job.fraction == 0.5)
    pid = jobs.read_json(tmp_path / job_id / "pid.json")
    os.killpg(pid, signal.SIGKILL)
    job = until(tmp_path, job_id, lambda job: job.over)
    assert (job.state, job.message.split(" (")[0]) == ("failed", "The analysis stopped unexpectedly")
    innocent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], start_new_session=True)
    jobs.write_json(tmp_path / job_id / "pid.json", innocent.pid)
    cancel(tmp_path, job_id)
    time.sleep(0.1)
    assert innocent.poll() is None, "a reused process id is not touched"
    innocent.kill()
    innocent.wait()


def test_job_outlives_the_app(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from app.jobs import submit\n"
        f"print(submit(Path({str(tmp_path)!r}), [Path('a')], ['m1'], [{HALF!r}]))"
    )
    job_id = subprocess.run(
        [sys.executable, "-c", code], cwd=jobs.ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    assert until(tmp_path, job_id, lambda job: job.fraction == 0.5).state == "running"
    (tmp_path / job_id / "go").touch()
    assert until(tmp_path, job_id, lambda job: job.over).state == "done"


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="at least one scan and one model"):
        submit(tmp_path, [], ["m1"])
    with pytest.raises(JobError, match="no longer known"):
        status(tmp_path, "nothing")
    assert list_jobs(tmp_path / "none") == []
