"""``prepare``: scans to the reference's cube, in [0, 1], once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from core.cli.batch import work_off
from core.cli.console import REDO_JUDGED, UsageError, bar, exit_code, kept_of, say, say_json, say_kept
from core.cli.sources import (
    DEMO,
    REFERENCE,
    demo_reference,
    model_named,
    reference_of_files,
    reference_of_model,
    scans_of,
)
from core.config import settings
from core.io.bids import Scan
from core.io.derivatives import CasePaths
from core.judged import keep_of, known_to_workers
from core.prepared import channel_keys, input_hashes, is_prepared, prepare_scan, prepared_key
from core.preprocess.pipeline import PrepareError, PrepareSettings, Reference, settings_from_dict

STEP = "prepare"  # in the ledger


@dataclass(frozen=True)
class Source:
    """Where a reference brain comes from, as it travels to a worker process."""

    folder: Path | None = None  # of a model
    scan: Path | None = None
    mask: Path | None = None
    name: str = DEMO

    def load(self) -> Reference:
        if self.scan is not None and self.mask is not None:
            return reference_of_files(self.scan, self.mask)
        return demo_reference() if self.folder is None else reference_of_model(self.folder, self.name)


@dataclass(frozen=True)
class Task:
    """One scan to prepare."""

    scan: Scan
    reference: Source
    out: Path
    settings: PrepareSettings
    replace_scan: bool = False
    redo_judged: bool = False
    known: frozenset[tuple[str, str]] | None = None  # judged, for a cluster's worker

    @property
    def paths(self) -> CasePaths:
        return CasePaths(self.out, self.scan.subject, self.scan.session)


def run(task: Task) -> dict[str, Any]:
    """Prepare one scan, or find it prepared; what ``--json`` says of it."""
    reference = task.reference.load()
    prepared = prepare_scan(task.scan, reference, task.out, task.settings, task.replace_scan, keep_of(task))
    return {
        "case": task.paths.stem,
        "prepared": str(task.paths.prepared(task.settings.cube)),
        "mask_source": prepared.mask_source,
        "overlap": prepared.overlap,
        "seconds": prepared.times,
    }


def prepare_all(tasks: Sequence[Task], jobs: int) -> tuple[list[dict[str, Any]], dict[str, BaseException]]:
    """Prepare many; summaries in order, and the error of each case that failed."""
    if not tasks:
        return [], {}
    tasks = [replace(task, known=known_to_workers(task)) for task in tasks]
    with bar("prepare", len(tasks)) as shown:
        steps = [(STEP, f"cube{tasks[0].settings.cube}")]
        done, errors = work_off(run, tasks, jobs, steps, shown.at)
    return [done[task.paths.stem] for task in tasks if task.paths.stem in done], errors


def waiting(tasks: Sequence[Task]) -> list[Task]:
    """Tasks whose prepared scan is not on disk yet; those that can't be read too, for ``run`` to say."""
    if not tasks:
        return []
    reference = tasks[0].reference.load()

    def there(task: Task) -> bool:
        try:
            inputs = input_hashes(task.scan)
            cube, key = task.settings.cube, prepared_key(task.scan, inputs, reference, task.settings)
            channels = channel_keys(task.scan, key, task.settings)
        except (OSError, PrepareError):
            return False
        return is_prepared(task.paths, cube, key) and all(
            is_prepared(task.paths, cube, own, channel) for channel, own in channels.items()
        )

    return [task for task in tasks if not there(task)]


def grid_of(options: PrepareSettings, model: str) -> str:
    """What the command says of its cube: whose choice it was, and how wide a voxel is."""
    whose = f"as {model} wants it" if model else "by --cube"
    return f"grid: {options.cube}³ voxels of {options.fov_mm / options.cube:g} mm, {whose}"


def source_of(reference: Path | None, reference_mask: Path | None) -> Source:
    """The reference of ``--reference`` and ``--reference-mask``; the demo's without.

    Raises
    ------
    UsageError
        Where only one of the two is given, or a file is missing.
    """
    if reference is None and reference_mask is None:
        return Source()
    if reference is None or reference_mask is None:
        raise UsageError("--reference needs --reference-mask beside it, and the other way round")
    for path in (reference, reference_mask):
        if not path.is_file():
            raise UsageError(f"{path}: no such file; expected a normal scan or its brain mask")
    return Source(scan=reference, mask=reference_mask, name=REFERENCE)


def command(
    inputs: Annotated[list[Path], typer.Argument(help="Scan files, BIDS folders, manifests (.tsv)")],
    model: Annotated[str, typer.Option(help="Prepare as this model wants it")] = "",
    cube: Annotated[int, typer.Option(min=8, help="Voxels an axis, without --model")] = 256,
    bias: Annotated[str, typer.Option(help="n4, n3 or none, without --model")] = "n4",
    intensity: Annotated[str, typer.Option(help="minmax or robust, without --model")] = "minmax",
    brain_mask: Annotated[Path | None, typer.Option(help="Brain mask file of a single scan")] = None,
    mask: Annotated[
        str, typer.Option(help="Where the mask comes from: auto, given, stripped, bet, command")
    ] = "auto",
    reference: Annotated[Path | None, typer.Option(help="A normal scan to register to")] = None,
    reference_mask: Annotated[Path | None, typer.Option(help="Its brain mask")] = None,
    out: Annotated[Path | None, typer.Option(help="Derivatives folder; the data folder's by default")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; a cluster has its own")] = 1,
    replace_scan: Annotated[
        bool, typer.Option("--replace", help="Remove results of another scan with the same label")
    ] = False,
    redo_judged: Annotated[bool, typer.Option("--redo-judged", help=REDO_JUDGED)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout")] = False,
) -> None:
    """Prepare scans: brain mask, bias field, registration, cube, intensity. Done once per scan and settings.

    Example: python -m core prepare scan_T2w.nii.gz --cube 64
    """
    if model:
        info = model_named(model)
        options = replace(settings_from_dict(info.preprocess), mask=mask)
        source = Source(folder=info.folder, name=info.reference)
    else:
        options = settings_from_dict({"cube": cube, "bias": bias, "intensity": intensity, "mask": mask})
        source = source_of(reference, reference_mask)
    source.load()
    root = out if out is not None else settings().derivatives_dir
    scans = scans_of(inputs, brain_mask)
    tasks = [Task(scan, source, root, options, replace_scan, redo_judged) for scan in scans]
    say(grid_of(options, model))
    done, refused = prepare_all(tasks, jobs)
    kept, errors = kept_of(refused)
    if as_json:
        failed = [{"case": case, "error": str(error)} for case, error in errors.items()]
        say_json({"cases": done, "kept": kept, "errors": failed})
    else:
        for one in done:
            print(
                f"{one['case']}  mask {one['mask_source']}  overlap {one['overlap']:.3f}  {one['prepared']}"
            )
    say_kept(kept)
    for case, error in errors.items():
        say(f"error: {case}: {error}")
    if code := exit_code(errors.values(), len(done) + len(kept)):
        raise typer.Exit(code)
