"""The process of one job: waits for a free slot, runs its commands one after the other, writes ``end.json``.

``python -m app.job_runner FOLDER``, started by ``app.jobs.submit``.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from app.jobs import State, alive, friendly, read_json, write_json
from core.config import ROOT

MAX_RUNNING = 1
GRACE_SECONDS = 3.0
POLL_SECONDS = 0.2
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class _Stop(Exception):
    """SIGTERM came."""


def _on_term(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Stop


def _first_in_line(folder: Path, created: float) -> bool:
    for path in folder.parent.glob("*/job.json"):
        other = read_json(path)
        if path.parent == folder or not isinstance(other, dict) or float(other["created"]) >= created:
            continue
        waits = not (path.parent / "turn.json").exists() and not (path.parent / "end.json").exists()
        if waits and alive(path.parent):
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
        write_json(folder / "pid.json", os.getpid())
        if (folder / "cancel").exists():  # asked for before anyone could send a signal
            raise _Stop
        job = read_json(folder / "job.json")
        slot = _take_slot(folder, float(job["created"]))
        for turn, command in enumerate(job["commands"]):
            (folder / "progress.json").unlink(missing_ok=True)
            write_json(folder / "turn.json", turn)
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
    write_json(folder / "end.json", {"state": state, "message": message})
    return state


if __name__ == "__main__":
    # The second argument is the inherited descriptor of the lock: open, and so held, until the end.
    sys.exit(0 if work(Path(sys.argv[1])) == "done" else 1)
