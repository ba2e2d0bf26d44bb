"""The analysed scans on disk, read once per change: what Worklist lists and Review opens."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from core.io.derivatives import (
    CasePaths,
    CaseRecord,
    DerivativesError,
    MapName,
    read_record,
    read_regions,
)
from core.networks.zoo import NAMES

# Offered first where they are there, in this order; `make app` analyses with both.
FIRST_MODEL = "restorer"
PAPER_MODEL = "vae_8x8_512"  # of the paper's eight, the one that stands for them
DEFAULT_HELP = (
    f"Where nothing is chosen, {FIRST_MODEL} on every page, since its fused map found most in the "
    f"evaluation; {PAPER_MODEL} stands for the paper's eight"
)
# Of an address in the page's own: enough that no two analyses share them.
ADDRESS_CHARACTERS = 16


def address(record: CaseRecord) -> str:
    """Hash that names one analysis in links, the session and signed volume addresses.

    The content's key alone does not: two scans can hold the same voxels. Subject and session enter the hash
    and can't be read from it.
    """
    return hashlib.sha256(json.dumps([record.case_id, record.model, record.key]).encode()).hexdigest()


@dataclass(frozen=True)
class Case:
    """One scan analysed by one model, with the ids of its flagged regions by map and band."""

    record: CaseRecord
    regions: dict[tuple[str, str], frozenset[str]]

    @property
    def address(self) -> str:
        """Start of the analysis' address."""
        return address(self.record)[:ADDRESS_CHARACTERS]

    def flagged(self, name: MapName) -> frozenset[str]:
        """Regions that Review lists at first: those of 3 SD and more."""
        return self.regions.get((name, "3-4"), frozenset()) | self.regions.get((name, "4+"), frozenset())


def models_of(cases: Iterable[Case]) -> list[str]:
    """Models with results, the default first: the first choice, the paper's in their order, then the rest."""
    have = {case.record.model for case in cases}
    known = [name for name in (FIRST_MODEL, PAPER_MODEL, *NAMES) if name in have]
    return list(dict.fromkeys([*known, *sorted(have)]))


def model_label(name: str) -> str:
    """A model in a list of them; says which is the default, and which stands for the paper."""
    notes = {FIRST_MODEL: "default", PAPER_MODEL: "paper"}
    return f"{name} · {notes[name]}" if name in notes else name


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


def plain(error: BaseException, folder: Path) -> str:
    """What an error says to a reader: file names without the server's folders, no errno."""
    text = re.sub(r"\[Errno \d+\] ", "", str(error))
    return text.replace(f"{folder}{os.sep}", "").replace(str(folder), folder.name)


@lru_cache(maxsize=4096)
def _read(root: Path, path: Path, stamps: tuple[tuple[int, int], ...]) -> Case | BrokenCase:
    """``stamps`` only keys the cache: a file that changes is read again."""
    try:
        record = read_record(path)
        regions = read_regions(CasePaths(root, record.subject, record.session).regions(record.model))
    except (DerivativesError, TypeError, ValueError, KeyError, AttributeError) as error:
        return BrokenCase(path.name, plain(error, path.parent))
    ids: dict[tuple[str, str], set[str]] = {}
    for region in regions:
        ids.setdefault((region.map, region.band), set()).add(region.id)
    return Case(record, {place: frozenset(names) for place, names in ids.items()})


def read_cases(root: Path) -> tuple[list[Case], list[BrokenCase]]:
    """All analyses below the derivatives root, and those that are broken, each by path."""
    found = []
    for path in sorted(root.glob("sub-*/ses-*/anat/*_case.json")):
        table = path.with_name(path.name.removesuffix("_case.json") + "_desc-flagged_regions.tsv")
        found.append(_read(root, path, (stamp(path), stamp(table))))
    whole = [case for case in found if isinstance(case, Case)]
    return whole, [case for case in found if isinstance(case, BrokenCase)]


def find_case(root: Path, asked: str) -> Case | None:
    """The analysis at an address, or that of a content key (12 characters or more) that no other shares."""
    if len(asked) < 12:
        return None
    whole, _ = read_cases(root)
    at = [case for case in whole if address(case.record).startswith(asked)]
    found = at or [case for case in whole if case.record.key.startswith(asked)]
    return found[0] if len(found) == 1 else None
