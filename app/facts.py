"""What the data sets say of their scans beside the images: split, site, and the label given at upload."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app.cases import stamp
from core.config import settings

TABLE = "participants.tsv"


@dataclass(frozen=True)
class Facts:
    """Empty where not known."""

    split: str = ""
    site: str = ""
    label: str = ""


@lru_cache(maxsize=16)
def _read(path: Path, changed: tuple[int, int]) -> dict[str, Facts]:
    """Facts by subject; ``changed`` only keys the cache."""
    if changed == (0, 0):
        return {}
    with path.open(newline="", encoding="utf-8", errors="replace") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return {row["participant_id"]: _facts(row) for row in rows if row.get("participant_id")}


def _facts(row: dict[str, str]) -> Facts:
    known = {name: (row.get(name) or "").strip() for name in ("split", "site", "label")}
    return Facts(**{name: "" if value == "n/a" else value for name, value in known.items()})


def facts() -> dict[str, Facts]:
    """Facts by subject, of the demo cohort and the uploads."""
    found: dict[str, Facts] = {}
    for root in (settings().demo_dir, settings().uploads_dir):
        found |= _read(root / TABLE, stamp(root / TABLE))
    return found


def label_of(subject: str) -> str:
    """The label that an upload was given; empty where none was."""
    return facts().get(subject, Facts()).label
