"""``evaluate``: the paper's tables and figures on a data set, networks and baselines alike."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import plotly.graph_objects as go
import typer

from core.anomaly.normative import Normative, load_normative
from core.anomaly.regions import FLOOR_MM3
from core.cli.calibrating import card_of
from core.cli.console import UsageError, bar, say, say_json
from core.cli.prepare import Source, prepare_all, waiting
from core.cli.prepare import Task as PrepareTask
from core.cli.sources import model_named, predictor_of, scans_of
from core.cluster import outcomes
from core.config import settings
from core.evaluation import cohort, localisation
from core.evaluation.baselines import Cube, Scorer, baseline_scorers, network_scorer
from core.evaluation.cards import metrics_of
from core.evaluation.cohort import Measured, group_of
from core.evaluation.lesions import Lesions, case_of, find_lesions
from core.evaluation.measure import (
    MeasureSettings,
    Row,
    cached_row,
    measured,
    read_cube,
    row_key,
    stored_content,
)
from core.evaluation.report import Evaluation, Facts, write_evaluation, write_tables
from core.evaluation.sheets import sheets_of
from core.evaluation.statistics import DRAWS
from core.evaluation.wording import VARIANTS
from core.io.atomic import write_bytes
from core.io.bids import Scan
from core.io.derivatives import CasePaths
from core.networks.zoo import CARD, ModelInfo, list_models
from core.prepared import content_key, stored_key, versions
from core.preprocess.pipeline import ONE_CHANNEL, settings_from_dict

IDENTITY = "identity"


@dataclass(frozen=True)
class Task:
    """One scan to measure by one model, as it travels to a worker process."""

    scan: Scan
    model: Path
    device: str
    root: Path
    cube: int
    lesions: Lesions | None
    settings: MeasureSettings
    cache: Path

    @property
    def paths(self) -> CasePaths:
        return CasePaths(self.root, self.scan.subject, self.scan.session)


@cache
def scorer_of(model: Path, device: str) -> Scorer:
    """A model folder as a scorer, once a process."""
    return network_scorer(predictor_of(model, device))


def run(task: Task) -> Row:
    """Measure one scan."""
    scorer = scorer_of(task.model, task.device)
    return measured(task.paths, task.cube, scorer, task.lesions, task.settings, task.cache)


def finished(task: Task) -> Row | None:
    """The row, where its content was measured before."""
    scorer = scorer_of(task.model, task.device)
    key = row_key(stored_content(task.paths, task.cube, scorer), scorer, task.lesions, task.settings)
    return cached_row(task.cache, key)


def channels_of(info: ModelInfo) -> tuple[str, ...]:
    """What a model sees."""
    return settings_from_dict(info.preprocess).channels


def models_named(names: str) -> list[ModelInfo]:
    """Models by name, or all that see the T2w alone; they must share cube, preparation and reference.

    Raises
    ------
    UsageError
        Where there is none, or two differ.
    """
    infos = (
        [info for info in list_models(settings().models_dir) if channels_of(info) == ONE_CHANNEL]
        if names == "all"
        else [model_named(name.strip()) for name in names.split(",")]
    )
    if not infos:
        raise UsageError(f"no model in {settings().models_dir}; train one with `python -m core train`")
    for info in infos[1:]:
        mine, first = ({**one.preprocess, "channels": []} for one in (info, infos[0]))
        if (mine, info.reference_hash) != (first, infos[0].reference_hash):
            raise UsageError(
                f"{infos[0].name} and {info.name} differ in cube, preparation or reference; name models that "
                "take the same scans"
            )
    return infos


def prepared_scans(
    scans: Sequence[Scan], info: ModelInfo, root: Path, jobs: int
) -> tuple[list[Scan], dict[str, str]]:
    """The scans, prepared as the model wants them; those that can't be, with the reason."""
    source = Source(folder=info.folder, name=info.reference)
    tasks = [PrepareTask(scan, source, root, settings_from_dict(info.preprocess)) for scan in scans]
    left = waiting(tasks)
    _, errors = prepare_all(left, jobs) if left else ({}, {})
    bad = {case: f"{error}" or type(error).__name__ for case, error in errors.items()}
    return [scan for scan in scans if case_of(scan) not in bad], bad


