"""``analyze`` of 20 scans, prepared on the way, with one and with two workers; start-up included."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Work, compare, keep, options
from benchmarks.scans import test_scans
from core.config import PREFIX, ROOT, settings

SCANS = 20


def run(jobs: int) -> None:
    """Analyse the scans into an empty folder of derivatives."""
    import os

    with tempfile.TemporaryDirectory(prefix="fontanelle-bench-") as folder:
        data = Path(folder)
        (data / "demo").symlink_to(settings().demo_dir.resolve())
        scans = [str(scan.path) for scan in test_scans(SCANS)]
        command = [sys.executable, "-m", "core", "analyze", *scans, "--model", "vae_8x8_512"]
        environment = {**os.environ, f"{PREFIX}DATA_DIR": folder}
        done = subprocess.run(
            [*command, "--jobs", str(jobs)], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        found = len(list(data.glob("derivatives/fontanelle/sub-*/ses-*/anat/*_case.json")))
        if done.returncode != 0 or found != SCANS:
            raise RuntimeError(f"{found} of {SCANS} analysed: {done.stderr[-1500:]}")


def main() -> None:
    chosen = options(__doc__ or "", rounds=2)
    works = [Work(f"{jobs} workers", "benchmarks.workers:run", {"jobs": jobs}) for jobs in (1, 2)]
    table = compare(f"analyze {SCANS} synthetic scans at 64³", works, chosen.rounds)
    keep(table, "workers", chosen.tables)


if __name__ == "__main__":
    main()
