"""Known lesions of a data set: where their masks lie, and which voxels of the cube they fill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.evaluation.baselines import Cube
from core.evaluation.statistics import EvaluationError
from core.io.bids import Scan, anat_path
from core.io.volume import file_hash, load_labels
from core.preprocess.resample import index_map, resample

FOLDER = Path("derivatives") / "lesions"
UNKNOWN_TYPE = "lesion"
SIZES: tuple[tuple[str, float, float], ...] = (  # mm³ in the scan, from and below
    ("under 100 mm³", 0, 100),
    ("100 to 1000 mm³", 100, 1000),
    ("1 ml and more", 1000, np.inf),
)


@dataclass(frozen=True)
class Lesions:
    """Label map of one scan; ``types`` and ``volumes_mm3`` of labels 1, 2, …; none of them: a normal scan."""

    path: Path | None
    types: tuple[str, ...] = ()
    volumes_mm3: tuple[float, ...] = ()
    hash: str = ""


def classes_of(types: Sequence[str], volumes_mm3: Sequence[float]) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Which of a scan's lesions are of each type ("type") and size ("size"), where there are any, by name."""
    kinds, volumes = np.asarray(types, str), np.asarray(volumes_mm3, np.float64)
    sizes = {name: (volumes >= low) & (volumes < high) for name, low, high in SIZES}
    return {
        "type": {str(kind): kinds == kind for kind in np.unique(kinds)},
        "size": {name: chosen for name, chosen in sizes.items() if chosen.any()},
    }


def unheard(_text: str) -> None:
    """Tell nobody."""


def find_lesions(scans: Sequence[Scan], tell: Callable[[str], None] = unheard) -> dict[str, Lesions]:
    """Lesions by ``sub-…_ses-…`` of the scans whose lesions are known: a mask is there, or the score is 1.

    Masks are ``derivatives/lesions/sub-…/ses-…/anat/*_desc-lesion_mask.nii.gz`` of the scan's data set, with
    labels 1 to L; ``derivatives/lesions/lesions.tsv`` (subject, label, type) names types, where it is. An
    empty mask says of a normal that it has no lesion; of any other scan it counts as none, which ``tell``
    hears. Empty where no lesion is known.

    Raises
    ------
    VolumeError
        Where a mask can't be read.
    EvaluationError
        Where labels are not 1 to L, or lesions.tsv lacks one of them.
    """
    found: dict[str, Lesions] = {}
    for scan in scans:
        folder = scan.path.parents[3 if scan.path.parents[1].name.startswith("ses-") else 2] / FOLDER
        path = anat_path(folder, scan.subject, scan.session, "desc-lesion_mask.nii.gz")
        if not path.is_file():
            continue
        lesions = _read(path, scan, folder / "lesions.tsv")
        if lesions.types:
            found[case_of(scan)] = lesions
        elif scan.radiology_score != 1:
            tell(f"{path.name}: empty, though its scan is no normal; its lesions count as unknown")
    if not found:
        return {}
    normals = [scan for scan in scans if scan.radiology_score == 1 and case_of(scan) not in found]
    return found | {case_of(scan): Lesions(None) for scan in normals}


def case_of(scan: Scan) -> str:
    """``sub-…_ses-…``."""
    return f"{scan.subject}_{scan.session}"


def _read(path: Path, scan: Scan, table: Path) -> Lesions:
    volume = load_labels(path)
    labels = np.rint(volume.data).astype(np.int64)
    counts = np.bincount(labels.ravel())[1:] if labels.min() >= 0 else np.zeros(1, np.int64)
    if not counts.all():
        raise EvaluationError(
            f"{path.name}: labels {np.unique(labels).tolist()}; expected 0 and 1 to the number of lesions"
        )
    types = [UNKNOWN_TYPE] * counts.size
    if table.is_file():
        lines = pd.read_csv(table, sep="\t")
        mine = lines[lines["subject"] == scan.subject].set_index("label")["type"].to_dict()
        if missing := sorted(set(range(1, counts.size + 1)) - set(mine)):
            raise EvaluationError(f"lesions.tsv: no label {missing[0]} of {scan.subject}; {path.name} has it")
        types = [str(mine[label]) for label in range(1, counts.size + 1)]
    volumes = tuple(round(float(n * volume.voxel_volume), 1) for n in counts)
    return Lesions(path, tuple(types), volumes, file_hash(path))


def lesions_in_cube(lesions: Lesions, cube: Cube) -> NDArray[np.int64]:
    """Labels (N, N, N) at the cube's voxel centres, inside the brain mask.

    A lesion so small that no voxel centre falls into it keeps the brain voxel nearest to its centroid, so
    that none leaves the count by being small.

    Raises
    ------
    VolumeError
        Where the mask can't be read.
    """
    labels = np.zeros(cube.x.shape, np.int64)
    if lesions.path is None:
        return labels
    volume = load_labels(lesions.path)
    to_scan = index_map(volume.affine, cube.affine, np.linalg.inv(cube.scan_to_reference))
    size = len(labels)
    sampled = resample(volume.data, to_scan, (size, size, size), order=0)
    labels[cube.mask] = np.rint(sampled[cube.mask]).astype(np.int64)
    for label in range(1, len(lesions.types) + 1):
        if not (labels == label).any():
            centre = np.argwhere(np.rint(volume.data) == label).mean(axis=0)
            place = (np.linalg.inv(to_scan) @ [*centre, 1.0])[:3]
            free = np.argwhere(cube.mask & (labels == 0))
            nearest = free[np.square(free - place).sum(axis=1).argmin()]
            labels[tuple(nearest)] = label
    return labels
