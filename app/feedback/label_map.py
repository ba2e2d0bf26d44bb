"""One analysis as its readers saw it: accepted, rejected and missed regions as labels on the scan's grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.feedback.adjudications import Key, SavedDecision
from app.feedback.blinding import Answers
from app.feedback.rows import Missed, SavedVerdict
from core.anomaly.regions import region_labels
from core.anomaly.residual import AnomalyError
from core.evaluation.feedback import DECISIONS, Flag
from core.io.derivatives import (
    CasePaths,
    CaseRecord,
    DerivativesError,
    MapName,
    Region,
    read_record,
    read_regions,
)
from core.io.volume import Volume, VolumeError, file_hash, load_mask, load_volume

RULE = (
    "A region is what was decided in adjudication; else what more of its readers said, agree or disagree; "
    "else unsure. First passes only. Where a sphere overlaps a region the region's label stands."
)


@dataclass(frozen=True)
class Analysis:
    """One map of one analysis that readers have read."""

    case_id: str
    input_hash: str
    model: str
    case_key: str
    map: MapName


class LabelError(ValueError):
    """An analysis whose regions can't be given back as readers saw them."""


def analyses(answers: Answers) -> list[Analysis]:
    """What finished readers had before them, in order; planted scans and repeats are left out."""
    found = set()
    for rows in (answers.reads, answers.verdicts, answers.marks):
        for row in rows:
            at = (row.reader_id, row.case_id, row.input_hash, row.pass_number)
            if row.pass_number == 1 and answers.kinds.get(at) != "planted":
                found.add(Analysis(row.case_id, row.input_hash, row.model, row.case_key, row.map))  # type: ignore[arg-type]
    return sorted(found, key=lambda one: (one.case_id, one.model, one.map, one.case_key))


def consensus(votes: Sequence[SavedVerdict], decided: SavedDecision | None) -> str:
    """accepted, rejected, unsure or unjudged, by ``RULE``."""
    if decided is not None:
        return DECISIONS[decided.decision]
    if not votes:
        return "unjudged"
    count = Counter(vote.verdict for vote in votes)
    if count["agree"] == count["disagree"]:
        return "unsure"
    return "accepted" if count["agree"] > count["disagree"] else "rejected"


def _checked(one: Analysis, root: Path) -> tuple[CaseRecord, CasePaths]:
    """The record on disk, once it is sure that it and its files are what the readers saw."""
    subject, _, session = one.case_id.partition("_")
    paths = CasePaths(root, subject, session)
    try:
        record = read_record(paths.case_json(one.model))
    except DerivativesError as error:
        raise LabelError(f"the analysis is not on disk: {error}") from error
    if (record.key, record.input_hash) != (one.case_key, one.input_hash):
        raise LabelError(
            f"the analysis was done anew (key {record.key[:12]}…, readers saw {one.case_key[:12]}…)"
        )
    for path in (paths.z(one.model, one.map), paths.mask, paths.regions(one.model)):
        if not path.is_file() or record.files.get(path.name) != file_hash(path):
            raise LabelError(f"{path.name} is not the file that the analysis wrote")
    return record, paths


