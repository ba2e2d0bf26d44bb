"""One step over many scans: errors kept apart, the ledger kept, nothing half done left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Protocol, TypeVar

from core.cluster import outcomes, remote
from core.folder import JudgedError, sweep
from core.io import ledger
from core.io.bids import Scan
from core.io.derivatives import CasePaths
from core.io.ledger import Line


class CaseTask(Protocol):
    """What a step is told of one scan."""

    @property
    def scan(self) -> Scan: ...

    @property
    def paths(self) -> CasePaths: ...


Task = TypeVar("Task", bound=CaseTask)
Result = TypeVar("Result")


def line(task: CaseTask, step: str, target: str, error: BaseException | None = None) -> Line:
    """The ledger's line of one scan; ``error`` is why it failed."""
    reason = "" if error is None else f"{error}" or type(error).__name__
    return Line(task.paths.subject, task.paths.session, step, target, task.scan.split or "", reason)


def work_off(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    jobs: int,
    steps: Sequence[tuple[str, str]],
    tell: Callable[[int, str], None],
) -> tuple[dict[str, Result], dict[str, BaseException]]:
    """Results and errors by case, as ``core.cluster.outcomes`` gives them; all tasks have one root.

    ``steps`` are what success stands for in the ledger, each with its target; a failure is the first one's,
    and stands there as soon as it is known. ``tell`` hears how many are over, and the last case. Where the
    block is left early (Ctrl-C), what killed processes had begun to write is removed.

    Raises
    ------
    ClusterError
        Where the cluster can't be used.
    """
    results: dict[str, Result] = {}
    errors: dict[str, BaseException] = {}
    if not tasks:
        return results, errors
    root = tasks[0].paths.root
    finished = False
    try:
        with closing(outcomes(work, tasks, jobs, root)) as found:
            for task, future in found:
                case, error = task.paths.stem, future.exception()
                if error is None:
                    results[case] = future.result()
                else:
                    errors[case] = error
                    if not isinstance(error, JudgedError):  # what is there holds
                        ledger.record(root, [line(task, *steps[0], error)])
                tell(len(results) + len(errors), case)
        finished = True
    finally:
        if not finished and not remote():
            for task in tasks:
                sweep(task.paths)
        done = [task for task in tasks if task.paths.stem in results]
        ledger.record(root, [line(task, *step) for task in done for step in steps])
    return results, errors
