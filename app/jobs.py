"""Background analyses: one folder a job, run by a process of its own that outlives the app.

``submit`` starts ``python -m app.job_runner FOLDER``, which holds a file lock for as long as it lives: a job
whose process is gone is told from one that works, whatever became of its process id.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from core.config import ROOT, settings
from core.io.atomic import write_bytes

State = Literal["queued", "running", "done", "failed", "cancelled"]
KEEP_SECONDS = 7 * 24 * 3600
NOISE = re.compile(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]")


class JobError(RuntimeError):
    """A job that can't be started or found; the text is meant for the reader."""


@dataclass(frozen=True)
class Job:
    """Where a job stands."""

    id: str
    state: State
    inputs: tuple[str, ...]
    models: tuple[str, ...]
    created: float  # seconds since the epoch
    fraction: float  # 0 to 1, over all models
    step: str
    message: str  # why it failed, in one line; empty otherwise

    @property
    def over(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


def analyze_command(inputs: Sequence[str], model: str, progress: Path) -> list[str]:
    """The command line that analyses ``inputs`` with one model."""
    return [
        *(sys.executable, "-m", "core", "analyze", *inputs),
        *("--model", model, "--progress-file", str(progress), "--json"),
    ]


def submit(
    jobs_dir: Path,
    inputs: Sequence[Path],
    models: Sequence[str],
    commands: Sequence[Sequence[str]] | None = None,
) -> str:
    """Queue the analysis of ``inputs`` by ``models`` and return the job's id.

    ``commands`` replaces the command lines, one a model; ``{progress}`` stands for the progress file.

    Raises
    ------
    JobError
        Where there is nothing to do or the process can't be started.
    """
    if not inputs or not models:
        raise JobError("Choose at least one scan and one model.")
    _prune(jobs_dir)
    folder = jobs_dir / str(uuid4())
    progress = folder / "progress.json"
    names = [str(path.resolve()) for path in inputs]
    if commands is None:
        lines = [analyze_command(names, model, progress) for model in models]
    else:
        lines = [[word.replace("{progress}", str(progress)) for word in line] for line in commands]
    job = {"created": time.time(), "inputs": names, "models": list(models), "commands": lines}
    try:
        folder.mkdir(parents=True)
        write_json(folder / "job.json", job)
        # Locked before the process starts and handed over: at no time does a live job look dead.
        with (folder / "alive").open("w") as lock, (folder / "log.txt").open("wb") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = subprocess.Popen(
                [sys.executable, "-m", "app.job_runner", str(folder.resolve()), str(lock.fileno())],
                cwd=ROOT,
                # It runs in another folder: relative paths are made absolute.
                env={
                    **os.environ,
                    "FONTANELLE_DATA_DIR": str(settings().data_dir.resolve()),
                    "FONTANELLE_MODELS_DIR": str(settings().models_dir.resolve()),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
    except OSError as error:
        raise JobError(f"The analysis could not be started: {error.strerror or error}.") from error
    # Popen objects of detached jobs are reaped here, so that none stays a zombie.
    _children[:] = [child for child in _children if child.poll() is None] + [process]
    return folder.name


_children: list[subprocess.Popen[bytes]] = []


def status(jobs_dir: Path, job_id: str) -> Job:
    """Where a job stands now, whoever started it.

    Raises
    ------
    JobError
        Where there is no such job.
    """
    folder = jobs_dir / job_id
    job = read_json(folder / "job.json")
    if not isinstance(job, dict):
        raise JobError("This analysis is no longer known; start it again.")
    lives = alive(folder)  # before end.json: a job that ends in between is not taken for dead
    end = read_json(folder / "end.json")
    fraction, step = _fraction(folder, job)
    state: State
    message = ""
    if isinstance(end, dict):
        state, message = end["state"], end["message"]
    elif lives:
        state = "running" if (folder / "turn.json").exists() else "queued"
    elif (folder / "cancel").exists():
        state = "cancelled"
    else:
        state = "failed"
        message = "The analysis stopped unexpectedly (killed, or the machine restarted); start it again."
    return Job(
        id=job_id,
        state=state,
        inputs=tuple(job["inputs"]),
        models=tuple(job["models"]),
        created=float(job["created"]),
        fraction=1.0 if state == "done" else fraction,
        step=step if state == "running" else state,
        message=message,
    )


def list_jobs(jobs_dir: Path) -> list[Job]:
    """All known jobs, newest first."""
    jobs = []
    for path in jobs_dir.glob("*/job.json"):
        with suppress(JobError):  # removed since the listing
            jobs.append(status(jobs_dir, path.parent.name))
    return sorted(jobs, key=lambda job: job.created, reverse=True)


def cancel(jobs_dir: Path, job_id: str) -> None:
    """Ask a job to stop: SIGTERM to its processes now, SIGKILL to what is left after 3 s. Returns at once."""
    folder = jobs_dir / job_id
    # Only while the lock is held is the process id surely the job's.
    if not alive(folder):
        return
    # First the file, then the signal: a worker that has not told its process id yet looks for the file next.
    (folder / "cancel").touch()
    pid = read_json(folder / "pid.json")
    if isinstance(pid, int):
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)


def dismiss(jobs_dir: Path, job_id: str) -> None:
    """Forget a job that is over, its log too; one that waits or works is left alone."""
    with suppress(JobError):  # another session dismissed it
        if status(jobs_dir, job_id).over:
            shutil.rmtree(jobs_dir / job_id, ignore_errors=True)


def friendly(log: str) -> str:
    """Last line of a log that means something to a reader; never a traceback."""
    lines = [NOISE.sub("", line).strip() for line in log.splitlines()]
    lines = [line for line in lines if line != "" and not line.startswith(("Traceback", 'File "', "^", "~"))]
    if not lines:
        return "The analysis failed without a message; see log.txt in the job's folder."
    return re.sub(r"^([A-Za-z_][\w.]*(Error|Exception)|Error|error): ", "", lines[-1])[:400]


def write_json(path: Path, content: Any) -> None:
    """Write a file of a job's folder, whole or not at all."""
    write_bytes(path, json.dumps(content).encode())


def read_json(path: Path) -> Any:
    """JSON content; None where it is missing or half there."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def alive(folder: Path) -> bool:
    """Whether the job's process holds its lock."""
    try:
        with (folder / "alive").open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _fraction(folder: Path, job: dict[str, Any]) -> tuple[float, str]:
    """Share done over all models, and the step at hand."""
    turn = read_json(folder / "turn.json")
    turn = turn if isinstance(turn, int) else 0
    progress = read_json(folder / "progress.json")
    progress = progress if isinstance(progress, dict) else {}
    within = progress.get("fraction", 0.0)
    within = min(max(float(within), 0.0), 1.0) if isinstance(within, int | float) else 0.0
    return (turn + within) / len(job["models"]), str(progress.get("step", "starting"))


def _prune(jobs_dir: Path) -> None:
    """Remove jobs that were over a week ago."""
    for path in jobs_dir.glob("*/job.json"):
        with suppress(FileNotFoundError):  # another server removed it since the listing
            if time.time() - path.stat().st_mtime > KEEP_SECONDS and not alive(path.parent):
                shutil.rmtree(path.parent, ignore_errors=True)
