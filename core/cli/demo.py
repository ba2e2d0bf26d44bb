"""``demo``: the synthetic cohort, and its analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.case import AnalyzeSettings
from core.cli.analyze import report, run_all, tasks_of
from core.cli.console import REDO_JUDGED, ProgressFile, UsageError, bar, say, say_json
from core.cli.sources import demo_reference, model_named, scans_of
from core.config import settings
from core.io.derivatives import CaseRecord


def command(
    which: Annotated[str, typer.Option(help="test: the 24 test cases; all: also 80 + 9 normals")] = "test",
    analyze: Annotated[str, typer.Option(help="Analyse the test cases with these models, by comma")] = "",
    out: Annotated[Path | None, typer.Option(help="BIDS folder; the data folder's demo by default")] = None,
    t1w: Annotated[bool, typer.Option("--t1w", help="A T1w beside each T2w")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes")] = 2,
    redo_judged: Annotated[bool, typer.Option("--redo-judged", help=REDO_JUDGED)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout")] = False,
) -> None:
    """Make the synthetic cohort. What is there already is kept, so a second call takes seconds.

    An analysis that readers have judged in the app is kept even where scan, model or code have changed.

    Example: python -m core demo --which test --analyze restorer,vae_8x8_512
    """
    if which not in ("test", "all"):
        raise UsageError(f"--which {which}: expected test or all")
    chosen = [model_named(name.strip()) for name in analyze.split(",")] if analyze else []
    folder = out if out is not None else settings().demo_dir

    from core.demo.cohort import write_cohort  # nilearn's templates

    with bar("synthetic scans", 1) as shown:
        files = write_cohort(
            folder,
            "test" if which == "test" else "all",
            jobs=jobs,
            t1w=t1w,
            progress=lambda done, total, name: shown.at(done / total, f"{done}/{total} {name}"),
        )
        shown.at(1)
    demo_reference()
    say(f"{folder}: {len(files)} synthetic scans (no newborn was scanned)")
    if not chosen:
        if as_json:
            say_json({"folder": str(folder), "scans": len(files), "synthetic": True})
        return
    tests = [scan for scan in scans_of([folder]) if scan.split == "test"]
    root = settings().derivatives_dir
    # The labels are the demo's own: of an older recipe nothing is kept but what readers have judged.
    records: list[CaseRecord] = []
    errors: dict[str, BaseException] = {}
    for model in chosen:
        tasks = tasks_of(tests, model, settings().device, root, AnalyzeSettings(), True, redo_judged)
        done, failed = run_all(tasks, jobs, ProgressFile(None))
        records += done
        errors |= {f"{case} by {model.name}": error for case, error in failed.items()}
    report(records, errors, root, as_json)
