"""Background analyses: one folder a job, run by a process of its own that outlives the app.

``submit`` starts ``python -m app.jobs FOLDER``, which waits for a free slot, runs ``python -m core analyze``
for each model, and writes ``end.json``. It holds a file lock for as long as it lives, so that a job whose
process is gone is told from one that works, whatever became of its process id.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal
from uuid import uuid4

from core.config import ROOT, settings
from core.io.atomic import write_bytes

State = Literal["queued", "running", "done", "failed", "cancelled"]
MAX_RUNNING = 1
GRACE_SECONDS = 3.0
POLL_SECONDS = 0.2
PR_SET_PDEATHSIG = 1  # linux/prctl.h
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
        _write(folder / "job.json", job)
        # Locked before the process starts and handed over: at no time does a live job look dead.
        with (folder / "alive").open("w") as alive, (folder / "log.txt").open("wb") as log:
            fcntl.flock(alive, fcntl.LOCK_EX)
            process = subprocess.Popen(
                [sys.executable, "-m", "app.jobs", str(folder.resolve()), str(alive.fileno())],
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
                pass_fds=[alive.fileno()],
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
    job = _read(folder / "job.json")
    if not isinstance(job, dict):
        raise JobError("This analysis is no longer known; start it again.")
    alive = _alive(folder)  # before end.json: a job that ends in between is not taken for dead
    end = _read(folder / "end.json")
    fraction, step = _fraction(folder, job)
    state: State
    message = ""
    if isinstance(end, dict):
        state, message = end["state"], end["message"]
    elif alive:
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
    if not _alive(folder):
        return
    # First the file, then the signal: a worker that has not told its process id yet looks for the file next.
    (folder / "cancel").touch()
    pid = _read(folder / "pid.json")
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


def _write(path: Path, content: Any) -> None:
    write_bytes(path, json.dumps(content).encode())


def _read(path: Path) -> Any:
    """JSON content; None where it is missing or half there."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _alive(folder: Path) -> bool:
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
    turn = _read(folder / "turn.json")
    turn = turn if isinstance(turn, int) else 0
    progress = _read(folder / "progress.json")
    progress = progress if isinstance(progress, dict) else {}
    within = progress.get("fraction", 0.0)
    within = min(max(float(within), 0.0), 1.0) if isinstance(within, int | float) else 0.0
    return (turn + within) / len(job["models"]), str(progress.get("step", "starting"))


def _prune(jobs_dir: Path) -> None:
    """Remove jobs that were over a week ago."""
    for path in jobs_dir.glob("*/job.json"):
        with suppress(FileNotFoundError):  # another server removed it since the listing
            if time.time() - path.stat().st_mtime > KEEP_SECONDS and not _alive(path.parent):
                shutil.rmtree(path.parent, ignore_errors=True)


# The worker process.


class _Stop(Exception):
    """SIGTERM came."""


def _on_term(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Stop


def _first_in_line(folder: Path, created: float) -> bool:
    for path in folder.parent.glob("*/job.json"):
        other = _read(path)
        if path.parent == folder or not isinstance(other, dict) or float(other["created"]) >= created:
            continue
        waits = not (path.parent / "turn.json").exists() and not (path.parent / "end.json").exists()
        if waits and _alive(path.parent):
            return False
    return True


def _take_slot(folder: Path, created: float) -> int:
    """Wait for one of ``MAX_RUNNING`` slots, in order of submission; the descriptor holds it."""
    while True:
        if _first_in_line(folder, created):
            for number in range(MAX_RUNNING):
                slot = os.open(folder.parent / f"slot{number}", os.O_RDWR | os.O_CREAT, 0o644)
                try:
                    fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(slot)
                else:
                    return slot
        time.sleep(POLL_SECONDS)


def _stop(process: subprocess.Popen[bytes] | None) -> None:
    """Wait for the child, which got SIGTERM with its group; kill it when it stays."""
    if process is None:
        return
    try:
        process.terminate()
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _with_parent(parent: int) -> Callable[[], None]:
    """What a child does before it becomes the command: hear SIGTERM, and ask for it if ``parent`` dies.

    Without, the analysis of a job whose runner was killed would go on beside the next one. Other systems have
    no such call; there it ends by itself.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def ask() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the runner's
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        if libc is None:
            return
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # died before it was asked
            os.kill(os.getpid(), signal.SIGTERM)

    return ask


def work(folder: Path) -> State:
    """Run a job's commands one after the other and write ``end.json``."""
    process: subprocess.Popen[bytes] | None = None
    state: State = "done"
    message = ""
    signal.signal(signal.SIGTERM, _on_term)
    try:
        _write(folder / "pid.json", os.getpid())
        if (folder / "cancel").exists():  # asked for before anyone could send a signal
            raise _Stop
        job = _read(folder / "job.json")
        slot = _take_slot(folder, float(job["created"]))
        for turn, command in enumerate(job["commands"]):
            (folder / "progress.json").unlink(missing_ok=True)
            _write(folder / "turn.json", turn)
            with (folder / "result.txt").open("ab") as result:
                # Held back while the child is made: an exception raised in the midst of a fork is dropped.
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=result,
                    preexec_fn=_with_parent(os.getpid()),  # this process has no threads
                )
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            if process.wait() != 0:
                state = "cancelled" if (folder / "cancel").exists() else "failed"
                break
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.close(slot)
    except _Stop:
        _stop(process)
        state = "cancelled"
    if state == "failed":
        assert process is not None
        message = friendly((folder / "log.txt").read_text(errors="replace"))
        if process.returncode < 0:
            name = signal.Signals(-process.returncode).name
            message = f"The analysis was ended by {name}; is there enough memory?"
    _write(folder / "end.json", {"state": state, "message": message})
    return state


if __name__ == "__main__":
    # The second argument is the inherited descriptor of the lock: open, and so held, until the end.
    sys.exit(0 if work(Path(sys.argv[1])) == "done" else 1)