def measure_networks(tasks: Sequence[Task], jobs: int) -> tuple[list[Measured], dict[str, str]]:
    """Rows of all scans and models in the order of ``tasks``; what failed, with the reason."""
    rows: dict[int, Row] = {}
    bad: dict[str, str] = {}
    left = []
    for index, task in enumerate(tasks):
        row = finished(task)
        if row is None:
            left.append(index)
        else:
            rows[index] = row
    if left:
        places = {id(tasks[index]): index for index in left}
        with bar("measure", len(tasks)) as shown:
            done = len(rows)
            shown.at(done)
            with closing(outcomes(run, [tasks[index] for index in left], jobs)) as results:
                for task, future in results:
                    error = future.exception()
                    if error is None:
                        rows[places[id(task)]] = future.result()
                    else:
                        bad[f"{task.paths.stem} by {task.model.name}"] = str(error) or type(error).__name__
                    done += 1
                    shown.at(done, f"{task.model.name} {task.paths.stem}")
    return [Measured(task.scan, rows[index]) for index, task in enumerate(tasks) if index in rows], bad


def measure_baselines(
    scans: Sequence[Scan],
    root: Path,
    cube: int,
    known: dict[str, Lesions],
    options: MeasureSettings,
    store: Path,
) -> list[Measured]:
    """Rows of the baselines on the test scans; fitted on training and validation normals as they say.

    Empty where the data set has too few normals to fit on (3 of each).
    """
    groups = {
        group: [CasePaths(root, scan.subject, scan.session) for scan in scans if group_of(scan) == group]
        for group in (cohort.TRAIN, cohort.VALIDATION)
    }
    tests = [scan for scan in scans if group_of(scan) in (cohort.NORMAL, cohort.ABNORMAL)]
    if min(len(paths) for paths in groups.values()) < 3 or not tests:
        return []

    def cubes(group: str) -> list[Cube]:
        return [read_cube(paths, cube) for paths in groups[group]]

    key = content_key({group: [stored_key(p, cube) for p in paths] for group, paths in groups.items()})
    training, held_out = cache(partial(cubes, cohort.TRAIN)), cache(partial(cubes, cohort.VALIDATION))
    found = []
    with bar("baselines", 1) as shown:
        scorers = baseline_scorers(training, held_out, key)
        for number, scorer in enumerate(scorers):
            for index, scan in enumerate(tests):
                shown.at((number + index / len(tests)) / len(scorers), scorer.name)
                paths = CasePaths(root, scan.subject, scan.session)
                row = measured(paths, cube, scorer, known.get(case_of(scan)), options, store)
                found.append(Measured(scan, row))
        shown.at(1)
    return found


