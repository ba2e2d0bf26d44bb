"""What workers run in tests: a phantom's analysis that tells when it writes, and a sleeper.

Dask's ``--preload tests.core.cluster_fakes`` puts the phantom's model and preparation in place.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import core.case
import core.cli.analyze
import core.prepared
from core.folder import case_lock, staging
from core.io.bids import Scan
from core.io.derivatives import CasePaths, Region, write_regions
from tests.core.case_fakes import CountingNetwork, fake_predictor, fake_prepare, reference


def marks() -> Path:
    return Path(os.environ["TEST_MARKS"])


def slow_regions(regions: list[Region], path: Path) -> None:
    """The last file but one of an analysis: the staging folder stands."""
    (marks() / f"writing-{os.getpid()}").touch()
    time.sleep(0.4)
    write_regions(regions, path)


def dask_setup(worker: Any) -> None:
    core.prepared.prepare = fake_prepare
    core.case.write_regions = slow_regions
    core.cli.analyze.reference_of_model = lambda folder, name: reference()  # type: ignore[assignment]
    predictor = fake_predictor(CountingNetwork())
    core.cli.analyze.predictor_of = lambda folder, device: predictor  # type: ignore[assignment]


@dataclass(frozen=True)
class Sleep:
    """A task that never ends."""

    paths: CasePaths
    scan: Scan
    marks: Path


def sleep(task: Sleep) -> None:
    """Stand in the middle of writing a case."""
    with case_lock(task.paths), staging(task.paths, "prepared", task.paths.acquired) as staged:
        staged.acquired.write_text("half")
        (task.marks / str(os.getpid())).touch()
        time.sleep(60)
