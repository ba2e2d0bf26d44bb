"""The analyses of one scan that can be laid side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.cases import Case, plain
from app.viewer.volumes import check_files
from core.io.derivatives import MAP_NAMES, CasePaths, CaseRecord, DerivativesError, MapName
from core.networks.zoo import NAMES


@dataclass(frozen=True)
class Analyses:
    """One scan, the models that can be compared on it, and those that can't, with why."""

    case_id: str
    paths: CasePaths
    records: tuple[CaseRecord, ...]  # the paper's eight in their order, then others by name
    left_out: dict[str, str]  # model -> reason

    @property
    def models(self) -> list[str]:
        return [record.model for record in self.records]

    @property
    def maps(self) -> list[MapName]:
        """z maps that two models or more have."""
        return [name for name in MAP_NAMES if len(self.having(name)) > 1]

    def having(self, name: MapName) -> list[CaseRecord]:
        """Analyses that hold the map ``name``."""
        return [record for record in self.records if name in record.bands]

    def record(self, model: str) -> CaseRecord | None:
        return next((record for record in self.records if record.model == model), None)

    @property
    def synthetic(self) -> bool:
        return any(record.synthetic for record in self.records)


def in_order(models: Iterable[str]) -> list[str]:
    """The paper's eight in their order, then others by name."""
    found = set(models)
    return [name for name in NAMES if name in found] + sorted(found - set(NAMES))


def gather(root: Path, case_id: str, cases: Iterable[Case]) -> Analyses:
    """The analyses of ``case_id`` among ``cases``; those whose files are gone or changed are left out.

    Raises
    ------
    DerivativesError
        Where ``cases`` hold none of this scan.
    """
    mine = {case.record.model: case.record for case in cases if case.record.case_id == case_id}
    if not mine:
        raise DerivativesError(f"{case_id}: no analysis of this scan; expected one or more")
    first = next(iter(mine.values()))
    paths = CasePaths(root, first.subject, first.session)
    records, left_out = [], {}
    for model in in_order(mine):
        record = mine[model]
        try:
            check_files(paths, record)
        except (DerivativesError, ValueError, TypeError) as error:
            left_out[model] = plain(error, paths.folder)
            continue
        records.append(record)
    return Analyses(case_id, paths, tuple(records), left_out)