def tables_of(
    networks: Sequence[Measured],
    baselines: Sequence[Measured],
    normatives: dict[str, Normative],
    options: MeasureSettings,
    data: str,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """All tables of an evaluation by name."""
    subjects = cohort.subject_table(networks)
    summary = cohort.summary_table(subjects, seed)
    auc = cohort.auc_table(subjects, seed, ("mse",))
    tables = {
        "subjects": subjects,
        "summary": summary,
        "significance": cohort.significance_table(subjects),
        "roc": cohort.roc_table(subjects),
        "auc": auc,
        "paper": cohort.paper_table(summary, auc, data),
        "false_alarms": cohort.false_alarm_table(normatives, seed),
    }
    judging = [*networks, *(one for one in baselines if one.row["scorer"] != IDENTITY)]
    everyone = cohort.subject_table(judging)
    tables["case_auc"] = cohort.auc_table(everyone, seed, variants=list(VARIANTS)[:1])
    scored = localisation.scored_maps([*networks, *baselines])
    if scored:
        tables["localisation"] = localisation.localisation_table(scored, seed)
        tables["froc"] = localisation.froc_table(scored, options.thresholds)
        tables["lesions"] = localisation.lesion_table(scored)
    return tables


def drawn_sheets(
    subjects: pd.DataFrame, infos: Sequence[ModelInfo], scans: Sequence[Scan], root: Path, device: str
) -> dict[str, go.Figure]:
    """Figures 5 to 8 of the scans that the rules of ``sheets`` choose."""
    places = {case_of(scan): CasePaths(root, scan.subject, scan.session) for scan in scans}
    cube = infos[0].config.cube
    most = max((channels_of(info) for info in infos), key=len)
    return sheets_of(
        subjects,
        [predictor_of(info.folder, device) for info in infos],
        lambda case: read_cube(places[case], cube, most),
        any(scan.synthetic for scan in scans),
    )


def told(info: ModelInfo) -> dict[str, object]:
    """What the page says of a model; a restorer's error is that of corruption taken back."""
    training = info.training
    error = "validation MSE of restored corruption" if info.config.kind == "restorer" else "validation MSE"
    return {
        "model": info.name,
        "cube": info.config.cube,
        "epochs": training.get("epochs"),
        error: training.get("val_mse"),
        "data": training.get("data"),
        "synthetic": info.synthetic,
        "hash": info.hash[:12],
    }


def command(
    data: Annotated[
        Path | None,
        typer.Argument(help="BIDS folder or manifest with split and score; the demo's by default"),
    ] = None,
    models: Annotated[str, typer.Option(help="all that see the T2w alone, or names by comma")] = "all",
    out: Annotated[Path | None, typer.Option(help="Folder; evaluation/NAME of the data folder")] = None,
    tables: Annotated[Path | None, typer.Option(help="Also write the small tables here")] = None,
    cards: Annotated[bool, typer.Option("--cards", help="Write the figures into the models' cards")] = False,
    floor_mm3: Annotated[float, typer.Option(help="Smallest region and component, mm³")] = FLOOR_MM3,
    seed: Annotated[int, typer.Option(help="Of the bootstrap")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Scans at a time, one process each")] = 1,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout")] = False,
) -> None:
    """Measure models and baselines on a data set: the paper's tables and figures, localisation, intervals.

    What was measured before, with the same scan, model and settings, is not measured again. A bad scan is
    reported and left out, and the exit code is 1.

    Example: python -m core evaluate data/demo --models all --jobs 2
    """
    folder = data if data is not None else settings().demo_dir
    infos = models_named(models)
    cube = infos[0].config.cube
    root, options = settings().derivatives_dir, MeasureSettings(floor_mm3=floor_mm3)
    store = settings().data_dir / "cache" / "evaluation"
    target = out if out is not None else settings().data_dir / "evaluation" / folder.resolve().stem
    wanted = [scan for scan in scans_of([folder]) if group_of(scan) in cohort.GROUPS]
    if not wanted:
        raise UsageError(
            f"{folder}: no scan with split train or validation, or test and radiology score 1 or 5; expected "
            "participants.tsv to say so"
        )
    most = max(infos, key=lambda info: len(channels_of(info)))  # one preparation of the T2w serves them all
    scans, bad = prepared_scans(wanted, most, root, jobs)
    known = find_lesions([scan for scan in scans if scan.split == "test"])
    tasks = [
        Task(
            scan,
            info.folder,
            device or settings().device,
            root,
            cube,
            known.get(case_of(scan)),
            options,
            store,
        )
        for info in infos
        for scan in scans
    ]
    networks, failed = measure_networks(tasks, jobs)
    baselines = measure_baselines(scans, root, cube, known, options, store)
    files = {info.name: info.folder / "normative.npz" for info in infos}
    normatives = {name: load_normative(path) for name, path in files.items() if path.is_file()}
    found = tables_of(networks, baselines, normatives, options, f"{folder.resolve().stem}, {cube}³", seed)
    counts = found["subjects"].groupby("group")["case"].nunique()
    called = "python -m core evaluate" if data is None else f"python -m core evaluate {data}"
    facts = Facts(
        data=folder.resolve().stem,
        synthetic=any(scan.synthetic for scan in scans),
        command=f"{called} --models {models} --seed {seed} --floor-mm3 {floor_mm3:g}",
        seed=seed,
        draws=DRAWS,
        groups={group: int(counts[group]) for group in cohort.GROUPS if group in counts},
        models=[told(info) for info in infos],
        left_out=bad | failed,
        settings=asdict(options),
        versions=versions("torch", "numpy", "scipy", "scikit-learn", "plotly"),
    )
    with bar("figures 5 to 8", 1):
        sheets = drawn_sheets(found["subjects"], infos, scans, root, device or settings().device)
    evaluation = Evaluation(facts, found, sheets)
    write_evaluation(evaluation, target)
    if tables is not None:
        write_tables(evaluation, tables)
    if cards:
        for info in infos:
            metrics = metrics_of(info.name, found, facts)
            known_of = normatives.get(info.name)
            text = card_of(info.config, info.training, info.preprocess, info.synthetic, known_of, metrics)
            write_bytes(info.folder / CARD, text.encode())
    if as_json:
        say_json({"folder": str(target), "tables": sorted(found), "left_out": facts.left_out})
    else:
        print(f"{target / 'index.html'}: {facts.counts}; {len(infos)} models")
    for case, why in facts.left_out.items():
        say(f"error: {case}: {why}")
    if facts.left_out:
        raise typer.Exit(1)
