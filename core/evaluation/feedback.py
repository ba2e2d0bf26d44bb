"""Readers' feedback as ``python -m app.feedback.labels`` exports it, and the operating point it gives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.anomaly.bands import REGION_BANDS
from core.anomaly.operating import Point
from core.evaluation.resampling import Coefficient, clustered_share
from core.evaluation.statistics import EvaluationError
from core.io.tables import BidsError, read_table
from core.io.volume import file_hash

TAIL = "regions.tsv"
DECISIONS = {"agree": "accepted", "disagree": "rejected", "unsure": "unsure"}
# A level counts as judged where readers judged nearly all of its flags: else its false alarms aren't known.
LEAST_JUDGED = 0.95
LEAST_SCANS = 2  # in each part


@dataclass(frozen=True)
class Flag:
    """One row of a feedback table: a flagged region with its verdict, or a finding that no flag covers."""

    kind: Literal["region", "mark"]
    id: str
    decision: str  # accepted, rejected, unsure, unjudged; of a mark: missed
    agree: int  # readers
    disagree: int
    unsure: int
    adjudicated: bool
    finding_type: str
    band: str  # of a region
    sign: int
    volume_mm3: float
    peak_z: float
    mean_z: float
    x_mm: float  # centre, RAS+ world of the scan
    y_mm: float
    z_mm: float
    radius_mm: float  # of a mark
    voxels: int


COLUMNS = [one.name for one in fields(Flag)]


@dataclass(frozen=True)
class Feedback:
    """What readers made of one map of one scan's analysis."""

    case_id: str
    map: str
    model: str
    model_hash: str
    floor_mm3: float
    synthetic: bool
    flags: tuple[Flag, ...]

    @property
    def subject(self) -> str:
        return self.case_id.partition("_")[0]

    @property
    def regions(self) -> list[Flag]:
        return [flag for flag in self.flags if flag.kind == "region"]


@dataclass(frozen=True)
class Outcome:
    """What a point does on one part of the scans."""

    scans: int
    accepted: int  # accepted flags that it keeps
    accepted_of: int
    rejected: int  # rejected flags that it keeps
    share: Coefficient  # of accepted flags kept
    false_alarms: Coefficient  # rejected flags kept, a scan


@dataclass(frozen=True)
class Chosen:
    """A point with what it does where it was chosen, and where it was not."""

    map: str
    point: Point
    chosen_on: Outcome
    reported_on: Outcome
    subjects: tuple[tuple[str, ...], tuple[str, ...]]
    warnings: tuple[str, ...]


def read_feedback(folder: Path) -> list[Feedback]:
    """Every feedback table below ``folder``, by path.

    Raises
    ------
    EvaluationError
        Where there is none, or one is damaged or was changed after its export.
    """
    paths = sorted(folder.rglob(f"*Feedback_{TAIL}"))
    if not paths:
        raise EvaluationError(
            f"{folder}: no *Feedback_{TAIL}; expected what `python -m app.feedback.labels --out` writes"
        )
    return [_read(path) for path in paths]


def _read(path: Path) -> Feedback:
    sidecar = path.with_name(path.name.removesuffix(TAIL) + "dseg.json")
    try:
        about: dict[str, Any] = json.loads(sidecar.read_text())
        if about["Files"][path.name] != file_hash(path):
            raise EvaluationError(f"{path.name}: changed since its export; export the feedback again")
        _, rows = read_table(path, ("kind", "id", "decision"))
        return Feedback(
            case_id=str(about["CaseId"]),
            map=str(about["Map"]),
            model=str(about["Model"]),
            model_hash=str(about["ModelHash"]),
            floor_mm3=float(about["FloorMm3"]),
            synthetic=bool(about["Synthetic"]),
            flags=tuple(_flag(row) for row in rows),
        )
    except (OSError, ValueError, KeyError, TypeError, BidsError) as error:
        if isinstance(error, EvaluationError):
            raise
        raise EvaluationError(f"{path.name}: {error}; expected a feedback table with its sidecar") from error


def _flag(row: Mapping[str, str]) -> Flag:
    casts: dict[str, Any] = {"int": int, "float": float, "bool": lambda text: text == "True"}
    return Flag(**{one.name: casts.get(str(one.type), str)(row[one.name]) for one in fields(Flag)})


