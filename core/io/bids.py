"""T2w scans of BIDS and dHCP folders, with their brain masks and what the tables say of them."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.io.volume import READ, file_hash

SESSION = "ses-01"  # of data sets without sessions
MASK_TAILS = ("desc-brain_mask", "brain_mask", "mask")
# Names of one thing in BIDS, in dHCP's releases and in the demo.
AGE, SCORE = ("age", "scan_age"), ("radiology_score",)
MISSING = ("", "n/a", "N/A", "NaN")
_ROOT_FILES = ("dataset_description.json", "participants.tsv")


class BidsError(ValueError):
    """A data set that can't be read; the text names file, found and expected."""


@dataclass(frozen=True)
class Scan:
    """One T2w scan of one session."""

    subject: str  # with "sub-"
    session: str  # with "ses-"
    path: Path
    mask: Path | None = None  # brain mask on the scan's grid
    age_weeks: float | None = None  # postmenstrual, at scan
    sex: str = ""
    radiology_score: int | None = None  # 1 normal to 5 abnormal
    split: str = ""  # train, validation, test
    synthetic: bool = False


def read_dataset(root: Path) -> list[Scan]:
    """T2w scans below a BIDS folder, by subject and session.

    Masks lie beside the scan (``…_desc-brain_mask``, as dHCP has them) or in a folder of ``derivatives``.
    Age, sex, radiology score and split come from participants.tsv or a subject's sessions.tsv.

    Raises
    ------
    BidsError
        Where a table can't be read, or a session has two T2w scans.
    """
    people = _people(root)
    synthetic = _synthetic(root)
    found: dict[tuple[str, str], Scan] = {}
    for folder in sorted([*root.glob("sub-*/ses-*/anat"), *root.glob("sub-*/anat")]):
        for path in sorted(folder.glob("*_T2w.*")):
            if _stem(path) is None or "space-" in path.name:
                continue
            subject = folder.relative_to(root).parts[0]
            session = folder.parent.name if folder.parent.name.startswith("ses-") else SESSION
            scan = _scan(root, path, subject, session, people, synthetic)
            if (other := found.get((subject, session))) is not None:
                raise BidsError(f"{path} and {other.path.name}: two T2w scans of one session; expected one")
            found[subject, session] = scan
    return list(found.values())


def scan_of_file(path: Path) -> Scan:
    """A single file, with what its data set says of it where it lies in one.

    A file whose name has no ``sub-`` is named after itself and the first digits of its content's hash, so
    that two files of one name stay two cases.

    Raises
    ------
    BidsError
        For a mask, an unknown format, or a table of its data set that can't be read.
    """
    stem = _stem(path)
    if stem is None:
        raise BidsError(f"{path.name}: unknown format; expected {', '.join(READ)}")
    if stem.endswith("mask"):
        raise BidsError(f"{path.name}: named as a mask; expected a scan (its mask beside it is found)")
    entities = dict(re.findall(r"(?:^|_)(sub|ses)-([a-zA-Z0-9]+)", stem))
    if "sub" not in entities:
        word = re.sub(r"[^a-zA-Z0-9]", "", stem)[:24]
        return Scan(f"sub-{word}{file_hash(path)[:6]}", SESSION, path, _mask_beside(path))
    subject, session = f"sub-{entities['sub']}", f"ses-{entities.get('ses', SESSION[4:])}"
    parents = path.resolve().parents[1:4]  # of sub-…/anat or sub-…/ses-…/anat
    root = next((one for one in parents if any((one / name).is_file() for name in _ROOT_FILES)), None)
    if root is None:
        return Scan(subject, session, path, _mask_beside(path))
    return _scan(root, path, subject, session, _people(root), _synthetic(root))


def _stem(path: Path) -> str | None:
    """Name without extension; None for a format that isn't read."""
    for extension in sorted(READ, key=len, reverse=True):
        if path.name.lower().endswith(extension):
            return path.name[: -len(extension)]
    return None


def _mask_beside(path: Path) -> Path | None:
    stem = _stem(path) or path.name
    for base in (stem, re.sub(r"_T2w$", "", stem)):
        for tail in MASK_TAILS:
            for extension in READ:
                candidate = path.with_name(f"{base}_{tail}{extension}")
                if candidate.is_file():
                    return candidate
    return None


def _mask(root: Path, path: Path) -> Path | None:
    """Beside the scan, or at the same place below a folder of derivatives."""
    places = [path, *(other / path.resolve().relative_to(root.resolve()) for other in _derivatives(root))]
    return next((mask for place in places if (mask := _mask_beside(place)) is not None), None)


def _derivatives(root: Path) -> list[Path]:
    return sorted(folder for folder in (root / "derivatives").glob("*") if folder.is_dir())


def _scan(
    root: Path,
    path: Path,
    subject: str,
    session: str,
    people: Sequence[Mapping[str, str]],
    synthetic: bool,
) -> Scan:
    facts: dict[str, str] = {}
    for row in [*people, *_sessions(root, subject)]:
        named = row.get("participant_id", subject).removeprefix("sub-") == subject.removeprefix("sub-")
        on = row.get("session_id", "").removeprefix("ses-")
        if named and on in ("", session.removeprefix("ses-")):
            facts |= {name: value for name, value in row.items() if value not in MISSING}
    age, score = _number(root, subject, facts, AGE), _number(root, subject, facts, SCORE)
    return Scan(
        subject=subject,
        session=session,
        path=path,
        mask=_mask(root, path),
        age_weeks=age,
        sex=facts.get("sex", ""),
        radiology_score=None if score is None else round(score),
        split=facts.get("split", ""),
        synthetic=synthetic,
    )


def _number(root: Path, subject: str, facts: Mapping[str, str], names: Sequence[str]) -> float | None:
    for name in names:
        if name in facts:
            try:
                value = float(facts[name])
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise BidsError(f"{root.name}: {name} of {subject} is {facts[name]!r}; expected a number")
            return value
    return None


def _people(root: Path) -> list[dict[str, str]]:
    path = root / "participants.tsv"
    rows = _table(path) if path.is_file() else []
    if rows and "participant_id" not in rows[0]:
        raise BidsError(f"{path}: columns {', '.join(rows[0])}; expected participant_id among them")
    return rows


def _sessions(root: Path, subject: str) -> list[dict[str, str]]:
    path = root / subject / f"{subject}_sessions.tsv"
    return _table(path) if path.is_file() else []


def _table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BidsError(f"{path}: {error}; expected a table with tabs") from error
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise BidsError(f"{path}: line {number} has other columns; expected those of the first")
    return rows


def _synthetic(root: Path) -> bool:
    """True where dataset_description.json says ``"Synthetic": true``.

    Raises
    ------
    BidsError
        Where it is no JSON.
    """
    path = root / "dataset_description.json"
    if not path.is_file():
        return False
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BidsError(f"{path}: {error}; expected JSON") from error
    return isinstance(raw, dict) and raw.get("Synthetic") is True
