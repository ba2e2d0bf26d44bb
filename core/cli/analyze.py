"""``analyze``: scans in, banded z maps and flagged regions out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from core.anomaly.normative import SMOOTH_Z_MM
from core.anomaly.regions import FLOOR_MM3
from core.case import AnalyzeSettings, analyze, cached_record, case_key
from core.cli.batch import line, work_off
from core.cli.console import REDO_JUDGED, ProgressFile, bar, exit_code, kept_of, say, say_json, say_kept
from core.cli.prepare import STEP as PREPARE
from core.cli.sources import model_named, predictor_of, reference_of_model, scans_of
from core.cluster import remote, stopping
from core.config import settings
from core.io import ledger
from core.io.bids import Scan
from core.io.derivatives import MAP_NAMES, CasePaths, CaseRecord, read_regions
from core.judged import keep_of, known_to_workers
from core.networks.zoo import ModelInfo
from core.prepared import Progress, input_hashes
from core.preprocess.pipeline import PrepareError


@dataclass(frozen=True)
class Task:
    """One scan to analyse, as it travels to a worker process."""

    scan: Scan
    model: Path  # folder
    reference: str
    device: str
    out: Path
    settings: AnalyzeSettings
    replace_scan: bool = False
    redo_judged: bool = False
    known: frozenset[tuple[str, str]] | None = None  # judged, for a cluster's worker

    @property
    def paths(self) -> CasePaths:
        return CasePaths(self.out, self.scan.subject, self.scan.session)


def run(task: Task, progress: Progress | None = None) -> CaseRecord:
    """Analyse one scan."""
    model = predictor_of(task.model, task.device)
    reference = reference_of_model(task.model, task.reference)
    tell = progress if progress is not None else (lambda step, fraction: None)
    keep = keep_of(task)
    return analyze(
        task.scan, model, reference, task.out, task.settings, tell, stopping, task.replace_scan, keep
    )


def name_of(task: Task) -> str:
    """Name of the model."""
    return predictor_of(task.model, task.device).name


def steps_of(task: Task) -> list[tuple[str, str]]:
    """What an analysis stands for in the ledger: the scan is prepared too."""
    model = predictor_of(task.model, task.device)
    return [("analyze", model.name), (PREPARE, f"cube{model.cube}")]


def finished(task: Task) -> CaseRecord | None:
    """The record, where the analysis is on disk; torch is not needed to say so."""
    if not task.paths.case_json(name_of(task)).exists():
        return None
    model = predictor_of(task.model, task.device)
    reference = reference_of_model(task.model, task.reference)
    key = case_key(task.scan, input_hashes(task.scan), model, reference, task.settings)
    return cached_record(task.paths, model.name, key)


def run_all(
    tasks: Sequence[Task], jobs: int, file: ProgressFile
) -> tuple[list[CaseRecord], dict[str, BaseException]]:
    """Analyse many; the records in order, and the error of each case that failed."""
    records: dict[str, CaseRecord] = {}
    errors: dict[str, BaseException] = {}
    waiting: list[Task] = []
    for task in tasks:
        try:
            record = finished(task)
        except (OSError, PrepareError):
            record = None  # unreadable or missing input: the worker reports it as this case's own error
        if record is None:
            waiting.append(task)
        else:
            records[task.paths.stem] = record
    if tasks:
        steps = steps_of(tasks[0])
        known = [task for task in tasks if task.paths.stem in records]
        ledger.record(tasks[0].paths.root, [line(task, *step) for task in known for step in steps])
    done = len(records)
    if waiting:
        with bar("analyse", len(tasks)) as shown:
            shown.at(done)

            def step(case: str, name: str, fraction: float) -> None:
                shown.at(done + fraction, f"{case} {name}")
                file.write("running", name, (done + fraction) / len(tasks), case)

            def tell(over: int, case: str) -> None:
                nonlocal done
                done = len(tasks) - len(waiting) + over
                shown.at(done, case)
                file.write("running", "done", done / len(tasks), case)

            alone = not remote() and (jobs == 1 or len(waiting) == 1)
            work: Callable[[Task], CaseRecord] = partial(_run_here, step) if alone else run
            found, errors = work_off(work, waiting, jobs, steps, tell)
            records |= found
    return [records[task.paths.stem] for task in tasks if task.paths.stem in records], errors


def _run_here(step: Callable[[str, str, float], None], task: Task) -> CaseRecord:
    return run(task, partial(step, task.paths.stem))


def tasks_of(
    scans: Sequence[Scan],
    model: ModelInfo,
    device: str,
    out: Path,
    options: AnalyzeSettings,
    replace_scan: bool = False,
    redo_judged: bool = False,
) -> list[Task]:
    """One task a scan; the reference is made first, so that workers find it.

    Raises
    ------
    JudgedUnknown
        Where a cluster does the work and it can't be told what readers have judged.
    """
    reference_of_model(model.folder, model.reference)
    tasks = [
        Task(scan, model.folder, model.reference, device, out, options, replace_scan, redo_judged)
        for scan in scans
    ]
    return [replace(task, known=known_to_workers(task)) for task in tasks]


def summary(task_root: Path, record: CaseRecord) -> dict[str, Any]:
    """What ``--json`` says of one case."""
    paths = CasePaths(task_root, record.subject, record.session)
    regions = read_regions(paths.regions(record.model))
    return {
        "case": record.case_id,
        "model": record.model,
        "key": record.key,
        "scores": record.scores,
        "regions": {name: sum(region.map == name for region in regions) for name in record.bands},
        "record": str(paths.case_json(record.model)),
        "seconds": record.times,
    }


def report(records: Sequence[CaseRecord], errors: dict[str, BaseException], out: Path, as_json: bool) -> None:
    """Say what came out; exit code 1 where a case failed, 2 where all were refused as bad input.

    What was kept since readers have judged it is no failure.
    """
    kept, errors = kept_of(errors)
    cases = [summary(out, record) for record in records]
    failed = [
        {"case": case, "error": f"{error}" or type(error).__name__, "type": type(error).__name__}
        for case, error in errors.items()
    ]
    if as_json:
        say_json({"cases": cases, "kept": kept, "errors": failed})
    else:
        for case in cases:
            percentile = case["scores"].get("mse_percentile")
            rank = "" if percentile is None else f" (percentile {percentile:.0f} of validation normals)"
            flags = ", ".join(f"{count} {name}" for name, count in case["regions"].items())
            print(f"{case['case']}  MSE {case['scores']['mse']:.5f}{rank}  regions: {flags}")
    say_kept(kept)
    for failure in failed:
        say(f"error: {failure['case']}: {failure['error']}")
    if code := exit_code(errors.values(), len(records) + len(kept)):
        raise typer.Exit(code)


def command(
    inputs: Annotated[list[Path], typer.Argument(help="Scan files, BIDS folders, manifests (.tsv)")],
    model: Annotated[str, typer.Option(help="Model name, or its folder")] = "vae_8x8_512",
    out: Annotated[Path | None, typer.Option(help="Derivatives folder; the data folder's by default")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; a cluster has its own")] = 1,
    floor_mm3: Annotated[float, typer.Option(help="Smallest flagged region, mm³")] = FLOOR_MM3,
    smooth_z_mm: Annotated[
        float, typer.Option(help="σ of the normative z; as the model was calibrated")
    ] = SMOOTH_Z_MM,
    maps: Annotated[str, typer.Option(help="z maps, by comma")] = ",".join(MAP_NAMES),
    brain_mask: Annotated[Path | None, typer.Option(help="Brain mask file of a single scan")] = None,
    mask: Annotated[
        str, typer.Option(help="Where the mask comes from: auto, given, stripped, bet, command")
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "",
    replace_scan: Annotated[
        bool, typer.Option("--replace", help="Remove results of another scan with the same label")
    ] = False,
    redo_judged: Annotated[bool, typer.Option("--redo-judged", help=REDO_JUDGED)] = False,
    progress_file: Annotated[Path | None, typer.Option(help="JSON file that follows the progress")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout")] = False,
) -> None:
    """Analyse scans with one model and write their derivatives.

    What was analysed before with the same scan, model and settings is not computed again. What readers have
    judged in the app is kept as they saw it, whatever has changed since, and the output says so. A bad scan
    does not stop the others: it is reported, and the exit code is 1; 2 where all scans are bad.

    Example: python -m core analyze data/demo --model vae_8x8_512 --jobs 2
    """
    file = ProgressFile(progress_file)
    try:
        file.write("running", "start", 0.0)
        options = AnalyzeSettings(tuple(maps.split(",")), floor_mm3, smooth_z_mm, mask)  # type: ignore[arg-type]
        root = out if out is not None else settings().derivatives_dir
        chosen = model_named(model)
        scans = scans_of(inputs, brain_mask)
        tasks = tasks_of(scans, chosen, device or settings().device, root, options, replace_scan, redo_judged)
        records, errors = run_all(tasks, jobs, file)
    except (KeyboardInterrupt, SystemExit):
        file.write("cancelled", "cancelled", 0.0)
        raise
    except (ValueError, OSError) as error:
        file.write("failed", "failed", 0.0, message=str(error))
        raise
    if failed := kept_of(errors)[1]:
        first = next(iter(failed.items()))
        file.write("failed", "failed", 1.0, first[0], str(first[1]))
    else:
        file.write("done", "done", 1.0, records[-1].case_id if records else "")
    report(records, errors, root, as_json)
