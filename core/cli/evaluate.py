"""``evaluate``: the paper's tables and figures on a data set, networks and baselines alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import pandas as pd
import plotly.graph_objects as go
import typer

from core.anomaly.normative import Normative, load_normative
from core.anomaly.regions import FLOOR_MM3
from core.cli.calibrating import card_of
from core.cli.console import UsageError, bar, say, say_json
from core.cli.measuring import (
    Choice,
    Task,
    baselines_of,
    choose_thresholds,
    measure_baselines,
    measure_networks,
    paths_of,
)
from core.cli.prepare import Source, prepare_all, waiting
from core.cli.prepare import Task as PrepareTask
from core.cli.seen import told_of_tests
from core.cli.sources import model_named, predictor_of, split_scans_of
from core.config import settings
from core.evaluation import cohort, localisation
from core.evaluation.cards import metrics_of
from core.evaluation.cohort import Measured, group_of
from core.evaluation.goals import goals_table
from core.evaluation.lesions import case_of, find_lesions
from core.evaluation.measure import MeasureSettings, read_cube
from core.evaluation.report import Evaluation, Facts, write_evaluation, write_tables
from core.evaluation.sheets import sheets_of
from core.evaluation.statistics import DRAWS
from core.evaluation.thresholds import Thresholds
from core.evaluation.wording import VARIANTS
from core.io.atomic import write_bytes
from core.io.bids import Scan
from core.io.derivatives import CasePaths, model_slug
from core.networks.card import with_metrics
from core.networks.zoo import CARD, ModelInfo, list_models
from core.prepared import versions
from core.preprocess.pipeline import ONE_CHANNEL, settings_from_dict

IDENTITY = "identity"


def channels_of(info: ModelInfo) -> tuple[str, ...]:
    """What a model sees."""
    return settings_from_dict(info.preprocess).channels


def models_named(names: str) -> list[ModelInfo]:
    """Models by name, or all that see the T2w alone; they must share cube, preparation and reference.

    Raises
    ------
    UsageError
        Where there is none, two differ, or two have one name.
    """
    infos = (
        [info for info in list_models(settings().models_dir) if channels_of(info) == ONE_CHANNEL]
        if names == "all"
        else [model_named(name.strip()) for name in names.split(",")]
    )
    if not infos:
        raise UsageError(f"no model in {settings().models_dir}; train one with `python -m core train`")
    # Tables and maps are kept by name: two of one name would count as one model with twice the scans.
    slugs = [model_slug(info.name) for info in infos]
    if twice := [info for info in infos if slugs.count(model_slug(info.name)) > 1]:
        raise UsageError(
            f"{twice[0].folder} and {twice[1].folder}: {twice[0].name} and {twice[1].name} would share their "
            "results; expected models of different names"
        )
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


def tables_of(
    networks: Sequence[Measured],
    baselines: Sequence[Measured],
    thresholds: Thresholds,
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
        tables["localisation"] = localisation.localisation_table(scored, thresholds, seed)
        tables["froc"] = localisation.froc_table(scored, options.thresholds)
        tables["lesions"] = localisation.lesion_table(scored, thresholds, seed)
        goals = goals_table(scored, tables["lesions"], everyone, seed)
        if len(goals):
            tables["goals"] = goals
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


def told(info: ModelInfo, seen: str) -> dict[str, object]:
    """What the page says of a model; a restorer's error is that of corruption taken back.

    ``seen``: as ``told_of_tests``.
    """
    training = info.training
    error = "validation MSE of restored corruption" if info.config.kind == "restorer" else "validation MSE"
    return {
        "model": info.name,
        "cube": info.config.cube,
        "epochs": training.get("epochs"),
        error: training.get("val_mse"),
        "data": training.get("data"),
        "test subjects labelled as in its training": seen,
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
    wanted = [scan for scan in split_scans_of(folder) if group_of(scan) in cohort.GROUPS]
    if not wanted:
        raise UsageError(
            f"{folder}: no scan with split train or validation, or test and radiology score 1 or 5; expected "
            "participants.tsv to say so"
        )
    seen = told_of_tests(infos, [scan for scan in wanted if scan.split == "test"])
    most = max(infos, key=lambda info: len(channels_of(info)))  # one preparation of the T2w serves them all
    scans, bad = prepared_scans(wanted, most, root, jobs)
    known = find_lesions([scan for scan in scans if scan.split == "test"], say)
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
    scorers = baselines_of(scans, root, cube)
    baselines = measure_baselines(scorers, scans, root, cube, known, options, store)
    normals = tuple(paths_of(scans, root, [cohort.VALIDATION]))
    choices = [Choice(info.folder, device or settings().device, normals, cube, store) for info in infos]
    thresholds = choose_thresholds(choices, scorers, jobs) if known else {}
    files = {info.name: info.folder / "normative.npz" for info in infos}
    normatives = {name: load_normative(path) for name, path in files.items() if path.is_file()}
    found = tables_of(
        networks, baselines, thresholds, normatives, options, f"{folder.resolve().stem}, {cube}³", seed
    )
    counts = found["subjects"].groupby("group")["case"].nunique()
    called = "python -m core evaluate" if data is None else f"python -m core evaluate {data}"
    facts = Facts(
        data=folder.resolve().stem,
        synthetic=any(scan.synthetic for scan in scans),
        command=f"{called} --models {models} --seed {seed} --floor-mm3 {floor_mm3:g}",
        seed=seed,
        draws=DRAWS,
        groups={group: int(counts[group]) for group in cohort.GROUPS if group in counts},
        models=[told(info, words) for info, words in zip(infos, seen, strict=True)],
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
            card = info.card
            if card == "":
                known_of = normatives.get(info.name)
                card = card_of(info.config, info.training, info.preprocess, info.synthetic, known_of)
            text = with_metrics(card, metrics)
            write_bytes(info.folder / CARD, text.encode())
    if as_json:
        say_json({"folder": str(target), "tables": sorted(found), "left_out": facts.left_out})
    else:
        print(f"{target / 'index.html'}: {facts.counts}; {len(infos)} models")
    for case, why in facts.left_out.items():
        say(f"error: {case}: {why}")
    if facts.left_out:
        raise typer.Exit(1)
