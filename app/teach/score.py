"""Score of a learner's marks against lesions of known extent. Pure: numpy only.

A mark belongs to the lesion that it lies in, else to the nearest whose edge is within the tolerance, else it
is false. The first mark of a lesion is a hit; further marks of the same lesion count neither as hit nor as
false. Each lesion counts once: as hit, or as miss. Several marks near several lesions are not rearranged in
the learner's favour. The finding type is not scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Outcome = Literal["hit", "again", "false"]


@dataclass(frozen=True)
class Target:
    """One lesion.

    ``voxels`` (n, 3): voxel centres, RAS+ mm. ``half`` (3, 3): half of a voxel's three axes, mm, as columns.
    """

    label: int
    voxels: NDArray[np.float64]
    half: NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """What became of one mark: of which lesion, how far from its edge in mm (0 inside)."""

    outcome: Outcome
    label: int | None
    distance_mm: float


@dataclass(frozen=True)
class Score:
    """Of one learner on one scan. ``judged`` is in the order of the marks."""

    hits: int
    misses: int
    false_marks: int
    judged: tuple[Judged, ...]
    found: frozenset[int]  # labels


@dataclass(frozen=True)
class Tally:
    """Sum of scores over the scans with known answer that a learner answered."""

    scans: int
    hits: int
    misses: int
    false_marks: int


def targets(labels: NDArray[np.integer], affine: NDArray[np.float64]) -> tuple[Target, ...]:
    """Lesions of a label map (X, Y, Z) with 0 for none; ``affine`` (4, 4) is voxel index to RAS+ mm."""
    found = []
    for label in sorted(int(one) for one in np.unique(labels) if one > 0):
        index = np.argwhere(labels == label)
        found.append(Target(label, index @ affine[:3, :3].T + affine[:3, 3], affine[:3, :3] / 2))
    return tuple(found)


def distance_mm(target: Target, mm: Sequence[float]) -> float:
    """Distance of a point (RAS+ mm) from the nearest voxel of a lesion, taken as a box; 0 inside."""
    offset = np.asarray(mm, dtype=np.float64) - target.voxels
    # In halves of a voxel: -1 to 1 is inside along that axis. Axes of a scan's voxels are orthogonal.
    along = offset @ np.linalg.inv(target.half).T
    outside = np.sign(along) * np.maximum(np.abs(along) - 1, 0)
    return float(np.sqrt(np.square(outside @ target.half.T).sum(axis=1)).min())


def score(lesions: Sequence[Target], marks: Sequence[Sequence[float]], tolerance_mm: float) -> Score:
    """Judge ``marks`` (points in RAS+ mm, in the learner's order) against ``lesions``.

    No lesion is a normal scan: every mark is false. Of two lesions equally near, the lower label counts.

    Raises
    ------
    ValueError
        Where the tolerance is negative.
    """
    if tolerance_mm < 0:
        raise ValueError(f"tolerance_mm {tolerance_mm}; expected 0 or more")
    judged: list[Judged] = []
    found: set[int] = set()
    for mm in marks:
        far = [(distance_mm(target, mm), target.label) for target in lesions]
        distance, label = min(far, default=(float("inf"), 0))
        if distance > tolerance_mm:
            judged.append(Judged("false", None, distance))
        else:
            judged.append(Judged("again" if label in found else "hit", label, distance))
            found.add(label)
    false_marks = sum(one.outcome == "false" for one in judged)
    return Score(len(found), len(lesions) - len(found), false_marks, tuple(judged), frozenset(found))


def tally(given: Sequence[Score]) -> Tally:
    """Sum over scans."""
    return Tally(
        len(given),
        sum(one.hits for one in given),
        sum(one.misses for one in given),
        sum(one.false_marks for one in given),
    )