def _sphere(grid: Volume, centre: tuple[float, float, float], radius_mm: float) -> NDArray[np.bool_]:
    """Voxels whose centre lies in the sphere, at least the nearest one; none where it lies off the grid."""
    at = np.linalg.inv(grid.affine) @ [*centre, 1.0]
    nearest = np.rint(at[:3]).astype(int)
    inside = np.zeros(grid.shape, bool)
    if (nearest < 0).any() or (nearest >= grid.shape).any():
        return inside
    # A box in voxels that holds the sphere, whatever the axes.
    reach = np.ceil(radius_mm * np.linalg.norm(np.linalg.inv(grid.affine)[:3, :3], axis=1)).astype(int)
    low, high = np.maximum(nearest - reach, 0), np.minimum(nearest + reach + 1, grid.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    voxels = np.stack(
        np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1
    )
    away = voxels @ grid.affine[:3, :3].T + grid.affine[:3, 3] - np.array(centre)
    inside[box] = (away**2).sum(axis=-1) <= radius_mm**2
    inside[tuple(nearest)] = True
    return inside


def _of_region(
    region: Region, votes: Sequence[SavedVerdict], decided: SavedDecision | None, voxels: int
) -> Flag:
    count = Counter(vote.verdict for vote in votes)
    kinds = [decided.finding_type] if decided is not None and decided.finding_type else []
    kinds += [
        name for name, _ in Counter(vote.finding_type for vote in votes if vote.finding_type).most_common(1)
    ]
    return Flag(
        kind="region",
        id=region.id,
        decision=consensus(votes, decided),
        agree=count["agree"],
        disagree=count["disagree"],
        unsure=count["unsure"],
        adjudicated=decided is not None,
        finding_type=kinds[0] if kinds else "",
        band=region.band,
        sign=region.sign,
        volume_mm3=region.volume_mm3,
        peak_z=region.peak_z,
        mean_z=region.mean_z,
        x_mm=region.x_mm,
        y_mm=region.y_mm,
        z_mm=region.z_mm,
        radius_mm=0.0,
        voxels=voxels,
    )


def _of_mark(mark: Missed, voxels: int, voxel_mm3: float) -> Flag:
    return Flag(
        kind="mark",
        id=mark.id,
        decision="missed",
        agree=0,
        disagree=0,
        unsure=0,
        adjudicated=False,
        finding_type=mark.finding_type,
        band="",
        sign=0,
        volume_mm3=round(voxels * voxel_mm3, 3),
        peak_z=0.0,
        mean_z=0.0,
        x_mm=mark.x_mm,
        y_mm=mark.y_mm,
        z_mm=mark.z_mm,
        radius_mm=mark.radius_mm,
        voxels=voxels,
    )


LABELS = {"accepted": 1, "rejected": 2, "missed": 3, "unsure": 4, "unjudged": 0}


def label_map(
    one: Analysis, answers: Answers, decided: Mapping[Key, SavedDecision], root: Path
) -> tuple[Volume, list[Flag], CaseRecord]:
    """Labels on the scan's grid and the rows behind them: regions as listed, then marks.

    A mark of the second phase is a missed finding; one of the first only where no flag lies in its sphere.

    Raises
    ------
    LabelError
        Where the analysis on disk is not the one that was read.
    """
    record, paths = _checked(one, root)
    try:
        z = load_volume(paths.z(one.model, one.map))
        mask = load_mask(paths.mask, z).data
        listed = [region for region in read_regions(paths.regions(one.model)) if region.map == one.map]
        floor = float(record.settings["floor_mm3"])
        voxels, ids = region_labels(z, mask, one.map, record.key, floor)
    except (VolumeError, DerivativesError, AnomalyError, KeyError) as error:
        raise LabelError(str(error)) from error
    if unknown := [region.id for region in listed if region.id not in ids]:
        raise LabelError(f"region {unknown[0]} can't be found again in {paths.z(one.model, one.map).name}")
    here = [
        row
        for row in answers.verdicts
        if (row.case_id, row.case_key, row.map, row.pass_number) == (one.case_id, one.case_key, one.map, 1)
    ]
    labels = np.zeros(z.shape, np.float32)
    flags = []
    for region in listed:
        votes = [row for row in here if row.region_id == region.id]
        key: Key = (one.case_id, one.input_hash, "region", one.model, one.case_key, one.map, region.id)
        inside = voxels == ids[region.id]
        flag = _of_region(region, votes, decided.get(key), int(inside.sum()))
        labels[inside] = LABELS[flag.decision]
        flags.append(flag)
    flagged = np.isin(voxels, [ids[region.id] for region in listed])
    for mark in answers.marks:
        if (mark.case_id, mark.input_hash, mark.pass_number) != (one.case_id, one.input_hash, 1):
            continue
        if mark.phase == "second" and (mark.case_key, mark.map) != (one.case_key, one.map):
            continue  # missed by another map; this one may have flagged it
        inside = _sphere(z, (mark.x_mm, mark.y_mm, mark.z_mm), mark.radius_mm)
        if mark.phase == "first" and (inside & flagged).any():
            continue
        labels[inside & ~flagged] = LABELS["missed"]
        flags.append(_of_mark(mark, int(inside.sum()), z.voxel_volume))
    return z.with_data(labels), flags, record