def parts(subjects: Sequence[str], seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Two halves of the subjects, at random; sessions of a subject stay together."""
    every = sorted(set(subjects))
    order = np.random.default_rng(seed).permutation(len(every))
    half = (len(every) + 1) // 2
    return tuple(sorted(every[i] for i in order[:half])), tuple(sorted(every[i] for i in order[half:]))


def outcome(scans: Sequence[Feedback], point: Point, seed: int) -> Outcome:
    """Accepted and rejected flags that ``point`` keeps; intervals by resampling subjects."""
    kept = [[flag for flag in scan.regions if _counts(flag, point)] for scan in scans]
    good = [sum(flag.decision == "accepted" for flag in flags) for flags in kept]
    bad = [sum(flag.decision == "rejected" for flag in flags) for flags in kept]
    all_good = [sum(flag.decision == "accepted" for flag in scan.regions) for scan in scans]
    _, of = np.unique([scan.subject for scan in scans], return_inverse=True)
    return Outcome(
        scans=len(scans),
        accepted=sum(good),
        accepted_of=sum(all_good),
        rejected=sum(bad),
        share=clustered_share(good, all_good, of, seed),
        false_alarms=clustered_share(bad, np.ones(len(scans)), of, seed),
    )


def _counts(flag: Flag, point: Point) -> bool:
    high = REGION_BANDS.index(flag.band) >= REGION_BANDS.index(point.band)
    return high and (point.floor_mm3 <= point.base_mm3 or flag.volume_mm3 >= point.floor_mm3)


def judged_bands(scans: Sequence[Feedback]) -> list[str]:
    """Bands at and above which readers judged nearly all flags, so that false alarms are known."""
    found = []
    for at, band in enumerate(REGION_BANDS):
        flags = [f for scan in scans for f in scan.regions if REGION_BANDS.index(f.band) >= at]
        judged = sum(flag.decision != "unjudged" for flag in flags)
        if flags and judged >= LEAST_JUDGED * len(flags):
            found.append(band)
    return found


def candidates(scans: Sequence[Feedback], base_mm3: float) -> list[Point]:
    """Every band that was judged, with every floor at which an accepted flag would just be kept."""
    volumes = {f.volume_mm3 for scan in scans for f in scan.regions if f.decision == "accepted"}
    floors = sorted({base_mm3, *(volume for volume in volumes if volume > base_mm3)})
    return [Point(band, floor, base_mm3) for band in judged_bands(scans) for floor in floors]


def choose(scans: Sequence[Feedback], name: str, false_alarms: float, seed: int) -> Chosen:
    """Point of the map ``name`` that keeps most accepted flags at ``false_alarms`` rejected a scan or less.

    Chosen on one half of the subjects, reported on the other. Among equals the one with fewer rejected flags,
    then the higher band, then the lower floor.

    Raises
    ------
    EvaluationError
        Where feedback is of several models or floors, a half has fewer than two scans, nothing was accepted,
        or no point keeps any accepted flag at that rate.
    """
    mine = [scan for scan in scans if scan.map == name]
    floors = sorted({scan.floor_mm3 for scan in mine})
    hashes = sorted({scan.model_hash for scan in mine})
    if len(floors) > 1 or len(hashes) > 1:
        raise EvaluationError(
            f"feedback on the {name} map is of {len(hashes)} models and floors {floors} mm³; "
            "expected one of each"
        )
    first, second = parts([scan.subject for scan in mine], seed)
    on, off = ([scan for scan in mine if scan.subject in part] for part in (first, second))
    if min(len(on), len(off)) < LEAST_SCANS:
        raise EvaluationError(
            f"feedback on {len(mine)} scans of {len(first) + len(second)} subjects in the {name} map; "
            f"expected {LEAST_SCANS} scans or more in each half"
        )
    total = sum(flag.decision == "accepted" for scan in on for flag in scan.regions)
    if total == 0:
        raise EvaluationError(f"no flag of the {name} map was accepted in the {len(on)} scans to choose on")
    best: tuple[tuple[float, ...], Point] | None = None
    for point in candidates(on, floors[0]):
        good, bad = _kept(on, point)
        if bad <= false_alarms * len(on) and good > 0:
            rank = (good, -bad, REGION_BANDS.index(point.band), -point.floor_mm3)
            if best is None or rank > best[0]:
                best = (rank, point)
    if best is None:
        raise EvaluationError(
            f"no threshold of the {name} map keeps an accepted flag at {false_alarms:g} rejected a scan or "
            f"less (bands with nearly all flags judged: {', '.join(judged_bands(on)) or 'none'})"
        )
    chosen_on, reported_on = outcome(on, best[1], seed), outcome(off, best[1], seed)
    return Chosen(
        name, best[1], chosen_on, reported_on, (first, second), _warnings(on, off, reported_on, false_alarms)
    )


def _kept(scans: Sequence[Feedback], point: Point) -> tuple[int, int]:
    """Accepted and rejected flags that a point keeps."""
    flags = [flag for scan in scans for flag in scan.regions if _counts(flag, point)]
    return sum(f.decision == "accepted" for f in flags), sum(f.decision == "rejected" for f in flags)


def _warnings(
    on: Sequence[Feedback], off: Sequence[Feedback], reported: Outcome, false_alarms: float
) -> tuple[str, ...]:
    found = []
    if left := [band for band in REGION_BANDS if band not in judged_bands([*on, *off])]:
        found.append(
            "Bands not offered as threshold, since readers left flags of them or higher ones unjudged: "
            f"{', '.join(left)}."
        )
    if min(len(on), len(off)) < 20:
        found.append(f"Few scans ({len(on)} to choose on, {len(off)} to report on): the point may not hold.")
    if reported.false_alarms.value > false_alarms:
        found.append(
            f"On scans that it was not chosen on, {reported.false_alarms.value:.2f} flags a scan are "
            f"rejected, more than the {false_alarms:g} asked for."
        )
    return tuple(found)
