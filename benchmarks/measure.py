"""Run pieces of work in processes of their own, in turn, and compare what they took."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from core.config import ROOT
from core.io.atomic import write_bytes

SAMPLE_SECONDS = 0.02


@dataclass(frozen=True)
class Work:
    """A function of a benchmark, ``module:function``, and its arguments (JSON).

    The function may return a number: the seconds of the part that counts. Else the whole call counts.
    """

    name: str
    call: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Taken:
    seconds: float
    peak_mb: float  # resident memory of the process and its children together


def run_once(work: Work) -> Taken:
    """Run ``work`` in a fresh interpreter.

    Raises
    ------
    RuntimeError
        Where it fails, with what it wrote to stderr.
    """
    command = [sys.executable, "-m", "benchmarks.measure", work.call, json.dumps(work.arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], resident(process.pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    out, err = process.communicate()
    done.set()
    watcher.join()
    if process.returncode != 0:
        raise RuntimeError(f"{work.name}: {err.strip()[-2000:]}")
    return Taken(float(json.loads(out.splitlines()[-1])["seconds"]), peak[0] / 2**20)


def resident(pid: int) -> int:
    """Resident bytes of a process and all below it; those that end meanwhile count as none."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for one in family:
        try:
            total += one.memory_info().rss
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return total


def compare(title: str, works: Sequence[Work], repeats: int) -> pd.DataFrame:
    """Run the works in turn, ``repeats`` rounds; one row each: median and range of seconds, peak, ratio.

    ``ratio`` is the median over rounds of this work's seconds to the first work's of the same round.
    """
    rounds = [[run_once(work) for work in works] for _ in range(repeats)]
    lines = []
    for index, work in enumerate(works):
        seconds = [one[index].seconds for one in rounds]
        ratios = [one[index].seconds / one[0].seconds for one in rounds]
        lines.append(
            {
                "benchmark": title,
                "what": work.name,
                "seconds": statistics.median(seconds),
                "seconds_low": min(seconds),
                "seconds_high": max(seconds),
                "ratio": statistics.median(ratios),
                "ratio_low": min(ratios),
                "ratio_high": max(ratios),
                "peak_mb": max(one[index].peak_mb for one in rounds),
                "rounds": repeats,
            }
        )
    table = pd.DataFrame(lines)
    print(f"\n{title} ({machine()})")
    print(table.drop(columns="benchmark").to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    return table


def machine() -> str:
    """What it ran on, without its name."""
    memory = psutil.virtual_memory().total / 2**30
    python = platform.python_version()
    return f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}, Python {python}"


def keep(table: pd.DataFrame, name: str, folder: Path | None) -> None:
    """Write a table as ``bench_<name>.csv``, where asked for."""
    if folder is not None:
        rounded = table.assign(machine=machine())
        content = rounded.to_csv(index=False, float_format="%.4g", lineterminator="\n")
        write_bytes(folder / f"bench_{name}.csv", content.encode())


def options(description: str, rounds: int) -> argparse.Namespace:
    """``--rounds`` and ``--tables`` of every benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds; each runs every work once")
    parser.add_argument("--tables", type=Path, default=None, help="folder for the table as CSV")
    return parser.parse_args()


def main() -> None:
    module, _, function = sys.argv[1].partition(":")
    call = getattr(importlib.import_module(module), function)
    arguments = json.loads(sys.argv[2])
    start = time.perf_counter()
    counted = call(**arguments)
    whole = time.perf_counter() - start
    print(json.dumps({"seconds": whole if counted is None else counted}))


if __name__ == "__main__":
    main()
