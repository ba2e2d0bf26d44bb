"""What commands say: progress and errors to stderr, one JSON document or plain lines to stdout."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from core.folder import JudgedError
from core.io.atomic import write_bytes

stderr = Console(stderr=True, highlight=False, soft_wrap=True)
REFRESH_S = 0.2  # of the progress file
REDO_JUDGED = "Do anew what readers have judged too: their answers then point at nothing"


class UsageError(ValueError):
    """Arguments that a command can't use."""


def exit_code(errors: Collection[BaseException], done: int) -> int:
    """0 where no item failed, 2 where each was refused as bad input, else 1."""
    if not errors:
        return 0
    return 2 if done == 0 and all(isinstance(error, ValueError | OSError) for error in errors) else 1


def kept_of(errors: Mapping[str, BaseException]) -> tuple[dict[str, str], dict[str, BaseException]]:
    """Cases that are kept since readers have judged them, with the words for it; and those that failed."""
    kept = {case: str(error) for case, error in errors.items() if isinstance(error, JudgedError)}
    return kept, {case: error for case, error in errors.items() if case not in kept}


def say_kept(kept: Mapping[str, str]) -> None:
    """Say which cases are kept and what would do them anew."""
    for case, why in kept.items():
        say(f"kept: {case}: {why}")
    if kept:
        say("--redo-judged does what is kept anew; readers' answers then point at nothing")


def say(text: str) -> None:
    """A line for people, on stderr so that ``--json`` stays clean."""
    stderr.print(text, markup=False)


def say_json(document: Any) -> None:
    """The one JSON document of a command, on stdout."""
    print(json.dumps(document, indent=1, sort_keys=True))


@dataclass(frozen=True)
class Bar:
    """One progress bar; ``advance`` counts whole items, ``at`` places it within the current one."""

    progress: Progress
    task: TaskID

    def at(self, done: float, note: str = "") -> None:
        """Set to ``done`` items, with a word on what is under way."""
        self.progress.update(self.task, completed=done, note=note)


@contextmanager
def bar(text: str, total: float) -> Iterator[Bar]:
    """A progress bar on stderr with the time that is left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeLeftColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=stderr) as progress:
        yield Bar(progress, progress.add_task(text, total=total, note=""))


class ProgressFile:
    """Progress of one command as a JSON file, for another process to poll; whole at every moment."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.written = 0.0
        self.last = ("", "")  # case and step

    def write(self, state: str, step: str, fraction: float, case: str = "", message: str = "") -> None:
        """Write; within one step of a running case at most five times a second."""
        now = time.monotonic()
        same = state == "running" and self.last == (case, step)
        if self.path is None or (same and now - self.written < REFRESH_S):
            return
        self.written, self.last = now, (case, step)
        document = {
            "state": state,
            "step": step,
            "fraction": round(fraction, 4),
            "message": message,
            "case": case,
        }
        write_bytes(self.path, json.dumps(document).encode() + b"\n")
