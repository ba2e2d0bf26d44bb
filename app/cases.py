"""The analysed scans on disk, read once per change: what Worklist lists and Review opens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from app.feedback.store import CaseProgress
from core.io.derivatives import CasePaths, CaseRecord, DerivativesError, read_record, read_regions

Status = Literal["new", "in progress", "done", "nothing flagged"]


@dataclass(frozen=True)
class Case:
    """One scan analysed by one model, with its count of flagged regions by map."""

    record: CaseRecord
    flags: dict[str, int]


@dataclass(frozen=True)
class BrokenCase:
    """An analysis on disk that can't be shown, and why."""

    name: str
    reason: str


def stamp(path: Path) -> tuple[int, int]:
    """Changes with the file; (0, 0) where there is none."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4096)
def _read(root: Path, path: Path, stamps: tuple[tuple[int, int], ...]) -> Case | BrokenCase:
    """``stamps`` only keys the cache: a file that changes is read again."""
    try:
        record = read_record(path)
        regions = read_regions(CasePaths(root, record.subject, record.session).regions(record.model))
    except (DerivativesError, TypeError, ValueError, KeyError, AttributeError) as error:
        return BrokenCase(path.name, str(error))
    return Case(record, dict(Counter(region.map for region in regions)))


def read_cases(root: Path) -> tuple[list[Case], list[BrokenCase]]:
    """All analyses below the derivatives root, and those that are broken, each by path."""
    found = []
    for path in sorted(root.glob("sub-*/ses-*/anat/*_case.json")):
        table = path.with_name(path.name.removesuffix("_case.json") + "_desc-flagged_regions.tsv")
        found.append(_read(root, path, (stamp(path), stamp(table))))
    whole = [case for case in found if isinstance(case, Case)]
    return whole, [case for case in found if isinstance(case, BrokenCase)]


def find_case(root: Path, key: str) -> Case | None:
    """The analysis with that content address (its first 12 characters suffice)."""
    if len(key) < 12:
        return None
    return next((case for case in read_cases(root)[0] if case.record.key.startswith(key)), None)


def case_status(case: Case, progress: CaseProgress | None) -> Status:
    """Where one reader stands: done once every region of one of the maps has a verdict."""
    if sum(case.flags.values()) == 0:
        return "nothing flagged"
    if progress is None:
        return "new"
    judged = {name: progress.judged.get((case.record.key, name), 0) for name in case.flags}
    if any(judged[name] >= count for name, count in case.flags.items()):
        return "done"
    return "in progress" if sum(judged.values()) + progress.missed > 0 else "new"
