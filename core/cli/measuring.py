"""What ``evaluate`` computes scan by scan: rows of networks and baselines, and their thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from core.anomaly.residual import AnomalyError
from core.cli.console import bar
from core.cli.sources import predictor_of
from core.cluster import outcomes
from core.evaluation import cohort
from core.evaluation.baselines import Cube, Scorer, baseline_scorers, network_scorer
from core.evaluation.cohort import Measured, group_of
from core.evaluation.lesions import Lesions, case_of
from core.evaluation.measure import (
    MeasureSettings,
    Row,
    cached_row,
    check_fits,
    measured,
    read_cube,
    row_key,
    stored_content,
)
from core.evaluation.statistics import EvaluationError
from core.evaluation.thresholds import LEAST_NORMALS, Threshold, Thresholds, choice_key, chosen, no_threshold
from core.io.bids import Scan
from core.io.derivatives import CasePaths
from core.prepared import content_key, stored_key
from core.preprocess.pipeline import PrepareError


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


def fits(paths: CasePaths, scorer: Scorer) -> bool:
    """Whether a scan is prepared as the scorer wants it; ``measured`` says what is not."""
    try:
        check_fits(paths, scorer)
    except PrepareError:
        return False
    return True


def finished(task: Task) -> Row | None:
    """The row, where its content was measured before."""
    scorer = scorer_of(task.model, task.device)
    if not fits(task.paths, scorer):
        return None
    key = row_key(stored_content(task.paths, task.cube, scorer), scorer, task.lesions, task.settings)
    return cached_row(task.cache, key)


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


def paths_of(scans: Sequence[Scan], root: Path, groups: Sequence[str]) -> list[CasePaths]:
    """Where the scans of these groups lie, in their order."""
    return [CasePaths(root, scan.subject, scan.session) for scan in scans if group_of(scan) in groups]


def baselines_of(scans: Sequence[Scan], root: Path, cube: int) -> list[Scorer]:
    """The baselines, fitted on training and validation normals as they say once a scan is scored.

    Empty where the data set has too few normals to fit on (3 of each).
    """
    groups = {group: paths_of(scans, root, [group]) for group in (cohort.TRAIN, cohort.VALIDATION)}
    if min(len(paths) for paths in groups.values()) < LEAST_NORMALS:
        return []

    def cubes(group: str) -> list[Cube]:
        return [read_cube(paths, cube) for paths in groups[group]]

    key = content_key({group: [stored_key(p, cube) for p in paths] for group, paths in groups.items()})
    training, held_out = cache(partial(cubes, cohort.TRAIN)), cache(partial(cubes, cohort.VALIDATION))
    return baseline_scorers(training, held_out, key)


def measure_baselines(
    scorers: Sequence[Scorer],
    scans: Sequence[Scan],
    root: Path,
    cube: int,
    known: dict[str, Lesions],
    options: MeasureSettings,
    store: Path,
) -> list[Measured]:
    """Rows of the baselines on the test scans."""
    tests = [scan for scan in scans if group_of(scan) in (cohort.NORMAL, cohort.ABNORMAL)]
    found = []
    with bar("baselines", 1) as shown:
        for number, scorer in enumerate(scorers):
            for index, scan in enumerate(tests):
                shown.at((number + index / len(tests)) / len(scorers), scorer.name)
                paths = CasePaths(root, scan.subject, scan.session)
                row = measured(paths, cube, scorer, known.get(case_of(scan)), options, store)
                found.append(Measured(scan, row))
        shown.at(1)
    return found


@dataclass(frozen=True)
class Choice:
    """Validation normals on which a model's thresholds are chosen, as they travel to a worker process."""

    model: Path
    device: str
    normals: tuple[CasePaths, ...]
    cube: int
    cache: Path

    @property
    def scorer(self) -> Scorer:
        return scorer_of(self.model, self.device)

    @property
    def done(self) -> bool:
        """Whether it was chosen on the same scans before."""
        if not all(fits(paths, self.scorer) for paths in self.normals):
            return False
        prepared = [stored_content(paths, self.cube, self.scorer) for paths in self.normals]
        return cached_row(self.cache, choice_key(self.scorer, prepared)) is not None


def choose_for(scorer: Scorer, normals: Sequence[CasePaths], cube: int, store: Path) -> dict[str, Threshold]:
    """A scorer's thresholds by map, on implants in these normals or from the cache."""
    for paths in normals:
        check_fits(paths, scorer)
    prepared = [stored_content(paths, cube, scorer) for paths in normals]
    return chosen(scorer, prepared, lambda: [read_cube(paths, cube) for paths in normals], store)


def run_choice(task: Choice) -> dict[str, Threshold]:
    """Choose one model's thresholds."""
    return choose_for(task.scorer, task.normals, task.cube, task.cache)


def choose_thresholds(tasks: Sequence[Choice], baselines: Sequence[Scorer], jobs: int) -> Thresholds:
    """Thresholds of all models and baselines by scorer and map; where there is none, why.

    Those of the baselines are chosen in this process, on the normals of ``tasks``.
    """
    found: dict[tuple[str, str], Threshold] = {}

    def note(scorer: Scorer, thresholds: dict[str, Threshold] | BaseException) -> None:
        for name in scorer.maps:
            found[scorer.name, name] = (
                no_threshold(str(thresholds) or type(thresholds).__name__)
                if isinstance(thresholds, BaseException)
                else thresholds[name]
            )

    with bar("thresholds", len(tasks) + len(baselines)) as shown:
        left = [task for task in tasks if not task.done]
        for task in tasks:
            if task not in left:
                note(task.scorer, run_choice(task))
        shown.at(len(tasks) - len(left))
        with closing(outcomes(run_choice, left, jobs)) as results:
            for done, (task, future) in enumerate(results, len(tasks) - len(left) + 1):
                note(task.scorer, future.exception() or future.result())
                shown.at(done, task.scorer.name)
        for done, scorer in enumerate(baselines, len(tasks) + 1):
            try:
                note(scorer, choose_for(scorer, tasks[0].normals, tasks[0].cube, tasks[0].cache))
            except (EvaluationError, AnomalyError) as error:
                note(scorer, error)
            shown.at(done, scorer.name)
    return found
