"""Manifest of a cohort: one line a scan with its split, or the reason why it is left out."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.io.atomic import write_bytes
from core.io.bids import Scan, check_label
from core.io.splits import check_splits
from core.io.tables import ABSENT, POOR_QUALITY, BidsError, Facts, read_table

SPLITS = ("train", "validation", "test")
COLUMNS: dict[str, dict[str, Any]] = {
    "participant_id": {"Description": "Subject"},
    "session_id": {"Description": "Session"},
    "path": {"Description": "T2w scan, as it lies from this file's folder, or absolute"},
    "mask": {"Description": "Its brain mask, where the data set has one"},
    "segmentation": {"Description": "Its tissue labels, where the data set has them"},
    "age": {"Description": "Postmenstrual age at scan", "Units": "weeks"},
    "sex": {"Description": "Sex, as the data set writes it"},
    "radiology_score": {
        "Description": "Radiologists' score",
        "Levels": {
            "1": "normal for age",
            "2": "incidental, unlikely to matter for outcome or analysis",
            "3": "incidental, may matter for analysis",
            "4": "incidental, may matter for outcome",
            "5": "abnormal; likely to matter for both",
            "Q": "poor image quality",
        },
    },
    "family": {"Description": "The same for all who never straddle a split: siblings and twins"},
    "split": {
        "Description": "Use of the scan",
        "Levels": {
            "train": "normals that networks learn from",
            "validation": "normals that models are calibrated on",
            "test": "abnormal scans, and the normals that are in neither of the others",
        },
    },
    "left_out": {"Description": "Why the scan is in no split"},
    "synthetic": {"Description": "true where the data set says that its scans are made, not acquired"},
    "t1w": {"Description": "T1w scan of the same session, where the data set has one"},
}


@dataclass(frozen=True)
class Entry:
    """One line: a scan, and why it is left out ("" where it is not; its split says what it is for)."""

    scan: Scan
    left_out: str = ""


def write_manifest(entries: Sequence[Entry], path: Path, split: Mapping[str, Any]) -> None:
    """Write the TSV and, beside it, its data dictionary, to whose split column ``split`` is added.

    Raises
    ------
    BidsError
        Where ``path`` is no .tsv.
    """
    if path.suffix != ".tsv":
        raise BidsError(f"{path.name}: extension {path.suffix or '(none)'}; expected .tsv")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(entry, _absolute(path.parent)) for entry in entries)
    dictionary = COLUMNS | {"split": COLUMNS["split"] | dict(split)}
    write_bytes(path.with_suffix(".json"), (json.dumps(dictionary, indent=1) + "\n").encode())
    write_bytes(path, text.getvalue().encode())


def read_manifest(path: Path) -> list[Entry]:
    """All lines of a manifest, those that are left out too. Scans need not be there yet.

    Raises
    ------
    BidsError
        Where the file is no manifest, or a value can't be right; named by file, line's case and column. Where
        a subject or family straddles splits.
    """
    if not path.is_file():
        raise BidsError(f"{path.name}: no such file; expected a manifest")
    _, rows = read_table(path, ("participant_id", "session_id", "path", "split", "left_out"))
    folder = _absolute(path.parent)
    entries = [_entry(row, path.name, folder) for row in rows]
    seen: set[tuple[str, str]] = set()
    for entry in entries:
        case = entry.scan.subject, entry.scan.session
        if case in seen:
            raise BidsError(f"{path.name}: {' '.join(case)} stands in two lines; expected one")
        seen.add(case)
    check_splits((entry.scan for entry in entries if entry.left_out == ""), path.name)
    return entries


def _absolute(path: Path) -> Path:
    """Links are kept: DataLad's point to names that no longer say what a file is."""
    return Path(os.path.abspath(path))


def _row(entry: Entry, folder: Path) -> dict[str, str]:
    scan = entry.scan

    def place(file: Path | None) -> str:
        if file is None:
            return "n/a"
        file = _absolute(file)
        return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.as_posix()

    values = {
        "participant_id": scan.subject,
        "session_id": scan.session,
        "path": place(scan.path),
        "mask": place(scan.mask),
        "segmentation": place(scan.segmentation),
        "age": "" if scan.age is None else repr(scan.age).removesuffix(".0"),  # keyed: no digit less
        "sex": scan.sex or "",
        "radiology_score": "Q" if scan.poor_quality else str(scan.radiology_score or ""),
        "family": scan.family or "",
        "split": scan.split or "",
        "left_out": entry.left_out,
        "synthetic": "true" if scan.synthetic else "false",
        "t1w": place(scan.t1w),
    }
    return {name: value or "n/a" for name, value in values.items()}


def _entry(row: Mapping[str, str], table: str, folder: Path) -> Entry:
    values = {name: value for name, value in row.items() if value.lower() not in ABSENT}
    case = f"{row['participant_id']} {row['session_id']}"
    facts = Facts(case, values, dict.fromkeys(values, table))

    def place(name: str) -> Path | None:
        return folder / values[name] if name in values else None

    path, split, score = place("path"), facts.text("split"), facts.score()
    if path is None:
        raise BidsError(f"{table}: {case}: no path; expected the scan's")
    if (split is None) == ("left_out" not in values) or split not in (None, *SPLITS):
        raise BidsError(
            f"{table}: {case}: split {split or 'n/a'}, left_out {values.get('left_out', 'n/a')}; "
            f"expected one of {', '.join(SPLITS)}, or a reason in left_out"
        )
    if (synthetic := values.get("synthetic", "false")) not in ("true", "false"):
        raise BidsError(f"{table}: {case}: synthetic is {synthetic!r}; expected true or false")
    try:
        subject = check_label(row["participant_id"], "sub")
        session = check_label(row["session_id"], "ses")
    except BidsError as error:
        raise BidsError(f"{table}: {case}: {error}") from error
    scan = Scan(
        subject=subject,
        session=session,
        path=path,
        mask=place("mask"),
        age=facts.number(("age",)),
        sex=facts.text("sex"),
        radiology_score=None if score == POOR_QUALITY else score,
        split=split,
        synthetic=synthetic == "true",
        segmentation=place("segmentation"),
        family=facts.text("family"),
        poor_quality=score == POOR_QUALITY,
        t1w=place("t1w"),
    )
    return Entry(scan, values.get("left_out", ""))
