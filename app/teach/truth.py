"""Known answers of the demo cohort: lesion masks as they lie beside the scans."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from app.cases import stamp
from app.teach.score import Target, targets
from app.viewer.volumes import Wire, encode, read_grid
from core.evaluation.lesions import FOLDER, UNKNOWN_TYPE, Lesions, find_lesions
from core.io.bids import Scan, anat_path, find_scans
from core.io.volume import file_hash


@dataclass(frozen=True)
class Lesion:
    """One lesion as it is told: its kind in words, volume and a voxel of its own near its middle, RAS+ mm."""

    label: int
    type: str
    volume_mm3: float
    mm: tuple[float, float, float]


@dataclass(frozen=True, eq=False)  # one object a scan: hashed by identity, so that scores can be kept
class Truth:
    """What is known of one scan. No lesion: it is known to be normal. ``wire`` is the label map to send."""

    lesions: tuple[Lesion, ...]
    targets: tuple[Target, ...]
    wire: Wire | None


def truth(demo: Path, case_id: str, input_hash: str) -> Truth | None:
    """What the demo cohort below ``demo`` knows of a scan, None where nothing.

    The scan must be the cohort's own, byte by byte: a name alone would lend its lesions to another's upload.

    Raises
    ------
    EvaluationError, BidsError, VolumeMissing
        Where masks or tables of the cohort are damaged.
    """
    subject, _, session = case_id.partition("_")
    scan = next((one for one in _scans(demo, _changes(demo)) if _is(one, subject, session)), None)
    if scan is None or not scan.synthetic or _hash(scan.path, stamp(scan.path)) != input_hash:
        return None
    mask = anat_path(demo / FOLDER, subject, session, "desc-lesion_mask.nii.gz")
    return _truth(demo, scan, (_changes(demo), stamp(mask)))


def _is(scan: Scan, subject: str, session: str) -> bool:
    return (scan.subject, scan.session) == (subject, session)


def _changes(demo: Path) -> tuple[tuple[int, int], ...]:
    return (
        stamp(demo / "participants.tsv"),
        stamp(demo / "dataset_description.json"),
        stamp(demo / FOLDER / "lesions.tsv"),
    )


@lru_cache(maxsize=4)
def _scans(demo: Path, changes_with: tuple[tuple[int, int], ...]) -> tuple[Scan, ...]:
    """``changes_with`` only keys the cache, here and below."""
    return tuple(find_scans(demo)) if demo.is_dir() else ()


@lru_cache(maxsize=256)
def _hash(path: Path, changes_with: tuple[int, int]) -> str:
    return file_hash(path)


@lru_cache(maxsize=32)
def _truth(demo: Path, scan: Scan, changes_with: tuple[object, ...]) -> Truth | None:
    found = find_lesions([scan])
    if not found:
        # find_lesions asks for one mask at least before it calls a scan normal.
        return Truth((), (), None) if scan.radiology_score == 1 and (demo / FOLDER).is_dir() else None
    known: Lesions = found[f"{scan.subject}_{scan.session}"]
    assert known.path is not None
    grid = read_grid(known.path)
    labels = np.rint(grid.data).astype(np.uint8)
    aims = targets(labels, grid.affine)
    lesions = tuple(
        Lesion(
            aim.label,
            "Lesion" if kind == UNKNOWN_TYPE else kind.replace("_", " ").capitalize(),
            volume,
            _middle(aim),
        )
        for aim, kind, volume in zip(aims, known.types, known.volumes_mm3, strict=True)
    )
    return Truth(lesions, aims, encode(labels, grid.affine, 1.0, 0.0))


def _middle(aim: Target) -> tuple[float, float, float]:
    """The voxel nearest to the centroid, which itself can lie outside a curved lesion."""
    centre = aim.voxels.mean(axis=0)
    x, y, z = aim.voxels[np.square(aim.voxels - centre).sum(axis=1).argmin()].tolist()
    return (x, y, z)
