"""The prepared scans on disk, read once per change: what the QC page lays side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.cases import stamp
from core.io.derivatives import CasePaths
from core.io.ledger import Line
from core.preprocess.qc import WEAK_OVERLAP

ORDERS = {
    "Overlap, lowest first": lambda one: (one.overlap, one.case),
    "Overlap, highest first": lambda one: (-one.overlap, one.case),
    "Case": lambda one: one.case,
}


@dataclass(frozen=True)
class Preparation:
    """One scan as prepared for one cube size."""

    case: str  # sub-…_ses-…
    cube: int
    mask_source: str
    overlap: float  # Dice of its mask with the reference's
    synthetic: bool
    picture: Path

    @property
    def weak(self) -> bool:
        """True where the registration needs a look."""
        return self.overlap < WEAK_OVERLAP


@lru_cache(maxsize=8192)
def _read(root: Path, path: Path, changed: tuple[int, int]) -> Preparation | None:
    """``changed`` only keys the cache. None where the sidecar is damaged."""
    subject, session = path.parts[-4:-2]
    try:
        sidecar: dict[str, Any] = json.loads(path.read_text())
        cube = int(sidecar["settings"]["cube"])
        paths = CasePaths(root, subject, session)
        return Preparation(
            case=paths.stem,
            cube=cube,
            mask_source=str(sidecar["mask_source"]),
            overlap=float(sidecar["overlap"]),
            synthetic=sidecar["synthetic"] is True,
            picture=paths.qc(cube),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_preparations(root: Path) -> tuple[list[Preparation], list[str]]:
    """All preparations below a derivatives root by path, and the names of sidecars that can't be read."""
    paths = sorted(root.glob("sub-*/ses-*/anat/*_desc-prepared_T2w.json"))
    found = {path: _read(root, path, stamp(path)) for path in paths}
    return [one for one in found.values() if one is not None], [
        path.name for path, one in found.items() if one is None
    ]


def splits(ledger: list[Line]) -> dict[str, str]:
    """Split by case, where a data set told one."""
    return {f"{line.subject}_{line.session}": line.split for line in ledger if line.split != ""}


def matching(
    preparations: list[Preparation],
    split_of: dict[str, str],
    words: str,
    sources: list[str],
    wanted: list[str],
    weak: bool,
    order: str,
) -> list[Preparation]:
    """Those that a search and filters leave (an empty list filters nothing), in one of ``ORDERS``."""
    left = [
        one
        for one in preparations
        if words.lower() in one.case.lower()
        and (not sources or one.mask_source in sources)
        and (not wanted or split_of.get(one.case, "") in wanted)
        and (one.weak or not weak)
    ]
    return sorted(left, key=ORDERS[order])
